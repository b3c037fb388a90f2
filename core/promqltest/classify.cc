#include "core/promqltest/classify.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "core/model/sample.h"
#include "core/promql/functions.h"

namespace weir::promqltest {

namespace {

using promql::AggregateOp;
using promql::As;
using promql::AtKind;
using promql::Expr;
using promql::ExprKind;

constexpr int64_t kLookbackMs = 300000;

// Calls `visit` on every node, parents first.
void Walk(const Expr& e, const std::function<void(const Expr&)>& visit) {
  visit(e);
  switch (e.kind) {
    case ExprKind::kMatrixSelector:
      Walk(*As<promql::MatrixSelector>(e).selector, visit);
      break;
    case ExprKind::kSubquery:
      Walk(*As<promql::SubqueryExpr>(e).expr, visit);
      break;
    case ExprKind::kCall:
      for (const promql::ExprPtr& arg : As<promql::Call>(e).args) {
        Walk(*arg, visit);
      }
      break;
    case ExprKind::kAggregate:
      Walk(*As<promql::AggregateExpr>(e).expr, visit);
      if (As<promql::AggregateExpr>(e).param) {
        Walk(*As<promql::AggregateExpr>(e).param, visit);
      }
      break;
    case ExprKind::kBinary:
      Walk(*As<promql::BinaryExpr>(e).lhs, visit);
      Walk(*As<promql::BinaryExpr>(e).rhs, visit);
      break;
    case ExprKind::kUnary:
      Walk(*As<promql::UnaryExpr>(e).expr, visit);
      break;
    case ExprKind::kParen:
      Walk(*As<promql::ParenExpr>(e).expr, visit);
      break;
    default:
      break;
  }
}

bool Matches(const Labels& labels, const std::vector<Matcher>& matchers) {
  return std::all_of(matchers.begin(), matchers.end(),
                     [&](const Matcher& m) { return m.Matches(labels.Get(m.name())); });
}

// RETURNS: whether NaN or an infinity is written somewhere in the expression.
bool HasNonFinite(const Expr& e) {
  if (e.kind == ExprKind::kBinary && As<promql::BinaryExpr>(e).matching) {
    const promql::VectorMatching& m = *As<promql::BinaryExpr>(e).matching;
    if (!std::isfinite(m.fill_left.value_or(0)) || !std::isfinite(m.fill_right.value_or(0))) {
      return true;
    }
  }
  bool found = false;
  Walk(e, [&](const Expr& part) {
    found = found || (part.kind == ExprKind::kNumber && !std::isfinite(As<promql::NumberLiteral>(part).value));
  });
  return found;
}

// The newest time `e` reads when it is evaluated at `t`; start and end of the query resolve `@ start()` and `@ end()`.
int64_t NewestRead(const Expr& e, int64_t t, const EvalCase& eval) {
  auto at = [&](const promql::TimeModifiers& m) {
    int64_t base = m.at == AtKind::kTime    ? m.at_ms
                   : m.at == AtKind::kStart ? eval.start_ms
                   : m.at == AtKind::kEnd   ? eval.end_ms
                                            : t;
    return base - m.offset_ms;
  };
  switch (e.kind) {
    case ExprKind::kVectorSelector: {
      const auto& s = As<promql::VectorSelector>(e);
      return at(s.time) + (s.smoothed ? kLookbackMs : 0);
    }
    case ExprKind::kMatrixSelector:
      return NewestRead(*As<promql::MatrixSelector>(e).selector, t, eval);
    case ExprKind::kSubquery:
      return NewestRead(*As<promql::SubqueryExpr>(e).expr, at(As<promql::SubqueryExpr>(e).time), eval);
    case ExprKind::kCall: {
      int64_t newest = INT64_MIN;
      for (const promql::ExprPtr& arg : As<promql::Call>(e).args) {
        newest = std::max(newest, NewestRead(*arg, t, eval));
      }
      return newest;
    }
    case ExprKind::kAggregate: {
      const auto& a = As<promql::AggregateExpr>(e);
      int64_t newest = NewestRead(*a.expr, t, eval);
      return a.param ? std::max(newest, NewestRead(*a.param, t, eval)) : newest;
    }
    case ExprKind::kBinary:
      return std::max(NewestRead(*As<promql::BinaryExpr>(e).lhs, t, eval),
                      NewestRead(*As<promql::BinaryExpr>(e).rhs, t, eval));
    case ExprKind::kUnary:
      return NewestRead(*As<promql::UnaryExpr>(e).expr, t, eval);
    case ExprKind::kParen:
      return NewestRead(*As<promql::ParenExpr>(e).expr, t, eval);
    default:
      return INT64_MIN;
  }
}

// RETURNS: whether a selector of the expression matches a series that is `such`.
bool ReadsAny(const Expr& expr, const Storage& storage, const std::function<bool(const LoadedSeries&)>& such) {
  bool found = false;
  Walk(expr, [&](const Expr& e) {
    found = found ||
            (e.kind == ExprKind::kVectorSelector && std::any_of(storage.begin(), storage.end(), [&](const auto& entry) {
               return such(entry.second) && Matches(entry.first, As<promql::VectorSelector>(e).matchers);
             }));
  });
  return found;
}

bool HasSample(const LoadedSeries& series, const std::function<bool(double)>& such) {
  return std::any_of(series.samples.begin(), series.samples.end(),
                     [&](const LoadedSample& sample) { return such(sample.v); });
}

// RETURNS: whether a divisor is written as 0, or made of series with zeros.
bool HasZero(const Expr& expr, const Storage& storage) {
  const Expr& e = promql::Unparen(expr);
  if (e.kind == ExprKind::kNumber) {
    return As<promql::NumberLiteral>(e).value == 0;
  }
  return ReadsAny(e, storage,
                  [](const LoadedSeries& series) { return HasSample(series, [](double v) { return v == 0; }); });
}

// RETURNS: whether the window, a selector's or a subquery's, ends at a fixed time.
bool IsFixed(const Expr& window) {
  const Expr& e = promql::Unparen(window);
  const auto& time =
      e.kind == ExprKind::kSubquery ? As<promql::SubqueryExpr>(e).time : As<promql::MatrixSelector>(e).selector->time;
  return time.at != AtKind::kNone;
}

bool IsQueryBound(AtKind at) { return at == AtKind::kStart || at == AtKind::kEnd; }

}  // namespace

bool ReadsHistograms(const EvalRequest& request, const Storage& storage) {
  return ReadsAny(*request.expr, storage, [](const LoadedSeries& series) { return !series.histograms.empty(); });
}

bool SeesChunks(const EvalRequest& request, const Storage& storage) {
  static const std::set<std::string_view> kFunctions = {"changes", "histogram_quantile", "histogram_quantiles",
                                                        "histogram_fraction"};
  const auto non_finite = [](const LoadedSeries& series) {
    return HasSample(series, [](double v) { return !std::isfinite(v) && !IsStaleNaN(v); });
  };
  bool sees = false;
  bool negates = false;
  bool finds_resets = false;
  Walk(*request.expr, [&](const Expr& e) {
    if (e.kind == ExprKind::kCall) {
      const std::string_view name = As<promql::Call>(e).function->name;
      sees = sees || kFunctions.count(name) > 0;
      finds_resets = finds_resets || name == "rate" || name == "increase" || name == "resets";
    } else if (e.kind == ExprKind::kUnary) {
      negates = true;
    } else if (e.kind == ExprKind::kBinary) {
      const auto& binary = As<promql::BinaryExpr>(e);
      sees = sees || binary.op == promql::BinaryOp::kEq || binary.op == promql::BinaryOp::kNe ||
             (binary.op == promql::BinaryOp::kDiv && HasZero(*binary.rhs, storage)) ||
             ((binary.op == promql::BinaryOp::kMul || binary.op == promql::BinaryOp::kDiv) &&
              (HasNonFinite(e) || ReadsAny(e, storage, non_finite)));
    }
  });
  return (sees || (negates && finds_resets)) && ReadsHistograms(request, storage);
}

bool SeesLastDigits(const EvalRequest& request, bool exact_folds) {
  static const std::set<std::string_view> kFunctions = {"sin",  "cos",  "tan",   "asin",  "acos", "atan",
                                                        "sinh", "tanh", "asinh", "acosh", "atanh"};
  static const std::set<std::string_view> kFolds = {
      "deriv", "predict_linear", "stddev_over_time", "stdvar_over_time", "sum_over_time", "avg_over_time"};
  bool makes_labels = false;
  bool rounds = false;
  Walk(*request.expr, [&](const Expr& e) {
    if (e.kind == ExprKind::kCall) {
      const std::string_view name = As<promql::Call>(e).function->name;
      rounds = rounds || kFunctions.count(name) > 0 || (exact_folds && kFolds.count(name) > 0);
      rounds = rounds || (name == "predict_linear" && IsFixed(*As<promql::Call>(e).args[0]));
    } else if (e.kind == ExprKind::kBinary) {
      rounds = rounds || As<promql::BinaryExpr>(e).op == promql::BinaryOp::kAtan2;
    } else if (e.kind == ExprKind::kAggregate) {
      const AggregateOp op = As<promql::AggregateExpr>(e).op;
      makes_labels = makes_labels || op == AggregateOp::kCountValues;
      rounds = rounds || op == AggregateOp::kSum || op == AggregateOp::kAvg || op == AggregateOp::kStddev ||
               op == AggregateOp::kStdvar;
    }
  });
  return makes_labels && rounds;
}

bool PicksByOrder(const EvalRequest& request) {
  bool picks = false;
  Walk(*request.expr, [&](const Expr& e) {
    if (e.kind == ExprKind::kAggregate) {
      const AggregateOp op = As<promql::AggregateExpr>(e).op;
      picks = picks || op == AggregateOp::kTopk || op == AggregateOp::kBottomk || op == AggregateOp::kLimitk;
    }
  });
  return picks;
}

std::optional<std::string> ReadsAhead(const EvalRequest& request) {
  for (int64_t t : request.eval->Times()) {
    if (NewestRead(*request.expr, t, *request.eval) > t) {
      return "reads past the evaluation time";
    }
  }
  return std::nullopt;
}

std::optional<std::string> UsesQueryBounds(const EvalRequest& request) {
  std::optional<std::string> what;
  Walk(*request.expr, [&](const Expr& e) {
    if (e.kind == ExprKind::kCall) {
      std::string_view name = As<promql::Call>(e).function->name;
      if (name == "start" || name == "end" || name == "step" || name == "range") {
        what = std::string(name) + "()";
      }
    } else if (e.kind == ExprKind::kVectorSelector && IsQueryBound(As<promql::VectorSelector>(e).time.at)) {
      what = "@ start() or @ end()";
    } else if (e.kind == ExprKind::kSubquery && IsQueryBound(As<promql::SubqueryExpr>(e).time.at)) {
      what = "@ start() or @ end()";
    }
  });
  return what;
}

}  // namespace weir::promqltest
