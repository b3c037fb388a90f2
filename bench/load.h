#pragma once
// The work of the benchmarks: INSTANCES × 51 series of the families that alerting rules on an inference fleet read (histograms
// with their buckets, counters, gauges and `up`, as one inference server exposes them), with values that grow or wander.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace weir::bench {

using LabelPairs = std::vector<std::pair<std::string, std::string>>;

struct LoadSeries {
  LabelPairs labels;  // sorted, with __name__
  bool counter = true;
  double value = 0;
  double growth = 1;
};

// RETURNS: the 51 series of one instance.
std::vector<LoadSeries> InstanceSeries(int instance);

// A small generator of its own, so that a load is the same everywhere.
class LoadRandom {
 public:
  explicit LoadRandom(uint64_t seed) : state_(88172645463325252ULL + seed) {}
  // Moves a series to its next value.
  void Step(LoadSeries* series);

 private:
  uint64_t state_;
};

}  // namespace weir::bench
