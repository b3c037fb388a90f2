// Durations: literals, and expressions of them with step(), range(), min_of() and max_of().

#include "core/promql/expression_parser.h"

#include <cmath>

#include "core/promql/precedence.h"

namespace weir::promql {
namespace {

bool IsDurationCall(TokenKind kind) { return kind >= TokenKind::kStep && kind <= TokenKind::kMinOf; }

constexpr double kDurationMaxSeconds = 9223372036.854775807;  // int64 nanoseconds, as in Prometheus

}  // namespace

ExpressionParser::Duration ExpressionParser::ParsePositiveDuration() {
  duration_operators_ = 0;
  Duration duration = ParseDuration(1);
  if (duration && duration->op == DurationExpr::Op::kLiteral && !(duration->seconds > 0)) {
    Error(duration->pos, "duration must be greater than 0");
  }
  return duration;
}

ExpressionParser::Duration ExpressionParser::ParseDuration(int min_precedence) {
  Nested nested(this);
  if (!nested.ok()) {
    return nullptr;
  }
  return ParseDurationRest(ParseDurationOperand(), min_precedence);
}

ExpressionParser::Duration ExpressionParser::ParseDurationRest(Duration left, int min_precedence) {
  while (left) {
    const TokenKind kind = Peek().kind;
    const int precedence = kind <= TokenKind::kPow ? Precedence(kind) : 0;
    if (precedence == 0 || precedence < min_precedence) {
      return left;
    }
    if (++duration_operators_ > kDurationOperatorsMax) {
      Error(Peek().range(), "duration has more than " + std::to_string(kDurationOperatorsMax) + " operators");
      return nullptr;
    }
    const Token op = Take();
    Duration right = ParseDuration(RightPrecedence(precedence));
    if (!right) {
      return nullptr;
    }
    left = MakeDuration(op, std::move(left), std::move(right));
  }
  return left;
}

// Parentheses around literals are not kept, here as upstream, unless the text would mean something else without them.
ExpressionParser::Duration ExpressionParser::KeepParentheses(Duration literal) {
  auto paren = std::make_shared<DurationExpr>();
  paren->op = DurationExpr::Op::kParen;
  paren->pos = literal->pos;
  paren->left = std::move(literal);
  return paren;
}

ExpressionParser::Duration ExpressionParser::MakeDuration(const Token& op, Duration left, Duration right) {
  using Op = DurationExpr::Op;
  constexpr Op kOps[] = {Op::kAdd, Op::kSub, Op::kMul, Op::kDiv, Op::kMod, Op::kPow};
  auto out = std::make_shared<DurationExpr>();
  out->op = kOps[static_cast<int>(op.kind) - static_cast<int>(TokenKind::kAdd)];
  out->pos = {left->pos.start, right->pos.end};
  if ((out->op == Op::kDiv || out->op == Op::kMod) && right->op == Op::kLiteral && right->seconds == 0) {
    Error(op.range(), out->op == Op::kDiv ? "division by zero" : "modulo by zero");
  }
  if (out->op == Op::kPow && left->op == Op::kLiteral && left->seconds < 0) {
    left = KeepParentheses(std::move(left));
  }
  out->left = std::move(left);
  out->right = std::move(right);
  return out;
}

ExpressionParser::Duration ExpressionParser::ParseDurationLiteral() {
  const Token token = Take();
  auto literal = std::make_shared<DurationExpr>();
  literal->seconds = NumberValue(token);
  literal->as_number = token.kind == TokenKind::kNumber;
  literal->pos = token.range();
  if (std::fabs(literal->seconds) > kDurationMaxSeconds) {
    Error(token.range(), "duration out of range");
    literal->seconds = 0;
  }
  return literal;
}

// `-x` or `+x`; literals take the sign themselves, and a plus is not kept.
ExpressionParser::Duration ExpressionParser::NegateDuration(const Token& sign, Duration operand) {
  if (operand->op == DurationExpr::Op::kLiteral) {
    operand->seconds = sign.kind == TokenKind::kSub ? -operand->seconds : operand->seconds;
    operand->pos.start = sign.pos;
    return operand;
  }
  if (sign.kind == TokenKind::kAdd) {
    return operand;
  }
  auto out = std::make_shared<DurationExpr>();
  out->op = DurationExpr::Op::kNeg;
  out->pos = {sign.pos, operand->pos.end};
  out->right = std::move(operand);
  return out;
}

ExpressionParser::Duration ExpressionParser::ParseDurationParen() {
  const Token open = Take();
  Duration inner = ParseDuration(1);
  if (!inner || !Expect(TokenKind::kRightParen)) {
    return nullptr;
  }
  if (inner->op == DurationExpr::Op::kLiteral || inner->op == DurationExpr::Op::kParen) {
    return inner;
  }
  auto paren = std::make_shared<DurationExpr>();
  paren->op = DurationExpr::Op::kParen;
  paren->pos = {open.pos, last_end()};
  paren->left = std::move(inner);
  return paren;
}

// `step()`, `range()`, `min_of(a, b)`, `max_of(a, b)`.
ExpressionParser::Duration ExpressionParser::ParseDurationCall() {
  const Token name = Take();
  auto call = std::make_shared<DurationExpr>();
  if (!Expect(TokenKind::kLeftParen)) {
    return nullptr;
  }
  if (name.kind == TokenKind::kStep || name.kind == TokenKind::kRange) {
    call->op = name.kind == TokenKind::kStep ? DurationExpr::Op::kStep : DurationExpr::Op::kRange;
  } else {
    call->op = name.kind == TokenKind::kMinOf ? DurationExpr::Op::kMin : DurationExpr::Op::kMax;
    call->left = ParseDuration(1);
    if (!call->left || !Expect(TokenKind::kComma)) {
      return nullptr;
    }
    call->right = ParseDuration(1);
    if (!call->right) {
      return nullptr;
    }
  }
  if (!Expect(TokenKind::kRightParen)) {
    return nullptr;
  }
  call->pos = {name.pos, last_end()};
  return call;
}

ExpressionParser::Duration ExpressionParser::ParseDurationOperand() {
  const TokenKind kind = Peek().kind;
  if (kind == TokenKind::kNumber || kind == TokenKind::kDuration) {
    return ParseDurationLiteral();
  }
  if (kind == TokenKind::kLeftParen) {
    return ParseDurationParen();
  }
  if (IsDurationCall(kind)) {
    return ParseDurationCall();
  }
  if (!IsSign(kind)) {
    Fail();
    return nullptr;
  }
  const Token sign = Take();
  Duration operand = ParseDuration(kPowPrecedence);
  return operand ? NegateDuration(sign, std::move(operand)) : nullptr;
}

// After `offset` an operator belongs to the expression around it, unless the duration began with a parenthesis.
ExpressionParser::Duration ExpressionParser::ParseOffsetDuration() {
  duration_operators_ = 0;
  const TokenKind kind = Peek().kind;
  if (kind == TokenKind::kLeftParen) {
    return ParseOffsetRest(ParseDurationParen());
  }
  if (!IsSign(kind)) {
    return ParseDurationOperand();
  }
  const Token sign = Take();
  const bool signs = IsSign(Peek().kind);
  Duration operand = signs ? ParseDuration(kPowPrecedence) : ParseDurationOperand();
  if (!operand) {
    return nullptr;
  }
  operand = NegateDuration(sign, std::move(operand));
  return signs ? ParseOffsetRest(std::move(operand)) : operand;
}

ExpressionParser::Duration ExpressionParser::ParseOffsetRest(Duration first) {
  const bool more = first && Peek().kind <= TokenKind::kPow && Precedence(Peek().kind) > 0;
  if (more && first->op == DurationExpr::Op::kLiteral) {
    first = KeepParentheses(std::move(first));
  }
  return ParseDurationRest(std::move(first), 1);
}

}  // namespace weir::promql
