// What one native histogram costs in the operations of rules: a sum's addition, a rate's reset detection, a quantile.
// Conditions: schema 3, 60 populated buckets in one span, both sides of the same layout unless the name says otherwise.

#include <benchmark/benchmark.h>

#include "core/model/histogram.h"
#include "core/model/histogram_statistics.h"

namespace weir {
namespace {

FloatHistogram Latencies(int32_t offset, double scale) {
  constexpr uint32_t kBuckets = 60;
  FloatHistogram h;
  h.schema = 3;
  h.zero_threshold = 1e-128;
  h.positive_spans.push_back({offset, kBuckets});
  for (uint32_t i = 0; i < kBuckets; ++i) {
    h.positive_buckets.push_back(scale * (1 + i % 7));
    h.count += h.positive_buckets.back();
  }
  h.sum = h.count * 0.1;
  return h;
}

void Add(benchmark::State& state, int32_t offset) {
  const FloatHistogram a = Latencies(-40, 1);
  const FloatHistogram b = Latencies(offset, 2);
  FloatHistogram sum = a;
  for (auto _ : state) {
    sum = a;
    benchmark::DoNotOptimize(sum.Add(b).ok());
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(Add, same_layout, -40);
BENCHMARK_CAPTURE(Add, shifted_layout, -30);

void DetectReset(benchmark::State& state, int32_t offset) {
  const FloatHistogram before = Latencies(-40, 1);
  FloatHistogram now = before;
  benchmark::DoNotOptimize(now.Add(Latencies(offset, 2)).ok());
  for (auto _ : state) {
    benchmark::DoNotOptimize(now.DetectReset(before));
  }
}
BENCHMARK_CAPTURE(DetectReset, same_layout, -40);
BENCHMARK_CAPTURE(DetectReset, grown_layout, -30);

void Quantile(benchmark::State& state, double q) {
  const FloatHistogram h = Latencies(-40, 1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(HistogramQuantile(q, h).value);
  }
}
BENCHMARK_CAPTURE(Quantile, median, 0.5);
BENCHMARK_CAPTURE(Quantile, p99, 0.99);

}  // namespace
}  // namespace weir

BENCHMARK_MAIN();
