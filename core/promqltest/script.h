#pragma once
// Conformance scripts in the promqltest grammar (semantics §9): text in, commands out. A script is a sequence of loads,
// clears and evals; every eval carries what it expects. Pure functions; errors name file and line.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/model/histogram.h"
#include "core/model/labels.h"
#include "core/promql/parser.h"

namespace weir::promqltest {

// One float sample of a load. UNITS: milliseconds since the epoch.
struct LoadedSample {
  int64_t t = 0;
  double v = 0;
  int64_t start = 0;  // start timestamp, 0 = unset
};

// One native histogram of a load. UNITS: milliseconds since the epoch.
struct LoadedHistogram {
  int64_t t = 0;
  HistogramRef histogram;
  int64_t start = 0;  // start timestamp, 0 = unset
};

struct LoadedSeries {
  Labels labels;
  std::vector<LoadedSample> samples;  // floats only, stale markers included
  std::vector<LoadedHistogram> histograms;
};

enum class AnnotationKind : unsigned char { kWarn, kInfo };

// `expect warn [msg: …|regex: …]`, `expect no_info`, …
struct AnnotationExpectation {
  AnnotationKind kind = AnnotationKind::kWarn;
  bool none = false;    // no_warn, no_info
  std::string message;  // exact text, "" = any
  std::string regex;
};

struct ExpectedSeries {
  int line = 0;
  Labels labels;
  std::vector<promql::SequenceValue> values;
};

struct EvalCase {
  int line = 0;
  std::string expr;
  bool range = false;
  int64_t start_ms = 0;  // instant: start = end, step = 0
  int64_t end_ms = 0;
  int64_t step_ms = 0;
  bool fail = false;
  std::string fail_message;
  std::string fail_regex;
  bool ordered = false;
  bool sensitive = false;  // a `# sensitive` comment stands in front: the result hangs on rounding
  std::vector<AnnotationExpectation> annotations;
  std::optional<double> scalar;
  std::optional<std::string> text;
  bool matrix = false;  // expect range vector from matrix_start to matrix_end step matrix_step
  int64_t matrix_start_ms = 0;
  int64_t matrix_end_ms = 0;
  int64_t matrix_step_ms = 0;
  std::vector<ExpectedSeries> series;

  // RETURNS: the evaluation times, in order.
  std::vector<int64_t> Times() const;
};

struct Command {
  enum class Kind : unsigned char { kLoad, kClear, kEval };
  Kind kind = Kind::kClear;
  std::vector<LoadedSeries> load;
  EvalCase eval;
};

struct Script {
  std::string file;
  std::vector<Command> commands;
};

// ERRORS: kInvalid, `file:line: what`.
Result<Script> ParseScript(std::string_view text, std::string file);

}  // namespace weir::promqltest
