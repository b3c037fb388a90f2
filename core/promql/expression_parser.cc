#include "core/promql/expression_parser.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/model/duration.h"
#include "core/promql/functions.h"
#include "core/promql/literals.h"
#include "core/promql/repair.h"

namespace weir::promql {
namespace {

constexpr int kMulPrecedence = 5;
constexpr int kPowPrecedence = 6;

// RETURNS: how tightly a binary operator binds, 0 for any other token.
int Precedence(TokenKind kind) {
  switch (kind) {
    case TokenKind::kOr:
      return 1;
    case TokenKind::kAnd:
    case TokenKind::kUnless:
      return 2;
    case TokenKind::kAdd:
    case TokenKind::kSub:
      return 4;
    case TokenKind::kMul:
    case TokenKind::kDiv:
    case TokenKind::kMod:
    case TokenKind::kAtan2:
      return kMulPrecedence;
    case TokenKind::kPow:
      return kPowPrecedence;
    default:
      return kind >= TokenKind::kEqualEqual && kind <= TokenKind::kTrimLower ? 3 : 0;
  }
}

// The least precedence of the right operand: `^` groups to the right, everything else to the left.
int RightPrecedence(int precedence) { return precedence == kPowPrecedence ? precedence : precedence + 1; }

BinaryOp ToBinaryOp(TokenKind kind) {
  return static_cast<BinaryOp>(static_cast<int>(kind) - static_cast<int>(TokenKind::kAdd));
}

AggregateOp ToAggregateOp(TokenKind kind) {
  return static_cast<AggregateOp>(static_cast<int>(kind) - static_cast<int>(TokenKind::kSum));
}

bool TakesParameter(AggregateOp op) {
  return op >= AggregateOp::kTopk;  // every operator after the plain ones
}

bool IsSign(TokenKind kind) { return kind == TokenKind::kAdd || kind == TokenKind::kSub; }
bool IsDurationCall(TokenKind kind) { return kind >= TokenKind::kStep && kind <= TokenKind::kMinOf; }

// Label names that are keywords; `without` is not among them, as upstream.
bool IsLabelName(TokenKind kind) {
  return kind == TokenKind::kIdentifier || kind == TokenKind::kMetricIdentifier || kind == TokenKind::kAtan2 ||
         kind == TokenKind::kAnd || kind == TokenKind::kOr || kind == TokenKind::kUnless ||
         (kind >= TokenKind::kSum && kind != TokenKind::kWithout);
}

constexpr ParseContext kOffsetContext = {"offset", "number, duration, step(), or range()"};
constexpr ParseContext kRangeContext = {"subquery or range selector", "number, duration, step(), or range()"};
constexpr ParseContext kRangeEndContext = {"subquery or range", "\":\" or \"]\""};
constexpr ParseContext kStepContext = {"subquery selector", "number, duration, step(), range(), or \"]\""};
constexpr ParseContext kStepEndContext = {"subquery selector", "\"]\""};
constexpr ParseContext kGroupingContext = {"grouping opts", "\"(\""};
constexpr double kDurationMaxSeconds = 9223372036.854775807;  // int64 nanoseconds, as in Prometheus

}  // namespace

// Counts nesting for the length of a scope.
class ExpressionParser::Nested {
 public:
  explicit Nested(ExpressionParser* parser) : parser_(parser) { ++parser_->nesting_; }
  ~Nested() { --parser_->nesting_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  // Reports the limit. RETURNS: whether it is kept.
  bool ok() {
    if (parser_->nesting_ <= kNestingMax) {
      return true;
    }
    if (parser_->nesting_ == kNestingMax + 1 && parser_->Peek().kind != TokenKind::kError) {
      parser_->Error(parser_->Peek().range(),
                     "expression is nested more than " + std::to_string(kNestingMax) + " levels deep");
    }
    return false;
  }

 private:
  ExpressionParser* parser_;
};

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

// --- modifiers ---

// RETURNS: where the operand keeps its offset and @, null (and an error) when it has none.
TimeModifiers* ExpressionParser::ModifiersOf(const Operand& operand, std::string_view modifier) {
  switch (operand.expr->kind) {
    case ExprKind::kVectorSelector:
    case ExprKind::kMatrixSelector:
      return &operand.selector->time;
    case ExprKind::kSubquery:
      return &static_cast<SubqueryExpr&>(*operand.expr).time;
    default:
      Error(operand.expr->pos,
            std::string(modifier) +
                " modifier must be preceded by an instant vector selector or range vector selector or a subquery");
      return nullptr;
  }
}

void ExpressionParser::ExtendTo(const Operand& operand, int end) { operand.expr->pos.end = end; }

bool ExpressionParser::ParseOffset(Operand* operand) {
  Take();
  const InContext context(this, kOffsetContext);
  const Duration offset = ParseOffsetDuration();
  if (!offset) {
    return false;
  }
  TimeModifiers* time = ModifiersOf(*operand, "offset");
  if (time == nullptr) {
    return true;
  }
  if (time->offset_ms != 0 || time->offset_expr) {
    Error(operand->expr->pos, "offset may not be set multiple times");
  } else if (offset->op == DurationExpr::Op::kLiteral && !std::isnan(offset->seconds)) {
    time->offset_ms = SecondsToMs(offset->seconds);
  } else {
    const Result<int64_t> folded = EvalDuration(*offset, options_.step_ms, options_.range_ms);
    if (!folded.ok()) {
      Error(offset->pos, std::string(folded.status().message()));
    } else {
      time->offset_ms = *folded;
      time->offset_expr = offset;
    }
  }
  ExtendTo(*operand, last_end());
  return true;
}

bool ExpressionParser::ParseAt(Operand* operand) {
  Take();
  const InContext context(this, {"@", "timestamp"});
  if (!At(TokenKind::kStart) && !At(TokenKind::kFinish)) {
    return ParseAtTime(operand);
  }
  const AtKind kind = Take().kind == TokenKind::kStart ? AtKind::kStart : AtKind::kEnd;
  if (!Expect(TokenKind::kLeftParen) || !Expect(TokenKind::kRightParen)) {
    return false;
  }
  if (TimeModifiers* time = ModifiersOf(*operand, "@"); time != nullptr) {
    if (time->at != AtKind::kNone) {
      Error(operand->expr->pos, "@ <timestamp> may not be set multiple times");
      return true;
    }
    time->at = kind;
    ExtendTo(*operand, last_end());
  }
  return true;
}

bool ExpressionParser::ParseAtTime(Operand* operand) {
  double sign = 1;
  if (IsSign(Peek().kind)) {
    sign = Take().kind == TokenKind::kSub ? -1 : 1;
  }
  if (!At(TokenKind::kNumber) && !At(TokenKind::kDuration)) {
    return Fail();
  }
  const double seconds = sign * NumberValue(Take());
  const double ms = std::round(seconds * 1000);
  const bool fits = ms > -9223372036854775808.0 && ms < 9223372036854775807.0;  // false for NaN
  if (!fits) {
    Error(operand->expr->pos, "timestamp out of bounds for @ modifier: " + FormatFloat(seconds, 'f', 6));
  }
  TimeModifiers* time = ModifiersOf(*operand, "@");
  if (time == nullptr) {
    return true;
  }
  if (time->at != AtKind::kNone) {
    Error(operand->expr->pos, "@ <timestamp> may not be set multiple times");
    return true;
  }
  time->at = AtKind::kTime;
  time->at_ms = fits ? static_cast<int64_t>(ms) : 0;
  ExtendTo(*operand, last_end());
  return true;
}

void ExpressionParser::ApplyExtended(const Operand& operand, bool anchored) {
  const std::string word = anchored ? "anchored" : "smoothed";
  const PositionRange pos = operand.expr->pos;
  if (!options_.extended_range_selectors) {
    Error(pos, word + " modifier is experimental and not enabled");
    return;
  }
  if (operand.expr->kind == ExprKind::kSubquery) {
    Error(pos, word + " modifier is not supported for subqueries");
    return;
  }
  if (!operand.selector) {
    Error(pos, word + " modifier not implemented");
    return;
  }
  (anchored ? operand.selector->anchored : operand.selector->smoothed) = true;
  if (operand.selector->anchored && operand.selector->smoothed) {
    Error(pos, "anchored and smoothed modifiers cannot be used together");
  }
}

// --- ranges ---

bool ExpressionParser::ParseBrackets(Operand* operand) {
  const Token open = Take();
  InContext context(this, kRangeContext);
  const Duration range = ParsePositiveDuration();
  if (!range) {
    return false;
  }
  context.Change(kRangeEndContext);
  if (Accept(TokenKind::kRightBracket)) {
    ApplyRange(operand, {open.pos, last_end()}, range);
    return true;
  }
  if (!Expect(TokenKind::kColon)) {
    return false;
  }
  context.Change(kStepContext);
  Duration step;
  if (!At(TokenKind::kRightBracket)) {
    step = ParsePositiveDuration();
    if (!step) {
      return false;
    }
    context.Change(kStepEndContext);
  }
  if (!Expect(TokenKind::kRightBracket)) {
    return false;
  }
  ApplySubquery(operand, range, step);
  return true;
}

// RETURNS: the duration in ms; at least 1, or an error is recorded.
int64_t ExpressionParser::FoldPositive(const Duration& duration) {
  if (duration->op == DurationExpr::Op::kLiteral) {
    const int64_t ms = SecondsToMs(duration->seconds);
    // ParsePositiveDuration has refused what is not above zero; less than a millisecond is no window either.
    if (ms <= 0 && duration->seconds > 0) {
      Error(duration->pos, "duration must be greater than 0");
    }
    return ms;
  }
  const Result<int64_t> folded = EvalDuration(*duration, options_.step_ms, options_.range_ms);
  if (!folded.ok()) {
    Error(duration->pos, std::string(folded.status().message()));
    return 0;
  }
  if (*folded <= 0) {
    Error(duration->pos, "duration must be greater than 0");
  }
  return *folded;
}

void ExpressionParser::ApplyRange(Operand* operand, PositionRange brackets, const Duration& range) {
  if (operand->expr->kind != ExprKind::kVectorSelector) {
    Error(brackets, "ranges only allowed for vector selectors",
          {{brackets.end - 1, brackets.end - 1, ":"}});      // a subquery is what ranges over an expression
    operand->selector = std::make_shared<VectorSelector>();  // the tree is not used after an error
  } else if (operand->selector->time.offset_ms != 0 && !operand->selector->time.offset_expr) {
    Error(brackets, "no offset modifiers allowed before range");
  } else if (operand->selector->time.at == AtKind::kTime) {
    Error(brackets, "no @ modifiers allowed before range");
  }
  auto matrix = std::make_shared<MatrixSelector>();
  matrix->type = ValueType::kMatrix;
  matrix->selector = operand->selector;
  matrix->range_ms = FoldPositive(range);
  matrix->range_expr = range->op == DurationExpr::Op::kLiteral ? nullptr : range;
  matrix->pos = {operand->expr->pos.start, brackets.end};
  operand->expr = std::move(matrix);
  operand->depth += 1;
}

void ExpressionParser::ApplySubquery(Operand* operand, const Duration& range, const Duration& step) {
  auto subquery = std::make_shared<SubqueryExpr>();
  subquery->type = ValueType::kMatrix;
  subquery->range_ms = FoldPositive(range);
  subquery->range_expr = range->op == DurationExpr::Op::kLiteral ? nullptr : range;
  if (step) {
    subquery->step_ms = FoldPositive(step);
    subquery->step_expr = step->op == DurationExpr::Op::kLiteral ? nullptr : step;
  }
  subquery->pos = {operand->expr->pos.start, last_end()};
  subquery->expr = std::move(operand->expr);
  operand->expr = std::move(subquery);
  operand->selector = nullptr;
  operand->depth += 1;
}

// --- durations ---

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
