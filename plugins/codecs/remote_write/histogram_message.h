#pragma once
// Native histograms as remote write carries them; versions 1.0 and 2.0 share the message. Integer histograms (bucket counts as
// deltas) and float ones both become the value of model/histogram.h; what goes out is always the float form.

#include <cstdint>
#include <string>
#include <vector>

#include "core/model/histogram.h"
#include "core/plugin/plugin.h"

namespace weir::remote_write {

// Reads messages one after the other; keeps its scratch memory. One thread.
class HistogramReader {
 public:
  // RETURNS: false when the bytes are no message; nothing is set then. `sample` always gets the times; `invalid` is cleared, or
  // says why the histogram is none. Schemas 9 to 52 come out as schema 8.
  bool Read(const char* p, const char* end, plugin::HistogramSample* sample, std::string* invalid);

 private:
  std::vector<int64_t> positive_deltas_;
  std::vector<int64_t> negative_deltas_;
};

// RETURNS: the heap that a histogram holds, about.
uint64_t HistogramBytes(const FloatHistogram& h);

// Appends the fields of a message. `start_ms` is a field of version 2.0 only: 0 leaves it out.
void AppendHistogramMessage(const FloatHistogram& h, int64_t t_ms, int64_t start_ms, std::string* out);

}  // namespace weir::remote_write
