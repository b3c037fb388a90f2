#include "core/engine/expr_facts.h"

#include <algorithm>
#include <set>

#include "core/promql/functions.h"

namespace weir::engine {

using promql::As;
using promql::AtKind;
using promql::Expr;
using promql::ExprKind;
using promql::FunctionId;
using promql::ValueType;

namespace {

// Calls f(part) for every direct part of an expression that is itself one.
template <typename F>
void ForEachPart(const Expr& expr, F f) {
  switch (expr.kind) {
    case ExprKind::kMatrixSelector:
      return f(*As<promql::MatrixSelector>(expr).selector);
    case ExprKind::kParen:
      return f(*As<promql::ParenExpr>(expr).expr);
    case ExprKind::kUnary:
      return f(*As<promql::UnaryExpr>(expr).expr);
    case ExprKind::kSubquery:
      return f(*As<promql::SubqueryExpr>(expr).expr);
    case ExprKind::kBinary:
      f(*As<promql::BinaryExpr>(expr).lhs);
      return f(*As<promql::BinaryExpr>(expr).rhs);
    case ExprKind::kAggregate: {
      const auto& aggregate = As<promql::AggregateExpr>(expr);
      if (aggregate.param) {
        f(*aggregate.param);
      }
      return f(*aggregate.expr);
    }
    case ExprKind::kCall:
      for (const auto& arg : As<promql::Call>(expr).args) {
        f(*arg);
      }
      return;
    default:
      return;
  }
}

class InfoReference {
 public:
  promql::TimeModifiers Of(const Expr& expr) {
    const bool found = Inspect(expr, {});
    return found && uniform_ && !reference_free_ ? first_ : promql::TimeModifiers{};
  }

 private:
  static bool Same(const promql::TimeModifiers& a, const promql::TimeModifiers& b) {
    if (a.at != AtKind::kTime || b.at != AtKind::kTime) {
      return a.at == b.at && a.offset_ms == b.offset_ms;
    }
    return a.at_ms - a.offset_ms == b.at_ms - b.offset_ms;
  }
  // RETURNS: whether there is a selector in the expression.
  bool Inspect(const Expr& expr, std::vector<const promql::SubqueryExpr*> around) {
    if (expr.type != ValueType::kVector && expr.type != ValueType::kMatrix) {
      return false;
    }
    bool found = false;
    switch (expr.kind) {
      case ExprKind::kVectorSelector: {
        promql::TimeModifiers time;
        time.at = As<promql::VectorSelector>(expr).time.at;
        time.at_ms = As<promql::VectorSelector>(expr).time.at_ms;
        time.offset_ms = As<promql::VectorSelector>(expr).time.offset_ms;
        for (auto it = around.rbegin(); it != around.rend() && time.at == AtKind::kNone; ++it) {
          time.offset_ms += (*it)->time.offset_ms;
          time.at = (*it)->time.at;
          time.at_ms = (*it)->time.at_ms;
        }
        if (!found_) {
          found_ = true;
          first_ = time;
        }
        uniform_ = uniform_ && Same(first_, time);
        return true;
      }
      case ExprKind::kMatrixSelector:
        return Inspect(*As<promql::MatrixSelector>(expr).selector, std::move(around));
      case ExprKind::kSubquery:
        around.push_back(&As<promql::SubqueryExpr>(expr));
        found = Inspect(*As<promql::SubqueryExpr>(expr).expr, around);
        break;
      case ExprKind::kCall: {
        const auto& call = As<promql::Call>(expr);
        if (call.function->id == FunctionId::kInfo) {
          return Inspect(*call.args[0], std::move(around));
        }
        for (const auto& arg : call.args) {
          found = Inspect(*arg, around) || found;
        }
        break;
      }
      case ExprKind::kAggregate:
        found = Inspect(*As<promql::AggregateExpr>(expr).expr, around);
        if (As<promql::AggregateExpr>(expr).param) {
          found = Inspect(*As<promql::AggregateExpr>(expr).param, around) || found;
        }
        break;
      case ExprKind::kBinary:
        found = Inspect(*As<promql::BinaryExpr>(expr).lhs, around);
        found = Inspect(*As<promql::BinaryExpr>(expr).rhs, around) || found;
        break;
      case ExprKind::kUnary:
        found = Inspect(*As<promql::UnaryExpr>(expr).expr, around);
        break;
      case ExprKind::kParen:
        found = Inspect(*As<promql::ParenExpr>(expr).expr, around);
        break;
      default:
        break;
    }
    reference_free_ = reference_free_ || !found;
    return found;
  }

  bool found_ = false;
  bool uniform_ = true;
  bool reference_free_ = false;
  promql::TimeModifiers first_;
};

// Functions whose value depends on the evaluation time even where all they read is fixed by `@`. timestamp() of a selector with
// `@` does not.
bool ReadsEvaluationTime(FunctionId id) {
  switch (id) {
    case FunctionId::kDaysInMonth:
    case FunctionId::kDayOfMonth:
    case FunctionId::kDayOfWeek:
    case FunctionId::kDayOfYear:
    case FunctionId::kHour:
    case FunctionId::kMinute:
    case FunctionId::kMonth:
    case FunctionId::kYear:
    case FunctionId::kStart:
    case FunctionId::kEnd:
    case FunctionId::kStep:
    case FunctionId::kRange:
    case FunctionId::kPredictLinear:
    case FunctionId::kTime:
    case FunctionId::kTimestamp:
      return true;
    default:
      return false;
  }
}

}  // namespace

Labels AbsentLabels(const Expr& arg) {
  const Expr* inner = &promql::Unparen(arg);
  if (inner->kind == ExprKind::kMatrixSelector) {
    inner = As<promql::MatrixSelector>(*inner).selector.get();
  }
  Labels labels;
  if (inner->kind != ExprKind::kVectorSelector) {
    return labels;
  }
  // Prometheus's storage has by then put the matchers that take series away behind the others.
  std::vector<Matcher> matchers = As<promql::VectorSelector>(*inner).matchers;
  std::set<std::string> must_be_set;
  for (const Matcher& m : matchers) {
    if (!m.MatchesEmpty()) {
      must_be_set.insert(m.name());
    }
  }
  std::stable_partition(matchers.begin(), matchers.end(), [&](const Matcher& m) {
    const bool negative = m.type() == MatchType::kNotEqual || m.type() == MatchType::kNotRegex;
    return must_be_set.contains(m.name()) && !(negative && m.MatchesEmpty());
  });
  std::set<std::string> seen;
  for (const Matcher& m : matchers) {
    if (m.name() == kMetricName) {
      continue;
    }
    if (m.type() == MatchType::kEqual && seen.insert(m.name()).second) {
      labels.Set(m.name(), m.value());
    } else {
      labels.Remove(m.name());
    }
  }
  return labels;
}

void AppendAbsentLabels(const Expr& expr, std::string* out) {
  ForEachPart(expr, [out](const Expr& part) { AppendAbsentLabels(part, out); });
  if (expr.kind == ExprKind::kCall) {
    const auto& call = As<promql::Call>(expr);
    if (call.function->id == FunctionId::kAbsent || call.function->id == FunctionId::kAbsentOverTime) {
      *out += AbsentLabels(*call.args[0]).ToString();
    }
  }
}

bool ReadsQueryTime(const Expr& expr) {
  const auto is_bound = [](AtKind at) { return at == AtKind::kStart || at == AtKind::kEnd; };
  bool found = false;
  if (expr.kind == ExprKind::kVectorSelector) {
    found = is_bound(As<promql::VectorSelector>(expr).time.at);
  } else if (expr.kind == ExprKind::kSubquery) {
    found = is_bound(As<promql::SubqueryExpr>(expr).time.at);
  } else if (expr.kind == ExprKind::kCall) {
    const FunctionId id = As<promql::Call>(expr).function->id;
    found = id == FunctionId::kStart || id == FunctionId::kEnd;
  }
  ForEachPart(expr, [&found](const Expr& part) { found = found || ReadsQueryTime(part); });
  return found;
}

bool ReadsAhead(const Expr& expr) {
  bool found = false;
  if (expr.kind == ExprKind::kVectorSelector) {
    const auto& selector = As<promql::VectorSelector>(expr);
    found = selector.time.at == AtKind::kNone && (selector.time.offset_ms < 0 || selector.smoothed);
  } else if (expr.kind == ExprKind::kSubquery) {
    const promql::TimeModifiers& time = As<promql::SubqueryExpr>(expr).time;
    found = time.at == AtKind::kNone && time.offset_ms < 0;
  }
  ForEachPart(expr, [&found](const Expr& part) { found = found || ReadsAhead(part); });
  return found;
}

bool IsStepInvariant(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kVectorSelector:
      return As<promql::VectorSelector>(expr).time.at != AtKind::kNone;
    case ExprKind::kMatrixSelector:
      return IsStepInvariant(*As<promql::MatrixSelector>(expr).selector);
    case ExprKind::kSubquery:
      return As<promql::SubqueryExpr>(expr).time.at != AtKind::kNone;
    case ExprKind::kAggregate:
      return IsStepInvariant(*As<promql::AggregateExpr>(expr).expr);
    case ExprKind::kBinary:
      return IsStepInvariant(*As<promql::BinaryExpr>(expr).lhs) && IsStepInvariant(*As<promql::BinaryExpr>(expr).rhs);
    case ExprKind::kParen:
      return IsStepInvariant(*As<promql::ParenExpr>(expr).expr);
    case ExprKind::kUnary:
      return IsStepInvariant(*As<promql::UnaryExpr>(expr).expr);
    case ExprKind::kCall: {
      const auto& call = As<promql::Call>(expr);
      const FunctionId id = call.function->id;
      if (id == FunctionId::kInfo) {
        return IsStepInvariant(*call.args[0]);
      }
      const bool of_selector = id == FunctionId::kTimestamp && !call.args.empty() &&
                               promql::Unparen(*call.args[0]).kind == ExprKind::kVectorSelector;
      return (of_selector || !ReadsEvaluationTime(id)) &&
             std::all_of(call.args.begin(), call.args.end(), [](const auto& arg) { return IsStepInvariant(*arg); });
    }
    default:
      return true;
  }
}

promql::TimeModifiers InfoReferenceTime(const Expr& arg) { return InfoReference().Of(arg); }

std::vector<uint32_t> OffsetsOf(const Expr& expr) {
  std::vector<uint32_t> offsets;
  const auto add = [&](const Expr& part) { offsets.push_back(static_cast<uint32_t>(part.pos.start)); };
  add(expr);
  switch (expr.kind) {
    case ExprKind::kCall:
      for (const auto& arg : As<promql::Call>(expr).args) {
        add(*arg);
      }
      break;
    case ExprKind::kAggregate: {
      const auto& aggregate = As<promql::AggregateExpr>(expr);
      add(*aggregate.expr);
      if (aggregate.param) {
        add(*aggregate.param);
      }
      break;
    }
    case ExprKind::kBinary:
      add(*As<promql::BinaryExpr>(expr).lhs);
      add(*As<promql::BinaryExpr>(expr).rhs);
      break;
    default:
      break;
  }
  return offsets;
}

}  // namespace weir::engine
