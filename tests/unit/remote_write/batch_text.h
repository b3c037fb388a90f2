#pragma once
// Batches as lines of text, so that tests can say what they expect; and bytes that were recorded from Prometheus.

#include <algorithm>
#include <cctype>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/model/duration.h"
#include "core/plugin/plugin.h"

namespace weir {

// RETURNS: one line a sample, `name{a="b"} 1.5 @1000 start 500`, series in their order. Checks what every batch promises.
inline std::vector<std::string> BatchLines(const plugin::SampleBatch& batch) {
  std::vector<std::string> lines;
  size_t samples = 0;
  size_t histograms = 0;
  WEIR_ASSERT(batch.start_times.empty() || batch.start_times.size() == batch.samples.size());
  for (const auto& series : batch.series) {
    WEIR_ASSERT(series.first == samples && series.first_histogram == histograms);
    samples += series.count;
    histograms += series.histogram_count;
    uint64_t hash[2];
    plugin::HashLabels(series.labels, hash);
    WEIR_ASSERT(hash[0] == series.hash[0] && hash[1] == series.hash[1]);
    const std::string name = plugin::LabelsText(series.labels) + " ";
    const auto at = [](int64_t t, int64_t start) {
      return " @" + std::to_string(t) + (start == 0 ? "" : " start " + std::to_string(start));
    };
    for (size_t i = series.first; i < samples; ++i) {
      const Sample& sample = batch.samples[i];
      lines.push_back(name + (IsStaleNaN(sample.v) ? "stale" : FormatSampleValue(sample.v)) +
                      at(sample.t, batch.start_times.empty() ? 0 : batch.start_times[i]));
    }
    for (size_t i = series.first_histogram; i < histograms; ++i) {
      const plugin::HistogramSample& sample = batch.histograms[i];
      lines.push_back(name + (IsStaleNaN(sample.h->sum) ? "stale histogram" : sample.h->ToTestExpression()) +
                      at(sample.t, sample.start_ms));
    }
  }
  WEIR_ASSERT(samples == batch.samples.size() && histograms == batch.histograms.size());
  return lines;
}

// RETURNS: the bytes of data/<name>.hex.
inline std::string Recorded(const std::string& name) {
  std::ifstream file("tests/unit/remote_write/data/" + name + ".hex");
  WEIR_ASSERT(file.good());
  std::string bytes;
  for (std::string line; std::getline(file, line);) {
    for (size_t i = 0; line[0] != '#' && i + 1 < line.size(); i += 2) {
      bytes.push_back(static_cast<char>(std::stoi(line.substr(i, 2), nullptr, 16)));
    }
  }
  return bytes;
}

}  // namespace weir
