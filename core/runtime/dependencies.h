#pragma once
// Who reads whom among rule groups: found once when rules load, from the names that rules write and the selectors of
// the expressions. Gives the order of groups that tick at the same instant, and how far back the rules look when chains
// of recorded series are followed. Pure functions.

#include "core/rules/definition.h"

#include <cstdint>
#include <vector>

namespace weir::runtime {

// RETURNS: positions of `groups` such that a group comes after those whose series it reads; file order where that
// leaves a choice, and among groups that read each other.
std::vector<size_t> OrderGroups(const std::vector<rules::GroupDefinition>& groups);

// RETURNS: how much history makes every result whole: windows, offsets and lookback along chains of recorded series,
// and the `for` of alerts. UNITS: milliseconds.
int64_t HistoryMs(const std::vector<rules::GroupDefinition>& groups, int64_t lookback_ms);

}  // namespace weir::runtime
