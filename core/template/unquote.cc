#include "core/template/unquote.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "core/template/lexer.h"

namespace weir::tmpl {
namespace {

int DigitValue(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

// Reads `digits` digits of `base` at `*pos`. RETURNS: the value, or nothing when a digit is wrong.
std::optional<uint32_t> ReadDigits(std::string_view text, size_t* pos, int digits, int base) {
  uint32_t value = 0;
  for (int i = 0; i < digits; ++i, ++*pos) {
    if (*pos >= text.size() || DigitValue(text[*pos]) >= base) {
      return std::nullopt;
    }
    value = value * static_cast<uint32_t>(base) + static_cast<uint32_t>(DigitValue(text[*pos]));
  }
  return value;
}

// One escape after the backslash at `*pos`. Octal and \x give a byte, \u and \U a rune.
bool ReadEscape(std::string_view text, size_t* pos, char quote, std::string* out) {
  static constexpr std::string_view kNames = "abfnrtv\\", kValues = "\a\b\f\n\r\t\v\\";
  if (*pos >= text.size()) {
    return false;
  }
  const char c = text[*pos];
  if (const size_t at = kNames.find(c); at != std::string_view::npos) {
    out->push_back(kValues[at]);
    ++*pos;
    return true;
  }
  if (c == quote) {
    out->push_back(c);
    ++*pos;
    return true;
  }
  if (c >= '0' && c <= '7') {
    const auto value = ReadDigits(text, pos, 3, 8);
    if (!value || *value > 255) {
      return false;
    }
    out->push_back(static_cast<char>(*value));
    return true;
  }
  const int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  ++*pos;
  const auto value = digits > 0 ? ReadDigits(text, pos, digits, 16) : std::nullopt;
  if (!value) {
    return false;
  }
  if (c == 'x') {
    out->push_back(static_cast<char>(*value));
    return true;
  }
  if (*value > 0x10ffff || (*value >= 0xd800 && *value <= 0xdfff)) {
    return false;
  }
  AppendRune(out, static_cast<char32_t>(*value));
  return true;
}

// Removes underscores that stand between digits (or after the base prefix). RETURNS: false when one stands elsewhere.
bool StripUnderscores(std::string_view text, std::string* out) {
  char previous = '^';
  for (const char c : text) {
    if (c == '_') {
      if (previous != '0') {
        return false;
      }
      previous = '_';
      continue;
    }
    if (previous == '_' && DigitValue(c) > 15) {
      return false;
    }
    const bool prefix =
        previous == '0' && out->size() <= 2 && (c == 'x' || c == 'X' || c == 'o' || c == 'O' || c == 'b' || c == 'B');
    previous = DigitValue(c) <= 15 || prefix ? '0' : '.';
    out->push_back(c);
  }
  return previous != '_';
}

// Strips the base prefix of `text`. RETURNS: the base.
int TakeBase(std::string_view* text) {
  if (text->size() < 2 || (*text)[0] != '0') {
    return 10;
  }
  const char mark = static_cast<char>((*text)[1] | 0x20);
  const int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
  text->remove_prefix(base != 0 ? 2 : 1);
  return base != 0 ? base : 8;
}

}  // namespace

std::optional<std::string> UnquoteString(std::string_view literal) {
  if (literal.size() < 2 || literal.front() != literal.back()) {
    return std::nullopt;
  }
  const char quote = literal.front();
  const std::string_view text = literal.substr(1, literal.size() - 2);
  std::string out;
  if (quote == '`') {
    for (const char c : text) {
      if (c != '\r') {
        out.push_back(c);
      }
    }
    return out;
  }
  for (size_t pos = 0; pos < text.size();) {
    if (text[pos] == '\\') {
      if (!ReadEscape(text, &++pos, quote, &out)) {
        return std::nullopt;
      }
    } else if (text[pos] == '\n' || text[pos] == quote) {
      return std::nullopt;
    } else {
      out.push_back(text[pos++]);
    }
  }
  return out;
}

std::optional<char32_t> UnquoteChar(std::string_view literal) {
  if (literal.size() < 3 || literal.front() != '\'' || literal.back() != '\'') {
    return std::nullopt;
  }
  const std::string_view text = literal.substr(1, literal.size() - 2);
  size_t pos = 0;
  if (text[0] != '\\') {
    const char32_t rune = ReadRune(text, &pos);
    return pos == text.size() && rune != '\'' ? std::optional(rune) : std::nullopt;
  }
  std::string out;
  const bool byte = text.size() > 1 && (text[1] == 'x' || (text[1] >= '0' && text[1] <= '7'));
  pos = 1;
  if (!ReadEscape(text, &pos, '\'', &out) || pos != text.size()) {
    return std::nullopt;
  }
  size_t at = 0;
  return byte ? static_cast<unsigned char>(out[0]) : ReadRune(out, &at);
}

std::optional<uint64_t> ParseGoUint(std::string_view text) {
  std::string plain;
  if (text.empty() || !StripUnderscores(text, &plain)) {
    return std::nullopt;
  }
  std::string_view digits = plain;
  const int base = TakeBase(&digits);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  return error == std::errc() && end == digits.data() + digits.size() ? std::optional(value) : std::nullopt;
}

std::optional<int64_t> ParseGoInt(std::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    text.remove_prefix(1);
  }
  const auto magnitude = ParseGoUint(text);
  const uint64_t limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) + (negative ? 1 : 0);
  if (!magnitude || *magnitude > limit) {
    return std::nullopt;
  }
  return static_cast<int64_t>(negative ? 0 - *magnitude : *magnitude);
}

std::optional<double> ParseGoFloat(std::string_view text, bool literal) {
  std::string plain;
  if (!literal) {
    plain = text;
  } else if (!StripUnderscores(text, &plain)) {
    return std::nullopt;
  }
  std::string_view body = plain;
  const bool negative = !body.empty() && body[0] == '-';
  if (!body.empty() && (body[0] == '-' || body[0] == '+')) {
    body.remove_prefix(1);
  }
  if (body.empty() || body[0] == '-' || body[0] == '+') {
    return std::nullopt;
  }
  auto format = std::chars_format::general;
  if (body.size() > 2 && body[0] == '0' && (body[1] | 0x20) == 'x') {
    if (body.find_first_of("pP") == std::string_view::npos) {
      return std::nullopt;
    }
    body.remove_prefix(2);
    format = std::chars_format::hex;
  } else if (body.find('(') != std::string_view::npos) {
    return std::nullopt;  // from_chars would take nan(…)
  }
  double value = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), value, format);
  if (end != body.data() + body.size() || (error != std::errc() && error != std::errc::result_out_of_range)) {
    return std::nullopt;
  }
  if (error == std::errc::result_out_of_range) {
    value = std::strtod(std::string(body).c_str(), nullptr);  // tells underflow (a small value) from overflow
    if (std::isinf(value)) {
      return std::nullopt;
    }
  }
  return negative ? -value : value;
}

}  // namespace weir::tmpl
