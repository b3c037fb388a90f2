#include "core/plugin/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <numeric>

#include "core/model/duration.h"

namespace weir::plugin {
namespace {

std::string Quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

std::vector<std::string> SplitBy(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return parts;
}

template <typename T>
bool ParseNumber(std::string_view text, T* out) {
  if (!text.empty() && text.front() == '+') {
    text.remove_prefix(1);
  }
  const auto end = std::from_chars(text.data(), text.data() + text.size(), *out);
  return !text.empty() && end.ec == std::errc() && end.ptr == text.data() + text.size();
}

std::string_view WantText(OptionType type) {
  switch (type) {
    case OptionType::kString:
    case OptionType::kSecret:
      return "a string";
    case OptionType::kPath:
      return "a path";
    case OptionType::kBool:
      return "true or false";
    case OptionType::kInt:
      return "an integer";
    case OptionType::kFloat:
      return "a number";
    case OptionType::kDuration:
      return "a duration like 30s or 5m";
    case OptionType::kSize:
      return "a size like 64MiB";
    case OptionType::kStringList:
      return "a list of strings";
    case OptionType::kEnum:
      return "one of";
    case OptionType::kMap:
      return "a map of strings";
  }
  return "a value";
}

// RETURNS: whether `text` is a value of a scalar row; fills `out`.
bool ParseScalar(const OptionRow& row, std::string_view text, OptionValues::Value* out) {
  out->text = std::string(text);
  switch (row.type) {
    case OptionType::kBool:
      out->number = text == "true" ? 1 : 0;
      return text == "true" || text == "false";
    case OptionType::kInt:
      return ParseNumber(text, &out->number);
    case OptionType::kFloat:
      return ParseNumber(text, &out->real) && !std::isnan(out->real);
    case OptionType::kDuration: {
      const Result<int64_t> ms = ParseDurationMs(text);
      out->number = ms.ok() ? *ms : 0;
      return ms.ok();
    }
    case OptionType::kSize: {
      const Result<int64_t> bytes = ParseSize(text);
      out->number = bytes.ok() ? *bytes : 0;
      return bytes.ok();
    }
    case OptionType::kEnum: {
      const std::vector<std::string> choices = SplitBy(row.choices, '|');
      return std::find(choices.begin(), choices.end(), text) != choices.end();
    }
    default:
      return true;
  }
}

void SetFallback(const OptionRow& row, OptionValues::Value* value) {
  if (row.type == OptionType::kStringList) {
    value->list = SplitBy(row.fallback, ',');
  } else if (row.type != OptionType::kMap && !row.fallback.empty()) {
    WEIR_ASSERT(ParseScalar(row, row.fallback, value));
  }
}

// RETURNS: "" or what is wrong with the value, without the place.
std::string SetValue(const OptionRow& row, const RawOption& raw, OptionValues::Value* value) {
  using Shape = RawOption::Shape;
  const std::string prefix = "option " + Quoted(row.name) + ": want ";
  value->set = true;
  if (row.type == OptionType::kStringList) {
    if (raw.shape == Shape::kMap) {
      return prefix + "a list of strings, got a map";
    }
    value->list = raw.shape == Shape::kList ? raw.list : std::vector<std::string>{raw.scalar};
    return "";
  }
  if (row.type == OptionType::kMap) {
    if (raw.shape != Shape::kMap) {
      return prefix + "a map of strings, got " + (raw.shape == Shape::kList ? "a list" : Quoted(raw.scalar));
    }
    value->map = raw.map;
    return "";
  }
  if (raw.shape != Shape::kScalar) {
    return prefix + std::string(WantText(row.type)) + ", got " + (raw.shape == Shape::kList ? "a list" : "a map");
  }
  if (!ParseScalar(row, raw.scalar, value)) {
    std::string want(WantText(row.type));
    if (row.type == OptionType::kEnum) {
      for (const std::string& choice : SplitBy(row.choices, '|')) {
        want += ' ' + choice + ',';
      }
      want.pop_back();
    }
    return prefix + want + ", got " + Quoted(raw.scalar);
  }
  return "";
}

std::string UnknownText(std::span<const OptionRow> rows, std::string_view what, const RawOption& raw) {
  std::vector<std::string_view> names;
  for (const OptionRow& row : rows) {
    names.push_back(row.name);
  }
  std::string text = raw.where + ": unknown option " + Quoted(raw.name) + " of " + std::string(what);
  const std::string near = NearestName(raw.name, names);
  return near.empty() ? text : text + "; did you mean " + Quoted(near) + "?";
}

const OptionValues::Value& Find(const OptionValues& options, std::string_view name) {
  const auto it = options.values.find(name);
  WEIR_ASSERT(it != options.values.end());
  return it->second;
}

// Edit distance where two swapped neighbours count as one edit.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

const std::string& OptionValues::String(std::string_view name) const { return Find(*this, name).text; }
bool OptionValues::Bool(std::string_view name) const { return Find(*this, name).number != 0; }
int64_t OptionValues::Int(std::string_view name) const { return Find(*this, name).number; }
double OptionValues::Float(std::string_view name) const { return Find(*this, name).real; }
const std::vector<std::string>& OptionValues::List(std::string_view name) const { return Find(*this, name).list; }
const std::map<std::string, std::string>& OptionValues::Map(std::string_view name) const {
  return Find(*this, name).map;
}
bool OptionValues::IsSet(std::string_view name) const { return Find(*this, name).set; }

Result<OptionValues> ParseOptions(std::span<const OptionRow> rows, std::string_view what, std::string_view where,
                                  const std::vector<RawOption>& raw) {
  OptionValues options;
  options.where = std::string(where);
  for (const OptionRow& row : rows) {
    SetFallback(row, &options.values[std::string(row.name)]);
  }
  std::string problems;
  const auto problem = [&problems](const std::string& text) { problems += (problems.empty() ? "" : "\n") + text; };
  for (const RawOption& option : raw) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const OptionRow& r) { return r.name == option.name; });
    if (row == rows.end()) {
      problem(UnknownText(rows, what, option));
      continue;
    }
    OptionValues::Value& value = options.values[option.name];
    if (value.set) {
      problem(option.where + ": option " + Quoted(option.name) + " is given twice");
      continue;
    }
    if (option.shape == RawOption::Shape::kNull) {  // `name:` without a value asks for the default
      continue;
    }
    const std::string wrong = SetValue(*row, option, &value);
    if (!wrong.empty()) {
      problem(option.where + ": " + wrong);
    }
  }
  for (const OptionRow& row : rows) {
    if (row.required && !options.values[std::string(row.name)].set) {
      problem(options.where + ": " + std::string(what) + ": option " + Quoted(row.name) + " is required");
    }
  }
  if (!problems.empty()) {
    return InvalidError(std::move(problems));
  }
  return options;
}

Status CheckAtLeast(const OptionValues& options, std::initializer_list<LeastValue> wanted) {
  for (const auto& [name, least] : wanted) {
    if (options.Int(name) < least) {
      return InvalidError(options.where + ": option \"" + std::string(name) + "\": want at least " +
                          std::to_string(least) + ", got \"" + options.values.find(name)->second.text + "\"");
    }
  }
  return Status();
}

std::string SizeText(uint64_t bytes) {
  static constexpr std::string_view kUnits[] = {" KiB", " MiB", " GiB", " TiB"};
  static constexpr double kStep = 1024;
  if (bytes < kStep) {
    return std::to_string(bytes) + " bytes";
  }
  double size = static_cast<double>(bytes) / kStep;
  size_t unit = 0;
  for (; size >= kStep && unit + 1 < std::size(kUnits); ++unit) {
    size /= kStep;
  }
  const auto tenths = static_cast<uint64_t>(std::lround(size * 10));
  const std::string decimal = tenths % 10 == 0 ? "" : "." + std::to_string(tenths % 10);
  return std::to_string(tenths / 10) + decimal + std::string(kUnits[unit]);
}

Result<int64_t> ParseSize(std::string_view text) {
  static constexpr std::string_view kUnits = "KMGTP";
  const Status wrong = InvalidError("want a size like 64MiB, got " + Quoted(text));
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    ++digits;
  }
  int64_t number = 0;
  if (!ParseNumber(text.substr(0, digits), &number)) {
    return wrong;
  }
  std::string_view unit = text.substr(digits);
  int shift = 0;
  if (!unit.empty() && unit != "B") {
    const size_t power = kUnits.find(unit.front());
    const std::string_view rest = unit.substr(1);
    if (power == std::string_view::npos || (rest != "B" && rest != "iB" && !rest.empty())) {
      return wrong;
    }
    shift = 10 * static_cast<int>(power + 1);
  }
  if (number > (INT64_MAX >> shift)) {
    return wrong;
  }
  return number << shift;
}

std::string NearestName(std::string_view text, std::span<const std::string_view> candidates) {
  std::string_view best;
  size_t best_distance = std::max<size_t>(1, text.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    const size_t distance = EditDistance(text, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return std::string(best);
}

}  // namespace weir::plugin
