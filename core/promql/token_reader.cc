#include "core/promql/token_reader.h"

#include <algorithm>

#include "core/promql/repair.h"

namespace weir::promql {

ParseError MakeParseError(std::string_view text, PositionRange pos, std::string message) {
  ParseError error;
  error.pos = pos;
  const std::string_view before =
      text.substr(0, static_cast<size_t>(std::clamp(pos.start, 0, static_cast<int>(text.size()))));
  error.line = 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0: the first line
  error.column = static_cast<int>(before.size() - line_start) + 1;
  error.message = std::move(message);
  return error;
}

std::string ParseError::ToString() const {
  std::string out = std::to_string(line) + ":" + std::to_string(column) + ": parse error: " + message;
  return fix.empty() ? out : out + "; did you mean: " + fix;
}

const Token& TokenReader::Peek() {
  if (!has_next_) {
    next_ = lexer_.Next();
    has_next_ = true;
    if (next_.kind == TokenKind::kError) {
      Error(next_.range(), next_.error, RepairCharacter(text(), next_.pos));
    }
  }
  return next_;
}

Token TokenReader::Take() {
  Peek();
  has_next_ = next_.kind == TokenKind::kError || next_.kind == TokenKind::kEnd;  // these stay
  last_end_ = next_.range().end;
  return next_;
}

bool TokenReader::Accept(TokenKind kind) {
  if (!At(kind)) {
    return false;
  }
  Take();
  return true;
}

bool TokenReader::Expect(TokenKind kind) { return Accept(kind) || Fail(); }

std::string TokenReader::Unexpected() {
  std::string message = "unexpected " + DescribeToken(Peek());
  if (!contexts_.empty() && !contexts_.back().in.empty()) {
    message.append(" in ").append(contexts_.back().in);
  }
  if (!contexts_.empty() && !contexts_.back().expected.empty()) {
    message.append(", expected ").append(contexts_.back().expected);
  }
  return message;
}

bool TokenReader::Fail(std::vector<Edit> edits) {
  const Token& token = Peek();
  if (token.kind == TokenKind::kError) {
    return false;  // reported when it was read
  }
  if (edits.empty()) {
    edits = RepairToken(text(), token);
  }
  Error(token.range(), Unexpected(), std::move(edits));
  return false;
}

bool TokenReader::FailIn(ParseContext context, std::vector<Edit> edits) {
  const InContext here(this, context);
  return Fail(std::move(edits));
}

void TokenReader::Error(PositionRange pos, std::string message, std::vector<Edit> edits) {
  if (errors_.empty()) {
    edits_ = std::move(edits);
  }
  errors_.push_back(MakeParseError(text(), pos, std::move(message)));
}

}  // namespace weir::promql
