#pragma once
// The naive evaluator: PromQL over raw samples kept in memory, every formula written out once more and in the plainest
// way, so that the streaming engine has something independent to be compared with. Test-only; floats only; single-threaded;
// cost is of no concern. It transcribes the semantics digest §1–§4, not the engine.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/model/labels.h"
#include "core/promql/ast.h"

namespace weir::naive {

struct Point {
  int64_t t = 0;
  double v = 0;
  int64_t start = 0;  // start timestamp, 0 = unset
};

// Every sample ever seen, stale markers included, by series; points in time order.
using Data = std::map<Labels, std::vector<Point>>;

// The query around the expression. An instant query has start_ms = end_ms and step_ms = 0.
struct Query {
  int64_t start_ms = 0;
  int64_t end_ms = 0;
  int64_t step_ms = 0;
  int64_t lookback_ms = 300000;
  int64_t default_step_ms = 60000;  // of subqueries without a step
  bool delayed_name_removal = true;
  bool use_start_timestamps = true;
  bool exact_folds = false;  // sums, averages, deviations and regressions over windows as they are without rounding
};

struct Element {
  Labels labels;
  double v = 0;
  bool drop_name = false;  // delayed name removal: loses its metadata labels at the end
  int64_t t = 0;           // the sample's own time
  int64_t start = 0;       // the sample's start timestamp
};

struct Series {
  Labels labels;
  bool drop_name = false;
  std::vector<Point> points;
};

struct Value {
  promql::ValueType type = promql::ValueType::kVector;
  double scalar = 0;
  std::string text;
  std::vector<Element> vector;  // in result order
  std::vector<Series> matrix;
};

// Evaluates `expr` at `t_ms`; names already dropped. ERRORS: kInvalid with upstream's run-time text.
Result<Value> Evaluate(const promql::Expr& expr, int64_t t_ms, const Data& data, const Query& query);

}  // namespace weir::naive
