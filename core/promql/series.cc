// Metrics and series descriptions: the notation of test files (semantics 9.1).

#include <algorithm>
#include <charconv>
#include <limits>

#include "core/promql/expression_parser.h"
#include "core/promql/histogram_reader.h"
#include "core/promql/literals.h"
#include "core/promql/parser.h"

namespace weir::promql {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr ParseContext kInSeries = {"series values", ""};

class SeriesParser : public HistogramReader {
 public:
  using HistogramReader::HistogramReader;

  // RETURNS: false after an error, like every function here.
  bool ParseWholeMetric(Labels* labels) { return ReadMetric(labels) && Expect(TokenKind::kEnd); }

  bool ParseWholeSeries(SeriesDescription* series) {
    if (!ReadMetric(&series->labels)) {
      return false;
    }
    if (!At(TokenKind::kSpace) && !At(TokenKind::kEnd)) {
      return FailIn(kInSeries);
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
    if (At(TokenKind::kOpenHistogram)) {
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
      return stepped ? FailIn(kInSeries) : Append(value, 1, values);
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

  bool ReadHistograms(std::vector<SequenceValue>* values) {
    NotedHistogram base;
    if (!ReadHistogram(&base)) {
      return false;
    }
    SequenceValue value;
    value.histogram = std::make_shared<FloatHistogram>(base.histogram);
    value.hint_named = base.hint_named;
    const bool added = At(TokenKind::kAdd);
    const bool stepped = added || At(TokenKind::kSub);
    NotedHistogram step;
    if (stepped) {
      Take();
      if (!At(TokenKind::kOpenHistogram)) {
        return FailIn(kInSeries);
      }
      if (!ReadHistogram(&step)) {
        return false;
      }
      value.hint_named = step.hint_named;  // for all of them, the base included, as upstream
    }
    if (!Accept(TokenKind::kTimes)) {
      return stepped ? FailIn(kInSeries) : Append(value, 1, values);
    }
    const PositionRange count_range = Peek().range();
    uint64_t repeats = 0;
    if (!ReadCount(&repeats)) {
      return false;
    }
    if (!stepped) {
      return HasRoom(repeats, *values) && Append(value, repeats + 1, values);
    }
    // Every sum is a histogram of its own.
    const size_t buckets = base.histogram.positive_buckets.size() + base.histogram.negative_buckets.size() +
                           step.histogram.positive_buckets.size() + step.histogram.negative_buckets.size();
    return HasRoom(std::max(repeats, repeats * std::min<uint64_t>(buckets, kSeriesValuesMax)), *values) &&
           AppendSteps(value, step.histogram, added, repeats, count_range, values);
  }

  // Appends the base and its sums with 1 to `repeats` steps.
  bool AppendSteps(SequenceValue value, const FloatHistogram& step, bool added, uint64_t repeats, PositionRange at,
                   std::vector<SequenceValue>* values) {
    values->push_back(value);
    for (uint64_t i = 0; i < repeats; ++i) {
      auto next = std::make_shared<FloatHistogram>(*value.histogram);
      if (next->schema > step.schema) {
        Error(at, "error combining histograms: cannot merge from schema " + std::to_string(step.schema) + " to " +
                      std::to_string(next->schema));
        return false;
      }
      const Result<CombineInfo> combined = added ? next->Add(step) : next->Sub(step);
      if (!combined.ok()) {
        Error(at, std::string(combined.status().message()));
        return false;
      }
      value.histogram = std::move(next);
      values->push_back(value);
    }
    return true;
  }

  bool ReadSignedNumber(double* value) {
    const bool has_sign = At(TokenKind::kAdd) || At(TokenKind::kSub);
    const double sign = has_sign && Take().kind == TokenKind::kSub ? -1 : 1;
    if (!At(TokenKind::kNumber)) {
      return has_sign ? FailIn(kInSeries) : Fail();
    }
    if (!ReadNumber(value)) {
      return false;
    }
    *value = sign < 0 ? -*value : *value;
    return true;
  }

  bool ReadCount(uint64_t* count) { return At(TokenKind::kNumber) ? ReadWhole(count) : FailIn(kInSeries); }

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
