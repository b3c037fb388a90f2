#include "core/api/api.h"
#include "core/api/json_writer.h"
#include "core/engine/explain.h"
#include "core/model/duration.h"
#include "core/promql/parser.h"
#include "core/rules/alerting_rule.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <map>

namespace weir::api {
namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

// RETURNS: RFC 3339 with up to nine decimals. `sub_ms_ns`: what the milliseconds leave out.
std::string Rfc3339Nano(int64_t ms, int64_t sub_ms_ns) {
  if (sub_ms_ns == 0) {
    return FormatRfc3339(ms);
  }
  const int64_t second_ms = ms - ((ms % 1000) + 1000) % 1000;
  std::string text = FormatRfc3339(second_ms);
  const int64_t fraction_ns = (ms - second_ms) * 1000000 + sub_ms_ns;
  char fraction[16];
  std::snprintf(fraction, sizeof(fraction), ".%09" PRId64, fraction_ns);
  std::string digits = fraction;
  while (digits.back() == '0') {
    digits.pop_back();
  }
  text.insert(text.size() - 1, digits);  // before the Z
  return text;
}

std::string LastEvaluation(int64_t ms) { return ms == 0 ? "0001-01-01T00:00:00Z" : FormatRfc3339(ms); }

void WriteLabels(JsonWriter& json, std::string_view key, const std::vector<Label>& labels) {
  json.Key(key).BeginObject();
  for (const Label& label : labels) {
    json.Field(label.name, label.value);
  }
  json.EndObject();
}

void WriteAlert(JsonWriter& json, const rules::ShownAlert& alert, int64_t sub_ms_ns) {
  json.BeginObject();
  json.Key("labels").Object(alert.labels);
  json.Key("annotations").Object(alert.annotations);
  json.Field("state", rules::AlertStateText(alert.state));
  json.Field("activeAt", Rfc3339Nano(alert.active_at_ms, sub_ms_ns));
  if (alert.keep_firing_since_ms != rules::kNoTime) {
    json.Field("keepFiringSince", Rfc3339Nano(alert.keep_firing_since_ms, sub_ms_ns));
  }
  json.Field("value", FormatFloat(alert.value, 'e'));
  json.EndObject();
}

// At most ten, as in answers to queries.
void WriteTexts(JsonWriter& json, std::string_view key, const std::vector<std::string>& texts) {
  constexpr size_t kTextsMax = 10;
  if (texts.empty()) {
    return;
  }
  json.Key(key).BeginArray();
  for (size_t i = 0; i < std::min(texts.size(), kTextsMax); ++i) {
    json.String(texts[i]);
  }
  json.EndArray();
}

// What weir knows of a rule beside what Prometheus tells.
struct Standing {
  int importance = 0;
  const runtime::RuleLoad* load = nullptr;  // null: not known yet
};

void WriteStanding(JsonWriter& json, const rules::RuleDefinition& definition, const Standing& standing) {
  json.Key("importance").Integer(standing.importance);
  if (standing.load != nullptr) {
    json.Key("stateBytes").Integer(static_cast<int64_t>(standing.load->bytes));
  }
  if (definition.memory_max_bytes > 0) {
    json.Key("stateBytesMax").Integer(static_cast<int64_t>(definition.memory_max_bytes));
  }
}

void WriteHealth(JsonWriter& json, const rules::Rule& rule, const rules::GroupDefinition& group) {
  json.Field("health", rules::HealthText(rule.health()));
  if (!rule.last_error().empty()) {
    json.Field("lastError", rule.last_error());
  }
  std::vector<std::string> warnings = rule.warnings();
  if (group.slower > 1) {
    warnings.insert(warnings.begin(), "memory is near its limit: evaluated every " +
                                          FormatDurationMs(group.slots.interval_ms) + " in place of " +
                                          FormatDurationMs(group.slots.interval_ms / group.slower));
  }
  WriteTexts(json, "warnings", warnings);
  WriteTexts(json, "infos", rule.infos());
  json.Key("evaluationTime").Number(rule.evaluation_seconds());
  json.Field("lastEvaluation", LastEvaluation(rule.last_evaluation_ms()));
}

// The windows whose results are not exact.
void WriteBounded(JsonWriter& json, const rules::Rule& rule, const engine::Engine& engine) {
  if (rule.definition().max_error <= 0) {
    return;
  }
  json.Field("precision", "bounded").Key("boundedWindows").BeginArray();
  const engine::PlanId plan = rule.plan();
  if (rule.planned()) {
    const std::vector<engine::PlanFacts> facts = engine.Facts({&plan, 1});
    for (const engine::WindowFacts& window : facts.front().windows) {
      if (window.demand.bounded) {
        json.BeginObject().Field("window", window.text).Field("function", window.reader);
        json.Key("maxRelativeError").Number(window.demand.bounded->key().max_error).EndObject();
      }
    }
  }
  json.EndArray();
}

void WriteRule(JsonWriter& json, rules::Rule& rule, const rules::Group& group, const Standing& standing,
               const engine::Engine& engine, bool alerts) {
  const rules::RuleDefinition& definition = rule.definition();
  json.BeginObject();
  if (definition.alerting) {
    auto& alerting = static_cast<rules::AlertingRule&>(rule);
    json.Field("state", rule.health() == rules::Health::kUnknown ? "unknown" : rules::AlertStateText(alerting.State()));
    json.Field("name", definition.name).Field("query", definition.query);
    json.Key("duration").Number(static_cast<double>(definition.for_ms) / 1000);
    json.Key("keepFiringFor").Number(static_cast<double>(definition.keep_firing_for_ms) / 1000);
    if (definition.eager) {
      json.Field("mode", alerting.eager_plan() == engine::kNoPlan ? "interval" : "eager");
    }
    WriteLabels(json, "labels", definition.labels);
    WriteLabels(json, "annotations", definition.annotations);
    json.Key("alerts").BeginArray();
    if (alerts) {
      alerting.ShowActive(
          [&](const rules::ShownAlert& alert) { WriteAlert(json, alert, group.definition().slots.sub_ms_ns()); });
    }
    json.EndArray();
  } else {
    json.Field("name", definition.name).Field("query", definition.query);
    if (!definition.labels.empty()) {
      WriteLabels(json, "labels", definition.labels);
    }
  }
  WriteBounded(json, rule, engine);
  WriteHealth(json, rule, group.definition());
  json.Field("type", definition.alerting ? "alerting" : "recording");
  WriteStanding(json, definition, standing);
  json.EndObject();
}

// The parameters of /api/v1/rules that choose rules.
struct Filter {
  bool alerting = true;
  bool recording = true;
  bool alerts = true;  // list the alerts of alerting rules
  std::vector<std::string> names, groups, files;
  std::vector<std::vector<Matcher>> selectors;

  static bool Admits(const std::vector<std::string>& wanted, const std::string& value) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
  }
  bool Admits(const rules::RuleDefinition& rule) const {
    if (!(rule.alerting ? alerting : recording) || !Admits(names, rule.name)) {
      return false;
    }
    const Labels labels{rule.labels};
    return selectors.empty() ||
           std::any_of(selectors.begin(), selectors.end(), [&](const std::vector<Matcher>& matchers) {
             return std::all_of(matchers.begin(), matchers.end(),
                                [&](const Matcher& m) { return m.Matches(labels.Get(m.name())); });
           });
  }
};

Result<Filter> ReadFilter(const Parameters& parameters) {
  Filter filter;
  for (const auto& [name, value] : parameters) {
    if (name == "type") {
      if (value != "alert" && value != "record") {
        return InvalidError("not supported value \"" + value + "\": want alert or record");
      }
      filter.alerting = value == "alert";
      filter.recording = value == "record";
    } else if (name == "rule_name[]") {
      filter.names.push_back(value);
    } else if (name == "rule_group[]") {
      filter.groups.push_back(value);
    } else if (name == "file[]") {
      filter.files.push_back(value);
    } else if (name == "exclude_alerts") {
      filter.alerts = value != "true";
    } else if (name == "match[]") {
      Result<std::vector<Matcher>> matchers = promql::ParseSelector(value);
      if (!matchers.ok()) {
        return InvalidError("invalid parameter \"match[]\": " + std::string(matchers.status().message()));
      }
      filter.selectors.push_back(std::move(*matchers));
    }
  }
  return filter;
}

}  // namespace

std::string RulesJson(runtime::Pipeline& pipeline, const Parameters& parameters, std::string* error) {
  Result<Filter> filter = ReadFilter(parameters);
  if (!filter.ok()) {
    *error = filter.status().message();
    return {};
  }
  std::vector<rules::Group*> groups = pipeline.Groups();
  std::map<const rules::Rule*, Standing> standings;
  for (const rules::Group* group : groups) {
    for (const std::unique_ptr<rules::Rule>& rule : group->rules()) {
      const size_t number = standings.size();
      standings[rule.get()] = {
          pipeline.importances()[number],
          pipeline.rule_loads().empty() ? nullptr : &pipeline.rule_loads()[number],
      };
    }
  }
  std::sort(groups.begin(), groups.end(), [](const rules::Group* a, const rules::Group* b) {
    return std::tie(a->definition().file, a->definition().name) < std::tie(b->definition().file, b->definition().name);
  });
  JsonWriter json;
  json.BeginObject().Key("groups").BeginArray();
  for (rules::Group* group : groups) {
    const rules::GroupDefinition& definition = group->definition();
    const auto admitted = [&](const auto& rule) { return filter->Admits(rule->definition()); };
    if (!Filter::Admits(filter->groups, definition.name) || !Filter::Admits(filter->files, definition.file) ||
        (std::none_of(group->rules().begin(), group->rules().end(), admitted) && !parameters.empty())) {
      continue;
    }
    json.BeginObject().Field("name", definition.name).Field("file", definition.file).Key("rules").BeginArray();
    for (const std::unique_ptr<rules::Rule>& rule : group->rules()) {
      if (admitted(rule)) {
        WriteRule(json, *rule, *group, standings[rule.get()], pipeline.engine(), filter->alerts);
      }
    }
    json.EndArray();
    json.Key("interval").Number(static_cast<double>(definition.slots.interval_ms) / 1000);
    json.Key("limit").Integer(static_cast<int64_t>(definition.limit));
    json.Key("evaluationTime").Number(group->evaluation_seconds());
    json.Field("lastEvaluation", LastEvaluation(group->last_evaluation_ms()));
    json.EndObject();
  }
  json.EndArray().EndObject();
  return json.Take();
}

std::string AlertsJson(runtime::Pipeline& pipeline) {
  JsonWriter json;
  json.BeginObject().Key("alerts").BeginArray();
  for (rules::Group* group : pipeline.Groups()) {
    for (const std::unique_ptr<rules::Rule>& rule : group->rules()) {
      if (!rule->definition().alerting) {
        continue;
      }
      static_cast<rules::AlertingRule&>(*rule).ShowActive(
          [&](const rules::ShownAlert& alert) { WriteAlert(json, alert, group->definition().slots.sub_ms_ns()); });
    }
  }
  json.EndArray().EndObject();
  return json.Take();
}

}  // namespace weir::api
