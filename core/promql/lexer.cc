#include "core/promql/lexer.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/model/labels.h"

namespace weir::promql {
namespace {

constexpr int32_t kEndOfText = -1;
constexpr int32_t kBadRune = -2;  // bytes that are not UTF-8

struct Word {
  std::string_view text;
  TokenKind kind;
};
constexpr Word kWords[] = {
    {"and", TokenKind::kAnd},
    {"or", TokenKind::kOr},
    {"unless", TokenKind::kUnless},
    {"atan2", TokenKind::kAtan2},
    {"sum", TokenKind::kSum},
    {"avg", TokenKind::kAvg},
    {"count", TokenKind::kCount},
    {"min", TokenKind::kMin},
    {"max", TokenKind::kMax},
    {"group", TokenKind::kGroup},
    {"stddev", TokenKind::kStddev},
    {"stdvar", TokenKind::kStdvar},
    {"topk", TokenKind::kTopk},
    {"bottomk", TokenKind::kBottomk},
    {"count_values", TokenKind::kCountValues},
    {"quantile", TokenKind::kQuantile},
    {"limitk", TokenKind::kLimitk},
    {"limit_ratio", TokenKind::kLimitRatio},
    {"offset", TokenKind::kOffset},
    {"smoothed", TokenKind::kSmoothed},
    {"anchored", TokenKind::kAnchored},
    {"by", TokenKind::kBy},
    {"without", TokenKind::kWithout},
    {"on", TokenKind::kOn},
    {"ignoring", TokenKind::kIgnoring},
    {"group_left", TokenKind::kGroupLeft},
    {"group_right", TokenKind::kGroupRight},
    {"fill", TokenKind::kFill},
    {"fill_left", TokenKind::kFillLeft},
    {"fill_right", TokenKind::kFillRight},
    {"bool", TokenKind::kBool},
    {"start", TokenKind::kStart},
    {"end", TokenKind::kFinish},
    {"step", TokenKind::kStep},
    {"range", TokenKind::kRange},
    {"max_of", TokenKind::kMaxOf},
    {"min_of", TokenKind::kMinOf},
    {"inf", TokenKind::kNumber},
    {"nan", TokenKind::kNumber},
};
constexpr size_t kLongestWord = 12;

// Words inside `{{…}}`. They have no names in error messages: upstream prints the numbers of its tokens.
struct HistogramWord {
  std::string_view text;
  TokenKind kind;
  int upstream_number;
};
constexpr HistogramWord kHistogramWords[] = {
    {"sum", TokenKind::kHistogramKey, 57370},
    {"count", TokenKind::kHistogramKey, 57371},
    {"schema", TokenKind::kHistogramKey, 57372},
    {"offset", TokenKind::kHistogramKey, 57373},
    {"n_offset", TokenKind::kHistogramKey, 57374},
    {"buckets", TokenKind::kHistogramKey, 57375},
    {"n_buckets", TokenKind::kHistogramKey, 57376},
    {"z_bucket", TokenKind::kHistogramKey, 57377},
    {"z_bucket_w", TokenKind::kHistogramKey, 57378},
    {"custom_values", TokenKind::kHistogramKey, 57379},
    {"counter_reset_hint", TokenKind::kHistogramKey, 57380},
    {"unknown", TokenKind::kResetHint, 57445},
    {"reset", TokenKind::kResetHint, 57446},
    {"not_reset", TokenKind::kResetHint, 57447},
    {"gauge", TokenKind::kResetHint, 57448},
};

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return out;
}

// RETURNS: the keyword's kind, kIdentifier when the word is none.
TokenKind Keyword(std::string_view word) {
  if (word.size() > kLongestWord) {
    return TokenKind::kIdentifier;
  }
  const std::string lower = Lower(word);
  const auto* found =
      std::find_if(std::begin(kWords), std::end(kWords), [&](const Word& w) { return w.text == lower; });
  return found == std::end(kWords) ? TokenKind::kIdentifier : found->kind;
}

// RETURNS: the word's row, null for any other word.
const HistogramWord* FindHistogramWord(std::string_view word) {
  const std::string lower = Lower(word);
  const auto* found = std::find_if(std::begin(kHistogramWords), std::end(kHistogramWords),
                                   [&](const HistogramWord& w) { return w.text == lower; });
  return found == std::end(kHistogramWords) ? nullptr : found;
}

bool IsSpace(int32_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool IsDigit(int32_t c) { return c >= '0' && c <= '9'; }
bool IsAlpha(int32_t c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsAlphaNumeric(int32_t c) { return IsAlpha(c) || IsDigit(c); }
bool StartsDurationWord(int32_t c) {
  return c > 0 && std::string_view("srmSRM").find(char(c)) != std::string_view::npos;
}

std::string EncodeRune(int32_t c) {
  std::string out;
  const auto u = static_cast<uint32_t>(c);
  if (u < 0x80) {
    out = {char(u)};
  } else if (u < 0x800) {
    out = {char(0xc0 | (u >> 6)), char(0x80 | (u & 0x3f))};
  } else if (u < 0x10000) {
    out = {char(0xe0 | (u >> 12)), char(0x80 | ((u >> 6) & 0x3f)), char(0x80 | (u & 0x3f))};
  } else {
    out = {char(0xf0 | (u >> 18)), char(0x80 | ((u >> 12) & 0x3f)), char(0x80 | ((u >> 6) & 0x3f)),
           char(0x80 | (u & 0x3f))};
  }
  return out;
}

// RETURNS: the character as a Go character literal, 'x'; the end of the text and bad bytes show as U+FFFD, as in Go.
std::string QuoteRune(int32_t c) {
  if (c == '\'') {
    return "'\\''";
  }
  if (c == '"') {
    return "'\"'";
  }
  const std::string quoted = GoQuote(EncodeRune(c < 0 ? 0xfffd : c));
  return "'" + quoted.substr(1, quoted.size() - 2) + "'";
}

// RETURNS: `U+0067 'g'`, Go's %#U.
std::string NameRune(int32_t c) {
  char code[16];
  std::snprintf(code, sizeof(code), "U+%04X", static_cast<unsigned>(c < 0 ? 0xfffd : c));
  const std::string text = EncodeRune(c < 0 ? 0xfffd : c);
  const bool printable = GoQuote(text).size() == text.size() + 2 || c == '\\' || c == '"';
  return printable ? std::string(code) + " '" + text + "'" : code;
}

// Decodes the code point at text[at]. RETURNS: it and its length; kBadRune takes one byte.
std::pair<int32_t, size_t> Decode(std::string_view text, size_t at) {
  if (at >= text.size()) {
    return {kEndOfText, 0};
  }
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) {
    return {lead, 1};
  }
  const size_t size = lead >= 0xf0 ? 4 : (lead >= 0xe0 ? 3 : 2);
  const std::string_view bytes = text.substr(at, size);
  if (bytes.size() < size || !IsValidUtf8(bytes)) {
    return {kBadRune, 1};
  }
  int32_t rune = lead & (0x7f >> size);
  for (const char c : bytes.substr(1)) {
    rune = (rune << 6) | (static_cast<unsigned char>(c) & 0x3f);
  }
  return {rune, size};
}

bool IsPunctuation(TokenKind kind) {
  return (kind >= TokenKind::kLeftParen && kind <= TokenKind::kTimes) || kind >= TokenKind::kAdd;
}

std::string QuoteShort(std::string_view text) {
  constexpr size_t kShownBytes = 10;
  if (text.size() <= kShownBytes) {
    return GoQuote(text);
  }
  size_t end = 0;
  for (size_t runes = 0; runes < kShownBytes && end < text.size(); ++runes) {
    end += std::max<size_t>(Decode(text, end).second, 1);
  }
  return GoQuote(text.substr(0, end)) + "...";
}

}  // namespace

std::string DescribeToken(const Token& token) {
  const TokenKind kind = token.kind;
  if (kind == TokenKind::kSpace) {
    return QuoteShort(token.text);
  }
  if (kind >= TokenKind::kAdd && kind <= TokenKind::kAt) {
    return "<op:" + std::string(token.text) + ">";
  }
  if (IsAggregation(kind)) {
    return "<aggr:" + std::string(token.text) + ">";
  }
  if (kind >= TokenKind::kOffset && kind <= TokenKind::kBool) {
    return "<" + std::string(token.text) + ">";
  }
  if (IsPunctuation(kind)) {
    return QuoteShort(token.text);
  }
  switch (kind) {
    case TokenKind::kEnd:
      return "end of input";
    case TokenKind::kIdentifier:
      return "identifier " + GoQuote(token.text);
    case TokenKind::kMetricIdentifier:
      return "metric identifier " + GoQuote(token.text);
    case TokenKind::kNumber:
      return "number " + QuoteShort(token.text);
    case TokenKind::kDuration:
      return "duration " + QuoteShort(token.text);
    case TokenKind::kString:
      return "string " + QuoteShort(token.text);
    case TokenKind::kHistogramKey:
    case TokenKind::kResetHint:
      return "\"<Item " + std::to_string(FindHistogramWord(token.text)->upstream_number) + ">\" " +
             QuoteShort(token.text);
    default:
      return token.error;
  }
}

int32_t Lexer::Peek() const { return Decode(text_, at_).first; }

int32_t Lexer::Read() {
  const auto [rune, width] = Decode(text_, at_);
  at_ += width;
  width_ = width;
  return rune;
}

bool Lexer::AtAny(std::string_view set) const {
  const int32_t c = Peek();
  return c > 0 && c < 0x80 && set.find(char(c)) != std::string_view::npos;
}

bool Lexer::Accept(std::string_view set) {
  if (!AtAny(set)) {
    return false;
  }
  Read();
  return true;
}

void Lexer::SkipSpaces() {
  while (IsSpace(Peek())) {
    Read();
  }
  start_ = at_;
}

void Lexer::SkipComment() {
  const size_t end = text_.find_first_of("\r\n", at_);
  at_ = end == std::string_view::npos ? text_.size() : end;
  start_ = at_;
}

Token Lexer::Make(TokenKind kind) {
  Token token;
  token.kind = kind;
  token.pos = static_cast<int>(start_);
  token.text = text_.substr(start_, at_ - start_);
  start_ = at_;
  return token;
}

Token Lexer::Fail(std::string message) {
  Token token;
  token.kind = TokenKind::kError;
  token.pos = static_cast<int>(start_);
  token.text = text_.substr(start_);
  token.error = std::move(message);
  state_ = State::kDone;
  last_ = token;
  return token;
}

Token Lexer::Next() {
  switch (state_) {
    case State::kStatement:
      return LexStatement();
    case State::kBraces:
      return LexBraces();
    case State::kDuration:
      return LexDuration();
    case State::kValues:
      return LexValues();
    case State::kHistogram:
      return LexHistogram();
    case State::kBuckets:
      return LexBuckets();
    case State::kBucketsNumber:
      state_ = State::kBuckets;
      return LexNumber();
    case State::kDone:
      break;
  }
  return last_;
}

Token Lexer::CloseParen() {
  Token token = Make(TokenKind::kRightParen);
  --parens_;
  return parens_ < 0 ? Fail("unexpected right parenthesis ')'") : token;
}

Token Lexer::LexStatement() {
  while (IsSpace(Peek()) || Peek() == '#') {
    Peek() == '#' ? SkipComment() : SkipSpaces();
  }
  const int32_t c = Read();
  if (c == kEndOfText) {
    if (parens_ != 0) {
      return Fail("unclosed left parenthesis");
    }
    if (bracket_open_) {
      return Fail("unclosed left bracket");
    }
    state_ = State::kDone;
    return last_ = Make(TokenKind::kEnd);
  }
  if (IsDigit(c) || (c == '.' && IsDigit(Peek()))) {
    Back();
    return LexNumberOrDuration();
  }
  if (c == '"' || c == '\'' || c == '`') {
    return LexString(c);
  }
  if (IsAlpha(c) || c == ':') {
    if (bracket_open_) {
      return LexBracketWord(c);
    }
    Back();
    return LexWord();
  }
  switch (c) {
    case '(': {
      ++parens_;
      return Make(TokenKind::kLeftParen);
    }
    case ')':
      return CloseParen();
    case '{':
      state_ = State::kBraces;
      return Make(TokenKind::kLeftBrace);
    case '[': {
      if (bracket_open_) {
        return Fail("unexpected left bracket '['");
      }
      got_colon_ = false;
      bracket_open_ = true;
      state_ = State::kDuration;
      return Make(TokenKind::kLeftBracket);
    }
    case ']':
      if (!bracket_open_) {
        return Fail("unexpected right bracket ']'");
      }
      bracket_open_ = false;
      return Make(TokenKind::kRightBracket);
    default:
      return LexOperator(c);
  }
}

Token Lexer::LexOperator(int32_t c) {
  switch (c) {
    case ',':
      return Make(TokenKind::kComma);
    case '*':
      return Make(TokenKind::kMul);
    case '/':
      return Make(TokenKind::kDiv);
    case '%':
      return Make(TokenKind::kMod);
    case '+':
      return Make(TokenKind::kAdd);
    case '-':
      return Make(TokenKind::kSub);
    case '^':
      return Make(TokenKind::kPow);
    case '@':
      return Make(TokenKind::kAt);
    case '=':
      if (Peek() == '~') {
        return Fail("unexpected character after '=': '~'");
      }
      return Accept("=") ? Make(TokenKind::kEqualEqual) : Make(TokenKind::kEqual);
    case '!':
      if (const int32_t next = Read(); next != '=') {
        return Fail("unexpected character after '!': " + QuoteRune(next));
      }
      return Make(TokenKind::kNotEqual);
    case '<':
      if (Accept("=")) {
        return Make(TokenKind::kLessEqual);
      }
      return Accept("/") ? Make(TokenKind::kTrimUpper) : Make(TokenKind::kLess);
    case '>':
      if (Accept("=")) {
        return Make(TokenKind::kGreaterEqual);
      }
      return Accept("/") ? Make(TokenKind::kTrimLower) : Make(TokenKind::kGreater);
    default:
      return Fail("unexpected character: " + QuoteRune(c));
  }
}

// A word or a colon between brackets, after the first operand.
Token Lexer::LexBracketWord(int32_t c) {
  if (c == ':') {
    if (got_colon_) {
      return Fail("unexpected colon ':'");
    }
    got_colon_ = true;
    return Make(TokenKind::kColon);
  }
  TokenKind kind = TokenKind::kError;
  if (StartsDurationWord(c) && ScanDurationWord(&kind)) {
    return Make(kind);
  }
  return Fail("unexpected character: " + QuoteRune(c) + ", expected ':'");
}

Token Lexer::LexBraces() {
  while (IsSpace(Peek()) || Peek() == '#') {
    Peek() == '#' ? SkipComment() : SkipSpaces();
  }
  const int32_t c = Read();
  if (IsAlpha(c)) {
    while (IsAlphaNumeric(Peek())) {
      Read();
    }
    return Make(TokenKind::kIdentifier);
  }
  switch (c) {
    case kEndOfText:
      return Fail("unexpected end of input inside braces");
    case ',':
      return Make(TokenKind::kComma);
    case '"':
    case '\'':
    case '`':
      return LexString(c);
    case '=':
      return Accept("~") ? Make(TokenKind::kEqualRegex) : Make(TokenKind::kEqual);
    case '!': {
      const int32_t next = Read();
      if (next != '~' && next != '=') {
        return Fail("unexpected character after '!' inside braces: " + QuoteRune(next));
      }
      return Make(next == '~' ? TokenKind::kNotEqualRegex : TokenKind::kNotEqual);
    }
    case '{':
      return Fail("unexpected left brace '{'");
    case '}':
      state_ = language_ == Language::kSeries ? State::kValues : State::kStatement;
      return Make(TokenKind::kRightBrace);
    default:
      return Fail("unexpected character inside braces: " + QuoteRune(c));
  }
}

// Right after `[`: until the first literal only durations and their operators may stand.
Token Lexer::LexDuration() {
  SkipSpaces();
  const int32_t c = Read();
  if (IsDigit(c) || (c == '.' && IsDigit(Peek()))) {
    Back();
    got_duration_ = true;
    state_ = State::kStatement;
    return LexNumberOrDuration();
  }
  switch (c) {
    case kEndOfText:
      return Fail("unexpected end of input in duration expression");
    case ']':
      bracket_open_ = false;
      got_colon_ = false;
      state_ = State::kStatement;
      return Make(TokenKind::kRightBracket);
    case ':': {
      Token colon = Make(TokenKind::kColon);
      if (!got_duration_) {
        return Fail("unexpected colon before duration in duration expression");
      }
      if (got_colon_) {
        return Fail("unexpected repeated colon in duration expression");
      }
      got_colon_ = true;
      return colon;
    }
    case '(':
      ++parens_;
      return Make(TokenKind::kLeftParen);
    case ')':
      return CloseParen();
    case ',':
    case '*':
    case '/':
    case '%':
    case '+':
    case '-':
    case '^':
      return LexOperator(c);
    default:
      break;
  }
  TokenKind kind = TokenKind::kError;
  if (StartsDurationWord(c) && ScanDurationWord(&kind)) {
    return Make(kind);
  }
  return Fail("unexpected character in duration expression: " + QuoteRune(c));
}

bool Lexer::ScanDurationWord(TokenKind* kind) {
  while (IsAlpha(Peek())) {
    Read();
  }
  *kind = Keyword(text_.substr(start_, at_ - start_));
  return *kind >= TokenKind::kStep && *kind <= TokenKind::kMinOf;
}

Token Lexer::LexValues() {
  const int32_t c = Read();
  if (IsSpace(c)) {
    Token space = Make(TokenKind::kSpace);
    SkipSpaces();
    return space;
  }
  if (IsDigit(c) || (c == '.' && IsDigit(Peek()))) {
    Back();
    return LexNumber();
  }
  switch (c) {
    case kEndOfText:
      state_ = State::kDone;
      return last_ = Make(TokenKind::kEnd);
    case '+':
      return Make(TokenKind::kAdd);
    case '-':
      return Make(TokenKind::kSub);
    case 'x':
      return Make(TokenKind::kTimes);
    case '_':
      return Make(TokenKind::kBlank);
    case '{':
      if (Peek() == '{') {
        Read();
        state_ = State::kHistogram;
        return Make(TokenKind::kOpenHistogram);
      }
      break;
    default:
      if (IsAlpha(c)) {
        Back();
        return LexWord();
      }
      break;
  }
  return Fail("unexpected character in series sequence: " + QuoteRune(c));
}

Token Lexer::LexNumber() {
  return ScanNumber() ? Make(TokenKind::kNumber)
                      : Fail("bad number syntax: " + GoQuote(text_.substr(start_, at_ - start_)));
}

Token Lexer::LexHistogram() {
  const int32_t c = Read();
  if (IsSpace(c)) {
    Token space = Make(TokenKind::kSpace);
    SkipSpaces();
    return space;
  }
  if (IsAlpha(c)) {
    return LexHistogramWord();
  }
  if (IsDigit(c)) {
    Back();
    return LexNumber();
  }
  switch (c) {
    case ':':
      return Make(TokenKind::kColon);
    case '-':
      return Make(TokenKind::kSub);
    case '[':
      state_ = State::kBuckets;
      return Make(TokenKind::kLeftBracket);
    case '}':
      if (Peek() == '}') {
        Read();
        state_ = State::kValues;
        return Make(TokenKind::kCloseHistogram);
      }
      break;
    default:
      break;
  }
  return Fail("histogram description incomplete unexpected: " + QuoteRune(c));
}

Token Lexer::LexHistogramWord() {
  while (IsAlpha(Peek())) {
    Read();
  }
  const std::string_view word = text_.substr(start_, at_ - start_);
  const HistogramWord* known = FindHistogramWord(word);
  if (known != nullptr) {
    return known->kind == TokenKind::kHistogramKey && Peek() != ':' ? Fail("missing `:` for histogram descriptor")
                                                                    : Make(known->kind);
  }
  return Keyword(word) == TokenKind::kNumber ? Make(TokenKind::kNumber)
                                             : Fail("bad histogram descriptor found: " + GoQuote(word));
}

// As upstream, letters that are no number are dragged along into the next token.
Token Lexer::LexBuckets() {
  while (true) {
    const int32_t c = Read();
    if (IsSpace(c)) {
      Token space = Make(TokenKind::kSpace);
      SkipSpaces();
      return space;
    }
    if (IsDigit(c)) {
      Back();
      return LexNumber();
    }
    if (c == '-') {
      state_ = State::kBucketsNumber;
      return Make(TokenKind::kSub);
    }
    if (c == ']') {
      state_ = State::kHistogram;
      return Make(TokenKind::kRightBracket);
    }
    if (!IsAlpha(c)) {
      return Fail("invalid character in buckets description: " + QuoteRune(c));
    }
    if (Keyword(text_.substr(start_, at_ - start_)) == TokenKind::kNumber) {
      return Make(TokenKind::kNumber);
    }
  }
}

Token Lexer::LexNumberOrDuration() {
  if (ScanNumber()) {
    return Make(TokenKind::kNumber);
  }
  if (ScanRestOfDuration()) {
    return Make(TokenKind::kDuration);
  }
  return Fail("bad number or duration syntax: " + GoQuote(text_.substr(start_, at_ - start_)));
}

// The number scanner has eaten the first digits; units and further digits follow. Order and sense of the units are
// checked when the duration is read.
bool Lexer::ScanRestOfDuration() {
  constexpr std::string_view kDigits = "0123456789";
  if (!Accept("smhdwy")) {
    return false;
  }
  Accept("s");
  while (Accept(kDigits)) {
    while (Accept(kDigits)) {
    }
    if (!Accept("smhdw")) {
      return false;
    }
    Accept("s");
  }
  if (IsAlphaNumeric(Peek())) {
    Read();  // the error shows the character that spoiled it
    return false;
  }
  return true;
}

// Finds the end of what looks like a number. RETURNS: false when it cannot be one.
bool Lexer::ScanNumber() {
  const size_t begin = at_;
  std::string_view digits = "0123456789";
  // `0x3` in a series description is zero, repeated.
  if (language_ != Language::kSeries && Accept("0") && Accept("xX")) {
    Accept("_");
    digits = "0123456789abcdefABCDEF";
  }
  Accept(".");
  Accept(digits);
  if (!ScanNumberTail(digits) || at_ == begin) {
    return false;
  }
  return (language_ == Language::kSeries && Peek() == 'x') || !IsAlphaNumeric(Peek());
}

bool Lexer::ScanNumberTail(std::string_view digits) {
  bool dot = false;
  bool exponent = false;
  while (AtAny(digits) || AtAny("._eE")) {
    if ((AtAny(".") && dot) || (AtAny("eE") && exponent)) {
      Read();
      return false;
    }
    if (Accept(".")) {
      dot = true;
      if (Accept("_.") || digits.size() > 10) {
        return false;
      }
    } else if (Accept("eE")) {
      exponent = true;
      Accept("+-");
      if (Accept("._eE") || Peek() == kEndOfText) {
        return false;
      }
    } else if (Accept("_")) {
      if (Accept("._eE") || Peek() == kEndOfText) {
        return false;
      }
    } else {
      while (Accept(digits)) {
      }
    }
  }
  return true;
}

Token Lexer::LexString(int32_t quote) {
  for (;;) {
    const int32_t c = Read();
    if (c == quote) {
      return Make(TokenKind::kString);
    }
    if (c == kBadRune) {
      return Fail("invalid UTF-8 rune");
    }
    if (c == kEndOfText || (c == '\n' && quote != '`')) {
      return Fail(quote == '`' ? "unterminated raw string" : "unterminated quoted string");
    }
    std::string error;
    if (c == '\\' && quote != '`' && !LexEscape(quote, &error)) {
      return Fail(std::move(error));
    }
  }
}

// After a backslash. RETURNS: whether the escape is well formed.
bool Lexer::LexEscape(int32_t quote, std::string* error) {
  int32_t c = Read();
  if (c == quote || (c > 0 && c < 0x80 && std::string_view("abfnrtv\\").find(char(c)) != std::string_view::npos)) {
    return true;
  }
  int digits = 0;
  uint32_t base = 16;
  uint32_t max = 0x10ffff;
  if (c >= '0' && c <= '7') {
    digits = 3;
    base = 8;
    max = 255;
  } else if (c == 'x' || c == 'u' || c == 'U') {
    digits = c == 'x' ? 2 : (c == 'u' ? 4 : 8);
    max = c == 'x' ? 255 : max;
    c = Read();
  } else {
    *error = c == kEndOfText ? "escape sequence not terminated" : "unknown escape sequence " + NameRune(c);
    return false;
  }
  uint32_t value = 0;
  for (; digits > 0; --digits) {
    const uint32_t digit = IsDigit(c)               ? static_cast<uint32_t>(c - '0')
                           : (c >= 'a' && c <= 'f') ? static_cast<uint32_t>(c - 'a' + 10)
                           : (c >= 'A' && c <= 'F') ? static_cast<uint32_t>(c - 'A' + 10)
                                                    : 16;
    if (digit >= base) {
      *error = c == kEndOfText ? "escape sequence not terminated"
                               : "illegal character " + NameRune(c) + " in escape sequence";
      return false;
    }
    value = value * base + digit;
    c = digits > 1 ? Read() : c;
  }
  if (value > max || (value >= 0xd800 && value < 0xe000)) {
    *error = "escape sequence is an invalid Unicode code point";
    return false;
  }
  return true;
}

Token Lexer::LexWord() {
  bool colon = false;
  while (IsAlphaNumeric(Peek()) || Peek() == ':') {
    colon = Read() == ':' || colon;
  }
  TokenKind kind = Keyword(text_.substr(start_, at_ - start_));
  if (kind >= TokenKind::kFill && kind <= TokenKind::kFillRight) {
    // The fill words came late: they stay names unless a parenthesis follows.
    const size_t next = text_.find_first_not_of(" \t\r\n", at_);
    kind = next != std::string_view::npos && text_[next] == '(' ? kind : TokenKind::kIdentifier;
  }
  if (kind == TokenKind::kIdentifier && colon) {
    kind = TokenKind::kMetricIdentifier;
  }
  if (language_ == Language::kSeries && Peek() != '{') {
    state_ = State::kValues;
  }
  return Make(kind);
}

}  // namespace weir::promql
