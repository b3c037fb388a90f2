#pragma once
// The typed tree of a PromQL expression. The parser builds it, the checker types it, everything after reads it.
// Nodes are immutable once parsed and shared by shared_ptr<const Expr>: a rule, its plan and the API hold the
// same tree. Positions are byte offsets into the text that was parsed.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/model/matcher.h"

namespace weir::promql {

enum class ValueType : unsigned char { kNone, kScalar, kVector, kMatrix, kString };
// RETURNS: "scalar", "instant vector", "range vector", "string", "none" (as in Prometheus's messages).
std::string_view ValueTypeText(ValueType type);

struct PositionRange {
  int start = 0;
  int end = 0;  // exclusive
};

enum class ExprKind : unsigned char {
  kNumber,
  kString,
  kVectorSelector,
  kMatrixSelector,
  kSubquery,
  kCall,
  kAggregate,
  kBinary,
  kUnary,
  kParen
};

struct Expr {
  explicit Expr(ExprKind k) : kind(k) {}
  virtual ~Expr() = default;
  const ExprKind kind;
  ValueType type = ValueType::kNone;
  PositionRange pos;
};
using ExprPtr = std::shared_ptr<const Expr>;

struct NumberLiteral final : Expr {
  NumberLiteral() : Expr(ExprKind::kNumber) {}
  double value = 0;
  bool is_duration = false;  // written as 5m: printed as a duration
};

struct StringLiteral final : Expr {
  StringLiteral() : Expr(ExprKind::kString) {}
  std::string value;
};

// A duration expression of §4.2, kept beside its folded value only so that it prints as written.
// In rules and instant queries step() and range() are 0, so every duration folds when it is parsed.
struct DurationExpr {
  enum class Op : unsigned char {
    kLiteral,
    kStep,
    kRange,
    kAdd,
    kSub,
    kMul,
    kDiv,
    kMod,
    kPow,
    kNeg,
    kPos,
    kMin,
    kMax,
    kParen
  };
  Op op = Op::kLiteral;
  double seconds = 0;      // kLiteral
  bool as_number = false;  // literal written as a bare number of seconds
  std::shared_ptr<const DurationExpr> left;
  std::shared_ptr<const DurationExpr> right;
  PositionRange pos;
};
using DurationExprPtr = std::shared_ptr<const DurationExpr>;
// Evaluates a duration expression. UNITS: step, range and the result in milliseconds.
Result<int64_t> EvalDuration(const DurationExpr& expr, int64_t step_ms, int64_t range_ms);

// `@ 12.5`, `@ start()`, `@ end()`.
enum class AtKind : unsigned char { kNone, kTime, kStart, kEnd };
struct TimeModifiers {
  int64_t offset_ms = 0;        // positive looks back
  DurationExprPtr offset_expr;  // set when the offset was not one plain literal
  AtKind at = AtKind::kNone;
  int64_t at_ms = 0;  // kTime only
};

struct VectorSelector final : Expr {
  VectorSelector() : Expr(ExprKind::kVectorSelector) {}
  std::string name;  // metric name as written in front of the braces, "" if none; a quoted name is only a matcher
  std::vector<Matcher> matchers;  // includes the __name__ matcher of `name`, last, as upstream has it
  TimeModifiers time;
  bool anchored = false;
  bool smoothed = false;
  bool bypass_empty_matcher_check = false;  // info()'s second argument
};

struct MatrixSelector final : Expr {
  MatrixSelector() : Expr(ExprKind::kMatrixSelector) {}
  std::shared_ptr<const VectorSelector> selector;  // carries offset, @, anchored, smoothed
  int64_t range_ms = 0;
  DurationExprPtr range_expr;  // set when not one plain literal
};

struct SubqueryExpr final : Expr {
  SubqueryExpr() : Expr(ExprKind::kSubquery) {}
  ExprPtr expr;
  int64_t range_ms = 0;
  DurationExprPtr range_expr;
  int64_t step_ms = 0;  // 0: not given, the global evaluation interval
  DurationExprPtr step_expr;
  TimeModifiers time;
};

struct FunctionSignature;  // core/promql/functions.h

struct Call final : Expr {
  Call() : Expr(ExprKind::kCall) {}
  const FunctionSignature* function = nullptr;
  std::vector<ExprPtr> args;
};

enum class AggregateOp : unsigned char {
  kSum,
  kAvg,
  kCount,
  kMin,
  kMax,
  kGroup,
  kStddev,
  kStdvar,
  kTopk,
  kBottomk,
  kCountValues,
  kQuantile,
  kLimitk,
  kLimitRatio
};
std::string_view AggregateOpText(AggregateOp op);

struct AggregateExpr final : Expr {
  AggregateExpr() : Expr(ExprKind::kAggregate) {}
  AggregateOp op = AggregateOp::kSum;
  ExprPtr expr;
  ExprPtr param;  // null when the operator takes none
  std::vector<std::string> grouping;
  bool without = false;
};

enum class BinaryOp : unsigned char {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMod,
  kPow,
  kAtan2,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kTrimUpper,  // h </ x
  kTrimLower,  // h >/ x
  kAnd,
  kOr,
  kUnless
};
std::string_view BinaryOpText(BinaryOp op);
inline bool IsComparison(BinaryOp op) { return op >= BinaryOp::kEq && op <= BinaryOp::kGe; }
inline bool IsSetOperator(BinaryOp op) { return op >= BinaryOp::kAnd; }

enum class MatchCardinality : unsigned char {
  kOneToOne,
  kManyToOne,
  kOneToMany,
  kManyToMany
};  // kManyToOne = group_left

struct VectorMatching {
  MatchCardinality cardinality = MatchCardinality::kOneToOne;
  std::vector<std::string> labels;
  bool on = false;
  std::vector<std::string> include;  // group_left(…)/group_right(…)
  std::optional<double> fill_left;
  std::optional<double> fill_right;
};

struct BinaryExpr final : Expr {
  BinaryExpr() : Expr(ExprKind::kBinary) {}
  BinaryOp op = BinaryOp::kAdd;
  ExprPtr lhs;
  ExprPtr rhs;
  std::optional<VectorMatching> matching;  // set when both sides are vectors
  bool return_bool = false;
};

struct UnaryExpr final : Expr {
  UnaryExpr() : Expr(ExprKind::kUnary) {}
  bool negate = false;
  ExprPtr expr;
};

struct ParenExpr final : Expr {
  ParenExpr() : Expr(ExprKind::kParen) {}
  ExprPtr expr;
};

template <typename T>
const T& As(const Expr& e) {
  return static_cast<const T&>(e);
}
// RETURNS: the expression inside any parentheses.
const Expr& Unparen(const Expr& e);

}  // namespace weir::promql
