#pragma once
// Tree to graph. Walks one expression, makes or shares a node for each part, and declares what the plan needs of each
// selector at its evaluation times. Used for rules (nodes and demands stay) and for one-off queries (nothing is declared;
// windows must already be kept by some rule).

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/engine/nodes/nodes.h"
#include "core/engine/range_functions.h"
#include "core/engine/subquery.h"

namespace weir::engine {

// Everything that plans share, by canonical text. Weak: plans own their nodes.
struct Graph {
  std::unordered_map<std::string, std::weak_ptr<Node>> nodes;
  std::unordered_map<std::string, std::weak_ptr<SubqueryProducer>> producers;
  struct Fixed {
    std::weak_ptr<Node> node;
    int64_t at_ms;     // what it reads must be kept until it ran
    int64_t ready_ms;  // when everything it reads has arrived: later than at_ms when another `@` is inside
  };
  std::vector<Fixed> fixed;  // `@` nodes not yet passed
};

// A demand with the texts of what made it, for explain.
struct PlannedDemand {
  std::shared_ptr<const Demand> demand;
  std::shared_ptr<SeriesSet> set;
  std::string text;
  std::string_view reader;  // a name that lives as long as the program
  int64_t step_ms = 0;      // of a subquery
  bool replayed = false;    // all steps of the subquery at each tick
};

// A node and where the part of the expression that it is for stands: the part itself, then its arguments. Holds the node, so
// that an evaluation's annotations can be asked of it.
struct Site {
  NodePtr node;
  std::vector<uint32_t> offsets;
  bool in_subquery = false;  // its annotations are those of steps: the node over the subquery has them
  uint32_t end = 0;          // of the part itself
};

class Planner {
 public:
  // `once_t_ms`: set for a one-off evaluation at that time. `bounds`: of the range query, if it is one.
  // `between`: evaluated between ticks, too, by nodes of `graph` that no other plans share. `max_error`: as Grid's.
  Planner(Context& ctx, Graph& graph, const int64_t* once_t_ms, std::optional<QueryBounds> bounds, bool between = false,
          double max_error = 0)
      : ctx_(ctx), graph_(graph), once_t_ms_(once_t_ms), bounds_(bounds), between_(between), max_error_(max_error) {}

  // RETURNS: the root; ERRORS as Engine::AddPlan.
  Result<NodePtr> PlanRoot(const promql::Expr& expr, const Times& times);
  std::vector<PlannedDemand> TakeDemands() { return std::move(demands_); }
  std::vector<Site> TakeSites() { return std::move(sites_); }

 private:
  NodePtr Plan(const promql::Expr& expr, const Times& times);
  NodePtr PlanPart(const promql::Expr& expr, const Times& times);
  NodePtr PlanSelector(const promql::VectorSelector& selector, const Times& times, SampleField what);
  NodePtr PlanCall(const promql::Call& call, const Times& times);
  NodePtr PlanRange(const promql::Call& call, size_t range_arg, const Times& times);
  NodePtr PlanRangeOverSelector(const promql::MatrixSelector& matrix, const promql::Call& call, RangeSpec spec,
                                Demand demand, const RangeRow& row, std::vector<NodePtr> params, const Times& times);
  NodePtr PlanRangeOverSubquery(const promql::SubqueryExpr& subquery, const promql::Call& call, RangeSpec spec,
                                const RangeRow& row, std::vector<NodePtr> params, const Times& times);
  // The function over its window, frozen at the time of an `@`.
  NodePtr PlanWindow(const promql::Call& call, RangeSpec spec, std::vector<NodePtr> params,
                     const promql::TimeModifiers& time);
  NodePtr PlanAbsent(const promql::Call& call, const Times& times);
  NodePtr PlanInfo(const promql::Call& call, const Times& times);
  NodePtr PlanLabelFunction(const promql::Call& call, const Times& times);
  NodePtr PlanAggregate(const promql::AggregateExpr& expr, const Times& times);
  NodePtr PlanBinary(const promql::BinaryExpr& expr, const Times& times);

  // RETURNS: the shared node of this key, made by `make` if there is none.
  template <typename Make>
  NodePtr Shared(const std::string& key, Make make);
  NodePtr At(NodePtr child, const promql::Expr& expr, const promql::TimeModifiers& time, const std::string& key);
  // The modifiers with the bounds of the query put in.
  promql::TimeModifiers Resolved(promql::TimeModifiers time) const;
  // Times at which a part with these modifiers is evaluated.
  bool TimesOf(const promql::Expr& expr, const promql::TimeModifiers& time, const Times& times, Times* out);
  std::shared_ptr<SeriesSet> SetOf(const promql::VectorSelector& selector);
  void Declare(const std::shared_ptr<SeriesSet>& set, Demand demand, std::string text, std::string_view reader,
               int64_t step_ms = 0);
  bool InstantKept(const SeriesSet& set, int64_t t_ms) const;
  // `tape`: that the function could read the window from. `newest`: it looks at its newest samples alone.
  Status WindowKept(const SeriesSet& set, const Demand& demand, window::TapeKind tape, bool newest);
  // Gives the window's rows to what keeps them instead of the ring, or says in the demand why they stay although it is long.
  void ChooseRows(const RangeRow& row, RangeSpec* spec, Demand* demand);
  void ChooseTape(const RangeSpec& spec, Demand* demand);
  std::string_view WhyExact(const RangeRow& row, const RangeSpec& spec, const Demand& demand) const;
  SortIn SortedIn(const promql::Call& call) const;
  void AddSite(const NodePtr& node, const promql::Expr& expr);
  NodePtr Fail(const promql::Expr& expr, Code code, const std::string& message);
  const std::string* StringArg(const promql::Expr& expr);

  Context& ctx_;
  Graph& graph_;
  const int64_t* once_t_ms_;
  std::optional<QueryBounds> bounds_;
  bool between_;
  double max_error_;
  Status status_;
  std::string key_suffix_;  // part of every key: labels of absent() (AppendAbsentLabels) and the query's bounds
  int in_subquery_ = 0;
  Times query_times_;    // of the whole expression
  int64_t held_ms_ = 0;  // how far behind the tick the subqueries around this part are replayed
  // Around the part being planned: functions that look at count and sum of histograms alone, and parts that need the buckets.
  // Prometheus reads selectors that only the former are around without buckets (Statistics).
  int statistics_ = 0;
  int whole_histograms_ = 0;
  bool Statistics() const { return statistics_ > 0 && whole_histograms_ == 0 && in_subquery_ == 0; }
  // Of the part just planned: nesting of producers, the latest `@` inside, and whether it reads any series.
  struct Reach {
    int depth = 0;
    int64_t latest_at_ms = INT64_MIN;
    bool reads_series = false;
  };
  Reach reach_;
  std::vector<PlannedDemand> demands_;
  std::vector<Site> sites_;
};

}  // namespace weir::engine
