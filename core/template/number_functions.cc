// Numbers, durations and times.

#include "core/template/functions.h"

#include <cmath>
#include <limits>

#include "core/model/duration.h"
#include "core/template/unquote.h"

namespace weir::tmpl {
namespace {

std::string General(double v) { return FormatFloat(v, 'g', 4); }  // %.4g

Result<double> ToFloat(const Value& value) {
  switch (value.kind) {
    case Kind::kFloat:
      return value.real;
    case Kind::kInt:
      return static_cast<double>(value.integer);
    case Kind::kDuration:
      if (value.pointer) {
        return InvalidError("can't convert " + value.TypeName() + " to float");
      }
      return static_cast<double>(value.integer) / 1e9;
    case Kind::kString: {
      const auto parsed = ParseGoFloat(value.text, false);
      if (!parsed) {
        return InvalidError("strconv.ParseFloat: parsing " + GoQuote(value.text) + ": invalid syntax");
      }
      return *parsed;
    }
    case Kind::kNone:
      return InvalidError("can't convert <nil> to float");
    default:
      return InvalidError("can't convert " + value.TypeName() + " to float");
  }
}

constexpr std::string_view kLarge[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
constexpr std::string_view kBinary[] = {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"};
constexpr std::string_view kSmall[] = {"m", "u", "n", "p", "f", "a", "z", "y"};

// Divides by `step` while the number has too many digits.
std::string Scaled(double v, std::span<const std::string_view> prefixes, double step) {
  std::string_view prefix;
  for (const std::string_view next : prefixes) {
    if (std::abs(v) < step) {
      break;
    }
    prefix = next;
    v /= step;
  }
  return General(v) + std::string(prefix);
}

std::string ScaledUp(double v) {
  std::string_view prefix;
  for (const std::string_view next : kSmall) {
    if (std::abs(v) >= 1) {
      break;
    }
    prefix = next;
    v *= 1000;
  }
  return General(v) + std::string(prefix);
}

Result<Value> Humanize(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const double v, ToFloat(arguments[0]));
  if (v == 0 || !std::isfinite(v)) {
    return Value::String(General(v));
  }
  return Value::String(std::abs(v) >= 1 ? Scaled(v, kLarge, 1000) : ScaledUp(v));
}

Result<Value> Humanize1024(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const double v, ToFloat(arguments[0]));
  if (!std::isfinite(v) || std::abs(v) <= 1) {
    return Value::String(General(v));
  }
  return Value::String(Scaled(v, kBinary, 1024));
}

Result<Value> HumanizeDuration(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(double v, ToFloat(arguments[0]));
  if (!std::isfinite(v)) {
    return Value::String(General(v));
  }
  if (v == 0) {
    return Value::String("0s");
  }
  if (std::abs(v) < 1) {
    return Value::String(ScaledUp(v) + "s");
  }
  const std::string sign = v < 0 ? "-" : "";
  v = std::abs(v);
  const int64_t whole = v < 9.2e18 ? static_cast<int64_t>(v) : std::numeric_limits<int64_t>::max();
  const int64_t seconds = whole % 60, minutes = whole / 60 % 60, hours = whole / 3600 % 24, days = whole / 86400;
  const std::string tail = std::to_string(minutes) + "m " + std::to_string(seconds) + "s";
  if (days != 0) {
    return Value::String(sign + std::to_string(days) + "d " + std::to_string(hours) + "h " + tail);
  }
  if (hours != 0) {
    return Value::String(sign + std::to_string(hours) + "h " + tail);
  }
  return Value::String(sign + (minutes != 0 ? tail : General(v) + "s"));
}

Result<Value> HumanizePercentage(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const double v, ToFloat(arguments[0]));
  return Value::String(General(v * 100) + "%");
}

// Seconds to nanoseconds, cut to milliseconds as Prometheus's times are.
Result<int64_t> ToNanoseconds(double seconds) {
  const double ns = seconds * 1e9;
  if (ns >= 9223372036854775807.0 || ns < -9223372036854775808.0) {
    return InvalidError(FormatFloat(seconds, 'g') +
                        " cannot be represented as a nanoseconds timestamp since it overflows int64");
  }
  return static_cast<int64_t>(ns);
}

Result<Value> HumanizeTimestamp(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const double v, ToFloat(arguments[0]));
  if (!std::isfinite(v)) {
    return Value::String(General(v));
  }
  WEIR_ASSIGN_OR_RETURN(const int64_t ns, ToNanoseconds(v));
  return Value::String(TimeText(ns / 1000000 * 1000000));
}

Result<Value> ToTime(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const double v, ToFloat(arguments[0]));
  if (!std::isfinite(v)) {
    return InvalidError("value is NaN or Inf");
  }
  WEIR_ASSIGN_OR_RETURN(const int64_t ns, ToNanoseconds(v));
  Value time = Value::Of(Kind::kTime, ns / 1000000 * 1000000);
  time.pointer = true;
  return time;
}

Result<Value> ToDuration(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const double v, ToFloat(arguments[0]));
  if (!std::isfinite(v)) {
    return InvalidError("value is NaN or Inf");
  }
  WEIR_ASSIGN_OR_RETURN(const int64_t ns, ToNanoseconds(v));
  Value duration = Value::Of(Kind::kDuration, ns);
  duration.pointer = true;
  return duration;
}

Result<Value> ParseDuration(Context, Arguments arguments) {
  std::string_view text = arguments[0].text;
  const bool negative = !text.empty() && text[0] == '-';
  text.remove_prefix(negative ? 1 : 0);
  WEIR_ASSIGN_OR_RETURN(const int64_t ms, ParseDurationMs(text));
  return Value::Float((negative ? -1.0 : 1.0) * static_cast<double>(ms) / 1000);
}

Result<Value> Now(Context context, Arguments) { return Value::Float(static_cast<double>(context.ts_ms) / 1000); }

constexpr Function kRows[] = {
    {"humanize", "a", Humanize},
    {"humanize1024", "a", Humanize1024},
    {"humanizeDuration", "a", HumanizeDuration},
    {"humanizePercentage", "a", HumanizePercentage},
    {"humanizeTimestamp", "a", HumanizeTimestamp},
    {"now", "", Now},
    {"parseDuration", "s", ParseDuration},
    {"toDuration", "a", ToDuration},
    {"toTime", "a", ToTime},
};

}  // namespace

std::span<const Function> NumberFunctions() { return kRows; }

}  // namespace weir::tmpl
