#pragma once
// What a plan consists of, keeps and costs: facts from the engine, and the text that `weir explain` makes of them. Figures are
// what the window code can hold at most, not measurements; no time is estimated.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/engine/store.h"
#include "core/promql/ast.h"

namespace weir::engine {

// A part of the planned expression and the node that stands for it.
struct PartFacts {
  uint32_t start = 0;  // in bytes of the text that was parsed
  uint32_t end = 0;
  const void* node = nullptr;  // an identity, nothing to look into
  std::vector<PlanId> users;   // plans that hold this node, this one included
};

// One selector or subquery and what is kept for it.
struct WindowFacts {
  std::string text;    // `x_total[5m] offset 1m`
  std::string reader;  // the function, or what else reads it
  Demand demand;
  int64_t step_ms = 0;         // of a subquery: what is kept are its steps; else 0
  bool replayed = false;       // all steps are evaluated at each tick: they read its time
  std::vector<PlanId> others;  // other plans that read the same series
  int64_t tape_margin_ms = 0;  // what the ring keeps of a window on tape, beside an interval
};

struct PlanFacts {
  PlanId plan = 0;
  int64_t tick_ms = 0;  // the interval of its evaluations
  std::vector<PartFacts> parts;
  std::vector<WindowFacts> windows;
};

// What one series holds at most for one window alone, with a sample every scrape interval and no late tick.
struct Footprint {
  enum class Form : unsigned char {
    kEdges,    // first and last samples of panes
    kSamples,  // every sample, since folds are cheapest so or because nothing less will do
    kPanes,    // aggregates of panes, and their edges
  };
  Form form = Form::kEdges;
  int64_t span_ms = 0;           // what is kept reaches back this far, just before a tick
  uint64_t samples = 0;          // in the span
  uint64_t panes = 0;            // in the span
  uint64_t ends = 0;             // kEdges, kPanes: records beside those of panes
  uint64_t records = 0;          // that are needed
  uint64_t bytes = 0;            // of floats, with what a series costs at all, and places in reserve
  uint64_t tape_rows = 0;        // on disk, when the window is on tape
  uint64_t tape_bytes = 0;       // on disk
  uint64_t bounded_records = 0;  // thinned, at most, beside `records`
  uint64_t bounded_steady = 0;   // of a series that grows steadily
};
Footprint FootprintOf(const WindowFacts& window, int64_t tick_ms, int64_t scrape_interval_ms);

// By which labels a topic may be partitioned so that every partition can evaluate the expression by itself.
struct PartitionKey {
  std::optional<std::set<std::string>> only;  // none: any label will do
  std::set<std::string> barred;               // none of these

  // RETURNS: "any…", "job, instance…" or "none: needs all partitions".
  std::string ToString() const;
  bool None() const { return only && only->empty(); }
};
// What rules record, by metric name.
using RecordedExprs = std::map<std::string, std::vector<promql::ExprPtr>>;
// A series that a rule records must be in the partition of those it is made from: its expression counts like a part of `expr`.
PartitionKey PartitionKeyOf(const promql::Expr& expr, const RecordedExprs& recorded = {});

struct ExplainOptions {
  int64_t scrape_interval_ms = 15000;
  std::function<std::string(PlanId)> name;  // of another plan, for people
  RecordedExprs recorded;
};

// `expr`: what was planned, the same tree. RETURNS: lines, each indented by two spaces.
std::string Explain(const PlanFacts& facts, const promql::Expr& expr, const ExplainOptions& options);

}  // namespace weir::engine
