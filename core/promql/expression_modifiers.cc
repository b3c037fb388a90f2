// What stands behind an operand: offset, @, anchored and smoothed, ranges and subqueries.

#include "core/promql/expression_parser.h"

#include <cmath>

#include "core/model/duration.h"
#include "core/promql/literals.h"
#include "core/promql/precedence.h"

namespace weir::promql {
namespace {

constexpr ParseContext kOffsetContext = {"offset", "number, duration, step(), or range()"};
constexpr ParseContext kRangeContext = {"subquery or range selector", "number, duration, step(), or range()"};
constexpr ParseContext kRangeEndContext = {"subquery or range", "\":\" or \"]\""};
constexpr ParseContext kStepContext = {"subquery selector", "number, duration, step(), range(), or \"]\""};
constexpr ParseContext kStepEndContext = {"subquery selector", "\"]\""};

}  // namespace

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

}  // namespace weir::promql
