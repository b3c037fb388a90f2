#pragma once
// Writes JSON into a string, in the order it is called. Commas and quotes are its business; nesting is the caller's.
// Numbers are written as Prometheus writes them.

#include "core/model/histogram.h"
#include "core/model/labels.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::api {

class JsonWriter {
 public:
  JsonWriter& BeginObject();
  JsonWriter& EndObject();
  JsonWriter& BeginArray();
  JsonWriter& EndArray();
  JsonWriter& Key(std::string_view key);
  JsonWriter& String(std::string_view text);  // invalid UTF-8 becomes U+FFFD
  JsonWriter& Number(double v);               // NaN and infinities, which JSON lacks, become strings
  JsonWriter& Integer(int64_t v);
  JsonWriter& Bool(bool v);
  // UNITS: milliseconds; written as seconds with up to three decimals.
  JsonWriter& Timestamp(int64_t ms);
  // {"name":"value",…}
  JsonWriter& Object(const Labels& labels);
  // {"count":"5","sum":"7.5","buckets":[[0,"1","2","5"]]}, populated buckets in ascending order; without the key if there is none.
  JsonWriter& Histogram(const FloatHistogram& h);

  JsonWriter& Field(std::string_view key, std::string_view text) { return Key(key).String(text); }

  const std::string& text() const { return text_; }
  std::string Take() { return std::move(text_); }

 private:
  void Separate();

  std::string text_;
  bool comma_ = false;  // a value stands before, in the same array or object
};

}  // namespace weir::api
