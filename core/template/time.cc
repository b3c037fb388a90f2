// Time and duration values: printing, layouts and the methods templates call on them. Everything is UTC.

#include <array>
#include <cmath>
#include <limits>

#include "core/template/value.h"

namespace weir::tmpl {
namespace {

constexpr int64_t kNsPerSecond = 1000000000;
constexpr int64_t kSecondsPerDay = 86400;

constexpr std::array<std::string_view, 12> kMonths = {"January",   "February", "March",    "April",
                                                      "May",       "June",     "July",     "August",
                                                      "September", "October",  "November", "December"};
constexpr std::array<std::string_view, 7> kWeekdays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0); }

// Days since the epoch of a civil date, and back (proleptic Gregorian; years count from 1 March inside).
int64_t DaysFromCivil(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = FloorDiv(year, 400);
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

struct Civil {
  int64_t year, month, day, hour, minute, second, ns, weekday, year_day;
};

Civil ToCivil(int64_t t_ns) {
  const int64_t seconds = FloorDiv(t_ns, kNsPerSecond);
  const int64_t days = FloorDiv(seconds, kSecondsPerDay);
  const int64_t in_day = seconds - days * kSecondsPerDay;
  const int64_t shifted = days + 719468;
  const int64_t era = FloorDiv(shifted, 146097);
  const int64_t day_of_era = shifted - era * 146097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t part = (5 * day_of_year + 2) / 153;
  Civil c{};
  c.day = day_of_year - (153 * part + 2) / 5 + 1;
  c.month = part < 10 ? part + 3 : part - 9;
  c.year = year_of_era + era * 400 + (c.month <= 2 ? 1 : 0);
  c.hour = in_day / 3600;
  c.minute = in_day / 60 % 60;
  c.second = in_day % 60;
  c.ns = t_ns - seconds * kNsPerSecond;
  c.weekday = ((days + 4) % 7 + 7) % 7;
  c.year_day = days - DaysFromCivil(c.year, 1, 1) + 1;
  return c;
}

std::string Padded(int64_t v, size_t width, char pad = '0') {
  std::string digits = std::to_string(v < 0 ? -v : v);
  if (digits.size() < width) {
    digits.insert(0, width - digits.size(), pad);
  }
  return v < 0 ? "-" + digits : digits;
}

// `.000` or `.999` of a layout: as many digits as it has; nines drop trailing zeros.
std::string Fraction(int64_t ns, std::string_view pattern) {
  std::string out = pattern.substr(0, 1) == "," ? "," : ".";
  out += Padded(ns, 9).substr(0, pattern.size() - 1);
  if (pattern[1] == '9') {
    while (out.back() == '0') {
      out.pop_back();
    }
    if (out.size() == 1) {
      out.clear();
    }
  }
  return out;
}

using Part = std::string (*)(const Civil&);
struct LayoutPart {
  std::string_view pattern;
  Part text;
};

// Longer patterns stand before their prefixes.
constexpr LayoutPart kLayout[] = {
    {"January", [](const Civil& c) { return std::string(MonthName(c.month)); }},
    {"Jan", [](const Civil& c) { return std::string(MonthName(c.month).substr(0, 3)); }},
    {"Monday", [](const Civil& c) { return std::string(WeekdayName(c.weekday)); }},
    {"Mon", [](const Civil& c) { return std::string(WeekdayName(c.weekday).substr(0, 3)); }},
    {"MST", [](const Civil&) { return std::string("UTC"); }},
    {"2006", [](const Civil& c) { return Padded(c.year, 4); }},
    {"-07:00:00", [](const Civil&) { return std::string("+00:00:00"); }},
    {"-070000", [](const Civil&) { return std::string("+000000"); }},
    {"-07:00", [](const Civil&) { return std::string("+00:00"); }},
    {"-0700", [](const Civil&) { return std::string("+0000"); }},
    {"-07", [](const Civil&) { return std::string("+00"); }},
    {"Z07:00:00", [](const Civil&) { return std::string("Z"); }},
    {"Z070000", [](const Civil&) { return std::string("Z"); }},
    {"Z07:00", [](const Civil&) { return std::string("Z"); }},
    {"Z0700", [](const Civil&) { return std::string("Z"); }},
    {"Z07", [](const Civil&) { return std::string("Z"); }},
    {"002", [](const Civil& c) { return Padded(c.year_day, 3); }},
    {"__2", [](const Civil& c) { return Padded(c.year_day, 3, ' '); }},
    {"01", [](const Civil& c) { return Padded(c.month, 2); }},
    {"02", [](const Civil& c) { return Padded(c.day, 2); }},
    {"03", [](const Civil& c) { return Padded(c.hour % 12 == 0 ? 12 : c.hour % 12, 2); }},
    {"04", [](const Civil& c) { return Padded(c.minute, 2); }},
    {"05", [](const Civil& c) { return Padded(c.second, 2); }},
    {"06", [](const Civil& c) { return Padded(((c.year % 100) + 100) % 100, 2); }},
    {"15", [](const Civil& c) { return Padded(c.hour, 2); }},
    {"PM", [](const Civil& c) { return std::string(c.hour >= 12 ? "PM" : "AM"); }},
    {"pm", [](const Civil& c) { return std::string(c.hour >= 12 ? "pm" : "am"); }},
    {"_2006", [](const Civil& c) { return "_" + Padded(c.year, 4); }},
    {"_2", [](const Civil& c) { return Padded(c.day, 2, ' '); }},
    {"1", [](const Civil& c) { return std::to_string(c.month); }},
    {"2", [](const Civil& c) { return std::to_string(c.day); }},
    {"3", [](const Civil& c) { return std::to_string(c.hour % 12 == 0 ? 12 : c.hour % 12); }},
    {"4", [](const Civil& c) { return std::to_string(c.minute); }},
    {"5", [](const Civil& c) { return std::to_string(c.second); }},
};

struct Method {
  Kind receiver;
  std::string_view name;
  std::string_view types;  // one letter an argument: s string, i int, d duration, t time
  Result<Value> (*call)(const Value& self, std::span<const Value> arguments);
};

template <int64_t Civil::*field>
Result<Value> CivilField(const Value& self, std::span<const Value>) {
  return Value::Int(ToCivil(self.integer).*field);
}

template <int64_t unit>
Result<Value> InUnit(const Value& self, std::span<const Value>) {
  return Value::Int(FloorDiv(self.integer, unit));
}

template <int64_t unit>
Result<Value> AsFloat(const Value& self, std::span<const Value>) {
  const int64_t whole = self.integer / unit;
  return Value::Float(static_cast<double>(whole) +
                      static_cast<double>(self.integer % unit) / static_cast<double>(unit));
}

Result<Value> Itself(const Value& self, std::span<const Value>) { return self; }

Result<Value> Text(const Value& self, std::span<const Value>) { return Value::String(PrintValue(self)); }

Result<Value> AddChecked(Kind kind, int64_t a, int64_t b) {
  int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) {
    return InvalidError("time out of range");
  }
  return Value::Of(kind, sum);
}

Result<Value> Shorten(const Value& self, std::span<const Value> arguments) {
  const int64_t unit = arguments[0].integer;
  return Value::Of(self.kind, unit <= 0 ? self.integer : self.integer - self.integer % unit);
}

Result<Value> Nearest(const Value& self, std::span<const Value> arguments) {
  const int64_t unit = arguments[0].integer;
  if (unit <= 0) {
    return self;
  }
  const int64_t rest = self.integer % unit;
  const int64_t away = std::abs(rest) >= unit - std::abs(rest) ? (rest < 0 ? -unit : unit) : 0;
  return AddChecked(self.kind, self.integer - rest, away);
}

Result<Value> AddDate(const Value& self, std::span<const Value> arguments) {
  constexpr int64_t kSpan = 400;  // years that nanoseconds in 64 bits can hold, generously
  const int64_t years = arguments[0].integer, months = arguments[1].integer, days = arguments[2].integer;
  if (std::abs(years) > kSpan || std::abs(months) > kSpan * 12 || std::abs(days) > kSpan * 366) {
    return InvalidError("time out of range");
  }
  const Civil c = ToCivil(self.integer);
  const int64_t month = c.month - 1 + months;
  const int64_t year = c.year + years + FloorDiv(month, 12);
  const int64_t day = DaysFromCivil(year, month - FloorDiv(month, 12) * 12 + 1, 1) + c.day - 1 + days;
  const int64_t in_day =
      self.integer - FloorDiv(self.integer, kSecondsPerDay * kNsPerSecond) * kSecondsPerDay * kNsPerSecond;
  int64_t ns = 0;
  if (__builtin_mul_overflow(day, kSecondsPerDay * kNsPerSecond, &ns)) {
    return InvalidError("time out of range");
  }
  return AddChecked(Kind::kTime, ns, in_day);
}

constexpr Method kMethods[] = {
    {Kind::kTime, "Format", "s",
     [](const Value& self, std::span<const Value> a) -> Result<Value> {
       return Value::String(FormatTime(self.integer, a[0].text));
     }},
    {Kind::kTime, "String", "", Text},
    {Kind::kTime, "UTC", "", Itself},
    {Kind::kTime, "Local", "", Itself},
    {Kind::kTime, "Unix", "", InUnit<kNsPerSecond>},
    {Kind::kTime, "UnixMilli", "", InUnit<1000000>},
    {Kind::kTime, "UnixMicro", "", InUnit<1000>},
    {Kind::kTime, "UnixNano", "", InUnit<1>},
    {Kind::kTime, "Year", "", CivilField<&Civil::year>},
    {Kind::kTime, "Month", "",
     [](const Value& self, std::span<const Value>) -> Result<Value> {
       return Value::Of(Kind::kMonth, ToCivil(self.integer).month);
     }},
    {Kind::kTime, "Day", "", CivilField<&Civil::day>},
    {Kind::kTime, "Hour", "", CivilField<&Civil::hour>},
    {Kind::kTime, "Minute", "", CivilField<&Civil::minute>},
    {Kind::kTime, "Second", "", CivilField<&Civil::second>},
    {Kind::kTime, "Nanosecond", "", CivilField<&Civil::ns>},
    {Kind::kTime, "YearDay", "", CivilField<&Civil::year_day>},
    {Kind::kTime, "Weekday", "",
     [](const Value& self, std::span<const Value>) -> Result<Value> {
       return Value::Of(Kind::kWeekday, ToCivil(self.integer).weekday);
     }},
    {Kind::kTime, "IsZero", "",
     [](const Value&, std::span<const Value>) -> Result<Value> { return Value::Bool(false); }},
    {Kind::kTime, "Add", "d",
     [](const Value& self, std::span<const Value> a) { return AddChecked(Kind::kTime, self.integer, a[0].integer); }},
    {Kind::kTime, "AddDate", "iii", AddDate},
    {Kind::kTime, "Sub", "t",
     [](const Value& self, std::span<const Value> a) -> Result<Value> {
       int64_t difference = 0;
       if (__builtin_sub_overflow(self.integer, a[0].integer, &difference)) {
         difference = self.integer < 0 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
       }
       return Value::Of(Kind::kDuration, difference);
     }},
    {Kind::kTime, "Before", "t",
     [](const Value& self, std::span<const Value> a) -> Result<Value> {
       return Value::Bool(self.integer < a[0].integer);
     }},
    {Kind::kTime, "After", "t",
     [](const Value& self, std::span<const Value> a) -> Result<Value> {
       return Value::Bool(self.integer > a[0].integer);
     }},
    {Kind::kTime, "Equal", "t",
     [](const Value& self, std::span<const Value> a) -> Result<Value> {
       return Value::Bool(self.integer == a[0].integer);
     }},
    {Kind::kDuration, "String", "", Text},
    {Kind::kDuration, "Hours", "", AsFloat<3600 * kNsPerSecond>},
    {Kind::kDuration, "Minutes", "", AsFloat<60 * kNsPerSecond>},
    {Kind::kDuration, "Seconds", "", AsFloat<kNsPerSecond>},
    {Kind::kDuration, "Milliseconds", "",
     [](const Value& self, std::span<const Value>) -> Result<Value> { return Value::Int(self.integer / 1000000); }},
    {Kind::kDuration, "Microseconds", "",
     [](const Value& self, std::span<const Value>) -> Result<Value> { return Value::Int(self.integer / 1000); }},
    {Kind::kDuration, "Nanoseconds", "", InUnit<1>},
    {Kind::kDuration, "Abs", "",
     [](const Value& self, std::span<const Value>) -> Result<Value> {
       const bool lowest = self.integer == std::numeric_limits<int64_t>::min();
       return Value::Of(Kind::kDuration, lowest ? std::numeric_limits<int64_t>::max() : std::abs(self.integer));
     }},
    {Kind::kDuration, "Truncate", "d", Shorten},
    {Kind::kDuration, "Round", "d", Nearest},
    {Kind::kMonth, "String", "", Text},
    {Kind::kWeekday, "String", "", Text},
};

const Method* Find(const Value& receiver, std::string_view name) {
  for (const Method& method : kMethods) {
    if (method.receiver == receiver.kind && method.name == name) {
      return &method;
    }
  }
  return nullptr;
}

}  // namespace

std::string_view MonthName(int64_t month) {
  return month >= 1 && month <= 12 ? kMonths[static_cast<size_t>(month - 1)] : "";
}
std::string_view WeekdayName(int64_t weekday) {
  return weekday >= 0 && weekday < 7 ? kWeekdays[static_cast<size_t>(weekday)] : "";
}

std::string TimeText(int64_t ns) { return FormatTime(ns, "2006-01-02 15:04:05.999999999 -0700 MST"); }

std::string FormatTime(int64_t ns, std::string_view layout) {
  const Civil civil = ToCivil(ns);
  std::string out;
  while (!layout.empty()) {
    if ((layout[0] == '.' || layout[0] == ',') && layout.size() > 1 && (layout[1] == '0' || layout[1] == '9')) {
      size_t end = layout.find_first_not_of(layout[1], 1);
      end = std::min(end, layout.size());
      const bool digit_follows = end < layout.size() && layout[end] >= '0' && layout[end] <= '9';
      if (!digit_follows && end <= 10) {
        out += Fraction(civil.ns, layout.substr(0, end));
        layout.remove_prefix(end);
        continue;
      }
    }
    const LayoutPart* found = nullptr;
    for (const LayoutPart& part : kLayout) {
      if (layout.substr(0, part.pattern.size()) == part.pattern) {
        found = &part;
        break;
      }
    }
    if (found != nullptr) {
      out += found->text(civil);
      layout.remove_prefix(found->pattern.size());
    } else {
      out.push_back(layout[0]);
      layout.remove_prefix(1);
    }
  }
  return out;
}

std::string DurationText(int64_t ns) {
  if (ns == 0) {
    return "0s";
  }
  uint64_t rest = ns < 0 ? 0 - static_cast<uint64_t>(ns) : static_cast<uint64_t>(ns);
  std::string out = ns < 0 ? "-" : "";
  const auto decimal = [](uint64_t v, uint64_t unit, size_t digits) {
    std::string fraction = Padded(static_cast<int64_t>(v % unit), digits);
    while (!fraction.empty() && fraction.back() == '0') {
      fraction.pop_back();
    }
    return std::to_string(v / unit) + (fraction.empty() ? "" : "." + fraction);
  };
  if (rest < 1000) {
    return out + std::to_string(rest) + "ns";
  }
  if (rest < 1000000) {
    return out + decimal(rest, 1000, 3) + "µs";
  }
  if (rest < static_cast<uint64_t>(kNsPerSecond)) {
    return out + decimal(rest, 1000000, 6) + "ms";
  }
  const uint64_t minute = 60 * static_cast<uint64_t>(kNsPerSecond);
  const uint64_t minutes = rest / minute;
  if (minutes >= 60) {
    out += std::to_string(minutes / 60) + "h";
  }
  if (minutes > 0) {
    out += std::to_string(minutes % 60) + "m";
  }
  return out + decimal(rest % minute, static_cast<uint64_t>(kNsPerSecond), 9) + "s";
}

bool FindMethod(const Value& receiver, std::string_view name, size_t* arguments, std::string_view* types) {
  const Method* method = Find(receiver, name);
  if (method == nullptr) {
    return false;
  }
  *arguments = method->types.size();
  *types = method->types;
  return true;
}

Result<Value> CallMethod(const Value& receiver, std::string_view name, std::span<const Value> arguments) {
  const Method* method = Find(receiver, name);
  WEIR_ASSERT(method != nullptr && arguments.size() == method->types.size());
  return method->call(receiver, arguments);
}

}  // namespace weir::tmpl
