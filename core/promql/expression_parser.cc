// The whole text, operators and their modifiers. What stands between operators is in expression_operands.cc, what stands
// behind an operand in expression_modifiers.cc, durations are in expression_durations.cc.

#include "core/promql/expression_parser.h"

#include <algorithm>

#include "core/promql/precedence.h"
#include "core/promql/repair.h"

namespace weir::promql {
namespace {

BinaryOp ToBinaryOp(TokenKind kind) {
  return static_cast<BinaryOp>(static_cast<int>(kind) - static_cast<int>(TokenKind::kAdd));
}

}  // namespace

bool ExpressionParser::Nested::ok() {
  if (parser_->nesting_ <= kNestingMax) {
    return true;
  }
  if (parser_->nesting_ == kNestingMax + 1 && parser_->Peek().kind != TokenKind::kError) {
    parser_->Error(parser_->Peek().range(),
                   "expression is nested more than " + std::to_string(kNestingMax) + " levels deep");
  }
  return false;
}

ExprPtr ExpressionParser::ParseWhole() {
  if (text().size() > kExpressionBytesMax) {
    Error({0, 0}, "expression is longer than " + std::to_string(kExpressionBytesMax) +
                      " bytes: " + std::to_string(text().size()));
    return nullptr;
  }
  if (At(TokenKind::kEnd)) {
    Error({0, 0}, "no expression found in input");
    return nullptr;
  }
  const Operand whole = ParseBinary(1);
  if (!whole || !Expect(TokenKind::kEnd)) {
    return nullptr;
  }
  return whole.expr;
}

bool ExpressionParser::ParseWholeSelector(std::vector<Matcher>* matchers) {
  if (text().size() > kExpressionBytesMax) {
    Error({0, 0}, "selector is longer than " + std::to_string(kExpressionBytesMax) + " bytes");
    return false;
  }
  if (!IsMetricName(Peek().kind) && !At(TokenKind::kLeftBrace)) {
    return Fail();
  }
  const Operand operand = ParseSelector();
  if (!operand || !Expect(TokenKind::kEnd)) {
    return false;
  }
  *matchers = operand.selector->matchers;
  return errors().empty();
}

// --- operators ---

ExpressionParser::Operand ExpressionParser::ParseBinary(int min_precedence) {
  Nested nested(this);
  if (!nested.ok()) {
    return {};
  }
  Operand lhs = ParseUnary();
  while (lhs) {
    const int precedence = Precedence(Peek().kind);
    if (precedence == 0 || precedence < min_precedence) {
      return lhs;
    }
    const Token op = Take();
    auto expr = std::make_shared<BinaryExpr>();
    if (!ParseBinaryModifiers(expr.get())) {
      return {};
    }
    Operand rhs = ParseBinary(RightPrecedence(precedence));
    if (!rhs) {
      return {};
    }
    lhs = MakeBinary(std::move(lhs), op, std::move(expr), std::move(rhs));
  }
  return lhs;
}

ExpressionParser::Operand ExpressionParser::MakeBinary(Operand lhs, const Token& op, std::shared_ptr<BinaryExpr> expr,
                                                       Operand rhs) {
  Operand out;
  expr->op = ToBinaryOp(op.kind);
  expr->pos = {lhs.expr->pos.start, rhs.expr->pos.end};
  const ValueType left = lhs.expr->type;
  const ValueType right = rhs.expr->type;
  expr->type = left == ValueType::kScalar && right == ValueType::kScalar ? ValueType::kScalar : ValueType::kVector;
  out.depth = std::max(lhs.depth, rhs.depth) + 1;
  expr->lhs = std::move(lhs.expr);
  expr->rhs = std::move(rhs.expr);
  VectorMatching& matching = *expr->matching;
  if (!options_.binop_fill_modifiers && (matching.fill_left || matching.fill_right)) {
    Error(expr->pos, "binop fill modifiers are experimental and not enabled");
  }
  if (IsSetOperator(expr->op) && matching.cardinality == MatchCardinality::kOneToOne) {
    matching.cardinality = MatchCardinality::kManyToMany;
  }
  if (left != ValueType::kVector || right != ValueType::kVector) {
    if (!matching.labels.empty() || matching.fill_left || matching.fill_right) {
      dropped_.emplace(expr.get(), std::move(matching));
    }
    expr->matching.reset();
  }
  if (out.depth > kTreeDepthMax) {
    Error(op.range(), "expression has more than " + std::to_string(kTreeDepthMax) + " operators in one chain");
    return {};
  }
  out.expr = std::move(expr);
  return out;
}

bool ExpressionParser::ParseBinaryModifiers(BinaryExpr* expr) {
  expr->matching.emplace();
  expr->return_bool = Accept(TokenKind::kBool);
  if (At(TokenKind::kOn) || At(TokenKind::kIgnoring)) {
    expr->matching->on = Take().kind == TokenKind::kOn;
    if (!ParseLabelList(&expr->matching->labels) || !ParseGroupModifier(&*expr->matching)) {
      return false;
    }
  }
  return ParseFillModifiers(&*expr->matching);
}

bool ExpressionParser::StartsExpression() {
  switch (Peek().kind) {
    case TokenKind::kLeftParen:
    case TokenKind::kLeftBrace:
    case TokenKind::kNumber:
    case TokenKind::kDuration:
    case TokenKind::kString:
      return true;
    default:
      return IsSign(Peek().kind) || IsMetricName(Peek().kind);
  }
}

bool ExpressionParser::ParseGroupModifier(VectorMatching* matching) {
  if (!At(TokenKind::kGroupLeft) && !At(TokenKind::kGroupRight)) {
    return true;
  }
  const bool left = Take().kind == TokenKind::kGroupLeft;
  matching->cardinality = left ? MatchCardinality::kManyToOne : MatchCardinality::kOneToMany;
  if (At(TokenKind::kLeftParen)) {
    return ParseLabelList(&matching->include);
  }
  return StartsExpression() || FailIn(kGroupingContext);
}

bool ExpressionParser::ParseFillModifiers(VectorMatching* matching) {
  double value = 0;
  if (Accept(TokenKind::kFill)) {
    if (!ParseFillValue(&value)) {
      return false;
    }
    matching->fill_left = value;
    matching->fill_right = value;
    return true;
  }
  const bool left_first = At(TokenKind::kFillLeft);
  for (const TokenKind kind : {left_first ? TokenKind::kFillLeft : TokenKind::kFillRight,
                               left_first ? TokenKind::kFillRight : TokenKind::kFillLeft}) {
    if (!Accept(kind)) {
      return true;
    }
    if (!ParseFillValue(&value)) {
      return false;
    }
    (kind == TokenKind::kFillLeft ? matching->fill_left : matching->fill_right) = value;
  }
  return true;
}

bool ExpressionParser::ParseFillValue(double* value) {
  if (!Expect(TokenKind::kLeftParen)) {
    return false;
  }
  double sign = 1;
  if (IsSign(Peek().kind)) {
    sign = Take().kind == TokenKind::kSub ? -1 : 1;
  }
  if (!At(TokenKind::kNumber) && !At(TokenKind::kDuration)) {
    return Fail();
  }
  *value = sign * NumberValue(Take());
  return Expect(TokenKind::kRightParen);
}

ExpressionParser::Operand ExpressionParser::ParseUnary() {
  if (!IsSign(Peek().kind)) {
    return ParsePostfix();
  }
  const Token sign = Take();
  // Signs bind like `*`, so only `^` and what stands behind the operand bind tighter.
  Operand operand = ParseBinary(kPowPrecedence);
  if (!operand) {
    return {};
  }
  const bool negate = sign.kind == TokenKind::kSub;
  if (operand.expr->kind == ExprKind::kNumber) {
    auto& number = static_cast<NumberLiteral&>(*operand.expr);
    number.value = negate ? number.value * -1 : number.value;
    number.pos.start = sign.pos;
    return operand;
  }
  auto unary = std::make_shared<UnaryExpr>();
  unary->negate = negate;
  unary->type = operand.expr->type;
  unary->pos = {sign.pos, operand.expr->pos.end};
  unary->expr = std::move(operand.expr);
  return {std::move(unary), nullptr, operand.depth + 1};
}

ExpressionParser::Operand ExpressionParser::ParsePostfix() {
  Operand operand = ParsePrimary();
  while (operand) {
    bool ok = true;
    switch (Peek().kind) {
      case TokenKind::kOffset:
        ok = ParseOffset(&operand);
        break;
      case TokenKind::kAt:
        ok = ParseAt(&operand);
        break;
      case TokenKind::kLeftBracket:
        ok = ParseBrackets(&operand);
        break;
      case TokenKind::kAnchored:
      case TokenKind::kSmoothed:
        ApplyExtended(operand, Take().kind == TokenKind::kAnchored);
        break;
      case TokenKind::kBy:
      case TokenKind::kWithout:
        ok = FailAtGrouping(operand);
        break;
      default:
        return operand;
    }
    if (ok && operand.depth > kTreeDepthMax) {
      Error(operand.expr->pos, "expression has more than " + std::to_string(kTreeDepthMax) + " selectors in one chain");
      ok = false;
    }
    if (!ok) {
      return {};
    }
  }
  return operand;
}

// Grouping after something that is no aggregation: refused, with the aggregation that was probably meant.
bool ExpressionParser::FailAtGrouping(const Operand& operand) {
  const PositionRange pos = Peek().range();
  std::string message = Unexpected();
  const bool earlier_error = !errors().empty();
  const bool without = Take().kind == TokenKind::kWithout;
  // The list is read by a parser of its own, so that its errors do not count.
  std::vector<std::string> labels;
  ExpressionParser list(text().substr(static_cast<size_t>(last_end())), options_);
  std::vector<Edit> edits;
  if (!earlier_error && list.ParseLabelList(&labels) && list.errors().empty()) {
    edits = RepairGrouping(text(), *operand.expr, without, labels, last_end() + list.last_end());
  }
  Error(pos, std::move(message), std::move(edits));
  return false;
}

}  // namespace weir::promql
