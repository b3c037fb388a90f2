#pragma once
// What is worth saying about a rule that is no error: reads past its evaluation time, and rates of what does not look like a
// counter. Decided from the expression alone. Pure function, any thread.

#include <cstdint>
#include <string>
#include <vector>

#include "core/promql/ast.h"

namespace weir::runtime {

struct RuleNote {
  size_t offset = 0;  // of the part it is about, in bytes of the text that was parsed
  std::string text;
};

// `now_ms`: times of `@` behind it are still to come. `lookback_ms`: how far `smoothed` looks. `by_name`: whether counters are
// known by their names (else by the label __type__, which only series have). UNITS: milliseconds.
std::vector<RuleNote> RuleNotes(const promql::Expr& expr, int64_t now_ms, int64_t lookback_ms, bool by_name);

}  // namespace weir::runtime
