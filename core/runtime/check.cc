#include "core/runtime/check.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "core/base/metrics.h"
#include "core/config/config.h"
#include "core/engine/explain.h"
#include "core/model/duration.h"
#include "core/plugin/options.h"
#include "core/rules/alerting_rule.h"
#include "core/runtime/pipeline.h"
#include "core/runtime/rule_notes.h"
#include "core/runtime/settings.h"

namespace weir::runtime {
namespace {

// RETURNS: whether the text is a rule file in one of its three forms: only those have these keys at the left margin.
bool LooksLikeRules(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.starts_with("groups:") || line.starts_with("\"groups\"") || line.starts_with("kind:")) {
      return true;
    }
    at = end + 1;
  }
  return false;
}

void AddLines(std::string_view text, std::vector<std::string>* lines) {
  size_t at = 0;
  while (at <= text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) {
      lines->emplace_back(text.substr(at, end - at));
    }
    at = end + 1;
  }
}

void AddNotes(const rules::RuleDefinition& rule, const engine::Options& options, std::vector<std::string>* notices) {
  for (const RuleNote& note :
       RuleNotes(*rule.expr, SystemClock().NowMs(), options.lookback_ms, !options.type_and_unit_labels)) {
    notices->push_back((rule.where_in_expr ? rule.where_in_expr(note.offset) : rule.where) +
                       (rule.alerting ? ": alert \"" : ": record \"") + rule.name + "\": " + note.text);
  }
}

// Rules planned by an engine of their own, and nothing else of a process.
struct Planned {
  MetricRegistry registry;
  std::unique_ptr<Pipeline> pipeline;
};

std::unique_ptr<Planned> Plan(const std::string& path, CheckOutcome* outcome) {
  Result<std::string> text = ReadFile(path);
  if (!text.ok()) {
    AddLines(text.status().message(), &outcome->errors);
    return nullptr;
  }
  const bool rules = LooksLikeRules(*text);
  outcome->kind = rules ? "rule file" : "configuration";
  Result<Settings> settings = rules ? RuleFileSettings(path) : LoadSettings(path);
  if (!settings.ok()) {
    AddLines(settings.status().message(), &outcome->errors);
    return nullptr;
  }
  outcome->notices = settings->notices;
  for (const rules::GroupDefinition& group : settings->rules.groups) {
    ++outcome->groups;
    outcome->rules += group.rules.size();
    for (const rules::RuleDefinition& rule : group.rules) {
      AddNotes(rule, settings->pipeline.engine, &outcome->notices);
    }
  }
  auto planned = std::make_unique<Planned>();
  planned->pipeline = std::make_unique<Pipeline>(settings->pipeline, &SystemClock(), &planned->registry, nullptr);
  if (Status status = planned->pipeline->SetRules(settings->rules, 0); !status.ok()) {
    AddLines(status.message(), &outcome->errors);
    return nullptr;
  }
  return planned;
}

// RETURNS: the lines about evaluations between ticks; the windows of `plan` become those that are kept for them.
std::string ExplainEager(const rules::AlertingRule& rule, const engine::Engine& engine, engine::PlanFacts* plan) {
  if (rule.eager_plan() == engine::kNoPlan) {
    return "  eager         no, at ticks only: " + rule.at_ticks_only() + "\n";
  }
  plan->windows = engine.Facts(std::vector<engine::PlanId>{rule.eager_plan()}).front().windows;
  for (engine::WindowFacts& window : plan->windows) {
    std::erase(window.others, plan->plan);
  }
  const std::vector<std::string> parts = engine.Between(rule.eager_plan()).without_bounds;
  if (parts.empty()) {
    return "  eager         at once when a sample crosses its trigger value; every sample is kept for it\n";
  }
  std::string names;
  for (const std::string& part : parts) {
    names += (names.empty() ? "" : ", ") + part;
  }
  return "  eager         at any sample, at most 100 times a second; every sample is kept for it\n"
         "                no trigger values: what " +
         names + " becomes cannot be bounded before its samples are there\n";
}

// RETURNS: the lines about what becomes of the rule when memory is short; "" where nothing was said about it.
std::string ExplainBudget(const rules::RuleDefinition& rule, int importance, const engine::PlanFacts& plan,
                          int64_t scrape_interval_ms) {
  std::string text;
  if (importance != rule.importance) {
    text += "  importance    " + std::to_string(importance) +
            ", as what reads from it (its own: " + std::to_string(rule.importance) + ")\n";
  } else {
    text += "  importance    " + std::to_string(importance) + "\n";
  }
  if (rule.memory_max_bytes == 0) {
    return text;
  }
  uint64_t bytes = 0;
  std::set<std::string> seen;
  for (const engine::WindowFacts& window : plan.windows) {
    if (seen.insert(window.text).second) {
      bytes += engine::FootprintOf(window, plan.tick_ms, scrape_interval_ms).bytes;
    }
  }
  text += "  budget        " + plugin::SizeText(rule.memory_max_bytes) + " of state; beyond, the rule is stopped";
  if (bytes > 0) {
    text += ". Windows of " + std::to_string(bytes) +
            " bytes a series: " + std::to_string(rule.memory_max_bytes / bytes) + " series at most, with results fewer";
  }
  return text + "\n";
}

}  // namespace

CheckOutcome CheckFile(const std::string& path) {
  CheckOutcome outcome;
  Plan(path, &outcome);
  return outcome;
}

std::string ExplainFile(const std::string& path, const ExplainRequest& request, CheckOutcome* outcome) {
  const std::unique_ptr<Planned> planned = Plan(path, outcome);
  std::string text;
  if (planned == nullptr) {
    return text;
  }
  std::map<engine::PlanId, std::string> names;
  std::vector<const rules::Rule*> rules;
  std::vector<int> importances;
  size_t number = 0;
  std::vector<engine::PlanId> plans;
  for (const rules::Group* group : planned->pipeline->Groups()) {
    for (const std::unique_ptr<rules::Rule>& rule : group->rules()) {
      if (rule->planned()) {
        names[rule->plan()] = rule->definition().name;
        if (rule->definition().alerting) {
          names[static_cast<const rules::AlertingRule&>(*rule).eager_plan()] = rule->definition().name;
        }
      }
      const int importance = planned->pipeline->importances()[number++];
      if (request.rule.empty() || rule->definition().name == request.rule) {
        rules.push_back(rule.get());
        importances.push_back(importance);
        if (rule->planned()) {
          plans.push_back(rule->plan());
        }
      }
    }
  }
  engine::RecordedExprs recorded;
  for (const rules::Group* group : planned->pipeline->Groups()) {
    for (const rules::RuleDefinition& definition : group->definition().rules) {
      if (!definition.alerting) {
        recorded[definition.name].push_back(definition.expr);
      }
    }
  }
  const engine::ExplainOptions options{request.scrape_interval_ms,
                                       [&](engine::PlanId plan) {
                                         const auto name = names.find(plan);
                                         return name == names.end() ? "a query in a template" : name->second;
                                       },
                                       std::move(recorded)};
  const std::vector<engine::PlanFacts> facts = planned->pipeline->engine().Facts(plans);
  size_t next = 0;
  for (size_t i = 0; i < rules.size(); ++i) {
    const rules::Rule* rule = rules[i];
    const rules::RuleDefinition& definition = rule->definition();
    text += (text.empty() ? "" : "\n") + definition.where + (definition.alerting ? ": alert " : ": record ") +
            definition.name;
    if (!rule->planned()) {
      text += "\n  can only fail when it is evaluated\n";
      continue;
    }
    engine::PlanFacts plan = facts[next++];
    std::string eager;
    if (definition.alerting && definition.eager) {
      eager = ExplainEager(static_cast<const rules::AlertingRule&>(*rule), planned->pipeline->engine(), &plan);
    }
    text += ", every " + FormatDurationMs(plan.tick_ms) + "\n";
    // The text that was planned (Rule::Prepare), so that its parts are found among the plan's.
    const promql::ParseOutcome printed = promql::ParseExpr(definition.query, planned->pipeline->settings().parser);
    text += engine::Explain(plan, printed.expr != nullptr ? *printed.expr : *definition.expr, options) + eager +
            ExplainBudget(definition, importances[i], plan, request.scrape_interval_ms);
  }
  return text;
}

std::string ExplainExpr(const std::string& text, const ExplainRequest& request, CheckOutcome* outcome) {
  const promql::ParseOutcome parsed = promql::ParseExpr(text, promql::ParserOptions::All());
  for (const promql::ParseError& error : parsed.errors) {
    outcome->errors.push_back(error.ToString());
  }
  if (parsed.expr == nullptr) {
    return {};
  }
  engine::Engine engine{engine::Options{}};
  engine::Grid grid;
  grid.interval_ms = request.evaluation_interval_ms;
  const Result<engine::PlanId> plan = engine.AddPlan(*parsed.expr, grid);
  if (!plan.ok()) {
    outcome->errors.emplace_back(plan.status().message());
    return {};
  }
  return promql::Print(*parsed.expr) + ", every " + FormatDurationMs(grid.interval_ms) + "\n" +
         engine::Explain(engine.Facts({&*plan, 1}).front(), *parsed.expr, {request.scrape_interval_ms, nullptr, {}});
}

}  // namespace weir::runtime
