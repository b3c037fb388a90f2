#include "core/promql/literals.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "core/model/labels.h"
#include "core/model/sample.h"

namespace weir::promql {
namespace {

// RETURNS: whether every `_` stands between digits (the prefix of a based literal counts as a digit).
bool UnderscoresFit(std::string_view text) {
  const bool based = text.size() >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  char before = based ? '0' : '^';  // '0': a digit, '_': an underscore, '^': neither
  for (const char c : text.substr(based ? 2 : 0)) {
    const bool digit = (c >= '0' && c <= '9') || (based && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')));
    if (c == '_') {
      if (before != '0') {
        return false;
      }
      before = '_';
    } else {
      if (!digit && before == '_') {
        return false;
      }
      before = digit ? '0' : '^';
    }
  }
  return before != '_';
}

bool ParseInteger(std::string_view digits, int base, double* value) {
  int64_t integer = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), integer, base);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return false;
  }
  *value = static_cast<double>(integer);
  return true;
}

Status NumberError(std::string_view text, std::string_view why) {
  return InvalidError("error parsing number: strconv.ParseFloat: parsing " + GoQuote(text) + ": " + std::string(why));
}

}  // namespace

Result<double> ParseNumber(std::string_view text) {
  std::string digits(text);
  std::transform(digits.begin(), digits.end(), digits.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  if (digits == "inf") {
    return std::numeric_limits<double>::infinity();
  }
  if (digits == "nan") {
    return NormalNaN();
  }
  if (!UnderscoresFit(digits)) {
    return NumberError(text, "invalid syntax");
  }
  digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
  double value = 0;
  if (digits.starts_with("0x")) {
    if (ParseInteger(std::string_view(digits).substr(2), 16, &value)) {
      return value;
    }
    return NumberError(text, "invalid syntax");
  }
  if (digits.size() > 1 && digits[0] == '0' && ParseInteger(digits, 8, &value)) {
    return value;
  }
  const char* end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, value);
  if (parsed.ec == std::errc() && parsed.ptr == end) {
    return value;
  }
  if (parsed.ec != std::errc::result_out_of_range || parsed.ptr != end) {
    return NumberError(text, "invalid syntax");
  }
  // from_chars does not say which end of the range was left; strtod does.
  value = std::strtod(digits.c_str(), nullptr);
  return std::isinf(value) ? Result<double>(NumberError(text, "value out of range")) : Result<double>(value);
}

Result<double> ParseDurationSeconds(std::string_view text) {
  struct Unit {
    std::string_view text;
    uint64_t ms;
  };
  constexpr Unit kUnits[] = {{"y", 31536000000}, {"w", 604800000}, {"d", 86400000}, {"h", 3600000},
                             {"m", 60000},       {"s", 1000},      {"ms", 1}};
  constexpr uint64_t kMaxMs = std::numeric_limits<int64_t>::max() / 1000000;
  const auto invalid = [&] { return InvalidError("not a valid duration string: " + GoQuote(text)); };
  std::string_view rest = text;
  const Unit* next = std::begin(kUnits);
  uint64_t total_ms = 0;
  while (!rest.empty()) {
    const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    uint64_t count = 0;
    const auto parsed = std::from_chars(rest.data(), rest.data() + digits, count);
    rest.remove_prefix(digits);
    const size_t size = std::min(rest.find_first_of("0123456789"), rest.size());
    const std::string_view unit = rest.substr(0, size);
    rest.remove_prefix(size);
    if (digits == 0 || size == 0 || parsed.ec != std::errc()) {
      return invalid();
    }
    const auto same = [&](const Unit& u) { return u.text == unit; };
    if (std::none_of(std::begin(kUnits), std::end(kUnits), same)) {
      return InvalidError("unknown unit " + GoQuote(unit) + " in duration " + GoQuote(text));
    }
    const Unit* found = std::find_if(next, std::end(kUnits), same);
    if (found == std::end(kUnits)) {
      return invalid();
    }
    next = found + 1;
    if (count > kMaxMs / found->ms || total_ms + count * found->ms > kMaxMs) {
      return InvalidError("duration out of range");
    }
    total_ms += count * found->ms;
  }
  // Seconds and the fraction are converted one by one, as Go's Duration.Seconds does.
  const double fraction = static_cast<double>(total_ms % 1000 * 1000000) / 1e9;
  const int64_t whole_s = total_ms / 1000;
  return static_cast<double>(whole_s) + fraction;
}

int64_t SecondsToMs(double seconds) {
  const double ns = std::round(seconds * 1e9);
  if (ns >= 9223372036854775807.0) {
    return std::numeric_limits<int64_t>::max() / 1000000;
  }
  if (ns <= -9223372036854775808.0) {
    return std::numeric_limits<int64_t>::min() / 1000000;
  }
  return static_cast<int64_t>(ns) / 1000000;
}

namespace {

void AppendUtf8(uint32_t rune, std::string* out) {
  if (rune < 0x80) {
    out->push_back(char(rune));
    return;
  }
  const int tail = rune < 0x800 ? 1 : (rune < 0x10000 ? 2 : 3);
  constexpr uint32_t kLead[] = {0, 0xc0, 0xe0, 0xf0};
  out->push_back(char(kLead[tail] | (rune >> (6 * tail))));
  for (int shift = 6 * (tail - 1); shift >= 0; shift -= 6) {
    out->push_back(char(0x80 | ((rune >> shift) & 0x3f)));
  }
}

// Resolves the escape after a backslash; `rest` starts behind it and is advanced.
void AppendEscape(std::string_view* rest, std::string* out) {
  const char c = rest->front();
  rest->remove_prefix(1);
  constexpr std::string_view kNames = "abfnrtv";
  constexpr std::string_view kValues = "\a\b\f\n\r\t\v";
  if (const size_t at = kNames.find(c); at != std::string_view::npos) {
    out->push_back(kValues[at]);
    return;
  }
  const bool octal = c >= '0' && c <= '7';
  const size_t digits = octal ? 2 : (c == 'x' ? 2 : (c == 'u' ? 4 : (c == 'U' ? 8 : 0)));
  if (digits == 0) {
    out->push_back(c);  // a quote or a backslash
    return;
  }
  const std::string text = (octal ? std::string(1, c) : std::string()) + std::string(rest->substr(0, digits));
  rest->remove_prefix(std::min(digits, rest->size()));
  uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, octal ? 8 : 16);
  if (c == 'u' || c == 'U') {
    AppendUtf8(value, out);
  } else {
    out->push_back(static_cast<char>(value));
  }
}

}  // namespace

std::string Unquote(std::string_view token) {
  const char quote = token.front();
  std::string_view rest = token.substr(1, token.size() - 2);
  if (quote == '`') {
    return std::string(rest);
  }
  std::string out;
  while (!rest.empty()) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == '\\') {
      AppendEscape(&rest, &out);
    } else {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace weir::promql
