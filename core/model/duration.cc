#include "core/model/duration.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>

#include "core/model/labels.h"

namespace weir {
namespace {

struct Unit {
  std::string_view text;
  int64_t ms;
  bool exact;  // printed only when it divides what is left
};

constexpr Unit kUnits[] = {
    {"y", 365LL * 24 * 3600 * 1000, true},
    {"w", 7LL * 24 * 3600 * 1000, true},
    {"d", 24LL * 3600 * 1000, false},
    {"h", 3600LL * 1000, false},
    {"m", 60LL * 1000, false},
    {"s", 1000, false},
    {"ms", 1, false},
};
// Prometheus holds durations as int64 nanoseconds; longer ones are refused there, so here too.
constexpr int64_t kDurationMaxMs = std::numeric_limits<int64_t>::max() / 1000000;

// The shortest decimal digits of a finite value, without sign: 0.d1d2d3… × 10^point.
struct Decimal {
  std::string digits;
  int point = 0;
};

Decimal ShortestDecimal(double v) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), std::fabs(v), std::chars_format::scientific).ptr;
  Decimal out;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t e = text.find('e');
  for (const char c : text.substr(0, e)) {
    if (c != '.') {
      out.digits.push_back(c);
    }
  }
  int exponent = 0;
  const char* first = text.data() + e + 1;
  std::from_chars(*first == '+' ? first + 1 : first, text.data() + text.size(), exponent);
  out.point = exponent + 1;
  return out;
}

// Shortest 'f': digits are padded with zeros, never with digits of the exact binary value.
std::string LayOutFixed(const Decimal& decimal) {
  const int size = static_cast<int>(decimal.digits.size());
  std::string out;
  if (decimal.point <= 0) {
    out = "0";
  } else if (decimal.point >= size) {
    out = decimal.digits + std::string(static_cast<size_t>(decimal.point - size), '0');
  } else {
    out = decimal.digits.substr(0, static_cast<size_t>(decimal.point));
  }
  if (size > decimal.point) {
    out.push_back('.');
    if (decimal.point < 0) {
      out.append(static_cast<size_t>(-decimal.point), '0');
    }
    out.append(decimal.digits, decimal.point > 0 ? static_cast<size_t>(decimal.point) : 0);
  }
  return out;
}

std::string LayOutScientific(const Decimal& decimal) {
  std::string out = decimal.digits.substr(0, 1);
  if (decimal.digits.size() > 1) {
    out.append(".").append(decimal.digits, 1);
  }
  const int exponent = decimal.point - 1;
  out.append(exponent < 0 ? "e-" : "e+");
  const std::string digits = std::to_string(std::abs(exponent));
  return out.append(digits.size() < 2 ? "0" : "").append(digits);
}

std::string FormatShortest(double v, char format) {
  const Decimal decimal = ShortestDecimal(v);
  const int exponent = decimal.point - 1;
  // Go decides shortest 'g' as if the precision were 6.
  const bool scientific = format == 'e' || (format == 'g' && (exponent < -4 || exponent >= 6));
  return (std::signbit(v) ? "-" : "") + (scientific ? LayOutScientific(decimal) : LayOutFixed(decimal));
}

}  // namespace

Result<int64_t> ParseDurationMs(std::string_view text) {
  if (text.empty()) {
    return InvalidError("empty duration string");
  }
  if (text == "0") {
    return int64_t{0};
  }
  const auto invalid = [&] { return InvalidError("not a valid duration string: " + GoQuote(text)); };
  std::string_view rest = text;
  size_t next_unit = 0;
  int64_t total_ms = 0;
  bool too_long = false;
  while (!rest.empty()) {
    const size_t digits = rest.find_first_not_of("0123456789");
    if (digits == 0 || digits == std::string_view::npos) {
      return invalid();
    }
    uint64_t count = 0;
    const bool overflow = std::from_chars(rest.data(), rest.data() + digits, count).ec != std::errc();
    rest.remove_prefix(digits);
    const size_t unit_size = std::min(rest.find_first_of("0123456789"), rest.size());
    const std::string_view unit_text = rest.substr(0, unit_size);
    while (next_unit < std::size(kUnits) && kUnits[next_unit].text != unit_text) {
      ++next_unit;
    }
    if (next_unit == std::size(kUnits)) {
      return invalid();
    }
    const int64_t unit_ms = kUnits[next_unit++].ms;
    rest.remove_prefix(unit_size);
    if (overflow || count > static_cast<uint64_t>((kDurationMaxMs - total_ms) / unit_ms)) {
      too_long = true;  // reported only when the rest is well formed
      continue;
    }
    total_ms += static_cast<int64_t>(count) * unit_ms;
  }
  if (too_long) {
    return InvalidError("duration out of range: " + GoQuote(text));
  }
  return total_ms;
}

std::string FormatDurationMs(int64_t ms) {
  if (ms == 0) {
    return "0s";
  }
  std::string out = ms < 0 ? "-" : "";
  uint64_t left = ms < 0 ? 0 - static_cast<uint64_t>(ms) : static_cast<uint64_t>(ms);
  for (const Unit& unit : kUnits) {
    if (left == 0) {
      break;
    }
    const auto unit_ms = static_cast<uint64_t>(unit.ms);
    if ((unit.exact && left % unit_ms != 0) || left < unit_ms) {
      continue;
    }
    out.append(std::to_string(left / unit_ms)).append(unit.text);
    left %= unit_ms;
  }
  return out;
}

std::string FormatFloat(double v, char format, int precision) {
  WEIR_ASSERT(format == 'f' || format == 'e' || format == 'g');
  if (std::isnan(v)) {
    return "NaN";
  }
  if (std::isinf(v)) {
    return v > 0 ? "+Inf" : "-Inf";
  }
  if (precision < 0) {
    return FormatShortest(v, format);
  }
  // C's rules for a given precision are Go's: exact rounding, two exponent digits at least, 'g' without trailing zeros.
  const char pattern[] = {'%', '.', '*', format, '\0'};
  const int size = std::snprintf(nullptr, 0, pattern, precision, v);
  std::string out(static_cast<size_t>(size) + 1, '\0');
  std::snprintf(out.data(), out.size(), pattern, precision, v);
  out.pop_back();
  return out;
}

std::string FormatSampleValue(double v) {
  const double magnitude = std::fabs(v);
  const bool scientific = magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21);
  return FormatFloat(v, scientific ? 'e' : 'f');
}

std::string FormatRfc3339(int64_t ms) {
  using std::chrono::days;
  using std::chrono::milliseconds;
  const std::chrono::sys_time<milliseconds> time{milliseconds(ms)};
  const auto day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  std::string out = buffer;
  if (const auto fraction = static_cast<int>(clock.subseconds().count()); fraction != 0) {
    std::snprintf(buffer, sizeof(buffer), ".%03d", fraction);
    out.append(buffer);
    out.erase(out.find_last_not_of('0') + 1);
  }
  return out.append("Z");
}

}  // namespace weir
