#pragma once
// Cuts a template text into tokens. Spaces inside actions are tokens because they separate operands: `.a .b` are two.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace weir::tmpl {

enum class TokenKind : unsigned char {
  kError,
  kEof,
  kText,
  kLeftDelimiter,
  kRightDelimiter,
  kSpace,
  kIdentifier,
  kField,
  kVariable,
  kDot,
  kBool,
  kNumber,
  kCharConstant,
  kString,
  kRawString,
  kChar,
  kPipe,
  kLeftParen,
  kRightParen,
  kDeclare,
  kAssign,
  kNil,
  kBlock,
  kBreak,
  kContinue,
  kDefine,
  kElse,
  kEnd,
  kIf,
  kRange,
  kTemplate,
  kWith,  // keywords, last
};

struct Token {
  TokenKind kind = TokenKind::kEof;
  size_t pos = 0;
  int line = 1;
  std::string text;  // as written; kError: the message
  // RETURNS: the token as messages show it.
  std::string ToString() const;
};

// RETURNS: tokens up to and including the first kError or kEof.
std::vector<Token> Lex(std::string_view input);

// Appends the UTF-8 form of `rune`, U+FFFD when it is none.
void AppendRune(std::string* out, char32_t rune);
// Reads one rune at `*pos` and moves past it; a byte that is no UTF-8 reads as U+FFFD, one byte wide.
char32_t ReadRune(std::string_view text, size_t* pos);

}  // namespace weir::tmpl
