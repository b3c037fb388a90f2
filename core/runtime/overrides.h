#pragma once
// `overrides:` of weir.yml applied to the groups that the rule files define.

#include "core/config/config.h"
#include "core/rules/definition.h"

#include <string>
#include <vector>

namespace weir::runtime {

// Sets what the overrides say; one for an alert or a record wins over one for its group, a later one over an earlier one. RETURNS: errors,
// `file:line:col: …`: overrides for groups, alerts and records that no rule file has.
std::vector<std::string> ApplyOverrides(const std::vector<config::Override>& overrides,
                                        std::vector<rules::GroupDefinition>* groups);

}  // namespace weir::runtime
