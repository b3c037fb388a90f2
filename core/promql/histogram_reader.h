#pragma once
// Reading `{{schema:1 sum:5 buckets:[1 2]}}`, the notation of native histograms in test files (semantics 9.1). Private to
// this room.

#include "core/model/histogram.h"
#include "core/promql/label_reader.h"

namespace weir::promql {

struct NotedHistogram {
  FloatHistogram histogram;
  bool hint_named = false;  // counter_reset_hint was given
};

class HistogramReader : public LabelReader {
 public:
  using LabelReader::LabelReader;

 protected:
  // The opening braces are next. RETURNS: false after an error, like every function here.
  bool ReadHistogram(NotedHistogram* out);
  // A number or whole number; it is next.
  bool ReadNumber(double* value);
  bool ReadWhole(uint64_t* value);

 private:
  // What has been read of a histogram.
  struct Draft {
    NotedHistogram* out = nullptr;
    std::vector<std::string> keys;
    int32_t offset = 0;
    int32_t negative_offset = 0;
  };
  bool ReadField(Draft* draft);
  bool ReadValue(const std::string& key, Draft* draft);
  bool ReadInteger(int32_t* value);
  bool ReadSigned(double* value);
  bool ReadList(std::vector<double>* values);
  bool ReadHint(NotedHistogram* out);
  bool FailHere(const Draft& draft);
};

}  // namespace weir::promql
