// Metrics and series descriptions: the notation of test files (semantics 9.1).

#include <algorithm>
#include <charconv>
#include <limits>

#include "core/promql/expression_parser.h"
#include "core/promql/label_reader.h"
#include "core/promql/literals.h"
#include "core/promql/parser.h"

namespace weir::promql {
namespace {

// --- what may stand in `{{…}}` ---

constexpr std::string_view kSpace = " \t\r\n";

bool IsNumber(std::string_view text) {
  text.remove_prefix(text.starts_with('-') || text.starts_with('+') ? 1 : 0);
  return !text.empty() && ParseNumber(text).ok();
}

bool IsInteger(std::string_view text) {
  text.remove_prefix(text.starts_with('-') ? 1 : 0);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool IsNumberList(std::string_view text) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') {
    return false;
  }
  text = text.substr(1, text.size() - 2);
  size_t numbers = 0;
  for (size_t at = text.find_first_not_of(kSpace); at != std::string_view::npos;
       at = text.find_first_not_of(kSpace, at)) {
    const size_t end = std::min(text.find_first_of(kSpace, at), text.size());
    if (!IsNumber(text.substr(at, end - at))) {
      return false;
    }
    ++numbers;
    at = end;
  }
  return numbers > 0;
}

bool IsResetHint(std::string_view text) {
  return text == "unknown" || text == "reset" || text == "not_reset" || text == "gauge";
}

// RETURNS: the check for the value of a key, null for an unknown key.
bool (*ValueCheck(std::string_view key))(std::string_view) {
  if (key == "schema" || key == "offset" || key == "n_offset") {
    return IsInteger;
  }
  if (key == "sum" || key == "count" || key == "z_bucket" || key == "z_bucket_w") {
    return IsNumber;
  }
  if (key == "buckets" || key == "n_buckets" || key == "custom_values") {
    return IsNumberList;
  }
  return key == "counter_reset_hint" ? IsResetHint : nullptr;
}

// Checks `{{key:value key:[value value]}}`.
Status CheckHistogram(std::string_view text) {
  std::string_view rest = text.substr(2, text.size() - 4);
  std::vector<std::string_view> seen;
  while (true) {
    rest.remove_prefix(std::min(rest.find_first_not_of(kSpace), rest.size()));
    if (rest.empty()) {
      return Status();
    }
    const size_t colon = rest.find(':');
    const std::string_view key = rest.substr(0, std::min({colon, rest.find_first_of(kSpace), rest.size()}));
    const auto check = ValueCheck(key);
    if (check == nullptr || key.size() != colon) {
      return InvalidError(check == nullptr ? "bad histogram descriptor found: " + GoQuote(key)
                                           : "missing `:` for histogram descriptor");
    }
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      return InvalidError("duplicate key " + GoQuote(key) + " in histogram");
    }
    seen.push_back(key);
    rest.remove_prefix(colon + 1);
    const bool list = rest.starts_with('[');
    const size_t end = list ? rest.find(']') : rest.find_first_of(kSpace);
    const std::string_view value =
        rest.substr(0, std::min(list && end != std::string_view::npos ? end + 1 : end, rest.size()));
    if (!check(value)) {
      return InvalidError("error parsing " + std::string(key) + ": " + GoQuote(value));
    }
    rest.remove_prefix(value.size());
  }
}

class SeriesParser : public LabelReader {
 public:
  using LabelReader::LabelReader;

  // RETURNS: false after an error, like every function here.
  bool ParseWholeMetric(Labels* labels) { return ReadMetric(labels) && Expect(TokenKind::kEnd); }

  bool ParseWholeSeries(SeriesDescription* series) {
    if (!ReadMetric(&series->labels)) {
      return false;
    }
    if (!At(TokenKind::kSpace) && !At(TokenKind::kEnd)) {
      return FailIn({"series values", ""});
    }
    while (Accept(TokenKind::kSpace)) {
      if (!At(TokenKind::kSpace) && !At(TokenKind::kEnd) && !ReadItem(&series->values)) {
        return false;
      }
    }
    return Expect(TokenKind::kEnd);
  }

 private:
  bool ReadMetric(Labels* out) {
    std::vector<Label> labels;
    std::string name;
    if (IsMetricName(Peek().kind)) {
      name = Take().text;
    }
    if (At(TokenKind::kLeftBrace) && !ReadLabels(&labels)) {
      return false;
    }
    if (!name.empty()) {
      labels.push_back({std::string(kMetricName), std::move(name)});
    }
    *out = Labels(std::move(labels));
    return true;
  }

  bool ReadItem(std::vector<SequenceValue>* values) {
    SequenceValue value;
    if (Accept(TokenKind::kBlank)) {
      value.omitted = true;
      uint64_t count = 1;
      return (!Accept(TokenKind::kTimes) || ReadCount(&count)) && Append(value, count, values);
    }
    if (At(TokenKind::kHistogram)) {
      return ReadHistograms(values);
    }
    if (At(TokenKind::kIdentifier)) {
      if (Peek().text != "stale") {
        return FailIn({"series values", "number or \"stale\""});
      }
      Take();
      value.value = StaleNaN();
    } else if (!ReadSignedNumber(&value.value)) {
      return false;
    }
    double step = 0;
    const bool stepped = At(TokenKind::kAdd) || At(TokenKind::kSub);
    if (stepped && !ReadSignedNumber(&step)) {
      return false;
    }
    uint64_t repeats = 0;
    if (!Accept(TokenKind::kTimes)) {
      return stepped ? Fail() : Append(value, 1, values);
    }
    if (!ReadCount(&repeats)) {
      return false;
    }
    if (!HasRoom(repeats, *values)) {
      return false;
    }
    // The value itself, then the repetitions; a step is added each time, so rounding accumulates as upstream.
    for (uint64_t i = 0; i <= repeats; ++i) {
      values->push_back(value);
      value.value = stepped ? value.value + step : value.value;
    }
    return true;
  }

  bool ReadHistogram(std::string* text) {
    const Token token = Take();
    *text = token.text;
    const Status status = CheckHistogram(token.text);
    if (!status.ok()) {
      Error(token.range(), std::string(status.message()));
    }
    return status.ok();
  }

  bool ReadHistograms(std::vector<SequenceValue>* values) {
    SequenceValue value;
    if (!ReadHistogram(&value.histogram)) {
      return false;
    }
    const bool stepped = At(TokenKind::kAdd) || At(TokenKind::kSub);
    std::string step;
    if (stepped) {
      step = Take().kind == TokenKind::kAdd ? "+" : "-";
      if (!At(TokenKind::kHistogram)) {
        return Fail();
      }
      std::string increment;
      if (!ReadHistogram(&increment)) {
        return false;
      }
      step.append(increment).append("x");
    }
    uint64_t repeats = 0;
    if (!Accept(TokenKind::kTimes)) {
      return stepped ? Fail() : Append(value, 1, values);
    }
    if (!ReadCount(&repeats)) {
      return false;
    }
    if (!HasRoom(repeats, *values)) {
      return false;
    }
    const std::string base = value.histogram;
    for (uint64_t i = 0; i <= repeats; ++i) {
      value.histogram = stepped && i > 0 ? base + step + std::to_string(i) : base;
      values->push_back(value);
    }
    return true;
  }

  bool ReadSignedNumber(double* value) {
    double sign = 1;
    if (At(TokenKind::kAdd) || At(TokenKind::kSub)) {
      sign = Take().kind == TokenKind::kSub ? -1 : 1;
    }
    if (!At(TokenKind::kNumber)) {
      return Fail();
    }
    const Token token = Take();
    const Result<double> number = ParseNumber(token.text);
    if (!number.ok()) {
      Error(token.range(), std::string(number.status().message()));
      return false;
    }
    *value = sign < 0 ? -*number : *number;
    return true;
  }

  bool ReadCount(uint64_t* count) {
    if (!At(TokenKind::kNumber)) {
      return Fail();
    }
    const Token token = Take();
    const char* end = token.text.data() + token.text.size();
    const auto parsed = std::from_chars(token.text.data(), end, *count);
    if (parsed.ec == std::errc() && parsed.ptr == end) {
      return true;
    }
    const char* why = parsed.ec == std::errc::result_out_of_range ? "value out of range" : "invalid syntax";
    Error(token.range(),
          "invalid repetition in series values: strconv.ParseUint: parsing " + GoQuote(token.text) + ": " + why);
    return false;
  }

  bool HasRoom(uint64_t count, const std::vector<SequenceValue>& values) {
    const bool room = count < kSeriesValuesMax && values.size() + count < kSeriesValuesMax;
    if (!room) {
      Error({last_end(), last_end()},
            "a series may not have more than " + std::to_string(kSeriesValuesMax) + " values");
    }
    return room;
  }

  bool Append(const SequenceValue& value, uint64_t count, std::vector<SequenceValue>* values) {
    if (!HasRoom(count, *values)) {
      return false;
    }
    values->insert(values->end(), count, value);
    return true;
  }
};

// --- start times: durations relative to each sample, `-30s`, `-30sx3`, `-1m+10sx2`, `_`, `_x2` ---

// Reads `-1m30s` off the front of `text`. UNITS: milliseconds.
Result<int64_t> TakeDuration(std::string_view* text) {
  const bool negative = text->starts_with('-');
  const size_t begin = negative ? 1 : 0;
  const size_t end = std::min(text->find_first_not_of("0123456789ywdhms", begin), text->size());
  const std::string_view digits = text->substr(begin, end - begin);
  text->remove_prefix(end);
  if (digits == "0") {
    return int64_t{0};
  }
  if (digits.empty()) {
    return InvalidError("empty duration string");
  }
  WEIR_ASSIGN_OR_RETURN(const double seconds, ParseDurationSeconds(digits));
  const int64_t ms = SecondsToMs(seconds);
  return negative ? -ms : ms;
}

Result<uint64_t> TakeRepeat(std::string_view text) {
  uint64_t count = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), count);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || count > kSeriesValuesMax) {
    return InvalidError("invalid repeat count");
  }
  return count;
}

Status AppendStartTimes(std::string_view item, std::vector<SequenceValue>* values) {
  SequenceValue value;
  value.omitted = item.starts_with('_');
  int64_t offset_ms = 0;
  int64_t step_ms = 0;
  std::string_view rest = item;
  if (value.omitted) {
    rest.remove_prefix(1);
  } else {
    WEIR_ASSIGN_OR_RETURN(offset_ms, TakeDuration(&rest));
    if (rest.starts_with('+') || rest.starts_with('-')) {
      const bool minus = rest.front() == '-';
      rest.remove_prefix(1);
      WEIR_ASSIGN_OR_RETURN(const int64_t step, TakeDuration(&rest));
      step_ms = minus ? -step : step;
      if (!rest.starts_with('x')) {
        return InvalidError("expected 'x<count>' after step duration");
      }
    }
  }
  uint64_t count = 1;
  if (!rest.empty()) {
    if (rest.front() != 'x') {
      return InvalidError("unexpected character after duration: " + GoQuote(rest.substr(0, 1)));
    }
    WEIR_ASSIGN_OR_RETURN(const uint64_t repeats, TakeRepeat(rest.substr(1)));
    if (value.omitted && repeats == 0) {
      return InvalidError("invalid repeat count");
    }
    count = value.omitted ? repeats : repeats + 1;
  }
  if (values->size() + count > kSeriesValuesMax) {
    return LimitError("a series may not have more than " + std::to_string(kSeriesValuesMax) + " values");
  }
  for (uint64_t i = 0; i < count; ++i) {
    value.value =
        value.omitted ? 0 : static_cast<double>(offset_ms) + static_cast<double>(step_ms) * static_cast<double>(i);
    values->push_back(value);
  }
  return Status();
}

Result<SeriesDescription> ParseStartTimes(std::string_view metric, std::string_view items) {
  SeriesDescription out;
  out.start_times = true;
  WEIR_ASSIGN_OR_RETURN(out.labels, ParseMetric(metric));
  for (size_t at = items.find_first_not_of(kSpace); at != std::string_view::npos;
       at = items.find_first_not_of(kSpace, at)) {
    const size_t end = std::min(items.find_first_of(kSpace, at), items.size());
    const std::string_view item = items.substr(at, end - at);
    const Status appended = AppendStartTimes(item, &out.values);
    if (!appended.ok()) {
      return appended.WithPrefix("invalid ST item " + GoQuote(item) + ": ");
    }
    at = end;
  }
  return out;
}

}  // namespace

Result<SeriesDescription> ParseSeriesDescription(std::string_view text) {
  constexpr std::string_view kStartTimes = "@st";
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  const size_t space = text.find_first_of(" \t", begin);
  if (space != std::string_view::npos && text.substr(begin, space - begin).ends_with(kStartTimes)) {
    return ParseStartTimes(text.substr(begin, space - begin - kStartTimes.size()), text.substr(space));
  }
  SeriesParser parser(text, Lexer::Language::kSeries);
  SeriesDescription out;
  if (!parser.ParseWholeSeries(&out) || !parser.errors().empty()) {
    return InvalidError(parser.errors().front().ToString());
  }
  return out;
}

Result<Labels> ParseMetric(std::string_view text) {
  SeriesParser parser(text, Lexer::Language::kExpression);
  Labels out;
  if (!parser.ParseWholeMetric(&out)) {
    return InvalidError(parser.errors().front().ToString());
  }
  return out;
}

}  // namespace weir::promql
