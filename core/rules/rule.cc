#include "core/rules/rule.h"

#include "core/base/log.h"

#include <algorithm>
#include <utility>

namespace weir::rules {

std::string_view HealthText(Health health) {
  switch (health) {
    case Health::kUnknown:
      return "unknown";
    case Health::kOk:
      return "ok";
    case Health::kError:
      return "err";
  }
  return "unknown";
}

namespace {

// Texts name metrics, and metrics can be any number: a rule logs this many different ones.
constexpr size_t kRemarksLoggedMax = 100;

// Splits `OFFSET: message` of the engine. RETURNS: the offset, or -1 and the whole message.
std::pair<long, std::string_view> SplitOffset(std::string_view message) {
  size_t digits = 0;
  while (digits < message.size() && message[digits] >= '0' && message[digits] <= '9') {
    ++digits;
  }
  constexpr size_t kDigitsMax = 9;
  if (digits == 0 || digits > kDigitsMax || message.substr(digits, 2) != ": ") {
    return {-1, message};
  }
  return {std::stol(std::string(message.substr(0, digits))), message.substr(digits + 2)};
}

}  // namespace

std::string PlanErrorText(const RuleDefinition& definition, const Status& status) {
  const auto [offset, message] = SplitOffset(status.message());
  std::string where = definition.where;
  if (offset >= 0 && definition.where_in_expr != nullptr) {
    where = definition.where_in_expr(static_cast<size_t>(offset));
  }
  std::string text = where.empty() ? std::string() : where + ": ";
  text += (definition.alerting ? "alert \"" : "record \"") + definition.name + "\": ";
  text.append(message);
  return text;
}

Rule::Rule(SharedRule definition, const GroupDefinition& group, RuleEnvironment* environment)
    : shared_(std::move(definition)),
      definition_(shared_),
      group_key_(group.Key()),
      grid_{.interval_ms = group.slots.interval_ms,
            .phase_ms = group.slots.phase_ms(),
            .query_offset_ms = group.query_offset_ms,
            .max_error = definition_.max_error},
      interval_ms_(group.slots.interval_ms),
      limit_(group.limit),
      environment_(environment),
      outputs_(environment->engine) {
  environment->engine->AddLabelHolder(this);
}

Rule::~Rule() {
  environment_->engine->RemoveLabelHolder(this);
  if (planned_) {
    environment_->engine->RemovePlan(plan_);
  }
}

// Prometheus evaluates the printed text of a rule, so that is the text in which remarks have their places. Errors are told by
// places in the file, which only the expression as it was written knows.
Result<engine::PlanId> Rule::PlanQuery(const engine::Grid& grid) {
  const promql::ParseOutcome printed = promql::ParseExpr(definition_.query, environment_->parser);
  if (printed.expr != nullptr) {
    Result<engine::PlanId> plan = environment_->engine->AddPlan(*printed.expr, grid);
    if (plan.ok()) {
      return plan;
    }
  }
  return environment_->engine->AddPlan(*definition_.expr, grid);
}

Status Rule::Prepare() {
  Result<engine::PlanId> plan = PlanQuery(grid_);
  if (plan.ok() && !definition_.stopped.empty()) {
    environment_->engine->RemovePlan(*plan);
    never_ = LimitError(definition_.stopped);
    health_ = Health::kError;
    last_error_ = definition_.stopped;
    return {};
  }
  if (plan.ok()) {
    plan_ = *plan;
    planned_ = true;
    return {};
  }
  if (plan.status().code() == Code::kUnsupported || plan.status().code() == Code::kLimit) {
    return {plan.status().code(), PlanErrorText(definition_, plan.status())};
  }
  never_ = plan.status();
  return {};
}

engine::Evaluation Rule::EvaluatePlan(int64_t slot_ms) {
  warnings_.clear();
  infos_.clear();
  if (!planned_) {
    engine::Evaluation failed;
    failed.status = never_;
    return failed;
  }
  engine::Evaluation evaluation = environment_->engine->Evaluate(plan_, slot_ms);
  KeepRemarks(evaluation.remarks);
  return evaluation;
}

void Rule::KeepRemarks(const std::vector<engine::Remark>& remarks) {
  for (const engine::Remark& remark : remarks) {
    std::string shown = remark.Shown(definition_.query);
    if (logged_.size() < kRemarksLoggedMax && logged_.insert(remark.text).second) {
      Log(remark.info ? LogLevel::kInfo : LogLevel::kWarn, "rule evaluation annotated",
          {{"group", group_key_}, {"rule", definition_.name}, {"annotation", shown}});
    }
    (remark.info ? infos_ : warnings_).push_back(std::move(shown));
  }
}

std::vector<engine::PlanId> Rule::Plans() const {
  return planned_ ? std::vector<engine::PlanId>{plan_} : std::vector<engine::PlanId>();
}

bool Rule::Evaluate(const RuleTick& tick) {
  const int64_t start_ns = environment_->clock->MonotonicNs();
  last_evaluation_ms_ = environment_->clock->NowMs();
  if (!definition_.stopped.empty()) {
    outputs_.MarkAllStale(tick.sample_ms, tick.parts);
  }
  const Outcome outcome = Run(tick);
  evaluation_seconds_ = static_cast<double>(std::max<int64_t>(0, environment_->clock->MonotonicNs() - start_ns)) * 1e-9;
  SetHealth(outcome);
  return outcome.failed.ok();
}

void Rule::SetHealth(const Outcome& outcome) {
  const Status& bad = outcome.failed.ok() ? outcome.refused : outcome.failed;
  if (bad.ok()) {
    health_ = Health::kOk;
    last_error_.clear();
    return;
  }
  // The same error every tick is one line in the log, not one line a tick.
  if (health_ != Health::kError || last_error_ != bad.message()) {
    LogWarn(outcome.failed.ok() ? "rule result refused" : "rule evaluation failed",
            {{"group", group_key_}, {"rule", definition_.name}, {"err", std::string(bad.message())}});
  }
  health_ = Health::kError;
  last_error_ = bad.message();
}

void Rule::TakeState(Rule& old) {
  outputs_.TakePrevious(old.outputs_);
  if (definition_.stopped.empty() && old.definition_.stopped.empty()) {
    health_ = old.health_;
    last_error_ = old.last_error_;
  }
  warnings_ = old.warnings_;
  infos_ = old.infos_;
  if (definition_ == old.definition_) {
    logged_ = old.logged_;  // a rule that changed tells again
  }
  evaluation_seconds_ = old.evaluation_seconds_;
  last_evaluation_ms_ = old.last_evaluation_ms_;
}

}  // namespace weir::rules
