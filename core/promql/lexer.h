#pragma once
// The scanner of PromQL text. It reads one token at a time, on demand, because what a character means depends on
// where it stands: inside braces words are label names, inside brackets only durations may stand, and series
// descriptions have a language of their own. The first lexical error ends the stream. Private to this room.

#include <cstdint>
#include <string>
#include <string_view>

#include "core/promql/ast.h"

namespace weir::promql {

enum class TokenKind : unsigned char {
  kEnd,
  kError,
  kIdentifier,
  kMetricIdentifier,
  kNumber,
  kDuration,
  kString,
  kLeftParen,
  kRightParen,
  kLeftBrace,
  kRightBrace,
  kLeftBracket,
  kRightBracket,
  kComma,
  kColon,
  kEqual,
  kBlank,
  kOpenHistogram,
  kCloseHistogram,
  kTimes,
  kSpace,
  kHistogramKey,  // `sum`, `n_buckets`, …
  kResetHint,     // `gauge`, …
  // operators, in the order of BinaryOp as far as they are binary
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMod,
  kPow,
  kAtan2,
  kEqualEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kTrimUpper,
  kTrimLower,
  kAnd,
  kOr,
  kUnless,
  kEqualRegex,
  kNotEqualRegex,
  kAt,
  // aggregations, in the order of AggregateOp
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
  kLimitRatio,
  // keywords
  kOffset,
  kSmoothed,
  kAnchored,
  kBy,
  kWithout,
  kOn,
  kIgnoring,
  kGroupLeft,
  kGroupRight,
  kFill,
  kFillLeft,
  kFillRight,
  kBool,
  // words that stand for a function before a parenthesis
  kStart,
  kFinish,
  kStep,
  kRange,
  kMaxOf,
  kMinOf,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int pos = 0;            // byte offset of the first character
  std::string_view text;  // as written
  std::string error;      // kError: what is wrong
  PositionRange range() const { return {pos, pos + static_cast<int>(text.size())}; }
};

// RETURNS: how Prometheus names the token in `unexpected …` messages.
std::string DescribeToken(const Token& token);
inline bool IsBinaryOperator(TokenKind kind) { return kind >= TokenKind::kAdd && kind <= TokenKind::kUnless; }
inline bool IsAggregation(TokenKind kind) { return kind >= TokenKind::kSum && kind <= TokenKind::kLimitRatio; }

class Lexer {
 public:
  enum class Language : unsigned char { kExpression, kSeries };
  Lexer(std::string_view text, Language language) : text_(text), language_(language) {}

  // RETURNS: the next token; kEnd or kError again and again once reached.
  Token Next();
  std::string_view text() const { return text_; }

 private:
  enum class State : unsigned char {
    kStatement,
    kBraces,
    kDuration,
    kValues,
    kHistogram,      // in `{{…}}`
    kBuckets,        // in its `[…]`
    kBucketsNumber,  // after a minus there
    kDone,
  };

  int32_t Peek() const;  // the next code point, kEndOfText or kBadRune
  int32_t Read();
  void Back() { at_ -= width_; }
  bool Accept(std::string_view set);
  bool AtAny(std::string_view set) const;
  void SkipSpaces();
  void SkipComment();

  Token Make(TokenKind kind);
  Token Fail(std::string message);
  Token LexStatement();
  Token LexOperator(int32_t c);
  Token LexBracketWord(int32_t c);
  Token LexBraces();
  Token LexDuration();
  Token LexValues();
  Token LexNumber();
  Token LexHistogram();
  Token LexHistogramWord();
  Token LexBuckets();
  Token LexNumberOrDuration();
  Token LexString(int32_t quote);
  bool LexEscape(int32_t quote, std::string* error);
  Token LexWord();
  Token CloseParen();
  bool ScanNumber();
  bool ScanNumberTail(std::string_view digits);
  bool ScanRestOfDuration();
  bool ScanDurationWord(TokenKind* kind);

  std::string_view text_;
  Language language_;
  State state_ = State::kStatement;
  size_t start_ = 0;  // of the token being read
  size_t at_ = 0;
  size_t width_ = 0;  // of the code point last read
  int parens_ = 0;
  bool bracket_open_ = false;
  bool got_colon_ = false;
  bool got_duration_ = false;
  Token last_;
};

}  // namespace weir::promql
