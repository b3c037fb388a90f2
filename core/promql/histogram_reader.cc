#include "core/promql/histogram_reader.h"

#include <algorithm>
#include <charconv>

#include "core/promql/literals.h"

namespace weir::promql {
namespace {

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return out;
}

void SetSpan(int32_t offset, size_t buckets, std::vector<BucketSpan>* spans) {
  if (buckets > 0) {
    spans->push_back({offset, static_cast<uint32_t>(buckets)});
  }
}

}  // namespace

// Upstream says what it expected once a first field has been read.
bool HistogramReader::FailHere(const Draft& draft) {
  return draft.keys.empty() ? FailIn({"series values", ""})
                            : FailIn({"histogram description", "histogram description key, e.g. buckets:[5 10 7]"});
}

bool HistogramReader::ReadHistogram(NotedHistogram* out) {
  Take();
  Draft draft;
  draft.out = out;
  const bool spaced = Accept(TokenKind::kSpace);
  if (Accept(TokenKind::kCloseHistogram)) {
    return true;
  }
  if (spaced) {
    return FailHere(draft);
  }
  do {
    if (!ReadField(&draft)) {
      return false;
    }
  } while (Accept(TokenKind::kSpace) && !At(TokenKind::kCloseHistogram));
  if (!Accept(TokenKind::kCloseHistogram)) {
    return FailHere(draft);
  }
  SetSpan(draft.offset, out->histogram.positive_buckets.size(), &out->histogram.positive_spans);
  SetSpan(draft.negative_offset, out->histogram.negative_buckets.size(), &out->histogram.negative_spans);
  return true;
}

bool HistogramReader::ReadField(Draft* draft) {
  if (!At(TokenKind::kHistogramKey)) {
    return FailHere(*draft);
  }
  const std::string key = Lower(Take().text);
  if (!Accept(TokenKind::kColon) || !ReadValue(key, draft)) {
    return FailHere(*draft);
  }
  if (std::find(draft->keys.begin(), draft->keys.end(), key) != draft->keys.end()) {
    Error({0, 0}, "duplicate key \"" + key + "\" in histogram");
    return false;
  }
  draft->keys.push_back(key);
  return true;
}

bool HistogramReader::ReadValue(const std::string& key, Draft* draft) {
  FloatHistogram& h = draft->out->histogram;
  if (key == "schema") {
    return ReadInteger(&h.schema);
  }
  if (key == "offset") {
    return ReadInteger(&draft->offset);
  }
  if (key == "n_offset") {
    return ReadInteger(&draft->negative_offset);
  }
  if (key == "sum") {
    return ReadSigned(&h.sum);
  }
  if (key == "count") {
    return ReadSigned(&h.count);
  }
  if (key == "z_bucket") {
    return ReadSigned(&h.zero_count);
  }
  if (key == "z_bucket_w") {
    return At(TokenKind::kNumber) && ReadNumber(&h.zero_threshold);
  }
  if (key == "buckets") {
    return ReadList(&h.positive_buckets);
  }
  if (key == "n_buckets") {
    return ReadList(&h.negative_buckets);
  }
  return key == "custom_values" ? ReadList(&h.custom_values) : ReadHint(draft->out);
}

bool HistogramReader::ReadInteger(int32_t* value) {
  const bool negative = Accept(TokenKind::kSub);
  uint64_t whole = 0;
  if (!At(TokenKind::kNumber) || !ReadWhole(&whole)) {
    return false;
  }
  *value = static_cast<int32_t>(negative ? -whole : whole);  // what does not fit wraps around, as upstream
  return true;
}

bool HistogramReader::ReadSigned(double* value) {
  const bool negative = Accept(TokenKind::kSub);
  if (!At(TokenKind::kNumber) || !ReadNumber(value)) {
    return false;
  }
  *value = negative ? -*value : *value;
  return true;
}

// Tokens in the list that fit nowhere are skipped, as upstream's parser recovers from them without a word.
bool HistogramReader::ReadList(std::vector<double>* values) {
  if (!Accept(TokenKind::kLeftBracket) || !(At(TokenKind::kSub) || At(TokenKind::kNumber))) {
    return false;
  }
  do {
    double value = 0;
    if (At(TokenKind::kSub) || At(TokenKind::kNumber)) {
      if (!ReadSigned(&value)) {
        return false;
      }
      values->push_back(value);
    }
    while (!At(TokenKind::kSpace) && !At(TokenKind::kRightBracket)) {
      if (At(TokenKind::kError) || At(TokenKind::kEnd)) {
        return false;
      }
      Take();
    }
  } while (Accept(TokenKind::kSpace));
  return Accept(TokenKind::kRightBracket);
}

bool HistogramReader::ReadHint(NotedHistogram* out) {
  if (!At(TokenKind::kResetHint)) {
    return false;
  }
  const std::string hint = Lower(Take().text);
  out->hint_named = true;
  if (hint == "gauge") {
    out->histogram.hint = CounterResetHint::kGauge;
  } else if (hint != "unknown") {
    out->histogram.hint = hint == "reset" ? CounterResetHint::kReset : CounterResetHint::kNotReset;
  }
  return true;
}

bool HistogramReader::ReadNumber(double* value) {
  const Token token = Take();
  const Result<double> number = ParseNumber(token.text);
  if (!number.ok()) {
    Error(token.range(), std::string(number.status().message()));
    return false;
  }
  *value = *number;
  return true;
}

bool HistogramReader::ReadWhole(uint64_t* value) {
  const Token token = Take();
  const char* end = token.text.data() + token.text.size();
  const auto parsed = std::from_chars(token.text.data(), end, *value);
  if (parsed.ec == std::errc() && parsed.ptr == end) {
    return true;
  }
  const char* why = parsed.ec == std::errc::result_out_of_range ? "value out of range" : "invalid syntax";
  Error(token.range(),
        "invalid repetition in series values: strconv.ParseUint: parsing " + GoQuote(token.text) + ": " + why);
  return false;
}

}  // namespace weir::promql
