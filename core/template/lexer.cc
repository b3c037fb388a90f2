#include "core/template/lexer.h"

#include <cstdio>

#include "core/model/labels.h"

namespace weir::tmpl {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";
constexpr std::string_view kLeft = "{{", kRight = "}}", kLeftComment = "/*", kRightComment = "*/";

bool IsSpace(int c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool IsDigit(int c) { return c >= '0' && c <= '9'; }
// Names may hold any letter; all runes beyond ASCII count as letters here.
bool IsAlnum(int c) { return c == '_' || IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80; }

std::string RuneName(char32_t rune) {
  char head[16];
  snprintf(head, sizeof head, "U+%04X", static_cast<unsigned>(rune));
  std::string out = head;
  if (rune >= 0x20 && rune != 0x7f) {
    out += " '";
    AppendRune(&out, rune);
    out += "'";
  }
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view input) : input_(input) {}

  std::vector<Token> Run() {
    while (tokens_.empty() || tokens_.back().kind > TokenKind::kEof) {
      inside_ ? LexInside() : LexText();
    }
    return std::move(tokens_);
  }

 private:
  int Peek(size_t ahead = 0) const {
    return pos_ + ahead < input_.size() ? static_cast<unsigned char>(input_[pos_ + ahead]) : -1;
  }
  bool At(std::string_view text) const { return input_.substr(pos_).substr(0, text.size()) == text; }
  // ` -}}`: the dash trims only when a space stands before it.
  bool AtTrimmedRight(size_t pos) const {
    return pos + 1 < input_.size() && IsSpace(static_cast<unsigned char>(input_[pos])) && input_[pos + 1] == '-' &&
           input_.substr(pos + 2).substr(0, 2) == kRight;
  }
  void AdvanceLines(size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      line_ += input_[i] == '\n' ? 1 : 0;
    }
  }
  void Emit(TokenKind kind) {
    tokens_.push_back({kind, start_, line_, std::string(input_.substr(start_, pos_ - start_))});
    AdvanceLines(start_, pos_);
    start_ = pos_;
  }
  void Error(std::string message) { tokens_.push_back({TokenKind::kError, start_, line_, std::move(message)}); }
  void Skip(size_t to) {
    AdvanceLines(start_, to);
    pos_ = start_ = to;
  }

  void LexText() {
    size_t left = input_.find(kLeft, pos_);
    if (left == std::string_view::npos) {
      pos_ = input_.size();
      if (pos_ > start_) {
        Emit(TokenKind::kText);
      }
      Emit(TokenKind::kEof);
      return;
    }
    const bool trim =
        left + 3 < input_.size() && input_[left + 2] == '-' && IsSpace(static_cast<unsigned char>(input_[left + 3]));
    size_t end = left;
    while (trim && end > start_ && IsSpace(static_cast<unsigned char>(input_[end - 1]))) {
      --end;
    }
    pos_ = end;
    if (pos_ > start_) {
      Emit(TokenKind::kText);
    }
    Skip(left);
    LexLeftDelimiter(trim);
  }

  void LexLeftDelimiter(bool trim) {
    pos_ += kLeft.size();
    const size_t after = trim ? 2 : 0;
    if (input_.substr(pos_ + after).substr(0, 2) == kLeftComment) {
      LexComment(pos_ + after);
      return;
    }
    Emit(TokenKind::kLeftDelimiter);
    Skip(pos_ + after);
    parens_ = 0;
    inside_ = true;
  }

  void LexComment(size_t open) {
    const size_t close = input_.find(kRightComment, open);
    if (close == std::string_view::npos) {
      Error("unclosed comment");
      return;
    }
    size_t end = close + kRightComment.size();
    const bool trim = AtTrimmedRight(end);
    if (!trim && input_.substr(end).substr(0, 2) != kRight) {
      Error("comment ends before closing delimiter");
      return;
    }
    end += trim ? 4 : 2;
    Skip(end);
    if (trim) {
      SkipSpaces();
    }
  }

  void SkipSpaces() {
    const size_t next = input_.find_first_not_of(kSpaces, pos_);
    Skip(next == std::string_view::npos ? input_.size() : next);
  }

  void LexInside() {
    const bool trim = AtTrimmedRight(pos_);
    if (trim || At(kRight)) {
      if (parens_ > 0) {
        Error("unclosed left paren");
        return;
      }
      if (trim) {
        Skip(pos_ + 2);
      }
      pos_ += kRight.size();
      Emit(TokenKind::kRightDelimiter);
      if (trim) {
        SkipSpaces();
      }
      inside_ = false;
      return;
    }
    const int c = Peek();
    if (c < 0) {
      Error("unclosed action");
    } else if (IsSpace(c)) {
      LexSpace();
    } else if (c == '"' || c == '\'') {
      LexQuoted(static_cast<char>(c));
    } else if (c == '`') {
      LexRaw();
    } else if (c == '$') {
      ++pos_;
      LexName(TokenKind::kVariable, TokenKind::kVariable);
    } else if (c == '.' && !IsDigit(Peek(1))) {
      ++pos_;
      LexName(TokenKind::kField, TokenKind::kDot);
    } else if (c == '.' || c == '+' || c == '-' || IsDigit(c)) {
      LexNumber();
    } else if (IsAlnum(c)) {
      LexWord();
    } else {
      LexPunctuation(c);
    }
  }

  void LexPunctuation(int c) {
    ++pos_;
    switch (c) {
      case '=':
        Emit(TokenKind::kAssign);
        return;
      case '|':
        Emit(TokenKind::kPipe);
        return;
      case '(':
        ++parens_;
        Emit(TokenKind::kLeftParen);
        return;
      case ')':
        if (--parens_ < 0) {
          Error("unexpected right paren");
          return;
        }
        Emit(TokenKind::kRightParen);
        return;
      case ':':
        if (Peek() != '=') {
          Error("expected :=");
          return;
        }
        ++pos_;
        Emit(TokenKind::kDeclare);
        return;
      default:
        break;
    }
    if (c > 0x20 && c < 0x7f) {
      Emit(TokenKind::kChar);
      return;
    }
    Error("unrecognized character in action: " + RuneName(static_cast<char32_t>(c)));
  }

  void LexSpace() {
    while (IsSpace(Peek()) && !AtTrimmedRight(pos_)) {
      ++pos_;
    }
    if (pos_ > start_) {
      Emit(TokenKind::kSpace);
    }
  }

  void LexQuoted(char quote) {
    const char* const what = quote == '"' ? "unterminated quoted string" : "unterminated character constant";
    for (++pos_;; ++pos_) {
      const int c = Peek();
      if (c == '\\' && Peek(1) >= 0 && Peek(1) != '\n') {
        ++pos_;
      } else if (c < 0 || c == '\n' || c == '\\') {
        Error(what);
        return;
      } else if (c == quote) {
        break;
      }
    }
    ++pos_;
    Emit(quote == '"' ? TokenKind::kString : TokenKind::kCharConstant);
  }

  void LexRaw() {
    const size_t end = input_.find('`', pos_ + 1);
    if (end == std::string_view::npos) {
      Error("unterminated raw quoted string");
      return;
    }
    pos_ = end + 1;
    Emit(TokenKind::kRawString);
  }

  bool AtTerminator() const {
    const int c = Peek();
    return c < 0 || IsSpace(c) || std::string_view(".,|:)(").find(static_cast<char>(c)) != std::string_view::npos ||
           At(kRight);
  }

  bool CheckTerminator() {
    if (AtTerminator()) {
      return true;
    }
    size_t pos = pos_;
    Error("bad character " + RuneName(ReadRune(input_, &pos)));
    return false;
  }

  void LexName(TokenKind named, TokenKind bare) {
    if (AtTerminator()) {
      Emit(bare);
      return;
    }
    while (IsAlnum(Peek())) {
      ++pos_;
    }
    if (CheckTerminator()) {
      Emit(named);
    }
  }

  void LexWord() {
    while (IsAlnum(Peek())) {
      ++pos_;
    }
    const std::string_view word = input_.substr(start_, pos_ - start_);
    if (!CheckTerminator()) {
      return;
    }
    static constexpr struct {
      std::string_view word;
      TokenKind kind;
    } kKeywords[] = {
        {"block", TokenKind::kBlock},
        {"break", TokenKind::kBreak},
        {"continue", TokenKind::kContinue},
        {"define", TokenKind::kDefine},
        {"else", TokenKind::kElse},
        {"end", TokenKind::kEnd},
        {"if", TokenKind::kIf},
        {"nil", TokenKind::kNil},
        {"range", TokenKind::kRange},
        {"template", TokenKind::kTemplate},
        {"with", TokenKind::kWith},
        {"true", TokenKind::kBool},
        {"false", TokenKind::kBool},
    };
    for (const auto& keyword : kKeywords) {
      if (keyword.word == word) {
        Emit(keyword.kind);
        return;
      }
    }
    Emit(TokenKind::kIdentifier);
  }

  void AcceptRun(std::string_view allowed) {
    while (Peek() >= 0 && allowed.find(static_cast<char>(Peek())) != std::string_view::npos) {
      ++pos_;
    }
  }

  void LexNumber() {
    if (Peek() == '+' || Peek() == '-') {
      ++pos_;
    }
    std::string_view digits = "0123456789_";
    bool hexadecimal = false;
    if (Peek() == '0') {
      const int base = Peek(1) | 0x20;
      if (base == 'x' || base == 'o' || base == 'b') {
        hexadecimal = base == 'x';
        digits = hexadecimal ? "0123456789abcdefABCDEF_" : base == 'o' ? "01234567_" : "01_";
        pos_ += 2;
      }
    }
    AcceptRun(digits);
    if (Peek() == '.') {
      ++pos_;
      AcceptRun(digits);
    }
    const int exponent = Peek() | 0x20;
    if (Peek() > 0 && ((exponent == 'e' && digits.size() == 11) || (exponent == 'p' && hexadecimal))) {
      ++pos_;
      if (Peek() == '+' || Peek() == '-') {
        ++pos_;
      }
      AcceptRun("0123456789_");
    }
    if (IsAlnum(Peek())) {
      ++pos_;
      Error("bad number syntax: " + GoQuote(input_.substr(start_, pos_ - start_)));
      return;
    }
    Emit(TokenKind::kNumber);
  }

  std::string_view input_;
  size_t pos_ = 0;
  size_t start_ = 0;
  int line_ = 1;
  int parens_ = 0;
  bool inside_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

void AppendRune(std::string* out, char32_t rune) {
  if (rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) {
    rune = 0xfffd;
  }
  if (rune < 0x80) {
    out->push_back(static_cast<char>(rune));
  } else if (rune < 0x800) {
    out->push_back(static_cast<char>(0xc0 | (rune >> 6)));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  } else if (rune < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | (rune >> 12)));
    out->push_back(static_cast<char>(0x80 | ((rune >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  } else {
    out->push_back(static_cast<char>(0xf0 | (rune >> 18)));
    out->push_back(static_cast<char>(0x80 | ((rune >> 12) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | ((rune >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  }
}

char32_t ReadRune(std::string_view text, size_t* pos) {
  const auto byte = [&](size_t i) -> unsigned { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const unsigned first = byte(*pos);
  const size_t width = first < 0x80                    ? 1
                       : first >= 0xc2 && first < 0xe0 ? 2
                       : first >= 0xe0 && first < 0xf0 ? 3
                       : first >= 0xf0 && first < 0xf5 ? 4
                                                       : 0;
  char32_t rune = width == 1 ? first : width == 2 ? first & 0x1f : width == 3 ? first & 0x0f : first & 0x07;
  for (size_t i = 1; i < width; ++i) {
    if ((byte(*pos + i) & 0xc0) != 0x80) {
      ++*pos;
      return 0xfffd;
    }
    rune = (rune << 6) | (byte(*pos + i) & 0x3f);
  }
  const bool overlong = (width == 3 && rune < 0x800) || (width == 4 && rune < 0x10000);
  if (width == 0 || overlong || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) {
    ++*pos;
    return 0xfffd;
  }
  *pos += width;
  return rune;
}

std::string Token::ToString() const {
  if (kind == TokenKind::kEof) {
    return "EOF";
  }
  if (kind == TokenKind::kError) {
    return text;
  }
  if (kind >= TokenKind::kBlock || kind == TokenKind::kDot || kind == TokenKind::kNil) {
    return "<" + text + ">";
  }
  size_t cut = 0;
  for (int runes = 0; cut < text.size() && runes < 10; ++runes) {
    ReadRune(text, &cut);
  }
  return text.size() > 10 ? GoQuote(std::string_view(text).substr(0, cut)) + "..." : GoQuote(text);
}

std::vector<Token> Lex(std::string_view input) { return Lexer(input).Run(); }

}  // namespace weir::tmpl
