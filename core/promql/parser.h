#pragma once
// Text to tree: lexer, parser, type checker and canonical printer of the whole Prometheus 3 language
// (shared semantics digest §1, §4). Pure functions, no state, any thread.

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/model/histogram.h"
#include "core/model/labels.h"
#include "core/model/sample.h"
#include "core/promql/ast.h"

namespace weir::promql {

// Prometheus's feature flags that change what parses.
struct ParserOptions {
  bool experimental_functions = false;    // promql-experimental-functions
  bool extended_range_selectors = false;  // promql-extended-range-selectors
  bool binop_fill_modifiers = false;      // promql-binop-fill-modifiers
  // What step() and range() are in durations; 0 in rules and instant queries. UNITS: milliseconds.
  int64_t step_ms = 0;
  int64_t range_ms = 0;
  static ParserOptions All() { return {true, true, true}; }
};

struct ParseError {
  PositionRange pos;    // byte offsets into the text
  int line = 1;         // 1-based, of pos.start
  int column = 1;       // 1-based, in bytes
  std::string message;  // upstream's text, without "parse error: "
  std::string fix;      // a corrected expression or "" when none is known
  // RETURNS: `LINE:COL: parse error: TEXT` (semantics 4.5) plus `; did you mean: FIX` when a fix is known.
  std::string ToString() const;
};

struct ParseOutcome {
  ExprPtr expr;                    // null when errors is not empty
  std::vector<ParseError> errors;  // first is the message upstream would show
};

// Parses and type-checks one expression; durations are folded with the options' step() and range().
ParseOutcome ParseExpr(std::string_view text, const ParserOptions& options = {});
// Parses a selector without modifiers, `foo{bar="baz"}` (match[] parameters).
Result<std::vector<Matcher>> ParseSelector(std::string_view text);
// RETURNS: the canonical text Prometheus prints for the tree (what generatorURL and /rules show).
std::string Print(const Expr& expr);

// The most samples one series description may stand for.
inline constexpr size_t kSeriesValuesMax = 1000000;

// The notation of test files and unit tests, semantics 9.1: `metric{a="b"} 1 2 _ 3x4 1+2x3 stale {{…}}`.
struct SequenceValue {
  bool omitted = false;
  double value = 0;
  HistogramRef histogram;   // null unless the value is one; not validated
  bool hint_named = false;  // `counter_reset_hint` was written: comparisons look at the hint only then
};
struct SeriesDescription {
  Labels labels;
  bool start_times = false;  // the `metric{…}@st` line of promqltest: values are ms relative to their samples
  std::vector<SequenceValue> values;
};
Result<SeriesDescription> ParseSeriesDescription(std::string_view text);
// Parses `metric{a="b"}` alone.
Result<Labels> ParseMetric(std::string_view text);

}  // namespace weir::promql
