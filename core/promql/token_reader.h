#pragma once
// What every parser of this room stands on: one token of look-ahead, the list of errors, and the stack of contexts
// that decides how an unexpected token is described. Tokens are read as late as possible, so lexical errors appear
// only when the parser gets that far. Private to this room.

#include <string>
#include <string_view>
#include <vector>

#include "core/promql/lexer.h"
#include "core/promql/parser.h"

namespace weir::promql {

// A change of the text that may repair an error; tried in order, offered only when the result parses.
struct Edit {
  int start = 0;
  int end = 0;
  std::string text;
};

// Where the parser stands: `unexpected T in <in>, expected <expected>`.
struct ParseContext {
  std::string_view in;
  std::string_view expected;
};

class TokenReader {
 public:
  TokenReader(std::string_view text, Lexer::Language language) : lexer_(text, language) {}

  const std::vector<ParseError>& errors() const { return errors_; }
  std::vector<ParseError> TakeErrors() { return std::move(errors_); }
  // RETURNS: the repairs worth trying for the first error.
  const std::vector<Edit>& edits() const { return edits_; }

 protected:
  // Names the construct being read until the end of the scope.
  class InContext {
   public:
    InContext(TokenReader* reader, ParseContext context) : reader_(reader) { reader_->contexts_.push_back(context); }
    ~InContext() { reader_->contexts_.pop_back(); }
    InContext(const InContext&) = delete;
    InContext& operator=(const InContext&) = delete;
    void Change(ParseContext context) { reader_->contexts_.back() = context; }

   private:
    TokenReader* reader_;
  };

  const Token& Peek();
  Token Take();
  bool At(TokenKind kind) { return Peek().kind == kind; }
  bool Accept(TokenKind kind);
  // Takes a token of this kind, or fails.
  bool Expect(TokenKind kind);
  // Records that the next token cannot stand here. RETURNS: false, always.
  bool Fail(std::vector<Edit> edits = {});
  // The same for a context of the moment.
  bool FailIn(ParseContext context, std::vector<Edit> edits = {});
  void Error(PositionRange pos, std::string message, std::vector<Edit> edits = {});
  // RETURNS: `unexpected T in C, expected E` for the next token.
  std::string Unexpected();
  std::string_view text() const { return lexer_.text(); }
  int last_end() const { return last_end_; }  // of the token last taken

 private:
  Lexer lexer_;
  Token next_;
  bool has_next_ = false;
  int last_end_ = 0;
  std::vector<ParseContext> contexts_;
  std::vector<ParseError> errors_;
  std::vector<Edit> edits_;
};

// RETURNS: a ParseError with its line and column computed.
ParseError MakeParseError(std::string_view text, PositionRange pos, std::string message);

}  // namespace weir::promql
