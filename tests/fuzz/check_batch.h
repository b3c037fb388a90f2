#pragma once
// What every decoded remote-write batch promises, for the fuzz targets.

#include <cstddef>
#include <utility>
#include <vector>

#include "plugins/codecs/remote_write/write_request.h"

namespace weir::fuzz {

inline remote_write::DecodeOptions SmallOptions() {
  remote_write::DecodeOptions options;
  options.decoded_bytes_max = 1 << 20;
  options.samples_max = 100000;
  options.histogram_bytes_max = 8 << 20;
  options.label_bytes_max = 4 << 20;
  return options;
}

inline void CheckBatch(const plugin::SampleBatch& batch) {
  const char* const begin = batch.arena.data();
  const char* const end = begin + batch.arena.size();
  size_t next = 0;
  size_t next_histogram = 0;
  std::vector<std::pair<std::string_view, std::string_view>> labels;
  for (const auto& series : batch.series) {
    WEIR_ASSERT(series.labels.data() >= begin && series.labels.data() + series.labels.size() <= end);
    WEIR_ASSERT(series.first == next && series.first_histogram == next_histogram);
    WEIR_ASSERT(series.count + series.histogram_count > 0);
    next += series.count;
    next_histogram += series.histogram_count;
    const Status ignored = plugin::DecodeLabels(series.labels, &labels);
    static_cast<void>(ignored);
  }
  WEIR_ASSERT(next == batch.samples.size() && next_histogram == batch.histograms.size());
  WEIR_ASSERT(batch.start_times.empty() || batch.start_times.size() == batch.samples.size());
  for (const plugin::HistogramSample& sample : batch.histograms) {
    WEIR_ASSERT(sample.h != nullptr && sample.h->Validate().ok());
    WEIR_ASSERT(sample.h->schema <= kSchemaMax);
  }
}

}  // namespace weir::fuzz
