// Operands: literals, selectors, calls and aggregations.

#include "core/promql/expression_parser.h"

#include <algorithm>

#include "core/promql/functions.h"
#include "core/promql/literals.h"
#include "core/promql/repair.h"

namespace weir::promql {
namespace {

AggregateOp ToAggregateOp(TokenKind kind) {
  return static_cast<AggregateOp>(static_cast<int>(kind) - static_cast<int>(TokenKind::kSum));
}

bool TakesParameter(AggregateOp op) {
  return op >= AggregateOp::kTopk;  // every operator after the plain ones
}

// Label names that are keywords; `without` is not among them, as upstream.
bool IsLabelName(TokenKind kind) {
  return kind == TokenKind::kIdentifier || kind == TokenKind::kMetricIdentifier || kind == TokenKind::kAtan2 ||
         kind == TokenKind::kAnd || kind == TokenKind::kOr || kind == TokenKind::kUnless ||
         (kind >= TokenKind::kSum && kind != TokenKind::kWithout);
}

}  // namespace

// --- operands ---

ExpressionParser::Operand ExpressionParser::ParsePrimary() {
  switch (Peek().kind) {
    case TokenKind::kLeftParen:
      return ParseParen();
    case TokenKind::kNumber:
    case TokenKind::kDuration:
      return ParseNumberLiteral();
    case TokenKind::kString:
      return ParseStringLiteral();
    case TokenKind::kLeftBrace:
      return ParseSelector();
    default:
      if (IsMetricName(Peek().kind)) {
        return ParseWord();
      }
      Fail();
      return {};
  }
}

ExpressionParser::Operand ExpressionParser::ParseParen() {
  const Token open = Take();
  Operand inner = ParseBinary(1);
  if (!inner || !Expect(TokenKind::kRightParen)) {
    return {};
  }
  auto paren = std::make_shared<ParenExpr>();
  paren->type = inner.expr->type;
  paren->pos = {open.pos, last_end()};
  paren->expr = std::move(inner.expr);
  return {std::move(paren), nullptr, inner.depth + 1};
}

double ExpressionParser::NumberValue(const Token& token) {
  const Result<double> value =
      token.kind == TokenKind::kDuration ? ParseDurationSeconds(token.text) : ParseNumber(token.text);
  if (!value.ok()) {
    Error(token.range(), std::string(value.status().message()));
    return 0;
  }
  return *value;
}

ExpressionParser::Operand ExpressionParser::ParseNumberLiteral() {
  const Token token = Take();
  auto number = std::make_shared<NumberLiteral>();
  number->value = NumberValue(token);
  number->is_duration = token.kind == TokenKind::kDuration;
  number->type = ValueType::kScalar;
  number->pos = token.range();
  return {std::move(number), nullptr, 1};
}

ExpressionParser::Operand ExpressionParser::ParseStringLiteral() {
  const Token token = Take();
  auto string = std::make_shared<StringLiteral>();
  string->value = Unquote(token.text);
  string->type = ValueType::kString;
  string->pos = token.range();
  return {std::move(string), nullptr, 1};
}

// A word at the start of an operand: an aggregation, a function or a metric, decided by what follows it.
ExpressionParser::Operand ExpressionParser::ParseWord() {
  const TokenKind kind = Peek().kind;
  const std::string_view rest = text().substr(static_cast<size_t>(Peek().range().end));
  Lexer ahead(rest, Lexer::Language::kExpression);
  const TokenKind next = ahead.Next().kind;
  if (IsAggregation(kind) && (next == TokenKind::kLeftParen || next == TokenKind::kBy || next == TokenKind::kWithout)) {
    return ParseAggregate();
  }
  const bool callable = kind == TokenKind::kIdentifier || kind >= TokenKind::kStart;
  return callable && next == TokenKind::kLeftParen ? ParseCall() : ParseSelector();
}

ExpressionParser::Operand ExpressionParser::ParseSelector() {
  auto selector = std::make_shared<VectorSelector>();
  selector->type = ValueType::kVector;
  selector->pos = Peek().range();
  if (!At(TokenKind::kLeftBrace)) {
    selector->name = Take().text;
  }
  if (At(TokenKind::kLeftBrace) && !ReadMatchers(&selector->matchers)) {
    return {};
  }
  selector->pos.end = last_end();
  if (!selector->name.empty()) {
    selector->matchers.push_back(*Matcher::Create(MatchType::kEqual, std::string(kMetricName), selector->name));
  }
  return {selector, selector, 1};
}

ExpressionParser::Operand ExpressionParser::ParseCall() {
  const Token name = Take();
  std::vector<Operand> args;
  if (!ParseArguments(&args)) {
    return {};
  }
  auto call = std::make_shared<Call>();
  call->function = FindFunction(name.text);
  call->pos = {name.pos, last_end()};
  int depth = 0;
  for (const Operand& arg : args) {
    depth = std::max(depth, arg.depth);
    call->args.push_back(arg.expr);
  }
  if (call->function == nullptr) {
    Error(name.range(), "unknown function with name " + GoQuote(name.text), RepairFunctionName(name));
  } else {
    call->type = call->function->result;
    if (call->function->experimental && !options_.experimental_functions) {
      Error(name.range(), "function " + GoQuote(name.text) + " is not enabled");
    }
    if (call->function->id == FunctionId::kInfo && args.size() > 1 && args[1].expr->kind == ExprKind::kVectorSelector &&
        args[1].selector->name.empty()) {
      args[1].selector->bypass_empty_matcher_check = true;
    }
  }
  return {std::move(call), nullptr, depth + 1};
}

bool ExpressionParser::ParseArguments(std::vector<Operand>* args) {
  if (!Expect(TokenKind::kLeftParen)) {
    return false;
  }
  if (Accept(TokenKind::kRightParen)) {
    return true;
  }
  do {
    Operand arg = ParseBinary(1);
    if (!arg) {
      return false;
    }
    args->push_back(std::move(arg));
  } while (AcceptArgumentComma());
  return Expect(TokenKind::kRightParen);
}

// RETURNS: whether a comma and then an argument stand here. Commas without one are reported and skipped.
bool ExpressionParser::AcceptArgumentComma() {
  while (At(TokenKind::kComma)) {
    const Token comma = Take();
    if (StartsExpression()) {
      return true;
    }
    if (!At(TokenKind::kError)) {
      Error(comma.range(), "trailing commas not allowed in function call args", {{comma.pos, comma.pos + 1, ""}});
    }
  }
  return false;
}

// --- aggregations ---

ExpressionParser::Operand ExpressionParser::ParseAggregate() {
  const Token op = Take();
  InContext context(this, {"aggregation", ""});
  auto expr = std::make_shared<AggregateExpr>();
  const bool modifier_first = !At(TokenKind::kLeftParen);
  if (modifier_first && !ParseGroupingModifier(expr.get())) {
    return {};
  }
  std::vector<Operand> args;
  if (!ParseArguments(&args)) {
    return {};
  }
  if (!modifier_first && (At(TokenKind::kBy) || At(TokenKind::kWithout)) && !ParseGroupingModifier(expr.get())) {
    return {};
  }
  return FinishAggregate(op, std::move(expr), args);
}

ExpressionParser::Operand ExpressionParser::FinishAggregate(const Token& op, std::shared_ptr<AggregateExpr> expr,
                                                            const std::vector<Operand>& args) {
  expr->op = ToAggregateOp(op.kind);
  expr->type = ValueType::kVector;
  expr->pos = {op.pos, last_end()};
  int depth = 0;
  for (const Operand& arg : args) {
    depth = std::max(depth, arg.depth);
  }
  const size_t wanted = TakesParameter(expr->op) ? 2 : 1;
  const bool experimental = expr->op == AggregateOp::kLimitk || expr->op == AggregateOp::kLimitRatio;
  if (args.empty()) {
    Error(expr->pos, "no arguments for aggregate expression provided");
  } else if (experimental && !options_.experimental_functions) {
    Error(expr->pos, std::string(AggregateOpText(expr->op)) +
                         "() is experimental and must be enabled with --enable-feature=promql-experimental-functions");
  } else if (args.size() != wanted) {
    Error(expr->pos, "wrong number of arguments for aggregate expression provided, expected " + std::to_string(wanted) +
                         ", got " + std::to_string(args.size()));
  } else {
    expr->param = wanted == 2 ? args[0].expr : nullptr;
    expr->expr = args[wanted - 1].expr;
  }
  return {std::move(expr), nullptr, depth + 1};
}

bool ExpressionParser::ParseGroupingModifier(AggregateExpr* aggregate) {
  aggregate->without = Take().kind == TokenKind::kWithout;
  return ParseLabelList(&aggregate->grouping);
}

bool ExpressionParser::ParseLabelList(std::vector<std::string>* labels) {
  if (!At(TokenKind::kLeftParen)) {
    return FailIn(kGroupingContext, RepairBareWord(Peek(), "(", ")"));
  }
  Take();
  if (Accept(TokenKind::kRightParen)) {
    return true;
  }
  for (;;) {
    if (!ParseLabelName(labels)) {
      return false;
    }
    const bool comma = Accept(TokenKind::kComma);
    if (Accept(TokenKind::kRightParen)) {
      return true;
    }
    if (!comma) {
      return FailIn({"grouping opts", "\",\" or \")\""});
    }
  }
}

bool ExpressionParser::ParseLabelName(std::vector<std::string>* labels) {
  if (!IsLabelName(Peek().kind) && !At(TokenKind::kString)) {
    return FailIn({"grouping opts", "label"});
  }
  const Token token = Take();
  std::string name = token.kind == TokenKind::kString ? Unquote(token.text) : std::string(token.text);
  if (name.empty() || !IsValidUtf8(name)) {
    Error(token.range(), "invalid label name for grouping: " + GoQuote(name));
  }
  labels->push_back(std::move(name));
  return true;
}

}  // namespace weir::promql
