#include "core/api/json_writer.h"

#include "core/model/duration.h"
#include "core/model/histogram_buckets.h"

#include <cmath>
#include <cstdio>

namespace weir::api {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// RETURNS: the length of the well-formed UTF-8 sequence at the front of `text`, 0 when there is none.
size_t SequenceLength(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  return length > 0 && length <= text.size() && IsValidUtf8(text.substr(0, length)) ? length : 0;
}

}  // namespace

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
  text_ += '"';
  while (!text.empty()) {
    const char c = text[0];
    const size_t length = SequenceLength(text);
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (c == '\n') {
      text_ += "\\n";
    } else if (c == '\r') {
      text_ += "\\r";
    } else if (c == '\t') {
      text_ += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(c));
      text_ += escaped;
    } else if (length == 0) {
      text_ += kReplacement;
    } else {
      text_.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  text_ += '"';
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
  for (const Label& label : labels) {
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
