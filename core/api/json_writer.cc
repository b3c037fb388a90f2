#include "core/api/json_writer.h"

#include "core/model/duration.h"
#include "core/model/histogram_buckets.h"
#include "core/model/json_text.h"

#include <cmath>
#include <cstdio>

namespace weir::api {
void JsonWriter::Separate() {
  if (comma_) {
    text_ += ',';
  }
  comma_ = true;
}

JsonWriter& JsonWriter::BeginObject() {
  Separate();
  text_ += '{';
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::EndObject() {
  text_ += '}';
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::BeginArray() {
  Separate();
  text_ += '[';
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::EndArray() {
  text_ += ']';
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view key) {
  String(key);
  text_ += ':';
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view text) {
  Separate();
  AppendJsonString(text, &text_);
  return *this;
}

JsonWriter& JsonWriter::Number(double v) {
  if (!std::isfinite(v)) {
    return String(FormatSampleValue(v));
  }
  Separate();
  text_ += FormatSampleValue(v);
  return *this;
}

JsonWriter& JsonWriter::Integer(int64_t v) {
  Separate();
  text_ += std::to_string(v);
  return *this;
}

JsonWriter& JsonWriter::Bool(bool v) {
  Separate();
  text_ += v ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::Timestamp(int64_t ms) {
  Separate();
  const bool negative = ms < 0;
  const uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(ms) : static_cast<uint64_t>(ms);
  text_ += (negative ? "-" : "") + std::to_string(magnitude / 1000);
  if (const uint64_t rest = magnitude % 1000; rest != 0) {
    char fraction[8];
    std::snprintf(fraction, sizeof(fraction), ".%03u", static_cast<unsigned>(rest));
    text_ += fraction;
    while (text_.back() == '0') {
      text_.pop_back();
    }
  }
  return *this;
}

JsonWriter& JsonWriter::Object(const Labels& labels) {
  BeginObject();
  for (const LabelView& label : labels) {
    Field(label.name, label.value);
  }
  return EndObject();
}

JsonWriter& JsonWriter::Histogram(const FloatHistogram& h) {
  BeginObject();
  Field("count", FormatSampleValue(h.count));
  Field("sum", FormatSampleValue(h.sum));
  bool any = false;
  for (BucketIterator it(h, BucketOrder::kAscending); it.Next();) {
    const Bucket& bucket = it.bucket();
    if (bucket.count == 0) {
      continue;
    }
    if (!any) {
      any = true;
      Key("buckets").BeginArray();
    }
    BeginArray().Integer(BoundsCode(bucket));
    for (const double v : {bucket.lower, bucket.upper, bucket.count}) {
      String(FormatSampleValue(v));
    }
    EndArray();
  }
  if (any) {
    EndArray();
  }
  return EndObject();
}

}  // namespace weir::api
