// The canonical text of an expression, as Prometheus prints it; and the small texts of enums.

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/model/duration.h"
#include "core/promql/functions.h"
#include "core/promql/parser.h"

namespace weir::promql {
namespace {

void PrintTo(const Expr& expr, std::string* out);

// Prometheus prints a duration literal through a nanosecond count that is cut, not rounded; so do we.
std::string DurationText(double seconds) {
  const double ns = std::fabs(seconds) * 1e9;
  const int64_t ms =
      ns >= 9223372036854775807.0 ? std::numeric_limits<int64_t>::max() / 1000000 : static_cast<int64_t>(ns) / 1000000;
  return (seconds < 0 ? "-" : "") + FormatDurationMs(ms);
}

std::string NumberText(double value, bool is_duration) {
  return is_duration ? DurationText(value) : FormatFloat(value, 'f');
}

std::string_view DurationOpText(DurationExpr::Op op) {
  using Op = DurationExpr::Op;
  switch (op) {
    case Op::kAdd:
      return " + ";
    case Op::kSub:
      return " - ";
    case Op::kMul:
      return " * ";
    case Op::kDiv:
      return " / ";
    case Op::kMod:
      return " % ";
    default:
      return " ^ ";
  }
}

void PrintDuration(const DurationExpr& expr, std::string* out) {
  using Op = DurationExpr::Op;
  switch (expr.op) {
    case Op::kLiteral:
      out->append(NumberText(expr.seconds, !expr.as_number));
      return;
    case Op::kStep:
      out->append("step()");
      return;
    case Op::kRange:
      out->append("range()");
      return;
    case Op::kPos:
      PrintDuration(*expr.right, out);
      return;
    case Op::kNeg:
      out->append("-");
      PrintDuration(*expr.right, out);
      return;
    case Op::kParen:
      out->append("(");
      PrintDuration(*expr.left, out);
      out->append(")");
      return;
    case Op::kMin:
    case Op::kMax:
      out->append(expr.op == Op::kMin ? "min_of(" : "max_of(");
      PrintDuration(*expr.left, out);
      out->append(", ");
      PrintDuration(*expr.right, out);
      out->append(")");
      return;
    default:
      PrintDuration(*expr.left, out);
      out->append(DurationOpText(expr.op));
      PrintDuration(*expr.right, out);
  }
}

void PrintRange(int64_t ms, const DurationExprPtr& expr, std::string* out) {
  if (expr) {
    PrintDuration(*expr, out);
  } else {
    out->append(FormatDurationMs(ms));
  }
}

void PrintAt(const TimeModifiers& time, std::string* out) {
  switch (time.at) {
    case AtKind::kNone:
      return;
    case AtKind::kTime:
      out->append(" @ ").append(FormatFloat(static_cast<double>(time.at_ms) / 1000.0, 'f', 3));
      return;
    case AtKind::kStart:
      out->append(" @ start()");
      return;
    case AtKind::kEnd:
      out->append(" @ end()");
      return;
  }
}

void PrintOffset(const TimeModifiers& time, std::string* out) {
  if (time.offset_expr) {
    out->append(" offset ");
    PrintDuration(*time.offset_expr, out);
  } else if (time.offset_ms != 0) {
    out->append(" offset ").append(FormatDurationMs(time.offset_ms));
  }
}

void PrintExtended(const VectorSelector& selector, std::string* out) {
  out->append(selector.anchored ? " anchored" : (selector.smoothed ? " smoothed" : ""));
}

void PrintSelector(const VectorSelector& selector, std::string* out) {
  out->append(selector.name);
  std::vector<std::string> texts;
  for (const Matcher& matcher : selector.matchers) {
    const bool is_the_name = matcher.name() == kMetricName && matcher.type() == MatchType::kEqual &&
                             matcher.value() == selector.name && !matcher.value().empty();
    if (!is_the_name) {
      texts.push_back(matcher.ToString());
    }
  }
  if (texts.empty()) {
    // Only info()'s second argument may be empty. Prometheus prints nothing there, which cannot be read again.
    out->append(selector.name.empty() ? "{}" : "");
    return;
  }
  std::sort(texts.begin(), texts.end());
  for (size_t i = 0; i < texts.size(); ++i) {
    out->append(i == 0 ? "{" : ",").append(texts[i]);
  }
  out->append("}");
}

void PrintLabels(const std::vector<std::string>& labels, std::string* out) {
  out->append(" (");
  for (size_t i = 0; i < labels.size(); ++i) {
    out->append(i == 0 ? "" : ", ").append(IsLegacyLabelName(labels[i]) ? labels[i] : GoQuote(labels[i]));
  }
  out->append(")");
}

void PrintFill(const VectorMatching& matching, std::string* out) {
  const auto& left = matching.fill_left;
  const auto& right = matching.fill_right;
  if (left && right && *left == *right) {
    out->append(" fill (").append(FormatFloat(*left, 'g')).append(")");
    return;
  }
  if (left) {
    out->append(" fill_left (").append(FormatFloat(*left, 'g')).append(")");
  }
  if (right) {
    out->append(" fill_right (").append(FormatFloat(*right, 'g')).append(")");
  }
}

void PrintMatching(const VectorMatching& matching, std::string* out) {
  const bool grouped =
      matching.cardinality == MatchCardinality::kManyToOne || matching.cardinality == MatchCardinality::kOneToMany;
  if (!matching.labels.empty() || matching.on || grouped) {
    out->append(matching.on ? " on" : " ignoring");
    PrintLabels(matching.labels, out);
  }
  if (grouped) {
    out->append(matching.cardinality == MatchCardinality::kManyToOne ? " group_left" : " group_right");
    PrintLabels(matching.include, out);
  }
  PrintFill(matching, out);
}

void PrintAggregate(const AggregateExpr& expr, std::string* out) {
  out->append(AggregateOpText(expr.op));
  if (expr.without || !expr.grouping.empty()) {
    out->append(expr.without ? " without" : " by");
    PrintLabels(expr.grouping, out);
    out->append(" ");
  }
  out->append("(");
  if (expr.param) {
    PrintTo(*expr.param, out);
    out->append(", ");
  }
  PrintTo(*expr.expr, out);
  out->append(")");
}

void PrintBinary(const BinaryExpr& expr, std::string* out) {
  PrintTo(*expr.lhs, out);
  out->append(" ").append(BinaryOpText(expr.op));
  out->append(expr.return_bool ? " bool" : "");
  if (expr.matching) {
    PrintMatching(*expr.matching, out);
  }
  out->append(" ");
  PrintTo(*expr.rhs, out);
}

void PrintCall(const Call& call, std::string* out) {
  out->append(call.function->name).append("(");
  for (size_t i = 0; i < call.args.size(); ++i) {
    out->append(i == 0 ? "" : ", ");
    PrintTo(*call.args[i], out);
  }
  out->append(")");
}

void PrintSubquery(const SubqueryExpr& expr, std::string* out) {
  PrintTo(*expr.expr, out);
  out->append("[");
  PrintRange(expr.range_ms, expr.range_expr, out);
  out->append(":");
  if (expr.step_ms != 0 || expr.step_expr) {
    PrintRange(expr.step_ms, expr.step_expr, out);
  }
  out->append("]");
  PrintAt(expr.time, out);
  PrintOffset(expr.time, out);
}

void PrintTo(const Expr& expr, std::string* out) {
  switch (expr.kind) {
    case ExprKind::kNumber:
      out->append(NumberText(As<NumberLiteral>(expr).value, As<NumberLiteral>(expr).is_duration));
      return;
    case ExprKind::kString:
      out->append(GoQuote(As<StringLiteral>(expr).value));
      return;
    case ExprKind::kVectorSelector: {
      const auto& selector = As<VectorSelector>(expr);
      PrintSelector(selector, out);
      PrintAt(selector.time, out);
      PrintExtended(selector, out);
      PrintOffset(selector.time, out);
      return;
    }
    case ExprKind::kMatrixSelector: {
      const auto& matrix = As<MatrixSelector>(expr);
      PrintSelector(*matrix.selector, out);
      out->append("[");
      PrintRange(matrix.range_ms, matrix.range_expr, out);
      out->append("]");
      PrintExtended(*matrix.selector, out);
      PrintAt(matrix.selector->time, out);
      PrintOffset(matrix.selector->time, out);
      return;
    }
    case ExprKind::kSubquery:
      PrintSubquery(As<SubqueryExpr>(expr), out);
      return;
    case ExprKind::kCall:
      PrintCall(As<Call>(expr), out);
      return;
    case ExprKind::kAggregate:
      PrintAggregate(As<AggregateExpr>(expr), out);
      return;
    case ExprKind::kBinary:
      PrintBinary(As<BinaryExpr>(expr), out);
      return;
    case ExprKind::kUnary:
      out->append(As<UnaryExpr>(expr).negate ? "-" : "+");
      PrintTo(*As<UnaryExpr>(expr).expr, out);
      return;
    case ExprKind::kParen:
      out->append("(");
      PrintTo(*As<ParenExpr>(expr).expr, out);
      out->append(")");
      return;
  }
}

}  // namespace

std::string Print(const Expr& expr) {
  std::string out;
  PrintTo(expr, &out);
  return out;
}

std::string_view ValueTypeText(ValueType type) {
  constexpr std::string_view kTexts[] = {"none", "scalar", "instant vector", "range vector", "string"};
  return kTexts[static_cast<size_t>(type)];
}

std::string_view AggregateOpText(AggregateOp op) {
  constexpr std::string_view kTexts[] = {"sum",          "avg",      "count",  "min",        "max",
                                         "group",        "stddev",   "stdvar", "topk",       "bottomk",
                                         "count_values", "quantile", "limitk", "limit_ratio"};
  return kTexts[static_cast<size_t>(op)];
}

std::string_view BinaryOpText(BinaryOp op) {
  constexpr std::string_view kTexts[] = {
      "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "</", ">/", "and", "or", "unless"};
  return kTexts[static_cast<size_t>(op)];
}

const Expr& Unparen(const Expr& e) {
  const Expr* expr = &e;
  while (expr->kind == ExprKind::kParen) {
    expr = As<ParenExpr>(*expr).expr.get();
  }
  return *expr;
}

}  // namespace weir::promql
