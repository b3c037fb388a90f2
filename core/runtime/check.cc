#include "core/runtime/check.h"

#include <memory>
#include <optional>
#include <utility>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "core/base/metrics.h"
#include "core/config/config.h"
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

}  // namespace

CheckOutcome CheckFile(const std::string& path) {
  CheckOutcome outcome;
  Plan(path, &outcome);
  return outcome;
}

std::string ExplainFile(const std::string& path, const std::string& name, CheckOutcome* outcome) {
  const std::unique_ptr<Planned> planned = Plan(path, outcome);
  std::string text;
  if (planned == nullptr) {
    return text;
  }
  for (const rules::Group* group : planned->pipeline->Groups()) {
    for (const std::unique_ptr<rules::Rule>& rule : group->rules()) {
      const rules::RuleDefinition& definition = rule->definition();
      if (!name.empty() && definition.name != name) {
        continue;
      }
      text += definition.where + (definition.alerting ? ": alert " : ": record ") + definition.name + "\n  " +
              definition.query + "\n";
      text += rule->planned() ? planned->pipeline->engine().Explain(rule->plan())
                              : "  can only fail when it is evaluated\n";
      text += '\n';
    }
  }
  return text;
}

}  // namespace weir::runtime
