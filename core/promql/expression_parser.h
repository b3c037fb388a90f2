#pragma once
// The expression parser: recursive descent for what has brackets, precedence climbing for operators. It builds the
// tree, folds durations, and leaves types to the checker. Private to this room; parser.cc is the door.

#include <memory>
#include <string>
#include <vector>

#include "core/promql/checker.h"
#include "core/promql/label_reader.h"

namespace weir::promql {

// How deep brackets, calls and unary operators may nest: the parser and everything after it recurse along them.
inline constexpr int kNestingMax = 250;
// How many operators may follow one another in one chain (`a or b or …`): the tree leans, and everybody walks it
// recursively.
inline constexpr int kTreeDepthMax = 500;
// How many operators one duration expression may have.
inline constexpr int kDurationOperatorsMax = 250;
// How long an expression may be. UNITS: bytes.
inline constexpr size_t kExpressionBytesMax = 1 << 20;

class ExpressionParser : public LabelReader {
 public:
  ExpressionParser(std::string_view text, const ParserOptions& options)
      : LabelReader(text, Lexer::Language::kExpression), options_(options) {}

  // Reads the whole text as an expression. RETURNS: null after a syntax error; check errors() too.
  ExprPtr ParseWhole();
  // Reads the whole text as a selector without modifiers. RETURNS: false after an error.
  bool ParseWholeSelector(std::vector<Matcher>* matchers);
  const DroppedMatching& dropped_matching() const { return dropped_; }

 private:
  // A node under construction. Modifiers reach the selector inside a range selector through `selector`.
  struct Operand {
    std::shared_ptr<Expr> expr;  // null: a syntax error was recorded
    std::shared_ptr<VectorSelector> selector;
    int depth = 1;
    explicit operator bool() const { return expr != nullptr; }
  };
  // A duration while it is built: `pos` and the tree.
  using Duration = std::shared_ptr<DurationExpr>;
  // Counts nesting for the length of a scope.
  class Nested {
   public:
    explicit Nested(ExpressionParser* parser) : parser_(parser) { ++parser_->nesting_; }
    ~Nested() { --parser_->nesting_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    // Reports the limit. RETURNS: whether it is kept.
    bool ok();

   private:
    ExpressionParser* parser_;
  };
  static constexpr ParseContext kGroupingContext = {"grouping opts", "\"(\""};

  Operand ParseBinary(int min_precedence);
  Operand ParseUnary();
  Operand ParsePostfix();
  Operand ParsePrimary();
  Operand ParseParen();
  Operand ParseNumberLiteral();
  Operand ParseStringLiteral();
  Operand ParseWord();
  Operand ParseSelector();
  Operand ParseCall();
  Operand ParseAggregate();
  bool ParseArguments(std::vector<Operand>* args);
  bool AcceptArgumentComma();
  bool ParseGroupingModifier(AggregateExpr* aggregate);
  bool ParseLabelList(std::vector<std::string>* labels);
  bool ParseLabelName(std::vector<std::string>* labels);

  bool ParseBinaryModifiers(BinaryExpr* expr);
  bool ParseGroupModifier(VectorMatching* matching);
  bool ParseFillModifiers(VectorMatching* matching);
  bool ParseFillValue(double* value);
  bool StartsExpression();
  Operand MakeBinary(Operand lhs, const Token& op, std::shared_ptr<BinaryExpr> expr, Operand rhs);
  Operand FinishAggregate(const Token& op, std::shared_ptr<AggregateExpr> expr, const std::vector<Operand>& args);

  bool ParseOffset(Operand* operand);
  bool ParseAt(Operand* operand);
  bool ParseAtTime(Operand* operand);
  bool ParseBrackets(Operand* operand);
  void ApplyRange(Operand* operand, PositionRange brackets, const Duration& range);
  void ApplySubquery(Operand* operand, const Duration& range, const Duration& step);
  void ApplyExtended(const Operand& operand, bool anchored);
  TimeModifiers* ModifiersOf(const Operand& operand, std::string_view modifier);
  void ExtendTo(const Operand& operand, int end);
  bool FailAtGrouping(const Operand& operand);

  Duration ParseDuration(int min_precedence);
  Duration ParseDurationRest(Duration left, int min_precedence);
  Duration ParseDurationOperand();
  Duration ParseDurationCall();
  Duration ParseDurationParen();
  Duration ParseDurationLiteral();
  Duration ParseOffsetDuration();
  Duration ParseOffsetRest(Duration first);
  Duration ParsePositiveDuration();
  Duration KeepParentheses(Duration literal);
  Duration NegateDuration(const Token& sign, Duration operand);
  Duration MakeDuration(const Token& op, Duration left, Duration right);
  int64_t FoldPositive(const Duration& duration);
  double NumberValue(const Token& token);

  ParserOptions options_;
  DroppedMatching dropped_;
  int nesting_ = 0;
  int duration_operators_ = 0;  // of the duration being read
};

}  // namespace weir::promql
