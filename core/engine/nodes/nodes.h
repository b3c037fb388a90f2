#pragma once
// Makers of the graph's nodes, one file a family under core/engine/nodes/. The planner (core/engine/planner.cc) calls these
// and nothing else of them. Static errors (a bad regular expression in label_replace) become the node's run-time error, as in
// Prometheus, where they fail the evaluation and not the load.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/node.h"
#include "core/promql/ast.h"
#include "core/promql/functions.h"
#include "core/window/bounded_rows.h"
#include "core/window/rich_kernels.h"

namespace weir::engine {

// --- selectors.cc ---
enum class SampleField : unsigned char { kValue, kTime, kStartTime };

struct InstantSpec {
  std::shared_ptr<SeriesSet> set;
  int64_t offset_ms = 0;
  SampleField what = SampleField::kValue;  // timestamp(selector), start_timestamp(selector): times in seconds
  bool smoothed = false;                   // the value between the samples around the time
  bool of_info = false;                    // kTime: names stay, and a histogram is an error
  bool statistics = false;  // of histograms only count and sum will be looked at (window::ReadStatistics)
};
NodePtr MakeInstantSelector(InstantSpec spec);

class SubqueryProducer;  // core/engine/subquery.h

struct RangeSpec {
  std::shared_ptr<SeriesSet> set;
  std::shared_ptr<SubqueryProducer> producer;  // null: samples of a selector
  std::string function;
  window::Kernel kernel = nullptr;
  window::RangeFunction rich = window::RangeFunction::kFloatsOnly;  // the same for histograms and start timestamps
  int64_t range_ms = 0;
  int64_t offset_ms = 0;
  bool anchored = false;
  bool smoothed = false;
  bool keeps_name = false;
  window::TapeKind tape = window::TapeKind::kNone;  // that the window may be read from
  window::BoundedRows::Key bounded;                 // thinned rows that the window is read from; kNone: exact
  bool needs_all = false;                           // samples from before the series was kept whole do not count
  bool is_quantile = false;                         // the parameter is one: outside [0, 1] it deserves a warning
  bool statistics = false;                          // as InstantSpec's
  uint8_t part = 1;                                 // which argument the range is, for annotations
  // Checks the scalar parameters at each tick; null: none.
  Status (*check)(const double* params) = nullptr;
};
NodePtr MakeRange(RangeSpec spec, std::vector<NodePtr> params);
// absent(), absent_over_time(): one slot with `labels` when the child is empty.
NodePtr MakeAbsent(NodePtr child, LabelSetId labels);
// Delayed name removal, at the end of an expression.
NodePtr MakeCleanup(NodePtr child);

// --- fixed_time.cc ---
// The child evaluated at one fixed time; frozen once the stream has passed ready_ms.
NodePtr MakeAt(NodePtr child, int64_t at_ms, int64_t ready_ms);
// A function of floats over the window at a fixed time, with the parameters of the tick.
NodePtr MakeHeldWindow(RangeSpec spec, std::vector<NodePtr> params, int64_t at_ms, int64_t ready_ms);
// The child evaluated at the tick, inside a subquery that is replayed for it.
NodePtr MakeAtTick(NodePtr child);
// predict_linear() of a window at a fixed time: the line with this slope per second that has `value` at at_ms, at the evaluation
// time and `ahead` seconds.
NodePtr MakeLine(NodePtr slope, NodePtr value, NodePtr ahead, int64_t at_ms);

// --- scalars.cc ---
NodePtr MakeNumber(double value);
NodePtr MakeString(std::string text);
NodePtr MakeTime();      // seconds
NodePtr MakeTickTime();  // of the tick, also inside a subquery that is replayed for it
NodePtr MakeScalarOf(NodePtr vector);
NodePtr MakeVectorOf(NodePtr scalar);
NodePtr MakeNothing(NodePtr vector);    // an empty vector; the input is still evaluated, for its errors
NodePtr MakeTimestamp(NodePtr vector);  // the evaluation time of each element
NodePtr MakeScalarFunction(std::string name, double (*f)(double, double), NodePtr a, NodePtr b);

// --- elementwise.cc ---
// RETURNS: null when the function is not one that maps values one by one.
NodePtr MakeElementwise(promql::FunctionId id, std::vector<NodePtr> args);
NodePtr MakeNegate(NodePtr operand);
// Where a sort() stands: inside a subquery it changes nothing, which deserves a warning.
enum class SortIn : unsigned char { kQuery, kSubquery, kNestedSubquery };
NodePtr MakeSort(NodePtr vector, bool descending, SortIn in);
NodePtr MakeSortByLabel(NodePtr vector, std::vector<SymbolId> names, bool descending, SortIn in);

// --- labels.cc ---
NodePtr MakeLabelReplace(NodePtr vector, const std::string& destination, const std::string& replacement,
                         const std::string& source, const std::string& regex);
NodePtr MakeLabelJoin(NodePtr vector, const std::string& destination, const std::string& separator,
                      const std::vector<std::string>& sources);

// --- histogram.cc ---
NodePtr MakeHistogramQuantile(NodePtr q, NodePtr vector);
NodePtr MakeHistogramQuantiles(NodePtr vector, const std::string& label, std::vector<NodePtr> quantiles);
NodePtr MakeHistogramFraction(NodePtr lower, NodePtr upper, NodePtr vector);
// histogram_count and its kind: `f` of each native histogram; floats have none.
NodePtr MakeNativeStatistic(NodePtr vector, std::string name, double (*f)(const FloatHistogram&));

// --- info.cc ---
struct InfoSpec {
  std::vector<Matcher> name_matchers;  // of info metrics; an element whose own name matches passes as it is
  std::vector<Matcher> data_matchers;  // of labels to copy; empty: all
};
// `info`: the info series with their samples' times as values (InstantSpec::of_info).
NodePtr MakeInfo(InfoSpec spec, NodePtr base, NodePtr info);

// --- aggregate.cc ---
NodePtr MakeAggregate(const promql::AggregateExpr& expr, NodePtr vector, NodePtr param);

// --- binary.cc ---
// Labels as Go prints a set, the name being a label like the others.
std::string SetText(const Labels& labels);
double ScalarBinary(promql::BinaryOp op, double l, double r);
NodePtr MakeScalarBinary(promql::BinaryOp op, NodePtr l, NodePtr r);
NodePtr MakeVectorScalar(promql::BinaryOp op, bool return_bool, NodePtr vector, NodePtr scalar, bool scalar_left);
NodePtr MakeVectorVector(promql::BinaryOp op, bool return_bool, const promql::VectorMatching& matching, NodePtr l,
                         NodePtr r);
NodePtr MakeSetOperator(promql::BinaryOp op, const promql::VectorMatching& matching, NodePtr l, NodePtr r);

}  // namespace weir::engine
