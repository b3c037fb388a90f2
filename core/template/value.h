#pragma once
// What an expression of a template can be, and how Go prints it. Private to this room. Values are cheap to copy: texts
// are bounded, everything larger is shared and immutable.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace weir::tmpl {

enum class Kind : unsigned char {
  kNone,  // no value: a missing key of a map of anything, or nil
  kBool,
  kInt,
  kUint,
  kFloat,
  kString,
  kTime,      // integer: nanoseconds since the epoch, UTC
  kDuration,  // integer: nanoseconds
  kMonth,
  kWeekday,   // integer, printed by name
  kLabelMap,  // string -> string
  kArgMap,    // string -> anything, made by `args`
  kSamples,   // what `query` returns
  kSample,
  kData,  // what `.` is at first: .Labels .ExternalLabels .ExternalURL .Value
};

struct Value;
using LabelMap = std::map<std::string, std::string, std::less<>>;
using ArgMap = std::map<std::string, Value, std::less<>>;

struct SampleValue {
  std::shared_ptr<const LabelMap> labels;
  double value = 0;
};
using SampleList = std::vector<std::shared_ptr<const SampleValue>>;

struct DataValue {
  std::shared_ptr<const LabelMap> labels, external_labels;
  std::string external_url;
  double value = 0;
};

struct Value {
  Kind kind = Kind::kNone;
  bool truth = false;
  bool pointer =
      false;  // kTime, kDuration from toTime and toDuration: pointers to Go, which shows in names and comparisons
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::shared_ptr<const LabelMap> labels;
  std::shared_ptr<const ArgMap> args;
  std::shared_ptr<const SampleList> samples;
  std::shared_ptr<const SampleValue> sample;
  std::shared_ptr<const DataValue> data;

  static Value Bool(bool v);
  static Value Int(int64_t v);
  static Value Uint(uint64_t v);
  static Value Float(double v);
  static Value String(std::string v);
  static Value Of(Kind kind, int64_t integer);  // times, durations, months, weekdays
  static Value Map(std::shared_ptr<const LabelMap> v);
  static Value Samples(std::shared_ptr<const SampleList> v);
  static Value Sample(std::shared_ptr<const SampleValue> v);

  bool IsNumberLike() const;  // an int to Go: int, duration, month, weekday
  bool IsTrue() const;        // not zero, not empty
  // RETURNS: Go's name of the type, `map[string]string`.
  std::string TypeName() const;
};

// RETURNS: the value as {{ }} prints it.
std::string PrintValue(const Value& value);

// fmt.Sprint, Sprintln, Sprintf. ERRORS: kLimit when the text would pass kOutputBytesMax.
Result<std::string> Sprint(std::span<const Value> values);
Result<std::string> Sprintln(std::span<const Value> values);
Result<std::string> Sprintf(std::string_view format, std::span<const Value> values);

// --- times (time.cc) ---
std::string TimeText(int64_t ns);               // 2006-01-02 15:04:05.999999999 +0000 UTC
std::string DurationText(int64_t ns);           // 1h2m3.5s
std::string_view MonthName(int64_t month);      // 1: January
std::string_view WeekdayName(int64_t weekday);  // 0: Sunday
// time.Time.Format, UTC.
std::string FormatTime(int64_t ns, std::string_view layout);
// Calls a method of a time or duration. RETURNS: false when there is none of this name.
bool FindMethod(const Value& receiver, std::string_view name, size_t* arguments, std::string_view* types);
Result<Value> CallMethod(const Value& receiver, std::string_view name, std::span<const Value> arguments);

}  // namespace weir::tmpl
