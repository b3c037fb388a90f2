#include "core/runtime/overrides.h"

#include "core/plugin/options.h"

#include <string_view>

namespace weir::runtime {
namespace {

std::string UnknownName(const config::Override& unknown, const std::vector<std::string_view>& names) {
  const std::string& name = !unknown.group.empty()  ? unknown.group
                            : unknown.alert.empty() ? unknown.record
                                                    : unknown.alert;
  const std::string kind = !unknown.group.empty() ? "a group " : unknown.alert.empty() ? "a record " : "an alert ";
  const std::string near = plugin::NearestName(name, names);
  return unknown.where + ": no rule file has " + kind + GoQuote(name) +
         (near.empty() ? "" : "; did you mean " + GoQuote(near) + "?");
}

void Apply(const config::Override& settings, rules::RuleDefinition* rule) {
  if (rule->alerting && !settings.mode.empty()) {
    rule->eager = settings.mode == "eager";
  }
  if (!settings.precision.empty()) {
    rule->max_error = settings.precision == "bounded" ? settings.max_error : 0;
  }
  if (settings.importance.has_value()) {
    rule->importance = static_cast<int>(*settings.importance);
  }
  if (settings.memory_bytes.has_value()) {
    rule->memory_max_bytes = static_cast<uint64_t>(*settings.memory_bytes);
  }
}

}  // namespace

std::vector<std::string> ApplyOverrides(const std::vector<config::Override>& overrides,
                                        std::vector<rules::GroupDefinition>* groups) {
  std::vector<std::string> errors;
  for (const bool of_groups : {true, false}) {
    for (const config::Override& next : overrides) {
      if (next.group.empty() == of_groups) {
        continue;
      }
      bool found = false;
      std::vector<std::string_view> names;
      for (rules::GroupDefinition& group : *groups) {
        for (rules::SharedRule& shared : group.rules) {
          const rules::RuleDefinition& rule = shared;
          if (!of_groups && rule.alerting == next.alert.empty()) {
            continue;
          }
          names.push_back(of_groups ? group.name : rule.name);
          const bool meant =
              of_groups ? group.name == next.group : rule.name == (rule.alerting ? next.alert : next.record);
          found = found || meant;
          if (meant) {
            Apply(next, &shared.Edit());
          }
        }
      }
      if (!found) {
        errors.push_back(UnknownName(next, names));
      }
    }
  }
  return errors;
}

}  // namespace weir::runtime
