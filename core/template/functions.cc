#include "core/template/functions.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <re2/re2.h>

#include "core/base/http_server.h"
#include "core/model/duration.h"
#include "core/model/regexp.h"
#include "core/template/ast.h"
#include "core/template/letters.h"
#include "core/template/lexer.h"
#include "core/template/unquote.h"

namespace weir::tmpl {
namespace {

using Arguments = std::span<const Value>;
using Context = const CallContext&;

std::string General(double v) { return FormatFloat(v, 'g', 4); }  // %.4g

// --- numbers -----------------------------------------------------------------------------------------------------

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

// --- query results -----------------------------------------------------------------------------------------------

Result<Value> Query(Context context, Arguments arguments) {
  if (context.query == nullptr || !*context.query) {
    return UnsupportedError("queries cannot run here");
  }
  auto results = (*context.query)(arguments[0].text, context.ts_ms);
  if (!results.ok()) {
    return results.status();
  }
  auto list = std::make_shared<SampleList>();
  list->reserve(results->size());
  for (const QueryResult& result : *results) {
    auto labels = std::make_shared<LabelMap>();
    for (const Label& label : result.labels) {
      labels->emplace(label.name, label.value);
    }
    list->push_back(std::make_shared<const SampleValue>(SampleValue{std::move(labels), result.value}));
  }
  return Value::Samples(std::move(list));
}

Result<Value> First(Context, Arguments arguments) {
  const auto& samples = arguments[0].samples;
  if (!samples || samples->empty()) {
    return InvalidError("first() called on vector with no elements");
  }
  return Value::Sample(samples->front());
}

std::string LabelOf(const SampleValue& sample, std::string_view name) {
  const auto found = sample.labels->find(name);
  return found == sample.labels->end() ? "" : found->second;
}

Status NoSample() { return InvalidError("runtime error: invalid memory address or nil pointer dereference"); }

Result<Value> LabelValue(Context, Arguments arguments) {
  return arguments[1].sample ? Result<Value>(Value::String(LabelOf(*arguments[1].sample, arguments[0].text)))
                             : NoSample();
}
Result<Value> SampleNumber(Context, Arguments arguments) {
  return arguments[0].sample ? Result<Value>(Value::Float(arguments[0].sample->value)) : NoSample();
}
Result<Value> SampleText(Context, Arguments arguments) {
  return arguments[0].sample ? Result<Value>(Value::String(LabelOf(*arguments[0].sample, "__value__"))) : NoSample();
}

Result<Value> SortByLabel(Context, Arguments arguments) {
  auto sorted = std::make_shared<SampleList>(arguments[1].samples ? *arguments[1].samples : SampleList());
  const std::string& name = arguments[0].text;
  std::stable_sort(sorted->begin(), sorted->end(),
                   [&](const auto& a, const auto& b) { return LabelOf(*a, name) < LabelOf(*b, name); });
  return Value::Samples(std::move(sorted));
}

Result<Value> Args(Context, Arguments arguments) {
  auto map = std::make_shared<ArgMap>();
  for (size_t i = 0; i < arguments.size(); ++i) {
    map->emplace("arg" + std::to_string(i), arguments[i]);
  }
  Value value;
  value.kind = Kind::kArgMap;
  value.args = std::move(map);
  return value;
}

// --- strings -----------------------------------------------------------------------------------------------------

Result<std::unique_ptr<RE2>> CompileRegex(const std::string& pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  auto regex = std::make_unique<RE2>(pattern, options);
  if (!regex->ok()) {
    return InvalidError(RegexpError(*regex));
  }
  return regex;
}

Result<Value> Match(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const auto regex, CompileRegex(arguments[0].text));
  return Value::Bool(RE2::PartialMatch(arguments[1].text, *regex));
}

Result<Value> ReplaceAll(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const auto regex, CompileRegex(arguments[0].text));
  const std::string& text = arguments[2].text;
  RegexpGroups groups;
  std::string out;
  size_t last_end = 0;
  for (size_t pos = 0; pos <= text.size();) {
    if (!MatchRegexp(*regex, text, pos, &groups)) {
      break;
    }
    const size_t begin = static_cast<size_t>(groups[0].data() - text.data()), end = begin + groups[0].size();
    out.append(text, last_end, begin - last_end);
    if (end > last_end || begin == 0) {  // an empty match right behind the previous one does not count
      AppendExpanded(*regex, arguments[1].text, groups, &out);
    }
    last_end = end;
    size_t after = pos;
    if (pos < text.size()) {
      ReadRune(text, &after);
    } else {
      ++after;
    }
    pos = std::max(after, end);
    if (out.size() > kOutputBytesMax) {
      return LimitError("text of more than " + std::to_string(kOutputBytesMax) + " bytes");
    }
  }
  out.append(text, last_end, std::string::npos);
  return Value::String(std::move(out));
}

// A mark that stands between two letters does not end a word: o'neil, a.b.
bool IsInsideMark(char32_t rune) {
  return rune == '\'' || rune == 0x2019 || rune == '.' || rune == ':' || rune == 0xb7;
}

// The first letter of each word that has two cases becomes upper case; digits and underscores before it do not count.
Result<Value> Title(Context, Arguments arguments) {
  const std::string& text = arguments[0].text;
  std::string out;
  bool in_word = false;
  bool titled = false;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t rune = ReadRune(text, &pos);
    AppendRune(&out, titled ? rune : ToUpperRune(rune));
    size_t ahead = pos;
    const bool bridged = in_word && IsInsideMark(rune) && pos < text.size() && IsWordRune(ReadRune(text, &ahead));
    in_word = IsWordRune(rune) || bridged;
    titled = in_word && (titled || ToUpperRune(rune) != ToLowerRune(rune));
  }
  return Value::String(std::move(out));
}

template <char32_t (*convert)(char32_t)>
Result<Value> MapRunes(Context, Arguments arguments) {
  const std::string& text = arguments[0].text;
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    AppendRune(&out, convert(ReadRune(text, &pos)));
  }
  return Value::String(std::move(out));
}

Result<Value> SafeHtml(Context, Arguments arguments) { return arguments[0]; }

Result<Value> UrlQueryEscapeOne(Context, Arguments arguments) {
  return Value::String(UrlQueryEscape(arguments[0].text));
}

// host:port, [v6]:port. RETURNS: false when the text is not of that form.
bool SplitHostPort(std::string_view text, std::string* host, std::string* port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return false;
  }
  std::string_view name = text.substr(0, colon);
  if (!text.empty() && text[0] == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos || close + 1 != colon) {
      return false;
    }
    name = text.substr(1, close - 1);
  } else if (name.find(':') != std::string_view::npos) {
    return false;
  }
  if (name.find_first_of("[]") != std::string_view::npos ||
      text.substr(colon + 1).find_first_of("[]") != std::string_view::npos) {
    return false;
  }
  *host = name;
  *port = text.substr(colon + 1);
  return true;
}

bool IsIpv4(std::string_view text) {
  int parts = 0;
  for (;; ++parts) {
    const size_t dot = std::min(text.find('.'), text.size());
    const std::string_view part = text.substr(0, dot);
    const bool digits =
        !part.empty() && part.size() <= 3 && part.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits || (part.size() > 1 && part[0] == '0') || std::stoi(std::string(part)) > 255) {
      return false;
    }
    if (dot == text.size()) {
      return parts == 3;
    }
    text.remove_prefix(dot + 1);
  }
}

bool IsIpv6(std::string_view text) {
  int groups = 0;
  bool gap = false;
  size_t pos = 0;
  if (text.substr(0, 2) == "::") {
    gap = true;
    pos = 2;
  }
  while (pos < text.size()) {
    const size_t colon = std::min(text.find(':', pos), text.size());
    const std::string_view part = text.substr(pos, colon - pos);
    if (colon == text.size() && part.find('.') != std::string_view::npos) {
      return IsIpv4(part) && (gap ? groups <= 5 : groups == 6);
    }
    if (part.empty() || part.size() > 4 || part.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
      return false;
    }
    ++groups;
    pos = colon + 1;
    if (colon == text.size()) {
      break;
    }
    if (pos < text.size() && text[pos] == ':') {
      if (gap) {
        return false;
      }
      gap = true;
      ++pos;
    } else if (pos >= text.size()) {
      return false;  // ends in one colon
    }
  }
  return gap ? groups < 8 : groups == 8;
}

Result<Value> StripPort(Context, Arguments arguments) {
  std::string host, port;
  return Value::String(SplitHostPort(arguments[0].text, &host, &port) ? host : arguments[0].text);
}

Result<Value> StripDomain(Context, Arguments arguments) {
  std::string host, port;
  if (!SplitHostPort(arguments[0].text, &host, &port)) {
    host = arguments[0].text;
    port.clear();
  }
  if (IsIpv4(host) || IsIpv6(host)) {
    return arguments[0];
  }
  host = host.substr(0, host.find('.'));
  if (port.empty()) {
    return Value::String(std::move(host));
  }
  return Value::String((host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + port);
}

Result<Value> GraphLink(Context, Arguments arguments) {
  return Value::String("/graph?g0.expr=" + UrlQueryEscape(arguments[0].text) + "&g0.tab=0");
}
Result<Value> TableLink(Context, Arguments arguments) {
  return Value::String("/graph?g0.expr=" + UrlQueryEscape(arguments[0].text) + "&g0.tab=1");
}
Result<Value> ExternalUrl(Context context, Arguments) { return Value::String(context.data->external_url); }
Result<Value> PathPrefix(Context context, Arguments) {
  const std::string& url = context.data->external_url;
  const size_t scheme = url.find("://");
  const size_t host = scheme == std::string::npos ? 0 : scheme + 3;
  const size_t path = std::min(url.find('/', host), url.size());
  return Value::String(UrlDecode(std::string_view(url).substr(path, url.find_first_of("?#", path) - path), false));
}

// --- what every Go template has ------------------------------------------------------------------------------------

enum class Basic : unsigned char { kBool, kInt, kUint, kFloat, kString, kOther };

Basic BasicKind(const Value& value) {
  if (value.IsNumberLike()) {
    return Basic::kInt;
  }
  switch (value.kind) {
    case Kind::kBool:
      return Basic::kBool;
    case Kind::kUint:
      return Basic::kUint;
    case Kind::kFloat:
      return Basic::kFloat;
    case Kind::kString:
      return Basic::kString;
    default:
      return Basic::kOther;
  }
}

Status BadType() { return InvalidError("invalid type for comparison"); }
Status Incompatible(const Value& a, const Value& b) {
  return InvalidError("incompatible types for comparison: " + a.TypeName() + " and " + b.TypeName());
}

// An int and a byte compare as numbers; everything else must be of one kind.
bool MixedIntegers(Basic a, Basic b) {
  return (a == Basic::kInt && b == Basic::kUint) || (a == Basic::kUint && b == Basic::kInt);
}

Result<bool> Equal(const Value& a, const Value& b) {
  const Basic ka = BasicKind(a), kb = BasicKind(b);
  if (ka != kb && !MixedIntegers(ka, kb)) {
    if (a.kind != Kind::kNone && b.kind != Kind::kNone) {
      return Incompatible(a, b);
    }
    return false;
  }
  switch (ka) {
    case Basic::kBool:
      return a.truth == b.truth;
    case Basic::kInt:
    case Basic::kUint:
      return a.integer == b.integer;
    case Basic::kFloat:
      return a.real == b.real;
    case Basic::kString:
      return a.text == b.text;
    case Basic::kOther:
      break;
  }
  if (a.kind == Kind::kNone || b.kind == Kind::kNone) {
    return a.kind == b.kind;
  }
  if (a.kind != b.kind) {
    return InvalidError("non-comparable types " + PrintValue(a) + ": " + a.TypeName() + ", " + b.TypeName() + ": " +
                        PrintValue(b));
  }
  if (a.kind == Kind::kTime) {
    return a.integer == b.integer;
  }
  if (a.kind == Kind::kSample) {
    return a.sample == b.sample;
  }
  return InvalidError("non-comparable type " + PrintValue(a) + ": " + a.TypeName());
}

Result<bool> Less(const Value& a, const Value& b) {
  const Basic ka = BasicKind(a), kb = BasicKind(b);
  if (ka == Basic::kOther || kb == Basic::kOther) {
    return BadType();
  }
  if (ka != kb && !MixedIntegers(ka, kb)) {
    return Incompatible(a, b);
  }
  switch (ka) {
    case Basic::kInt:
    case Basic::kUint:
      return a.integer < b.integer;
    case Basic::kFloat:
      return a.real < b.real;
    case Basic::kString:
      return a.text < b.text;
    default:
      return BadType();
  }
}

Result<Value> BuiltinEq(Context, Arguments arguments) {
  if (arguments.size() < 2) {
    return InvalidError("missing argument for comparison");
  }
  for (const Value& other : arguments.subspan(1)) {
    WEIR_ASSIGN_OR_RETURN(const bool same, Equal(arguments[0], other));
    if (same) {
      return Value::Bool(true);
    }
  }
  return Value::Bool(false);
}
Result<Value> BuiltinNe(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const bool same, Equal(arguments[0], arguments[1]));
  return Value::Bool(!same);
}
Result<Value> BuiltinLt(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const bool less, Less(arguments[0], arguments[1]));
  return Value::Bool(less);
}
Result<Value> BuiltinLe(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const bool less, Less(arguments[0], arguments[1]));
  if (less) {
    return Value::Bool(true);
  }
  WEIR_ASSIGN_OR_RETURN(const bool same, Equal(arguments[0], arguments[1]));
  return Value::Bool(same);
}
// Go defines gt as not le and ge as not lt: both are true for NaN.
Result<Value> BuiltinGt(Context context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const Value at_most, BuiltinLe(context, arguments));
  return Value::Bool(!at_most.truth);
}
Result<Value> BuiltinGe(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const bool less, Less(arguments[0], arguments[1]));
  return Value::Bool(!less);
}
Result<Value> BuiltinNot(Context, Arguments arguments) { return Value::Bool(!arguments[0].IsTrue()); }

// len, index and slice look through pointers, also in their messages.
std::string PointedTypeName(const Value& value) {
  const std::string name = value.TypeName();
  return name[0] == '*' ? name.substr(1) : name;
}

Result<Value> Len(Context, Arguments arguments) {
  const Value& item = arguments[0];
  switch (item.kind) {
    case Kind::kString:
      return Value::Int(static_cast<int64_t>(item.text.size()));
    case Kind::kLabelMap:
      return Value::Int(static_cast<int64_t>(item.labels->size()));
    case Kind::kArgMap:
      return Value::Int(static_cast<int64_t>(item.args->size()));
    case Kind::kSamples:
      return Value::Int(static_cast<int64_t>(item.samples->size()));
    case Kind::kNone:
      return InvalidError("len of untyped nil");
    default:
      return InvalidError("len of type " + PointedTypeName(item));
  }
}

Result<int64_t> IndexArgument(const Value& index, size_t limit) {
  if (index.kind == Kind::kNone) {
    return InvalidError("cannot index slice/array with nil");
  }
  if (!index.IsNumberLike() && index.kind != Kind::kUint) {
    return InvalidError("cannot index slice/array with type " + index.TypeName());
  }
  if (index.integer < 0 || static_cast<uint64_t>(index.integer) > limit) {
    return InvalidError("index out of range: " + std::to_string(index.integer));
  }
  return index.integer;
}

Result<Value> IndexOne(const Value& item, const Value& index) {
  if (item.kind == Kind::kLabelMap || item.kind == Kind::kArgMap) {
    if (index.kind == Kind::kNone) {
      return InvalidError("value is nil; should be of type string");
    }
    if (index.kind != Kind::kString) {
      return InvalidError("value has type " + index.TypeName() + "; should be string");
    }
    if (item.kind == Kind::kLabelMap) {
      const auto found = item.labels->find(index.text);
      return Value::String(found == item.labels->end() ? "" : found->second);
    }
    const auto found = item.args->find(index.text);
    return found == item.args->end() ? Value() : found->second;
  }
  if (item.kind != Kind::kSamples && item.kind != Kind::kString) {
    return item.kind == Kind::kNone ? InvalidError("index of nil pointer")
                                    : InvalidError("can't index item of type " + PointedTypeName(item));
  }
  const size_t size = item.kind == Kind::kString ? item.text.size() : item.samples->size();
  WEIR_ASSIGN_OR_RETURN(const int64_t at, IndexArgument(index, size));
  if (static_cast<size_t>(at) >= size) {
    return InvalidError("index out of range: " + std::to_string(at));
  }
  return item.kind == Kind::kString ? Value::Uint(static_cast<unsigned char>(item.text[static_cast<size_t>(at)]))
                                    : Value::Sample((*item.samples)[static_cast<size_t>(at)]);
}

Result<Value> Index(Context, Arguments arguments) {
  if (arguments[0].kind == Kind::kNone) {
    return InvalidError("index of untyped nil");
  }
  Value item = arguments[0];
  for (const Value& index : arguments.subspan(1)) {
    WEIR_ASSIGN_OR_RETURN(item, IndexOne(item, index));
  }
  return item;
}

Result<Value> Slice(Context, Arguments arguments) {
  const Value& item = arguments[0];
  if (item.kind == Kind::kNone) {
    return InvalidError("slice of untyped nil");
  }
  if (arguments.size() > 4) {
    return InvalidError("too many slice indexes: " + std::to_string(arguments.size() - 1));
  }
  if (item.kind != Kind::kString && item.kind != Kind::kSamples) {
    return InvalidError("can't slice item of type " + PointedTypeName(item));
  }
  if (item.kind == Kind::kString && arguments.size() == 4) {
    return InvalidError("cannot 3-index slice a string");
  }
  const size_t size = item.kind == Kind::kString ? item.text.size() : item.samples->size();
  int64_t at[3] = {0, static_cast<int64_t>(size), static_cast<int64_t>(size)};
  for (size_t i = 1; i < arguments.size(); ++i) {
    WEIR_ASSIGN_OR_RETURN(at[i - 1], IndexArgument(arguments[i], size));
  }
  if (at[0] > at[1]) {
    return InvalidError("invalid slice index: " + std::to_string(at[0]) + " > " + std::to_string(at[1]));
  }
  if (at[1] > at[2]) {
    return InvalidError("invalid slice index: " + std::to_string(at[1]) + " > " + std::to_string(at[2]));
  }
  if (item.kind == Kind::kString) {
    return Value::String(item.text.substr(static_cast<size_t>(at[0]), static_cast<size_t>(at[1] - at[0])));
  }
  return Value::Samples(
      std::make_shared<const SampleList>(item.samples->begin() + at[0], item.samples->begin() + at[1]));
}

Result<Value> Text(Result<std::string> text) {
  if (!text.ok()) {
    return text.status();
  }
  return Value::String(std::move(*text));
}
Result<Value> Print(Context, Arguments arguments) { return Text(Sprint(arguments)); }
Result<Value> Println(Context, Arguments arguments) { return Text(Sprintln(arguments)); }
Result<Value> PrintF(Context, Arguments arguments) { return Text(Sprintf(arguments[0].text, arguments.subspan(1))); }

// The arguments as one text, each as {{ }} would print it.
Result<std::string> JoinedArguments(Arguments arguments) {
  std::vector<Value> printable(arguments.begin(), arguments.end());
  for (Value& value : printable) {
    if (value.kind == Kind::kNone || value.kind == Kind::kSample) {
      value = Value::String(PrintValue(value));
    }
  }
  return Sprint(printable);
}

// Applies `escape` to every rune of the arguments.
template <void (*escape)(char32_t, std::string*)>
Result<Value> Escape(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, JoinedArguments(arguments));
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    escape(ReadRune(text, &pos), &out);
  }
  return Value::String(std::move(out));
}

void HtmlRune(char32_t rune, std::string* out) {
  switch (rune) {
    case 0:
      AppendRune(out, 0xfffd);
      break;
    case '"':
      *out += "&#34;";
      break;
    case '\'':
      *out += "&#39;";
      break;
    case '&':
      *out += "&amp;";
      break;
    case '<':
      *out += "&lt;";
      break;
    case '>':
      *out += "&gt;";
      break;
    default:
      AppendRune(out, rune);
  }
}

void JsRune(char32_t rune, std::string* out) {
  if (rune == '\\' || rune == '\'' || rune == '"') {
    out->push_back('\\');
    AppendRune(out, rune);
  } else if (rune < 0x20 || rune == '<' || rune == '>' || rune == '&' || rune == '=' || rune == 0x7f ||
             rune == 0x2028 || rune == 0x2029) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    *out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) {
      out->push_back(kHex[(rune >> shift) & 15]);
    }
  } else {
    AppendRune(out, rune);
  }
}

Result<Value> UrlQuery(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, JoinedArguments(arguments));
  return Value::String(UrlQueryEscape(text));
}

Result<Value> Call(Context, Arguments arguments) {
  return InvalidError(arguments[0].kind == Kind::kNone ? "call of nil"
                                                       : "non-function of type " + arguments[0].TypeName());
}

constexpr Function kFunctions[] = {
    {"and", "aa*", nullptr},
    {"args", "a*", Args},
    {"call", "aa*", Call},
    {"eq", "aa*", BuiltinEq},
    {"externalURL", "", ExternalUrl},
    {"first", "Q", First},
    {"ge", "aa", BuiltinGe},
    {"graphLink", "s", GraphLink},
    {"gt", "aa", BuiltinGt},
    {"html", "a*", Escape<HtmlRune>},
    {"humanize", "a", Humanize},
    {"humanize1024", "a", Humanize1024},
    {"humanizeDuration", "a", HumanizeDuration},
    {"humanizePercentage", "a", HumanizePercentage},
    {"humanizeTimestamp", "a", HumanizeTimestamp},
    {"index", "aa*", Index},
    {"js", "a*", Escape<JsRune>},
    {"label", "sS", LabelValue},
    {"le", "aa", BuiltinLe},
    {"len", "a", Len},
    {"lt", "aa", BuiltinLt},
    {"match", "ss", Match},
    {"ne", "aa", BuiltinNe},
    {"not", "a", BuiltinNot},
    {"now", "", Now},
    {"or", "aa*", nullptr},
    {"parseDuration", "s", ParseDuration},
    {"pathPrefix", "", PathPrefix},
    {"print", "a*", Print},
    {"printf", "sa*", PrintF},
    {"println", "a*", Println},
    {"query", "s", Query},
    {"reReplaceAll", "sss", ReplaceAll},
    {"safeHtml", "s", SafeHtml},
    {"slice", "aa*", Slice},
    {"sortByLabel", "sQ", SortByLabel},
    {"stripDomain", "s", StripDomain},
    {"stripPort", "s", StripPort},
    {"strvalue", "S", SampleText},
    {"tableLink", "s", TableLink},
    {"title", "s", Title},
    {"toDuration", "a", ToDuration},
    {"toLower", "s", MapRunes<ToLowerRune>},
    {"toTime", "a", ToTime},
    {"toUpper", "s", MapRunes<ToUpperRune>},
    {"urlQueryEscape", "s", UrlQueryEscapeOne},
    {"urlquery", "a*", UrlQuery},
    {"value", "S", SampleNumber},
};

}  // namespace

const Function* FindFunction(std::string_view name) {
  const auto* found = std::lower_bound(std::begin(kFunctions), std::end(kFunctions), name,
                                       [](const Function& row, std::string_view wanted) { return row.name < wanted; });
  return found != std::end(kFunctions) && found->name == name ? found : nullptr;
}

bool IsFunction(std::string_view name) { return FindFunction(name) != nullptr; }

}  // namespace weir::tmpl
