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

// Rules are numbered over all groups, in order.
struct Reader {
  size_t rule = 0;
  int64_t range_ms = 0;  // of the window it looks at; 0: the newest sample
};
// RETURNS: for each rule the rules that read the series it records by their name; once for each selector. Patterns of names do not
// count, nor ALERTS.
std::vector<std::vector<Reader>> ReadersOf(const std::vector<rules::GroupDefinition>& groups);
// RETURNS: for each rule its importance, or the greatest of those that read what it records, directly or along a chain.
std::vector<int> Importances(const std::vector<rules::GroupDefinition>& groups,
                             const std::vector<std::vector<Reader>>& readers);

}  // namespace weir::runtime
