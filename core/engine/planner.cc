#include "core/engine/planner.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "core/engine/arithmetic.h"
#include "core/engine/expr_facts.h"
#include "core/engine/range_functions.h"
#include "core/model/duration.h"
#include "core/model/histogram_statistics.h"
#include "core/promql/parser.h"

namespace weir::engine {

using promql::As;
using promql::AtKind;
using promql::Expr;
using promql::ExprKind;
using promql::FunctionId;
using promql::ValueType;

namespace {

using window::Thinning;

std::string KeyOf(SortIn in) {
  return in == SortIn::kQuery ? "" : in == SortIn::kSubquery ? " over steps" : " over nested steps";
}

}  // namespace

Result<NodePtr> Planner::PlanRoot(const Expr& expr, const Times& times) {
  if (expr.type == ValueType::kMatrix) {
    Fail(expr, Code::kInvalid, "rule result is not a vector or scalar: the expression is a range vector");
    return status_;
  }
  AppendAbsentLabels(expr, &key_suffix_);
  if (bounds_) {
    key_suffix_ += " in " + std::to_string(bounds_->start_ms) + ".." + std::to_string(bounds_->end_ms) + " by " +
                   std::to_string(bounds_->step_ms);
  }
  if (max_error_ > 0) {
    key_suffix_ += " within " + std::to_string(std::bit_cast<uint64_t>(max_error_));
  }
  query_times_ = times;
  NodePtr root = Plan(expr, times);
  if (root && status_.ok() && root->type() == ValueType::kVector && ctx_.options.delayed_name_removal) {
    root = Shared("names of " + promql::Print(expr), [&] { return MakeCleanup(root); });
  }
  if (!status_.ok()) {
    return status_;
  }
  return root;
}

template <typename Make>
NodePtr Planner::Shared(const std::string& key, Make make) {
  if (!status_.ok()) {
    return nullptr;
  }
  if (once_t_ms_ != nullptr || !ctx_.options.share) {
    return make();
  }
  auto& entry = graph_.nodes[key + (Statistics() ? " for count and sum " : " ") + key_suffix_];
  NodePtr node = entry.lock();
  if (!node) {
    node = make();
    entry = node;
  }
  return node;
}

void Planner::AddSite(const NodePtr& node, const Expr& expr) {
  sites_.push_back({node, OffsetsOf(expr), in_subquery_ > 0, static_cast<uint32_t>(expr.pos.end)});
}

NodePtr Planner::Fail(const Expr& expr, Code code, const std::string& message) {
  if (status_.ok()) {
    status_ = Status(code, code == Code::kUnsupported ? std::to_string(expr.pos.start) + ": " + message : message);
  }
  return nullptr;
}

NodePtr Planner::Plan(const Expr& expr, const Times& times) {
  if (!status_.ok()) {
    return nullptr;
  }
  const int statistics = statistics_;
  const int whole_histograms = whole_histograms_;
  if (expr.kind == ExprKind::kCall) {
    const FunctionId id = As<promql::Call>(expr).function->id;
    statistics_ +=
        id == FunctionId::kHistogramCount || id == FunctionId::kHistogramSum || id == FunctionId::kHistogramAvg ? 1 : 0;
    whole_histograms_ += id == FunctionId::kHistogramQuantile || id == FunctionId::kHistogramQuantiles ||
                                 id == FunctionId::kHistogramFraction || id == FunctionId::kHistogramStddev ||
                                 id == FunctionId::kHistogramStdvar
                             ? 1
                             : 0;
  } else if (expr.kind == ExprKind::kBinary) {
    const promql::BinaryOp op = As<promql::BinaryExpr>(expr).op;
    whole_histograms_ += op == promql::BinaryOp::kTrimUpper || op == promql::BinaryOp::kTrimLower ? 1 : 0;
  }
  NodePtr node = PlanPart(expr, times);
  statistics_ = statistics;
  whole_histograms_ = whole_histograms;
  if (node && status_.ok()) {
    AddSite(node, expr);
  }
  return node;
}

NodePtr Planner::PlanPart(const Expr& expr, const Times& times) {
  switch (expr.kind) {
    case ExprKind::kNumber: {
      double value = As<promql::NumberLiteral>(expr).value;
      return Shared("number " + std::to_string(std::bit_cast<uint64_t>(value)), [&] { return MakeNumber(value); });
    }
    case ExprKind::kString:
      return MakeString(As<promql::StringLiteral>(expr).value);
    case ExprKind::kParen:
      return Plan(*As<promql::ParenExpr>(expr).expr, times);
    case ExprKind::kUnary: {
      const auto& unary = As<promql::UnaryExpr>(expr);
      NodePtr operand = Plan(*unary.expr, times);
      return unary.negate ? Shared(promql::Print(expr), [&] { return MakeNegate(operand); }) : operand;
    }
    case ExprKind::kVectorSelector:
      return PlanSelector(As<promql::VectorSelector>(expr), times, SampleField::kValue);
    case ExprKind::kCall:
      return PlanCall(As<promql::Call>(expr), times);
    case ExprKind::kAggregate:
      return PlanAggregate(As<promql::AggregateExpr>(expr), times);
    case ExprKind::kBinary:
      return PlanBinary(As<promql::BinaryExpr>(expr), times);
    case ExprKind::kMatrixSelector:
    case ExprKind::kSubquery:
      break;
  }
  return Fail(expr, Code::kUnsupported, "a range vector outside a function is not evaluated");
}

promql::TimeModifiers Planner::Resolved(promql::TimeModifiers time) const {
  if (bounds_ && (time.at == AtKind::kStart || time.at == AtKind::kEnd)) {
    time.at_ms = time.at == AtKind::kStart ? bounds_->start_ms : bounds_->end_ms;
    time.at = AtKind::kTime;
  }
  return time;
}

bool Planner::TimesOf(const Expr& expr, const promql::TimeModifiers& time, const Times& times, Times* out) {
  if (time.at == AtKind::kNone) {
    *out = times;
    return true;
  }
  if (time.at == AtKind::kTime) {
    if (once_t_ms_ != nullptr) {
      Fail(expr, Code::kUnsupported, "@ in a one-off query: the past is not kept");
      return false;
    }
    *out = Times{0, 0, {time.at_ms}, true};
    return true;
  }
  *out = query_times_;  // both are the evaluation time of a rule
  return true;
}

NodePtr Planner::At(NodePtr child, const Expr& expr, const promql::TimeModifiers& time, const std::string& key) {
  if (!child || time.at == AtKind::kNone || (time.at != AtKind::kTime && in_subquery_ == 0)) {
    return child;
  }
  AddSite(child, expr);
  if (time.at != AtKind::kTime) {
    return Shared("at the tick " + key, [&] { return MakeAtTick(child); });
  }
  reach_.latest_at_ms = std::max(reach_.latest_at_ms, time.at_ms);
  const int64_t ready_ms = reach_.latest_at_ms;
  return Shared("at " + key, [&] {
    NodePtr node = MakeAt(child, time.at_ms, ready_ms);
    graph_.fixed.push_back({node, time.at_ms, ready_ms});
    return node;
  });
}

std::shared_ptr<SeriesSet> Planner::SetOf(const promql::VectorSelector& selector) {
  return once_t_ms_ != nullptr ? ctx_.store.TemporarySet(selector.matchers) : ctx_.store.SetOf(selector.matchers);
}

void Planner::Declare(const std::shared_ptr<SeriesSet>& set, Demand demand, std::string text, std::string_view reader,
                      int64_t step_ms) {
  if (once_t_ms_ != nullptr) {
    return;
  }
  demand.held_ms = held_ms_;
  if (!ctx_.options.thin) {
    demand.thinning = Thinning::kNever;
    demand.resets = demand.changes = false;
  }
  if (between_) {
    demand.thinning = Thinning::kNever;
    demand.watched = true;
  }
  auto shared = std::make_shared<const Demand>(std::move(demand));
  ctx_.store.AddDemand(*set, shared);
  demands_.push_back({shared, set, std::move(text), reader, step_ms});
}

void Planner::ChooseRows(const RangeRow& row, RangeSpec* spec, Demand* demand) {
  const Options& options = ctx_.options;
  if (row.newest && !demand->anchored && !between_ && held_ms_ == 0 && options.thin &&
      demand->offset_ms + demand->range_ms > std::min(options.bounded_after_ms, options.tape_after_ms) &&
      (demand->times.interval_ms > 0 || options.tape_points)) {
    demand->newest = row.last_kept;
    spec->tape = window::TapeKind::kNone;
    return;
  }
  if (max_error_ > 0 && demand->offset_ms + demand->range_ms > options.bounded_after_ms && options.thin) {
    demand->exact_because = WhyExact(row, *spec, *demand);
    if (demand->exact_because.empty()) {
      spec->bounded = {demand->times.interval_ms, demand->times.phase_ms - demand->offset_ms - demand->range_ms,
                       demand->offset_ms, row.bounded, max_error_};
      demand->bounded = ctx_.store.BoundedOf(spec->bounded);
      return;
    }
  }
  ChooseTape(*spec, demand);
}

std::string_view Planner::WhyExact(const RangeRow& row, const RangeSpec& spec, const Demand& demand) const {
  if (spec.anchored || spec.smoothed) {
    return "anchored and smoothed look before the window, and the first samples of rows are what is kept";
  }
  if (row.bounded == window::BoundedKind::kNone) {
    return row.unbounded;
  }
  if (between_) {
    return "an eager alert keeps every sample of its windows";
  }
  if (demand.times.interval_ms == 0) {
    return "it is evaluated once, at a fixed time";
  }
  if (demand.offset_ms + demand.range_ms > window::Tape::kReachMaxMs) {
    return "thinned windows reach 45 days back at most";
  }
  if (demand.offset_ms > ctx_.options.bounded_after_ms) {
    return "its offset reaches past what is kept whole, and the right end of a window is found there";
  }
  if (held_ms_ > 0) {
    return "the subquery around it is replayed at every tick";
  }
  if (ctx_.options.use_start_timestamps) {
    return "use-start-timestamps is on, and start timestamps are read of every sample";
  }
  return {};
}

void Planner::ChooseTape(const RangeSpec& spec, Demand* demand) {
  const Options& options = ctx_.options;
  const int64_t reach = demand->offset_ms + demand->range_ms;
  constexpr int64_t kLongMs = 3600000;
  if (reach <= (options.tape_after_ms == kNoTape ? kLongMs : options.tape_after_ms) || !options.thin) {
    return;
  }
  constexpr int64_t kIntervalMinMs = 1000;
  int64_t interval = demand->times.interval_ms;
  int64_t phase = demand->times.phase_ms;
  const std::vector<int64_t>& points = demand->times.points;
  if (interval == 0 && options.tape_points && !points.empty()) {
    phase = points.front();
    for (int64_t t : points) {
      interval = std::gcd(interval, t - phase);
    }
    constexpr int64_t kRowsOfOnePoint = 8;
    interval = interval == 0 ? demand->range_ms / kRowsOfOnePoint : interval;
  }
  if (between_) {
    demand->not_on_tape = "an eager alert looks at its windows between ticks, and keeps every sample of them";
  } else if (spec.anchored || spec.smoothed) {
    demand->not_on_tape = "anchored and smoothed look before the window, and tapes hold the first samples of rows";
  } else if (spec.tape == window::TapeKind::kNone) {
    demand->not_on_tape = "rows do not add up to what the function looks at";
  } else if (demand->times.interval_ms == 0 && (!options.tape_points || spec.tape == window::TapeKind::kSums)) {
    // (A script's sums of a handful of numbers of all sizes are what Prometheus's rounding makes of them.)
    demand->not_on_tape = "it is evaluated once, at a fixed time";
  } else if (interval < kIntervalMinMs) {
    demand->not_on_tape = "its rows would be closer than a second";
  } else if (reach > window::Tape::kReachMaxMs) {
    demand->not_on_tape = "tapes reach 45 days back at most";
  } else if (demand->offset_ms > options.tape_after_ms && !options.tape_points) {
    demand->not_on_tape = "its offset reaches past what is kept in RAM, and the right end of a window is found there";
  } else if (spec.producer != nullptr && spec.keeps_name) {
    demand->not_on_tape = "the steps of its window say which of its names are kept";
  } else if (held_ms_ > 0 && in_subquery_ == 0) {
    demand->not_on_tape = "the subquery is replayed at every tick";
  } else if (held_ms_ > 0) {
    demand->not_on_tape = "the subquery around it is replayed at every tick";
  } else if (options.series_max > window::Tape::kSlotsMax) {
    demand->not_on_tape = "tapes hold 16711680 series at most, and limits.series allows more";
  } else if (options.tape_after_ms == kNoTape) {
    demand->not_on_tape = "weir.yml has no state.dir; with it this window would be kept in files";
  } else {
    demand->tape = ctx_.store.TapeOf(interval, phase - reach, spec.tape);
    // Of rows that are thinned to panes these tell whether all samples are the same.
    demand->aggregates |= spec.tape == window::TapeKind::kDeviations ? window::kExtremes : 0;
  }
}

// For a one-off evaluation: are the window's edges cuts of what is kept?
Status Planner::WindowKept(const SeriesSet& set, const Demand& demand, window::TapeKind tape, bool newest) {
  const int64_t end = *once_t_ms_ - demand.offset_ms;
  const int64_t start = end - demand.range_ms;
  const int64_t reach = demand.offset_ms + demand.range_ms;
  const bool on_tape = tape != window::TapeKind::kNone && Store::FindTape(set, start, reach, tape) != nullptr;
  for (SeriesId id : set.members) {
    const window::Profile& profile = ctx_.store.profile_of(id);
    const bool in_ring = profile.range_ms >= reach && start >= profile.low_range_ms;
    const bool has_newest = newest && profile.newest_kept >= demand.last_kept && end >= profile.low_instant_ms;
    if (!profile.read || !(in_ring || has_newest || (on_tape && end >= profile.low_range_ms))) {
      return UnsupportedError("no loaded rule keeps a window of " + FormatDurationMs(reach) + " for these series");
    }
    if (!ctx_.store.at(id).window.thinned()) {
      continue;
    }
    auto is_cut = [&](int64_t t) {
      int64_t pane_start = 0;
      int64_t pane_end = 0;
      profile.cuts.PaneOf(t, &pane_start, &pane_end);
      return pane_end == t;
    };
    if (profile.thinning > demand.thinning || (demand.aggregates & ~profile.aggregates) != 0 ||
        demand.last_kept > profile.last_kept || (demand.resets && !profile.count_resets) ||
        (demand.changes && !profile.count_changes) || end < profile.low_right_ms || !is_cut(end) ||
        (!on_tape && !has_newest && !is_cut(start))) {
      return UnsupportedError("no loaded rule keeps what this function needs of these series at this time");
    }
  }
  return {};
}

// For a one-off evaluation: is the newest sample at or before t_ms still there?
bool Planner::InstantKept(const SeriesSet& set, int64_t t_ms) const {
  return std::all_of(set.members.begin(), set.members.end(), [&](SeriesId id) {
    return !ctx_.store.at(id).window.thinned() || t_ms >= ctx_.store.profile_of(id).low_right_ms;
  });
}

NodePtr Planner::PlanSelector(const promql::VectorSelector& selector, const Times& times, SampleField what) {
  const promql::TimeModifiers time = Resolved(selector.time);
  Times at;
  if (!TimesOf(selector, time, times, &at)) {
    return nullptr;
  }
  reach_.reads_series = true;
  auto set = SetOf(selector);
  std::string text = promql::Print(selector);
  const int64_t lookback_ms = ctx_.options.lookback_ms;
  Demand demand{.times = at, .offset_ms = time.offset_ms, .lookback_ms = lookback_ms};
  const bool smoothed = selector.smoothed && what == SampleField::kValue;  // times are those of samples
  if (smoothed) {  // reads every sample from a lookback before to a lookback behind
    demand.offset_ms -= lookback_ms;
    demand.range_ms = 2 * lookback_ms;
    demand.lookback_ms = 0;
    demand.thinning = Thinning::kNever;
  }
  if (once_t_ms_ != nullptr && !InstantKept(*set, *once_t_ms_ - demand.offset_ms)) {
    return Fail(selector, Code::kUnsupported, "no loaded rule keeps values of so long ago for these series");
  }
  static constexpr std::string_view kReaders[] = {"the selector", "timestamp()", "start_timestamp()"};
  Declare(set, demand, text, kReaders[static_cast<size_t>(what)]);
  static constexpr const char* kPrefix[] = {"", "timestamp of ", "start timestamp of "};
  std::string key = kPrefix[static_cast<size_t>(what)] + text;
  NodePtr node = Shared(key + (time.at == AtKind::kTime ? " inner" : ""), [&] {
    return MakeInstantSelector({set, time.offset_ms, what, smoothed, false, Statistics()});
  });
  return At(node, selector, time, key);
}

const std::string* Planner::StringArg(const Expr& expr) {
  const Expr& inner = promql::Unparen(expr);
  return inner.kind == ExprKind::kString ? &As<promql::StringLiteral>(inner).value : nullptr;
}

SortIn Planner::SortedIn(const promql::Call& call) const {
  switch (call.function->id) {
    case FunctionId::kSort:
    case FunctionId::kSortDesc:
    case FunctionId::kSortByLabel:
    case FunctionId::kSortByLabelDesc:
      if (in_subquery_ == 0 || IsStepInvariant(call)) {
        return SortIn::kQuery;
      }
      return in_subquery_ == 1 ? SortIn::kSubquery : SortIn::kNestedSubquery;
    default:
      return SortIn::kQuery;
  }
}

NodePtr Planner::PlanCall(const promql::Call& call, const Times& times) {
  const FunctionId id = call.function->id;
  switch (id) {
    case FunctionId::kTime:
      return Shared("time()", [] { return MakeTime(); });
    case FunctionId::kPi:
      return MakeNumber(M_PI);
    case FunctionId::kStart:
    case FunctionId::kEnd:
      if (bounds_) {
        return MakeNumber(static_cast<double>(id == FunctionId::kStart ? bounds_->start_ms : bounds_->end_ms) / 1000);
      }
      return Shared("start()", [] { return MakeTickTime(); });
    case FunctionId::kStep:
      return MakeNumber(bounds_ ? static_cast<double>(bounds_->step_ms) / 1000 : 0);
    case FunctionId::kRange:
      return MakeNumber(bounds_ ? static_cast<double>(bounds_->end_ms - bounds_->start_ms) / 1000 : 0);
    case FunctionId::kMinOf:
    case FunctionId::kMaxOf: {
      NodePtr a = Plan(*call.args[0], times);
      NodePtr b = Plan(*call.args[1], times);
      return Shared(promql::Print(call), [&] {
        return MakeScalarFunction(std::string(call.function->name), id == FunctionId::kMinOf ? GoMin : GoMax, a, b);
      });
    }
    case FunctionId::kTimestamp: {
      const Expr& arg = promql::Unparen(*call.args[0]);
      if (arg.kind == ExprKind::kVectorSelector) {
        return PlanSelector(As<promql::VectorSelector>(arg), times, SampleField::kTime);
      }
      break;
    }
    case FunctionId::kStartTimestamp: {  // of anything but a selector, or with the feature off: nothing
      const Expr& arg = promql::Unparen(*call.args[0]);
      if (arg.kind == ExprKind::kVectorSelector && ctx_.options.use_start_timestamps) {
        return PlanSelector(As<promql::VectorSelector>(arg), times, SampleField::kStartTime);
      }
      NodePtr vector = Plan(arg, times);
      return Shared(promql::Print(call), [&] { return MakeNothing(vector); });
    }
    case FunctionId::kAbsent:
    case FunctionId::kAbsentOverTime:
      return PlanAbsent(call, times);
    case FunctionId::kInfo:
      return PlanInfo(call, times);
    case FunctionId::kLabelReplace:
    case FunctionId::kLabelJoin:
    case FunctionId::kSortByLabel:
    case FunctionId::kSortByLabelDesc:
    case FunctionId::kHistogramQuantiles:
      return PlanLabelFunction(call, times);
    default:
      break;
  }
  for (size_t i = 0; i < call.args.size(); ++i) {
    if (call.args[i]->type == ValueType::kMatrix) {
      return PlanRange(call, i, times);
    }
  }
  std::vector<NodePtr> args;
  for (const auto& arg : call.args) {
    args.push_back(Plan(*arg, times));
  }
  if (!status_.ok()) {
    return nullptr;
  }
  const SortIn sort_in = SortedIn(call);
  return Shared(promql::Print(call) + KeyOf(sort_in), [&]() -> NodePtr {
    switch (id) {
      case FunctionId::kScalar:
        return MakeScalarOf(args[0]);
      case FunctionId::kVector:
        return MakeVectorOf(args[0]);
      case FunctionId::kSort:
      case FunctionId::kSortDesc:
        return MakeSort(args[0], id == FunctionId::kSortDesc, sort_in);
      case FunctionId::kHistogramQuantile:
        return MakeHistogramQuantile(args[0], args[1]);
      case FunctionId::kHistogramFraction:
        return MakeHistogramFraction(args[0], args[1], args[2]);
      case FunctionId::kHistogramCount:
        return MakeNativeStatistic(args[0], "histogram_count", [](const FloatHistogram& h) { return h.count; });
      case FunctionId::kHistogramSum:
        return MakeNativeStatistic(args[0], "histogram_sum", [](const FloatHistogram& h) { return h.sum; });
      case FunctionId::kHistogramAvg:
        return MakeNativeStatistic(args[0], "histogram_avg", HistogramAvg);
      case FunctionId::kHistogramStddev:
        return MakeNativeStatistic(args[0], "histogram_stddev", HistogramStdDev);
      case FunctionId::kHistogramStdvar:
        return MakeNativeStatistic(args[0], "histogram_stdvar", HistogramStdVar);
      case FunctionId::kTimestamp:  // of anything but a selector: the evaluation time
        return MakeTimestamp(args[0]);
      default:
        break;
    }
    if (args.empty()) {  // date functions without argument: of the evaluation time
      args.push_back(MakeVectorOf(MakeTime()));
    }
    NodePtr node = MakeElementwise(id, args);
    return node ? node : Fail(call, Code::kUnsupported, std::string(call.function->name) + "() is not evaluated yet");
  });
}

NodePtr Planner::PlanRange(const promql::Call& call, size_t range_arg, const Times& times) {
  const RangeRow* row = FindRangeRow(call.function->id);
  if (row == nullptr) {
    return Fail(call, Code::kUnsupported, std::string(call.function->name) + "() is not evaluated yet");
  }
  std::vector<NodePtr> params;
  for (size_t i = 0; i < call.args.size(); ++i) {
    if (i != range_arg) {
      params.push_back(Plan(*call.args[i], times));
    }
  }
  RangeSpec spec;
  spec.function = std::string(call.function->name);
  spec.kernel = row->kernel;
  spec.keeps_name = row->keeps_name;
  spec.rich = row->rich;
  spec.statistics = Statistics();
  spec.is_quantile = row->id == FunctionId::kQuantileOverTime;
  spec.part = static_cast<uint8_t>(range_arg + 1);
  if (row->id == FunctionId::kDoubleExponentialSmoothing) {
    spec.check = CheckSmoothing;
  }
  const Expr& range = promql::Unparen(*call.args[range_arg]);
  if (range.kind == ExprKind::kSubquery) {
    spec.tape = row->tape;
    return PlanRangeOverSubquery(As<promql::SubqueryExpr>(range), call, std::move(spec), *row, std::move(params),
                                 times);
  }
  const auto& matrix = As<promql::MatrixSelector>(range);
  Demand demand;
  demand.thinning = matrix.selector->smoothed ? Thinning::kNever : row->thinning;
  demand.aggregates = row->aggregates;
  spec.needs_all = demand.thinning == Thinning::kNever;
  demand.resets = row->resets;
  demand.changes = row->changes;
  demand.last_kept = row->last_kept;
  spec.anchored = matrix.selector->anchored;
  spec.smoothed = matrix.selector->smoothed;
  spec.tape = spec.anchored || spec.smoothed ? window::TapeKind::kNone : row->tape;
  if (spec.anchored || spec.smoothed) {
    spec.kernel = spec.anchored ? row->anchored : row->smoothed;
    if (spec.kernel == nullptr) {
      return Fail(
          call, Code::kInvalid,
          std::string(spec.anchored ? "anchored modifier can only be used with: changes, delta, increase, rate, resets"
                                    : "smoothed modifier can only be used with: delta, increase, rate") +
              " - not with " + spec.function);
    }
  }
  return PlanRangeOverSelector(matrix, call, std::move(spec), std::move(demand), *row, std::move(params), times);
}

NodePtr Planner::PlanRangeOverSelector(const promql::MatrixSelector& matrix, const promql::Call& call, RangeSpec spec,
                                       Demand demand, const RangeRow& row, std::vector<NodePtr> params,
                                       const Times& times) {
  const promql::TimeModifiers time = Resolved(matrix.selector->time);
  if (!TimesOf(matrix, time, times, &demand.times)) {
    return nullptr;
  }
  reach_.reads_series = true;
  spec.set = SetOf(*matrix.selector);
  spec.range_ms = matrix.range_ms;
  spec.offset_ms = time.offset_ms;
  demand.offset_ms = time.offset_ms;
  demand.range_ms = matrix.range_ms;
  demand.anchored = spec.anchored || spec.smoothed;
  demand.lookback_ms = demand.anchored ? ctx_.options.lookback_ms : 0;
  if (once_t_ms_ != nullptr) {
    Status kept = WindowKept(*spec.set, demand, spec.tape, row.newest && !demand.anchored);
    if (!kept.ok()) {
      return Fail(matrix, kept.code(), std::string(kept.message()));
    }
  } else {
    ChooseRows(row, &spec, &demand);
  }
  Declare(spec.set, demand, promql::Print(matrix), call.function->name);
  return PlanWindow(call, std::move(spec), std::move(params), time);
}

NodePtr Planner::PlanRangeOverSubquery(const promql::SubqueryExpr& subquery, const promql::Call& call, RangeSpec spec,
                                       const RangeRow& row, std::vector<NodePtr> params, const Times& times) {
  const promql::TimeModifiers time = Resolved(subquery.time);
  Times outer;
  if (!TimesOf(subquery, time, times, &outer)) {
    return nullptr;
  }
  const int64_t step = subquery.step_ms > 0 ? subquery.step_ms : ctx_.options.default_step_ms;
  std::string key = promql::Print(*subquery.expr) + " every " + FormatDurationMs(step);
  std::shared_ptr<SubqueryProducer> producer;
  if (once_t_ms_ != nullptr) {
    auto found = graph_.producers.find(key);
    producer = found == graph_.producers.end() ? nullptr : found->second.lock();
    if (!producer || !producer->periodic()) {
      return Fail(subquery, Code::kUnsupported, "no loaded rule evaluates this subquery");
    }
  } else {
    Times inner;
    if (outer.interval_ms > 0) {
      inner = Times{step, 0, {}};
    }
    for (int64_t point : outer.points) {
      auto steps = SubquerySteps(point - time.offset_ms, subquery.range_ms, step);
      inner.points.insert(inner.points.end(), steps.begin(), steps.end());
    }
    std::sort(inner.points.begin(), inner.points.end());
    inner.points.erase(std::unique(inner.points.begin(), inner.points.end()), inner.points.end());
    const Reach before = reach_;
    reach_ = Reach{};
    const bool replayed = (!bounds_ && ReadsQueryTime(*subquery.expr)) || ReadsAhead(*subquery.expr);
    const int64_t behind_ms = replayed ? subquery.range_ms + time.offset_ms : 0;
    ++in_subquery_;
    held_ms_ += behind_ms;
    NodePtr child = Plan(*subquery.expr, inner);
    held_ms_ -= behind_ms;
    --in_subquery_;
    if (!child) {
      return nullptr;
    }
    key += key_suffix_ + (replayed ? " replayed for " + promql::Print(call) : "");
    auto& entry = graph_.producers[key];
    producer = ctx_.options.share ? entry.lock() : nullptr;
    if (!producer) {
      producer = std::make_shared<SubqueryProducer>(child, ctx_.store.HiddenSet(), step);
      producer->depth = reach_.depth;
      producer->not_before_ms = reach_.latest_at_ms;
      producer->reads_series = reach_.reads_series;
      producer->replayed = replayed;
      graph_.producers[ctx_.options.share ? key : key + " " + std::to_string(graph_.producers.size())] = producer;
    }
    reach_.depth = std::max(before.depth, reach_.depth + 1);
    reach_.latest_at_ms = std::max(before.latest_at_ms, reach_.latest_at_ms);
    reach_.reads_series = reach_.reads_series || before.reads_series;
    if (!replayed) {
      producer->AddTimes(outer, time.offset_ms, subquery.range_ms + held_ms_);
    }
  }
  spec.producer = producer;
  spec.set = std::shared_ptr<SeriesSet>(producer, &producer->out());
  spec.range_ms = subquery.range_ms;
  spec.offset_ms = time.offset_ms;
  Demand demand;
  demand.times = outer;
  demand.offset_ms = time.offset_ms;
  demand.range_ms = subquery.range_ms;
  demand.thinning = Thinning::kNever;
  if (once_t_ms_ == nullptr) {
    held_ms_ += producer->replayed ? 1 : 0;
    ChooseTape(spec, &demand);
    held_ms_ -= producer->replayed ? 1 : 0;
    demand.resets = demand.tape && row.resets;
    demand.changes = demand.tape && row.changes;
  } else if (Status kept = WindowKept(*spec.set, demand, spec.tape, false); !kept.ok()) {
    return Fail(subquery, kept.code(), std::string(kept.message()));
  }
  Declare(spec.set, demand, promql::Print(subquery), call.function->name, step);
  if (!demands_.empty()) {
    demands_.back().replayed = producer->replayed;
  }
  return PlanWindow(call, std::move(spec), std::move(params), time);
}

NodePtr Planner::PlanWindow(const promql::Call& call, RangeSpec spec, std::vector<NodePtr> params,
                            const promql::TimeModifiers& time) {
  const std::string text = promql::Print(call);
  const bool fixed_parameters = std::all_of(call.args.begin(), call.args.end(), [](const auto& arg) {
    return arg->type == ValueType::kMatrix || IsStepInvariant(*arg);
  });
  if (time.at == AtKind::kTime && call.function->id != FunctionId::kPredictLinear && !fixed_parameters) {
    reach_.latest_at_ms = std::max(reach_.latest_at_ms, time.at_ms);
    const int64_t ready_ms = reach_.latest_at_ms;
    return Shared(text, [&] {
      NodePtr node = MakeHeldWindow(std::move(spec), std::move(params), time.at_ms, ready_ms);
      graph_.fixed.push_back({node, time.at_ms, ready_ms});
      return node;
    });
  }
  if (time.at != AtKind::kTime || call.function->id != FunctionId::kPredictLinear) {
    NodePtr node = Shared(text + (time.at == AtKind::kTime ? " inner" : ""),
                          [&] { return MakeRange(std::move(spec), std::move(params)); });
    return At(node, call, time, text);
  }
  // The line is fixed, but how far to follow it counts from the evaluation time.
  RangeSpec slope = spec;
  slope.kernel = window::Deriv;
  NodePtr slope_node = Shared(text + " slope inner", [&] { return MakeRange(std::move(slope), {}); });
  NodePtr value_node = Shared(text + " value inner", [&] { return MakeRange(std::move(spec), {MakeNumber(0)}); });
  NodePtr at_slope = At(slope_node, call, time, text + " slope");
  NodePtr at_value = At(value_node, call, time, text + " value");
  return Shared(text, [&] { return MakeLine(at_slope, at_value, params[0], time.at_ms); });
}

NodePtr Planner::PlanAbsent(const promql::Call& call, const Times& times) {
  NodePtr child = call.function->id == FunctionId::kAbsent ? Plan(*call.args[0], times) : PlanRange(call, 0, times);
  if (child) {
    AddSite(child, call);
  }
  return Shared("absence " + promql::Print(call),
                [&] { return MakeAbsent(child, ctx_.labels().InternSet(AbsentLabels(*call.args[0]))); });
}

NodePtr Planner::PlanInfo(const promql::Call& call, const Times& times) {
  InfoSpec spec;
  promql::VectorSelector selector;
  if (call.args.size() > 1) {
    for (const Matcher& m : As<promql::VectorSelector>(*call.args[1]).matchers) {
      (m.name() == kMetricName ? spec.name_matchers : spec.data_matchers).push_back(m);
    }
  }
  const bool positive = std::any_of(spec.name_matchers.begin(), spec.name_matchers.end(), [](const Matcher& m) {
    return m.type() == MatchType::kEqual || m.type() == MatchType::kRegex;
  });
  if (spec.name_matchers.empty()) {
    spec.name_matchers.push_back(*Matcher::Create(MatchType::kEqual, std::string(kMetricName), "target_info"));
  } else if (!positive) {
    spec.name_matchers.insert(spec.name_matchers.begin(),
                              *Matcher::Create(MatchType::kRegex, std::string(kMetricName), ".+_info"));
  }
  selector.matchers = spec.data_matchers;
  selector.matchers.insert(selector.matchers.end(), spec.name_matchers.begin(), spec.name_matchers.end());
  selector.time = Resolved(InfoReferenceTime(*call.args[0]));
  selector.pos = call.pos;
  NodePtr base = Plan(*call.args[0], times);
  Times at;
  if (!base || !TimesOf(selector, selector.time, times, &at)) {
    return nullptr;
  }
  auto set = SetOf(selector);
  const std::string text = promql::Print(selector);
  Declare(set, Demand{.times = at, .offset_ms = selector.time.offset_ms, .lookback_ms = ctx_.options.lookback_ms}, text,
          "info");
  const std::string key = "info series " + text;
  NodePtr info = Shared(key + (selector.time.at == AtKind::kTime ? " inner" : ""), [&] {
    InstantSpec instant{set, selector.time.offset_ms, SampleField::kTime};
    instant.of_info = true;
    return MakeInstantSelector(std::move(instant));
  });
  info = At(info, selector, selector.time, key);
  return Shared(promql::Print(call), [&] { return MakeInfo(std::move(spec), base, info); });
}

NodePtr Planner::PlanLabelFunction(const promql::Call& call, const Times& times) {
  std::vector<std::string> strings;
  std::vector<NodePtr> numbers;
  NodePtr vector = Plan(*call.args[0], times);
  for (size_t i = 1; i < call.args.size(); ++i) {
    if (call.args[i]->type == ValueType::kString) {
      const std::string* text = StringArg(*call.args[i]);
      if (text == nullptr) {
        return Fail(*call.args[i], Code::kUnsupported, "want a string literal");
      }
      strings.push_back(*text);
    } else {
      numbers.push_back(Plan(*call.args[i], times));
    }
  }
  const SortIn sort_in = SortedIn(call);
  return Shared(promql::Print(call) + KeyOf(sort_in), [&]() -> NodePtr {
    switch (call.function->id) {
      case FunctionId::kLabelReplace:
        return MakeLabelReplace(vector, strings[0], strings[1], strings[2], strings[3]);
      case FunctionId::kLabelJoin:
        return MakeLabelJoin(vector, strings[0], strings[1], {strings.begin() + 2, strings.end()});
      case FunctionId::kHistogramQuantiles:
        return MakeHistogramQuantiles(vector, strings[0], numbers);
      default: {
        std::vector<SymbolId> names;
        for (const std::string& name : strings) {
          names.push_back(ctx_.store.Pin(name));
        }
        return MakeSortByLabel(vector, names, call.function->id == FunctionId::kSortByLabelDesc, sort_in);
      }
    }
  });
}

NodePtr Planner::PlanAggregate(const promql::AggregateExpr& expr, const Times& times) {
  NodePtr vector = Plan(*expr.expr, times);
  NodePtr param = expr.param ? Plan(*expr.param, times) : nullptr;
  return Shared(promql::Print(expr), [&] { return MakeAggregate(expr, vector, param); });
}

NodePtr Planner::PlanBinary(const promql::BinaryExpr& expr, const Times& times) {
  NodePtr l = Plan(*expr.lhs, times);
  NodePtr r = Plan(*expr.rhs, times);
  return Shared(promql::Print(expr), [&]() -> NodePtr {
    bool left_scalar = l->type() == ValueType::kScalar;
    bool right_scalar = r->type() == ValueType::kScalar;
    if (left_scalar && right_scalar) {
      return MakeScalarBinary(expr.op, l, r);
    }
    if (left_scalar || right_scalar) {
      return MakeVectorScalar(expr.op, expr.return_bool, left_scalar ? r : l, left_scalar ? l : r, left_scalar);
    }
    promql::VectorMatching matching = expr.matching.value_or(promql::VectorMatching{});
    if (promql::IsSetOperator(expr.op)) {
      return MakeSetOperator(expr.op, matching, l, r);
    }
    return MakeVectorVector(expr.op, expr.return_bool, matching, l, r);
  });
}

}  // namespace weir::engine
