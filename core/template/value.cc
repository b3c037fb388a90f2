#include "core/template/value.h"

#include <cmath>
#include <cstdio>
#include <optional>

#include "core/model/duration.h"
#include "core/model/labels.h"
#include "core/template/lexer.h"
#include "core/template/template.h"

namespace weir::tmpl {
namespace {

constexpr int kWidthMax = 1000000;  // fmt's own bound on width and precision

Status TooLong() { return LimitError("text of more than " + std::to_string(kOutputBytesMax) + " bytes"); }

// The flags, width and precision of one printf verb.
struct Spec {
  bool minus = false, plus = false, sharp = false, space = false, zero = false;
  std::optional<int> width, precision;
};

size_t RuneCount(std::string_view text) {
  size_t count = 0;
  for (size_t pos = 0; pos < text.size(); ++count) {
    ReadRune(text, &pos);
  }
  return count;
}

std::string Pad(std::string text, const Spec& spec, bool zeros = false) {
  const size_t runes = RuneCount(text);
  const size_t width = static_cast<size_t>(spec.width.value_or(0));
  if (runes >= width) {
    return text;
  }
  if (spec.minus) {
    text.append(width - runes, ' ');
  } else if (zeros) {
    const size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ') ? 1 : 0;
    text.insert(sign, width - runes, '0');
  } else {
    text.insert(0, width - runes, ' ');
  }
  return text;
}

void Upper(std::string* text) {
  for (char& c : *text) {
    c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  }
}

std::string FloatText(double v, char verb, const Spec& spec) {
  if (std::isnan(v) || std::isinf(v)) {
    std::string text = std::isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf";
    if (std::isnan(v) && (spec.plus || spec.space)) {
      text.insert(0, spec.plus ? "+" : " ");
    } else if (text[0] == '+' && spec.space && !spec.plus) {
      text[0] = ' ';
    }
    return Pad(text, spec);
  }
  std::string text;
  if (verb == 'x' || verb == 'X') {
    char buffer[64];
    spec.precision ? snprintf(buffer, sizeof buffer, "%.*a", std::min(*spec.precision, 30), v)
                   : snprintf(buffer, sizeof buffer, "%a", v);
    text = buffer;
    const size_t exponent = text.find('p');
    if (exponent != std::string::npos && text.size() - exponent == 3) {
      text.insert(exponent + 2, "0");  // Go prints at least two digits
    }
  } else {
    const char lower = verb == 'v' ? 'g' : static_cast<char>(verb | 0x20);
    const int fallback = lower == 'g' ? -1 : 6;
    text = FormatFloat(v, lower, spec.precision.value_or(fallback));
  }
  if (verb == 'E' || verb == 'G' || verb == 'X') {
    Upper(&text);
  }
  if (text[0] != '-' && (spec.plus || spec.space)) {
    text.insert(0, spec.plus ? "+" : " ");
  }
  return Pad(text, spec, spec.zero);
}

std::string Digits(uint64_t v, unsigned base, bool upper) {
  const char* const digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  char buffer[64];  // as many as base 2 needs
  size_t at = sizeof buffer;
  do {
    buffer[--at] = digits[v % base];
    v /= base;
  } while (v != 0);
  return std::string(buffer + at, sizeof buffer - at);
}

std::string IntegerText(bool negative, uint64_t magnitude, char verb, const Spec& spec) {
  const unsigned base = verb == 'b' ? 2 : verb == 'o' || verb == 'O' ? 8 : verb == 'x' || verb == 'X' ? 16 : 10;
  std::string text = Digits(magnitude, base, verb == 'X');
  if (spec.precision) {
    if (*spec.precision == 0 && magnitude == 0) {
      return Pad("", spec);
    }
    if (text.size() < static_cast<size_t>(*spec.precision)) {
      text.insert(0, static_cast<size_t>(*spec.precision) - text.size(), '0');
    }
  } else if (spec.zero && spec.width && !spec.minus) {
    const size_t sign = negative || spec.plus || spec.space ? 1 : 0;
    const size_t width = static_cast<size_t>(*spec.width);
    if (text.size() + sign < width) {
      text.insert(0, width - sign - text.size(), '0');
    }
  }
  if (spec.sharp) {
    text.insert(0, verb == 'b' ? "0b" : verb == 'o' ? "0" : verb == 'x' ? "0x" : verb == 'X' ? "0X" : "");
  }
  if (verb == 'O') {
    text.insert(0, "0o");
  }
  text.insert(0, negative ? "-" : spec.plus ? "+" : spec.space ? " " : "");
  return Pad(text, spec);
}

std::string HexBytes(std::string_view bytes, bool upper) {
  const char* const digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(digits[static_cast<unsigned char>(c) & 15]);
  }
  return out;
}

std::string Truncated(const std::string& text, const Spec& spec) {
  if (!spec.precision) {
    return text;
  }
  size_t pos = 0;
  for (int i = 0; i < *spec.precision && pos < text.size(); ++i) {
    ReadRune(text, &pos);
  }
  return text.substr(0, pos);
}

std::string QuoteRune(int64_t rune) {
  std::string text;
  AppendRune(&text, rune < 0 || rune > 0x10ffff ? 0xfffd : static_cast<char32_t>(rune));
  if (text == "'") {
    return "'\\''";
  }
  if (text == "\"") {
    return "'\"'";
  }
  const std::string quoted = GoQuote(text);
  return "'" + quoted.substr(1, quoted.size() - 2) + "'";
}

std::string FormatValue(const Value& value, char verb, const Spec& spec);

// `%!d(string=hi)`: what fmt prints for a verb that does not fit.
std::string BadVerb(const Value& value, const std::string& verb) {
  if (value.kind == Kind::kNone) {
    return "%!" + verb + "(<nil>)";
  }
  return "%!" + verb + "(" + value.TypeName() + "=" + PrintValue(value) + ")";
}

std::string FormatString(const Value& value, const std::string& text, char verb, const Spec& spec) {
  switch (verb) {
    case 'v':
      if (spec.sharp) {
        return Pad(GoQuote(text), spec);
      }
      [[fallthrough]];
    case 's':
      return Pad(Truncated(text, spec), spec, spec.zero);
    case 'q':
      return Pad(GoQuote(Truncated(text, spec)), spec, spec.zero);
    case 'x':
    case 'X':
      return Pad(HexBytes(spec.precision ? text.substr(0, static_cast<size_t>(*spec.precision)) : text, verb == 'X'),
                 spec);
    default:
      return BadVerb(value, std::string(1, verb));
  }
}

std::string FormatInteger(const Value& value, char verb, const Spec& spec) {
  const bool is_unsigned = value.kind == Kind::kUint;
  const bool negative = !is_unsigned && value.integer < 0;
  const uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(value.integer) : static_cast<uint64_t>(value.integer);
  switch (verb) {
    case 'v':
    case 'd':
    case 'b':
    case 'o':
    case 'O':
    case 'x':
    case 'X':
      return IntegerText(negative, magnitude, verb, spec);
    case 'c': {
      std::string text;
      AppendRune(&text, magnitude > 0x10ffff || negative ? 0xfffd : static_cast<char32_t>(magnitude));
      return Pad(text, spec);
    }
    case 'q':
      return Pad(QuoteRune(value.integer), spec);
    case 'U': {
      std::string digits = Digits(magnitude, 16, true);
      digits.insert(0, digits.size() < 4 ? 4 - digits.size() : 0, '0');
      return Pad("U+" + digits, spec);
    }
    default:
      return BadVerb(value, std::string(1, verb));
  }
}

// Maps, lists and samples: the verb goes to every element.
std::string FormatComposite(const Value& value, char verb, const Spec& spec) {
  const auto element = [&](const Value& v) { return FormatValue(v, verb, spec); };
  std::string out;
  switch (value.kind) {
    case Kind::kLabelMap:
      for (const auto& [k, v] : *value.labels) {
        out += (out.empty() ? "" : " ") + element(Value::String(k)) + ":" + element(Value::String(v));
        if (out.size() > kOutputBytesMax) {
          break;  // the caller refuses it; the same below
        }
      }
      return "map[" + out + "]";
    case Kind::kArgMap:
      for (const auto& [k, v] : *value.args) {
        out += (out.empty() ? "" : " ") + element(Value::String(k)) + ":" +
               (v.kind == Kind::kNone && verb == 'v' ? "<nil>" : element(v));
        if (out.size() > kOutputBytesMax) {
          break;
        }
      }
      return "map[" + out + "]";
    case Kind::kSamples:
      for (const auto& sample : *value.samples) {
        out += (out.empty() ? "" : " ") + element(Value::Sample(sample));
        if (out.size() > kOutputBytesMax) {
          break;
        }
      }
      return "[" + out + "]";
    case Kind::kSample:
      return "&{" + element(Value::Map(value.sample->labels)) + " " + element(Value::Float(value.sample->value)) + "}";
    default:
      break;
  }
  return "{" + element(Value::Map(value.data->labels)) + " " + element(Value::Map(value.data->external_labels)) + " " +
         element(Value::String(value.data->external_url)) + " " + element(Value::Float(value.data->value)) + "}";
}

std::string FormatValue(const Value& value, char verb, const Spec& spec) {
  if (verb == 'T') {
    return Pad(value.kind == Kind::kNone ? "<nil>" : value.TypeName(), spec);
  }
  switch (value.kind) {
    case Kind::kNone:
      return verb == 'v' ? Pad("<nil>", spec) : BadVerb(value, std::string(1, verb));
    case Kind::kBool:
      return verb == 'v' || verb == 't' ? Pad(value.truth ? "true" : "false", spec)
                                        : BadVerb(value, std::string(1, verb));
    case Kind::kString:
      return FormatString(value, value.text, verb, spec);
    case Kind::kFloat:
      if (std::string_view("veEfFgGxX").find(verb) == std::string_view::npos) {
        return BadVerb(value, std::string(1, verb));
      }
      return FloatText(value.real, verb, spec);
    case Kind::kInt:
    case Kind::kUint:
      return FormatInteger(value, verb, spec);
    case Kind::kTime:
      return FormatString(value, TimeText(value.integer), verb, spec);
    case Kind::kDuration:
    case Kind::kMonth:
    case Kind::kWeekday:
      return verb == 'v' || verb == 's' || verb == 'q' ? FormatString(value, PrintValue(value), verb, spec)
                                                       : FormatInteger(value, verb, spec);
    default:
      return FormatComposite(value, verb, spec);
  }
}

// Walks a printf format. Bad formats print what fmt prints; they are no errors.
class Printf {
 public:
  Printf(std::string_view format, std::span<const Value> values) : format_(format), values_(values) {}

  Result<std::string> Run() {
    while (pos_ < format_.size()) {
      const size_t percent = std::min(format_.find('%', pos_), format_.size());
      out_ += format_.substr(pos_, percent - pos_);
      pos_ = percent;
      if (pos_ < format_.size()) {
        ++pos_;
        Verb();
      }
      if (out_.size() > kOutputBytesMax) {
        return TooLong();
      }
    }
    if (!reordered_ && next_ < values_.size()) {
      Extra();
    }
    return out_.size() > kOutputBytesMax ? Result<std::string>(TooLong()) : Result<std::string>(std::move(out_));
  }

 private:
  void Extra() {
    out_ += "%!(EXTRA ";
    for (size_t i = next_; i < values_.size(); ++i) {
      out_ += i > next_ ? ", " : "";
      out_ += values_[i].kind == Kind::kNone ? "<nil>" : values_[i].TypeName() + "=" + PrintValue(values_[i]);
    }
    out_ += ")";
  }

  std::optional<int> Number() {
    if (pos_ >= format_.size() || format_[pos_] < '0' || format_[pos_] > '9') {
      return std::nullopt;
    }
    int value = 0;
    for (; pos_ < format_.size() && format_[pos_] >= '0' && format_[pos_] <= '9'; ++pos_) {
      value = std::min(value * 10 + (format_[pos_] - '0'), kWidthMax * 10);
    }
    return value > kWidthMax ? std::nullopt : std::optional(value);
  }

  // `[2]` chooses the next argument.
  void ArgumentIndex() {
    if (pos_ >= format_.size() || format_[pos_] != '[') {
      return;
    }
    reordered_ = true;
    const size_t close = format_.find(']', pos_);
    ++pos_;
    const auto number = Number();
    if (close == std::string_view::npos || !number || pos_ != close || *number < 1 ||
        static_cast<size_t>(*number) > values_.size()) {
      bad_index_ = true;
      pos_ = close == std::string_view::npos ? pos_ : close + 1;
      return;
    }
    next_ = static_cast<size_t>(*number) - 1;
    pos_ = close + 1;
  }

  std::optional<int> WidthOrStar(const char* bad) {
    if (pos_ >= format_.size() || format_[pos_] != '*') {
      return Number();
    }
    ++pos_;
    if (next_ < values_.size() && values_[next_].kind == Kind::kInt && std::abs(values_[next_].integer) <= kWidthMax) {
      return static_cast<int>(values_[next_++].integer);
    }
    next_ += next_ < values_.size() ? 1 : 0;
    out_ += bad;
    return std::nullopt;
  }

  Spec ReadSpec() {
    Spec spec;
    for (; pos_ < format_.size(); ++pos_) {
      const char c = format_[pos_];
      if (c == '-') {
        spec.minus = true;
      } else if (c == '+') {
        spec.plus = true;
      } else if (c == '#') {
        spec.sharp = true;
      } else if (c == ' ') {
        spec.space = true;
      } else if (c == '0') {
        spec.zero = true;
      } else {
        break;
      }
    }
    ArgumentIndex();
    spec.width = WidthOrStar("%!(BADWIDTH)");
    if (spec.width && *spec.width < 0) {
      spec.minus = true;
      spec.width = -*spec.width;
    }
    if (pos_ < format_.size() && format_[pos_] == '.') {
      ++pos_;
      ArgumentIndex();
      const size_t before = pos_;
      spec.precision = WidthOrStar("%!(BADPREC)");
      if (pos_ == before) {
        spec.precision = 0;
      } else if (spec.precision && *spec.precision < 0) {
        spec.precision.reset();
      }
    }
    spec.zero = spec.zero && !spec.minus;
    ArgumentIndex();
    return spec;
  }

  void Verb() {
    bad_index_ = false;
    const Spec spec = ReadSpec();
    if (pos_ >= format_.size()) {
      out_ += "%!(NOVERB)";
      return;
    }
    const size_t start = pos_;
    ReadRune(format_, &pos_);
    const std::string verb(format_.substr(start, pos_ - start));
    if (verb == "%") {
      out_ += "%";
    } else if (bad_index_) {
      out_ += "%!" + verb + "(BADINDEX)";
    } else if (next_ >= values_.size()) {
      out_ += "%!" + verb + "(MISSING)";
    } else {
      const Value& value = values_[next_++];
      out_ += verb.size() == 1 && verb != "w" && verb != "p" ? FormatValue(value, verb[0], spec) : BadVerb(value, verb);
    }
  }

  std::string_view format_;
  std::span<const Value> values_;
  size_t pos_ = 0;
  size_t next_ = 0;
  bool reordered_ = false;
  bool bad_index_ = false;
  std::string out_;
};

}  // namespace

Value Value::Bool(bool v) {
  Value value;
  value.kind = Kind::kBool;
  value.truth = v;
  return value;
}
Value Value::Int(int64_t v) { return Of(Kind::kInt, v); }
Value Value::Uint(uint64_t v) { return Of(Kind::kUint, static_cast<int64_t>(v)); }
Value Value::Float(double v) {
  Value value;
  value.kind = Kind::kFloat;
  value.real = v;
  return value;
}
Value Value::String(std::string v) {
  Value value;
  value.kind = Kind::kString;
  value.text = std::move(v);
  return value;
}
Value Value::Of(Kind kind, int64_t integer) {
  Value value;
  value.kind = kind;
  value.integer = integer;
  return value;
}
Value Value::Map(std::shared_ptr<const LabelMap> v) {
  Value value;
  value.kind = Kind::kLabelMap;
  value.labels = std::move(v);
  return value;
}
Value Value::Samples(std::shared_ptr<const SampleList> v) {
  Value value;
  value.kind = Kind::kSamples;
  value.samples = std::move(v);
  return value;
}
Value Value::Sample(std::shared_ptr<const SampleValue> v) {
  Value value;
  value.kind = Kind::kSample;
  value.sample = std::move(v);
  return value;
}

bool Value::IsNumberLike() const {
  return kind == Kind::kInt || (kind == Kind::kDuration && !pointer) || kind == Kind::kMonth || kind == Kind::kWeekday;
}

bool Value::IsTrue() const {
  if (pointer) {
    return true;
  }
  switch (kind) {
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return truth;
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kDuration:
    case Kind::kMonth:
    case Kind::kWeekday:
      return integer != 0;
    case Kind::kFloat:
      return real != 0;
    case Kind::kString:
      return !text.empty();
    case Kind::kLabelMap:
      return !labels->empty();
    case Kind::kArgMap:
      return !args->empty();
    case Kind::kSamples:
      return !samples->empty();
    case Kind::kTime:
    case Kind::kSample:
    case Kind::kData:
      return true;
  }
  return false;
}

std::string Value::TypeName() const {
  switch (kind) {
    case Kind::kNone:
      return "interface {}";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kUint:
      return "uint8";  // the only unsigned values are bytes of a string
    case Kind::kFloat:
      return "float64";
    case Kind::kString:
      return "string";
    case Kind::kTime:
      return pointer ? "*time.Time" : "time.Time";
    case Kind::kDuration:
      return pointer ? "*time.Duration" : "time.Duration";
    case Kind::kMonth:
      return "time.Month";
    case Kind::kWeekday:
      return "time.Weekday";
    case Kind::kLabelMap:
      return "map[string]string";
    case Kind::kArgMap:
      return "map[string]interface {}";
    case Kind::kSamples:
      return "template.queryResult";
    case Kind::kSample:
      return "*template.sample";
    case Kind::kData:
      return "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface "
             "{} }";
  }
  return "";
}

std::string PrintValue(const Value& value) {
  switch (value.kind) {
    case Kind::kNone:
      return "<no value>";
    case Kind::kString:
      return value.text;
    case Kind::kTime:
      return TimeText(value.integer);
    case Kind::kDuration:
      return DurationText(value.integer);
    case Kind::kMonth:
      return std::string(MonthName(value.integer));
    case Kind::kWeekday:
      return std::string(WeekdayName(value.integer));
    case Kind::kSample:
      return FormatValue(value, 'v', {}).substr(1);  // {{ }} looks through the pointer, fmt shows the &
    default:
      return FormatValue(value, 'v', {});
  }
}

Result<std::string> Sprint(std::span<const Value> values) {
  std::string out;
  for (size_t i = 0; i < values.size(); ++i) {
    const bool texts = values[i].kind == Kind::kString || (i > 0 && values[i - 1].kind == Kind::kString);
    out += i > 0 && !texts ? " " : "";
    out += FormatValue(values[i], 'v', {});
    if (out.size() > kOutputBytesMax) {
      return TooLong();
    }
  }
  return out;
}

Result<std::string> Sprintln(std::span<const Value> values) {
  std::string out;
  for (size_t i = 0; i < values.size(); ++i) {
    out += i > 0 ? " " : "";
    out += FormatValue(values[i], 'v', {});
    if (out.size() > kOutputBytesMax) {
      return TooLong();
    }
  }
  return out + "\n";
}

Result<std::string> Sprintf(std::string_view format, std::span<const Value> values) {
  return Printf(format, values).Run();
}

}  // namespace weir::tmpl
