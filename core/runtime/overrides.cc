#include "core/runtime/overrides.h"

#include "core/plugin/options.h"

#include <string_view>

namespace weir::runtime {
namespace {

std::string UnknownName(const config::Override& unknown, const std::vector<std::string_view>& names) {
  const bool group = !unknown.group.empty();
  const std::string& name = group ? unknown.group : unknown.alert;
  const std::string near = plugin::NearestName(name, names);
  return unknown.where + ": no rule file has " + (group ? "a group " : "an alert ") + GoQuote(name) +
         (near.empty() ? "" : "; did you mean " + GoQuote(near) + "?");
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
        for (rules::RuleDefinition& rule : group.rules) {
          if (!of_groups && !rule.alerting) {
            continue;
          }
          names.push_back(of_groups ? group.name : rule.name);
          const bool meant = of_groups ? group.name == next.group : rule.name == next.alert;
          found = found || meant;
          if (meant && rule.alerting && !next.mode.empty()) {
            rule.eager = next.mode == "eager";
          }
          if (meant && !next.precision.empty()) {
            rule.max_error = next.precision == "bounded" ? next.max_error : 0;
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
