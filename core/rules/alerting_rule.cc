#include "core/rules/alerting_rule.h"

#include "core/base/http_server.h"
#include "core/base/log.h"
#include "core/model/labels.h"

#include <algorithm>
#include <utility>

namespace weir::rules {
namespace {

constexpr std::string_view kAlertsName = "ALERTS";
constexpr std::string_view kAlertsForStateName = "ALERTS_FOR_STATE";
constexpr std::string_view kAlertStateLabel = "alertstate";
constexpr size_t kElementsKept = 1024;  // from one evaluation to the next; more are made anew in no time

bool IsTemplate(std::string_view text) { return text.find("{{") != std::string_view::npos; }

// RETURNS: the constant arguments of `query "…"` and `query `…`` in a template's text. What it misses is only not
// planned ahead.
std::vector<std::string> QueryLiterals(std::string_view text) {
  constexpr std::string_view kWord = "query";
  std::vector<std::string> found;
  for (size_t at = text.find(kWord); at != std::string_view::npos; at = text.find(kWord, at)) {
    at += kWord.size();
    const size_t open = text.find_first_not_of(" \t\n(", at);
    if (open == std::string_view::npos || (text[open] != '"' && text[open] != '`')) {
      continue;
    }
    std::string literal;
    size_t i = open + 1;
    for (; i < text.size() && text[i] != text[open]; ++i) {
      if (text[open] == '"' && text[i] == '\\' && i + 1 < text.size()) {
        ++i;
      }
      literal.push_back(text[i]);
    }
    if (i < text.size()) {
      found.push_back(std::move(literal));
    }
    at = i;
  }
  return found;
}

int64_t FloorSeconds(int64_t ms) { return ms >= 0 ? ms / 1000 : -((-ms + 999) / 1000); }

}  // namespace

AlertingRule::~AlertingRule() {
  for (const TemplateQuery& query : queries_) {
    environment_->engine->RemovePlan(query.plan);
    if (query.between != engine::kNoPlan) {
      environment_->engine->RemovePlan(query.between);
    }
  }
  if (eager_plan_ != engine::kNoPlan) {
    environment_->engine->RemovePlan(eager_plan_);
  }
}

Status AlertingRule::Prepare() {
  WEIR_RETURN_IF_ERROR(Rule::Prepare());
  if (definition_.eager && planned()) {
    PlanEager();
  }
  for (const Label& label : definition_.labels) {
    WEIR_RETURN_IF_ERROR(PrepareText(label, &labels_));
    labels_fixed_ = labels_fixed_ && !IsTemplate(label.value);
  }
  for (const Label& annotation : definition_.annotations) {
    WEIR_RETURN_IF_ERROR(PrepareText(annotation, &annotations_));
    annotations_now_ = annotations_now_ || annotation.value.find("query") != std::string::npos;
  }
  generator_path_ = "/graph?g0.expr=" + UrlQueryEscape(definition_.query) + "&g0.tab=1";
  return {};
}

void AlertingRule::PlanEager() {
  engine::Grid grid = grid_;
  grid.between = true;
  const Result<engine::PlanId> plan = PlanQuery(grid);
  if (!plan.ok()) {
    at_ticks_only_ = plan.status().message();
    return;
  }
  at_ticks_only_ = environment_->engine->Between(*plan).at_ticks_only;
  if (at_ticks_only_.empty()) {
    eager_plan_ = *plan;
    return;
  }
  environment_->engine->RemovePlan(*plan);
  LogWarn("eager alert is evaluated at ticks only",
          {{"group", group_key_}, {"rule", definition_.name}, {"reason", at_ticks_only_}});
}

Status AlertingRule::PrepareText(const Label& source, std::vector<Text>* into) {
  Text text{source.name, source.value, nullptr};
  if (IsTemplate(source.value)) {
    Result<tmpl::Template> parsed = tmpl::Template::Parse("__alert_" + definition_.name, source.value);
    if (!parsed.ok()) {
      return {parsed.status().code(), PlanErrorText(definition_, parsed.status())};
    }
    text.expand = std::make_shared<const tmpl::Template>(std::move(*parsed));
    PlanQueries(source.value);
  }
  into->push_back(std::move(text));
  return {};
}

std::vector<engine::PlanId> AlertingRule::Plans() const {
  std::vector<engine::PlanId> plans = Rule::Plans();
  const auto add = [&plans](engine::PlanId plan) {
    if (plan != engine::kNoPlan) {
      plans.push_back(plan);
    }
  };
  add(eager_plan_);
  for (const TemplateQuery& query : queries_) {
    add(query.plan);
    add(query.between);
  }
  return plans;
}

void AlertingRule::PlanQueries(const std::string& text) {
  if (!definition_.stopped.empty()) {
    return;
  }
  for (std::string& literal : QueryLiterals(text)) {
    const auto known = [&](const TemplateQuery& query) { return query.text == literal; };
    if (std::any_of(queries_.begin(), queries_.end(), known)) {
      continue;
    }
    const promql::ParseOutcome parsed = promql::ParseExpr(literal, environment_->parser);
    if (parsed.expr == nullptr) {
      continue;  // the expansion says what is wrong with it
    }
    engine::Grid grid = grid_;
    grid.query_offset_ms = 0;  // templates see the slot itself
    if (Result<engine::PlanId> plan = environment_->engine->AddPlan(*parsed.expr, grid); plan.ok()) {
      TemplateQuery& query = queries_.emplace_back(TemplateQuery{std::move(literal), *plan});
      grid.between = true;
      if (eager_plan_ == engine::kNoPlan) {
        continue;
      }
      if (Result<engine::PlanId> between = environment_->engine->AddPlan(*parsed.expr, grid); between.ok()) {
        if (environment_->engine->Between(*between).at_ticks_only.empty()) {
          query.between = *between;
        } else {
          environment_->engine->RemovePlan(*between);
        }
      }
    }
  }
}

void AlertingRule::TakeState(Rule& old) {
  Rule::TakeState(old);
  // The alerts of a rule that is stopped go with its state: nobody knows what has become of them.
  if (auto* alerting = dynamic_cast<AlertingRule*>(&old); alerting != nullptr && definition_.stopped.empty()) {
    if (definition_.annotations != alerting->definition_.annotations) {
      alerting->KeepAnnotations();  // what templates said under the old text stays until the next evaluation
    }
    alerts_.TakeFrom(alerting->alerts_);
    eager_ = std::move(alerting->eager_);
    for (TrackedAlert& alert : alerts_.all()) {
      alert.series_generation = 0;  // numbers of the old rule's series
    }
  }
}

Result<std::vector<tmpl::QueryResult>> AlertingRule::Query(const std::string& text, int64_t ts_ms) {
  for (const TemplateQuery& query : queries_) {
    if (query.text == text && between_ && query.between != engine::kNoPlan) {
      return ReadQuery(environment_->engine->EvaluateBetween(query.between, ts_ms));
    }
    if (query.text == text && !between_) {
      return ReadQuery(environment_->engine->Evaluate(query.plan, ts_ms));
    }
  }
  if (between_) {
    return InvalidError("the query " + GoQuote(text) + " can be evaluated at ticks only");
  }
  const promql::ParseOutcome parsed = promql::ParseExpr(text, environment_->parser);
  if (parsed.expr == nullptr) {
    return InvalidError(parsed.errors.empty() ? "parse error" : parsed.errors.front().ToString());
  }
  return ReadQuery(environment_->engine->EvaluateOnce(*parsed.expr, ts_ms));
}

Result<std::vector<tmpl::QueryResult>> AlertingRule::ReadQuery(const engine::Evaluation& evaluation) {
  WEIR_RETURN_IF_ERROR(evaluation.status);
  std::vector<tmpl::QueryResult> results;
  switch (evaluation.type) {
    case promql::ValueType::kVector:
      for (size_t slot = 0; slot < evaluation.vector.size(); ++slot) {
        if (evaluation.vector.present(slot)) {
          results.push_back(
              {environment_->engine->labels().ToLabels(evaluation.vector.labels(slot)), evaluation.vector.value(slot)});
        }
      }
      return results;
    case promql::ValueType::kScalar:
      results.push_back({{}, evaluation.scalar});
      return results;
    case promql::ValueType::kString:
      results.push_back({Labels{{"__value__", evaluation.text}}, 0});
      return results;
    default:
      return InvalidError("result of query in a template is neither vector, scalar nor string");
  }
}

std::string AlertingRule::Expand(const Text& text, const Labels& element, double value, int64_t ts_ms) {
  if (text.expand == nullptr) {
    return text.plain;
  }
  const tmpl::TemplateData data{element, environment_->external_labels, environment_->external_url, value};
  Result<std::string> expanded =
      text.expand->Expand(data, ts_ms, [this](const std::string& expr, int64_t at_ms) { return Query(expr, at_ms); });
  if (expanded.ok()) {
    return std::move(*expanded);
  }
  LogDebug("alert template failed", {{"group", group_key_},
                                     {"rule", definition_.name},
                                     {"field", text.name},
                                     {"err", std::string(expanded.status().message())}});
  environment_->metrics
      ->GetCounter("weir_template_failures_total", "Expansions of alert templates that failed; the text says why.",
                   {{"rule_group", group_key_}})
      .Add();
  return tmpl::ExpansionErrorText(expanded.status());
}

void AlertingRule::MarkLabels(LabelMarks* marks) const {
  Rule::MarkLabels(marks);
  alerts_.MarkLabels(marks);
  eager_.MarkLabels(marks);
  for (const std::vector<LabelSetId>* slots : {&slots_, &eager_slots_}) {
    for (const LabelSetId labels : *slots) {
      if (labels != kNoLabelSet) {
        marks->Add(labels);
      }
    }
  }
}

LabelSetId AlertingRule::LabelsOf(LabelSetId element, double value, int64_t slot_ms) {
  LabelSetTable& table = environment_->engine->labels();
  const Labels seen = labels_fixed_ ? Labels() : table.ToLabels(element);
  std::vector<LabelPair> own;
  own.reserve(labels_.size() + 2);
  for (const Text& label : labels_) {
    own.push_back({table.Intern(label.name), table.Intern(Expand(label, seen, value, slot_ms))});
  }
  own.push_back({table.Intern(kAlertName), table.Intern(definition_.name)});
  own.push_back({table.Intern(kMetricName), table.Intern(kAlertsForStateName)});
  return table.With(element, own);
}

Status AlertingRule::Gather(const engine::Evaluation& evaluation, int64_t slot_ms) {
  elements_.clear();
  if (evaluation.type == promql::ValueType::kScalar) {
    elements_.push_back({kNoLabelSet, kEmptyLabelSet, evaluation.scalar});
  } else if (evaluation.type == promql::ValueType::kVector) {
    const engine::VectorView& view = evaluation.vector;
    if (view_generation_ != view.generation()) {
      slots_.clear();
      view_generation_ = view.generation();
    }
    if (labels_fixed_) {
      slots_.resize(view.size(), kNoLabelSet);
    }
    elements_.reserve(view.CountPresent());  // a long list is not to be copied while it grows
    for (size_t slot = 0; slot < view.size(); ++slot) {
      environment_->engine->MayYield(slot);
      if (!view.present(slot)) {
        continue;
      }
      if (labels_fixed_ && slots_[slot] == kNoLabelSet) {
        slots_[slot] = LabelsOf(view.labels(slot), 0, slot_ms);
      }
      elements_.push_back({labels_fixed_ ? slots_[slot] : kNoLabelSet, view.labels(slot), view.value(slot)});
    }
  } else {
    return InvalidError("rule result is not a vector or scalar");
  }
  // The view is read out: templates may call the engine again.
  size_t done = 0;
  for (AlertElement& element : elements_) {
    environment_->engine->MayYield(done++);
    if (element.labels == kNoLabelSet) {
      element.labels = LabelsOf(element.element, element.value, slot_ms);
    }
  }
  return {};
}

Labels AlertingRule::TextOf(const TrackedAlert& alert) const {
  const LabelSetTable& table = environment_->engine->labels();
  return table.ToLabels(alert.labels, table.Find(kMetricName));
}

Labels AlertingRule::Annotations(const TrackedAlert& alert) {
  if (alert.annotations != nullptr) {
    return *alert.annotations;
  }
  std::vector<Label> expanded;
  expanded.reserve(annotations_.size());
  const Labels element = environment_->engine->labels().ToLabels(alert.element);
  for (const Text& annotation : annotations_) {
    expanded.push_back({annotation.name, Expand(annotation, element, alert.value, alert.element_ts_ms)});
  }
  return Labels(std::move(expanded));
}

void AlertingRule::KeepAnnotations() {
  for (TrackedAlert& alert : alerts_.all()) {
    if (alert.state != AlertState::kInactive && alert.annotations == nullptr) {
      alert.annotations = std::make_unique<const Labels>(Annotations(alert));
    }
  }
}

void AlertingRule::ShowActive(const std::function<void(const ShownAlert& alert)>& show) {
  for (const TrackedAlert& alert : alerts_.all()) {
    if (alert.state != AlertState::kInactive) {
      show({TextOf(alert), Annotations(alert), alert.state, alert.value, alert.active_at_ms,
            alert.keep_firing_since_ms});
    }
  }
}

plugin::Alert AlertingRule::ToSend(const TrackedAlert& alert, int64_t sent_ms) {
  plugin::Alert out;
  out.labels = TextOf(alert);
  out.annotations = Annotations(alert);
  out.resolved = alert.resolved_at_ms != kNoTime;
  out.value = alert.value;
  out.starts_at_ms = alert.fired_at_ms;
  out.ends_at_ms =
      out.resolved ? alert.resolved_at_ms : sent_ms + 4 * std::max(interval_ms_, environment_->resend_delay_ms);
  out.active_at_ms = alert.active_at_ms;
  out.generator_url = environment_->external_url + generator_path_;
  return out;
}

template <typename Alerts>
void AlertingRule::Send(const Alerts& alerts, int64_t sent_ms) {
  for (size_t i = 0; i < alerts.size();) {
    plugin::AlertBatch part;
    part.tick_ms = sent_ms;
    part.alerts.reserve(std::min(kPartAlertsMax, alerts.size() - i));
    for (; i < alerts.size() && part.alerts.size() < kPartAlertsMax; ++i) {
      environment_->engine->MayYield(i);
      part.alerts.push_back(ToSend(*alerts[i], sent_ms));
    }
    environment_->output->OnAlerts(std::move(part));
  }
}

AlertingRule::Found AlertingRule::EvaluateBetween(int64_t ts_ms, bool emit) {
  Found found;
  between_ = true;
  // The slots of this plan are not those of the ticks'.
  slots_.swap(eager_slots_);
  std::swap(view_generation_, eager_view_generation_);
  const engine::Evaluation evaluation = environment_->engine->EvaluateBetween(eager_plan_, ts_ms);
  found.status = evaluation.status;
  if (found.status.ok()) {
    found.status = Gather(evaluation, ts_ms);
  }
  slots_.swap(eager_slots_);
  std::swap(view_generation_, eager_view_generation_);
  if (found.status.ok()) {
    found.elements = elements_.size();
    Result<std::vector<TrackedAlert*>> fired =
        eager_.Update(elements_, alerts_, {definition_.for_ms, definition_.keep_firing_for_ms, limit_}, ts_ms);
    found.status = fired.status();
    if (fired.ok() && emit) {
      found.fired = fired->size();
      Send(*fired, ts_ms);
    }
  }
  ForgetScratch();
  between_ = false;
  return found;
}

void AlertingRule::Reconcile(const RuleTick& tick) {
  EagerAlerts::Verdict verdict = eager_.Reconcile(elements_, alerts_, tick.slot_ms);
  const auto count = [&](const char* name, const char* help, size_t n) {
    environment_->metrics->GetCounter(name, help).Add(n);
  };
  if (verdict.confirmed > 0) {
    count("weir_eager_confirmed_total", "Alerts that fired between ticks and that the next tick found firing, too.",
          verdict.confirmed);
  }
  if (verdict.withdrawn.empty()) {
    return;
  }
  count("weir_eager_withdrawn_total", "Alerts that fired between ticks and that the next tick did not find.",
        verdict.withdrawn.size());
  if (tick.emit) {
    Send(verdict.withdrawn, tick.slot_ms);
  }
}

void AlertingRule::WriteSeries(const RuleTick& tick) {
  outputs_.Begin();
  LabelSetTable& table = environment_->engine->labels();
  size_t done = 0;
  for (TrackedAlert& alert : alerts_.all()) {
    environment_->engine->MayYield(done++);
    if (alert.state == AlertState::kInactive) {
      continue;
    }
    if (alert.series_generation != outputs_.generation() || alert.series_state != alert.state) {
      const LabelPair changes[] = {{table.Intern(kMetricName), table.Intern(kAlertsName)},
                                   {table.Intern(kAlertStateLabel), table.Intern(AlertStateText(alert.state))}};
      alert.for_state_series = outputs_.Find(alert.labels);
      alert.alerts_series = outputs_.Find(table.With(alert.labels, changes));
      alert.series_generation = outputs_.generation();
      alert.series_state = alert.state;
    }
    const auto write = [&](OutputSeries::Index series, double v) {
      if (outputs_.Claim(series)) {
        outputs_.Write(series, tick.sample_ms, v, nullptr, tick.parts);
      }
    };
    write(alert.alerts_series, 1);
    write(alert.for_state_series, static_cast<double>(FloorSeconds(alert.active_at_ms)));
  }
}

void AlertingRule::ForgetScratch() {
  if (elements_.capacity() > kElementsKept) {
    elements_ = {};
  }
}

Rule::Outcome AlertingRule::Run(const RuleTick& tick) {
  in_tick_ = true;
  Outcome outcome = RunInTick(tick);
  in_tick_ = false;
  return outcome;
}

Rule::Outcome AlertingRule::RunInTick(const RuleTick& tick) {
  Outcome outcome;
  samples_ = 0;
  const engine::Evaluation evaluation = EvaluatePlan(tick.slot_ms);
  outcome.failed = evaluation.status;
  if (outcome.failed.ok()) {
    outcome.failed = Gather(evaluation, tick.slot_ms);
  }
  if (outcome.failed.ok()) {
    outcome.failed = alerts_.Update(elements_, {definition_.for_ms, definition_.keep_firing_for_ms, limit_},
                                    tick.slot_ms, [this](size_t done) { environment_->engine->MayYield(done); });
  }
  if (!outcome.failed.ok()) {
    return outcome;
  }
  if (annotations_now_) {
    KeepAnnotations();
  }
  if (!eager_.empty()) {
    Reconcile(tick);
  }
  ForgetScratch();
  if (tick.emit) {
    Send(alerts_.TakeDue(tick.slot_ms, environment_->resend_delay_ms), tick.slot_ms);
  }
  WriteSeries(tick);
  samples_ = outputs_.claimed();
  outcome.refused = outputs_.Commit(tick.sample_ms, tick.parts);
  return outcome;
}

}  // namespace weir::rules
