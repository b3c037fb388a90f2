#include "core/promql/checker.h"

#include <algorithm>

#include "core/model/labels.h"
#include "core/promql/functions.h"
#include "core/promql/repair.h"

namespace weir::promql {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string Quoted(std::string_view text) { return GoQuote(text); }

class Checker {
 public:
  Checker(std::string_view text, const DroppedMatching& dropped) : text_(text), dropped_(dropped) {}

  void Check(const Expr& expr);
  CheckResult Take() { return std::move(result_); }

 private:
  void Error(PositionRange pos, std::string message, std::vector<Edit> edits = {});
  void CheckBinary(const BinaryExpr& expr);
  void CheckMatching(const BinaryExpr& expr);
  void CheckOperand(const Expr& operand);
  void CheckCall(const Call& call);
  void CheckArity(const Call& call);
  void CheckInfo(const Call& call);
  void CheckSelector(const VectorSelector& selector);
  void Expect(const Expr& expr, ValueType want, std::string_view context);
  std::vector<Edit> RepairType(const Expr& expr, ValueType want) const;
  PositionRange OperatorRange(const BinaryExpr& expr) const;

  std::string_view text_;
  const DroppedMatching& dropped_;
  CheckResult result_;
};

void Checker::Error(PositionRange pos, std::string message, std::vector<Edit> edits) {
  if (result_.errors.empty()) {
    result_.edits = std::move(edits);
  }
  result_.errors.push_back(MakeParseError(text_, pos, std::move(message)));
}

void Checker::Check(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kNumber:
    case ExprKind::kString:
      return;
    case ExprKind::kVectorSelector:
      return CheckSelector(As<VectorSelector>(expr));
    case ExprKind::kMatrixSelector:
      return CheckSelector(*As<MatrixSelector>(expr).selector);
    case ExprKind::kSubquery: {
      const Expr& inner = *As<SubqueryExpr>(expr).expr;
      Check(inner);
      if (inner.type != ValueType::kVector) {
        // Prometheus says this one with its internal name of the type.
        const std::string_view type = inner.type == ValueType::kMatrix ? "matrix" : ValueTypeText(inner.type);
        Error(expr.pos, "subquery is only allowed on instant vector, got " + std::string(type) + " instead",
              inner.type == ValueType::kMatrix ? RepairExtraRange(text_, inner) : std::vector<Edit>());
      }
      return;
    }
    case ExprKind::kCall:
      return CheckCall(As<Call>(expr));
    case ExprKind::kAggregate: {
      const auto& aggregate = As<AggregateExpr>(expr);
      Expect(*aggregate.expr, ValueType::kVector, "aggregation expression");
      if (aggregate.param) {
        const bool text = aggregate.op == AggregateOp::kCountValues;
        Expect(*aggregate.param, text ? ValueType::kString : ValueType::kScalar, "aggregation parameter");
      }
      return;
    }
    case ExprKind::kBinary:
      return CheckBinary(As<BinaryExpr>(expr));
    case ExprKind::kUnary: {
      const Expr& inner = *As<UnaryExpr>(expr).expr;
      Check(inner);
      if (inner.type != ValueType::kScalar && inner.type != ValueType::kVector) {
        Error(expr.pos,
              "unary expression only allowed on expressions of type scalar or instant vector, got " +
                  Quoted(ValueTypeText(inner.type)),
              inner.type == ValueType::kMatrix ? RepairExtraRange(text_, inner) : std::vector<Edit>());
      }
      return;
    }
    case ExprKind::kParen:
      return Check(*As<ParenExpr>(expr).expr);
  }
}

std::vector<Edit> Checker::RepairType(const Expr& expr, ValueType want) const {
  if (want == ValueType::kMatrix && expr.type == ValueType::kVector) {
    return RepairMissingRange(text_, expr);
  }
  if (want == ValueType::kVector && expr.type == ValueType::kMatrix) {
    return RepairExtraRange(text_, expr);
  }
  return {};
}

void Checker::Expect(const Expr& expr, ValueType want, std::string_view context) {
  Check(expr);
  if (expr.type != want) {
    Error(expr.pos,
          "expected type " + std::string(ValueTypeText(want)) + " in " + std::string(context) + ", got " +
              std::string(ValueTypeText(expr.type)),
          RepairType(expr, want));
  }
}

// RETURNS: where the operator and its modifiers stand: what is between the operands, without the space around it.
PositionRange Checker::OperatorRange(const BinaryExpr& expr) const {
  PositionRange range{expr.lhs->pos.end, std::max(expr.rhs->pos.start - 1, expr.lhs->pos.end)};
  const int size = static_cast<int>(text_.size());
  while (range.start < size && IsSpace(text_[static_cast<size_t>(range.start)])) {
    ++range.start;
  }
  while (range.end > range.start && range.end < size && IsSpace(text_[static_cast<size_t>(range.end)])) {
    --range.end;
  }
  return range;
}

void Checker::CheckOperand(const Expr& operand) {
  if (operand.type != ValueType::kScalar && operand.type != ValueType::kVector) {
    Error(operand.pos, "binary expression must contain only scalar and instant vector types",
          RepairType(operand, ValueType::kVector));
  }
}

void Checker::CheckBinary(const BinaryExpr& expr) {
  Check(*expr.lhs);
  Check(*expr.rhs);
  if (expr.return_bool && !IsComparison(expr.op)) {
    Error(OperatorRange(expr), "bool modifier can only be used on comparison operators");
  }
  if (IsComparison(expr.op) && !expr.return_bool && expr.lhs->type == ValueType::kScalar &&
      expr.rhs->type == ValueType::kScalar) {
    const PositionRange range = OperatorRange(expr);
    const int after = range.start + static_cast<int>(BinaryOpText(expr.op).size());
    Error(range, "comparisons between scalars must use BOOL modifier", {{after, after, " bool"}});
  }
  CheckMatching(expr);
  const bool scalar = expr.lhs->type == ValueType::kScalar || expr.rhs->type == ValueType::kScalar;
  if (scalar && IsSetOperator(expr.op)) {
    Error(expr.pos, "set operator " + Quoted(BinaryOpText(expr.op)) + " not allowed in binary scalar expression");
  }
}

void Checker::CheckMatching(const BinaryExpr& expr) {
  const auto dropped = dropped_.find(&expr);
  const VectorMatching none;
  const VectorMatching& matching =
      expr.matching ? *expr.matching : (dropped != dropped_.end() ? dropped->second : none);
  if (matching.on) {
    for (const std::string& label : matching.labels) {
      for (ptrdiff_t i = std::count(matching.include.begin(), matching.include.end(), label); i > 0; --i) {
        Error(OperatorRange(expr), "label " + Quoted(label) + " must not occur in ON and GROUP clause at once");
      }
    }
  }
  CheckOperand(*expr.lhs);
  CheckOperand(*expr.rhs);
  const bool filled = matching.fill_left || matching.fill_right;
  if (!expr.matching) {
    if (!matching.labels.empty()) {
      Error(expr.pos, "vector matching only allowed between instant vectors");
    }
    if (filled) {
      Error(expr.pos, "filling in missing series only allowed between instant vectors");
    }
    return;
  }
  if (!IsSetOperator(expr.op)) {
    return;
  }
  if (matching.cardinality != MatchCardinality::kManyToMany) {
    Error(expr.pos, "no grouping allowed for " + Quoted(BinaryOpText(expr.op)) + " operation");
    Error(expr.pos, "set operations must always be many-to-many");
  }
  if (filled) {
    Error(expr.pos, "filling in missing series not allowed for set operators");
  }
}

void Checker::CheckArity(const Call& call) {
  const FunctionSignature& function = *call.function;
  const auto wanted = static_cast<int>(function.args.size());
  const auto given = static_cast<int>(call.args.size());
  const auto report = [&](const char* how, int count) {
    Error(call.pos, std::string("expected ") + how + std::to_string(count) + " argument(s) in call to " +
                        Quoted(function.name) + ", got " + std::to_string(given));
  };
  if (function.variadic == 0) {
    if (wanted != given) {
      report("", wanted);
    }
    return;
  }
  const int least = wanted - 1;
  if (least > given) {
    report("at least ", least);
  } else if (function.variadic > 0 && least + function.variadic < given) {
    report("at most ", least + function.variadic);
  }
}

void Checker::CheckInfo(const Call& call) {
  const Expr& selector = *call.args[1];
  if (selector.type != ValueType::kVector) {
    Error(call.pos, "expected type instant vector in call to function \"info\", got " +
                        std::string(ValueTypeText(selector.type)));
  }
  if (selector.kind != ExprKind::kVectorSelector) {
    Error(selector.pos, "expected label selectors only");
  } else if (!As<VectorSelector>(selector).name.empty()) {
    Error(selector.pos, "expected label selectors only, got vector selector instead");
  }
}

void Checker::CheckCall(const Call& call) {
  CheckArity(call);
  const FunctionSignature& function = *call.function;
  if (function.id == FunctionId::kInfo && call.args.size() > 1) {
    CheckInfo(call);
  }
  for (size_t i = 0; i < call.args.size(); ++i) {
    if (i >= function.args.size() && function.variadic == 0) {
      return;
    }
    const ValueType want = function.args[std::min(i, function.args.size() - 1)];
    Expect(*call.args[i], want, "call to function " + Quoted(function.name));
  }
}

void Checker::CheckSelector(const VectorSelector& selector) {
  if (!selector.name.empty()) {
    for (size_t i = 0; i + 1 < selector.matchers.size(); ++i) {
      const Matcher& matcher = selector.matchers[i];
      if (matcher.name() == kMetricName) {
        Error(selector.pos,
              "metric name must not be set twice: " + Quoted(selector.name) + " or " + Quoted(matcher.value()));
      }
    }
    return;
  }
  const bool selective = std::any_of(selector.matchers.begin(), selector.matchers.end(),
                                     [](const Matcher& matcher) { return !matcher.MatchesEmpty(); });
  if (!selective && !selector.bypass_empty_matcher_check) {
    Error(selector.pos, "vector selector must contain at least one non-empty matcher");
  }
}

}  // namespace

CheckResult CheckTypes(std::string_view text, const Expr& root, const DroppedMatching& dropped) {
  Checker checker(text, dropped);
  checker.Check(root);
  return checker.Take();
}

}  // namespace weir::promql
