// What one remote-write sample costs: decode (snappy, skim, hash), resolve and append, alone and together; samples out of the
// order that was predicted; a rule that reads them among 10,000; series that are new.
// Conditions: 9 labels and about 240 bytes of labels per series, one sample per series and request, 2,000 series per request.

#include <benchmark/benchmark.h>
#include <snappy.h>

#include <algorithm>
#include <cstdio>
#include <random>

#include "core/ingest/resolver.h"
#include "core/promql/parser.h"
#include "plugins/codecs/remote_write/snappy_block.h"
#include "plugins/codecs/remote_write/write_request.h"

namespace weir {
namespace {

constexpr int kSeriesPerRequest = 2000;
constexpr int64_t kStartMs = 1700000000000;
constexpr int64_t kIntervalMs = 15000;

Labels SeriesLabels(int i, const std::string& name) {
  char id[40];
  std::snprintf(id, sizeof(id), "%08x-3f2a-4c1d-9e77-%012x", static_cast<unsigned>(i) * 2654435761U,
                static_cast<unsigned>(i));
  return Labels{
      {"__name__", name + std::to_string(i % 50)},
      {"cluster", "eu-west-1-production"},
      {"container", "dcgm-exporter"},
      {"device", "nvidia" + std::to_string(i / 50 % 8)},
      {"instance", "10.12." + std::to_string(i / 400 / 250 % 250) + "." + std::to_string(i / 400 % 250) + ":9400"},
      {"job", "integrations/gpu"},
      {"modelName", "NVIDIA H100 80GB HBM3"},
      {"namespace", "monitoring"},
      {"uuid", id}};
}

// One scrape of `series` series as requests.
std::vector<std::string> Requests(int series, int64_t t, const std::string& name, bool shuffled = false) {
  std::vector<int> order(static_cast<size_t>(series));
  for (int i = 0; i < series; ++i) {
    order[static_cast<size_t>(i)] = i;
  }
  if (shuffled) {
    std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(t)));
  }
  std::vector<std::string> requests;
  remote_write::WriteRequestBuilder builder;
  for (const int i : order) {
    builder.Add(SeriesLabels(i, name), {t, 1.0 * i});
    if (builder.samples() == kSeriesPerRequest) {
      requests.push_back(builder.TakeSnappy());
    }
  }
  if (builder.samples() > 0) {
    requests.push_back(builder.TakeSnappy());
  }
  return requests;
}

void ReportSamples(benchmark::State& state, int64_t samples) {
  state.SetItemsProcessed(samples);
  state.counters["cpu_per_sample"] =
      benchmark::Counter(static_cast<double>(samples), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

std::string_view TagsOf(std::string_view block) {
  size_t header = 0;  // the length, seven bits a byte
  while (static_cast<unsigned char>(block[header++]) >= 0x80) {
  }
  return block.substr(header);
}

// Decompression alone, ours (0) and the library's (1).
void BM_Decompress(benchmark::State& state) {
  const std::vector<std::string> requests = Requests(20 * kSeriesPerRequest, kStartMs, "m");
  std::string out;
  int64_t samples = 0;
  for (auto _ : state) {
    for (const std::string& request : requests) {
      size_t length = 0;
      bool good = snappy::GetUncompressedLength(request.data(), request.size(), &length);
      out.resize(length);
      if (state.range(0) == 0) {
        good = good && remote_write::DecodeSnappyTags(TagsOf(request), out.data(), length);
      } else {
        good = good && snappy::RawUncompress(request.data(), request.size(), out.data());
      }
      if (!good) {
        state.SkipWithError("decompress");
      }
      samples += kSeriesPerRequest;
    }
  }
  ReportSamples(state, samples);
}
BENCHMARK(BM_Decompress)->Arg(0)->Arg(1);

void BM_Decode(benchmark::State& state) {
  const std::vector<std::string> requests = Requests(kSeriesPerRequest, kStartMs, "m");
  plugin::SampleBatch batch;
  int64_t samples = 0;
  for (auto _ : state) {
    if (!remote_write::DecodeSnappy(requests[0], {}, &batch).ok()) {
      state.SkipWithError("decode");
    }
    samples += static_cast<int64_t>(batch.samples.size());
  }
  ReportSamples(state, samples);
  state.counters["bytes_per_sample"] = static_cast<double>(batch.arena.size()) / kSeriesPerRequest;
  state.counters["wire_bytes_per_sample"] = static_cast<double>(requests[0].size()) / kSeriesPerRequest;
}
BENCHMARK(BM_Decode);

// Decode with a fresh batch every time, as the source does it.
void BM_DecodeFresh(benchmark::State& state) {
  const std::vector<std::string> requests = Requests(kSeriesPerRequest, kStartMs, "m");
  int64_t samples = 0;
  for (auto _ : state) {
    plugin::SampleBatch batch;
    if (!remote_write::DecodeSnappy(requests[0], {}, &batch).ok()) {
      state.SkipWithError("decode");
    }
    samples += static_cast<int64_t>(batch.samples.size());
  }
  ReportSamples(state, samples);
}
BENCHMARK(BM_DecodeFresh);

struct World {
  explicit World(int series, int rules = 1)
      : engine(engine::Options{.series_max = static_cast<uint32_t>(series) + 1000}), resolver(&engine) {
    AddRule("rate({__name__=~\"m.*\"}[5m])");
    for (int i = 1; i < rules; ++i) {
      AddRule("sum by (job) (rate(other_" + std::to_string(i) + "_total{cluster=\"eu\"}[5m]))");
    }
  }
  void AddRule(const std::string& text) {
    engine::Grid grid;
    grid.interval_ms = 60000;
    WEIR_ASSERT(engine.AddPlan(*promql::ParseExpr(text).expr, grid).ok());
  }
  engine::Engine engine;
  ingest::Resolver resolver;
};

std::vector<plugin::SampleBatch> Decoded(const std::vector<std::string>& requests) {
  std::vector<plugin::SampleBatch> batches(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    WEIR_ASSERT(remote_write::DecodeSnappy(requests[i], {}, &batches[i]).ok());
  }
  return batches;
}

// Resolve and append only: what the engine's thread pays. The batches are decoded once; times move on in place.
// `strays`: how many of a thousand series lie at another place than in the request before.
void Resolve(benchmark::State& state, const std::string& name, bool shuffled, int strays = 0, int rules = 1) {
  const auto series = static_cast<int>(state.range(0));
  World world(series, rules);
  std::vector<plugin::SampleBatch> batches = Decoded(Requests(series, kStartMs, name));
  for (plugin::SampleBatch& batch : batches) {
    world.resolver.Apply(batch, "s", kStartMs);
  }
  if (shuffled) {
    batches = Decoded(Requests(series, kStartMs, name, true));
  }
  int64_t t = kStartMs;
  int64_t samples = 0;
  std::mt19937 random(1);
  std::vector<std::pair<plugin::SampleBatch::Series*, plugin::SampleBatch::Series*>> swaps;
  for (auto _ : state) {
    state.PauseTiming();
    t += kIntervalMs;
    world.engine.Release(t - kIntervalMs);
    for (plugin::SampleBatch& batch : batches) {
      for (Sample& sample : batch.samples) {
        sample.t = t;
        sample.v += 1;
      }
      if (shuffled) {
        std::shuffle(batch.series.begin(), batch.series.end(), random);
      }
      for (size_t stray = 0; stray < batch.series.size() * static_cast<size_t>(strays) / 2000; ++stray) {
        swaps.push_back({&batch.series[random() % batch.series.size()], &batch.series[random() % batch.series.size()]});
        std::swap(*swaps.back().first, *swaps.back().second);
      }
    }
    state.ResumeTiming();
    for (const plugin::SampleBatch& batch : batches) {
      const plugin::IngestOutcome outcome = world.resolver.Apply(batch, "s", t);
      samples += outcome.written;
    }
    state.PauseTiming();
    for (; !swaps.empty(); swaps.pop_back()) {  // back, so that memory stays in the order of the stream
      std::swap(*swaps.back().first, *swaps.back().second);
    }
    state.ResumeTiming();
  }
  ReportSamples(state, samples);
  const ingest::ResolverStats stats = world.resolver.stats();
  state.counters["probed_share"] =
      static_cast<double>(stats.probed) / static_cast<double>(stats.probed + stats.predicted);
  state.counters["bytes_per_alias"] = static_cast<double>(stats.alias_bytes) / static_cast<double>(stats.aliases);
}

void BM_ResolveIgnored(benchmark::State& state) { Resolve(state, "ignored", false); }
BENCHMARK(BM_ResolveIgnored)->Arg(10000)->Arg(100000);
void BM_ResolveAppend(benchmark::State& state) { Resolve(state, "m", false); }
BENCHMARK(BM_ResolveAppend)->Arg(10000)->Arg(100000)->Arg(1000000);
void BM_ResolveAppend10000Rules(benchmark::State& state) { Resolve(state, "m", false, 0, 10000); }
BENCHMARK(BM_ResolveAppend10000Rules)->Arg(100000);
void BM_ResolveAppend1PercentStray(benchmark::State& state) { Resolve(state, "m", false, 10); }
BENCHMARK(BM_ResolveAppend1PercentStray)->Arg(100000);
void BM_ResolveAppend10PercentStray(benchmark::State& state) { Resolve(state, "m", false, 100); }
BENCHMARK(BM_ResolveAppend10PercentStray)->Arg(100000);
void BM_ResolveIgnoredShuffled(benchmark::State& state) { Resolve(state, "ignored", true); }
BENCHMARK(BM_ResolveIgnoredShuffled)->Arg(10000)->Arg(100000);

// The first time a series is seen: decode labels, check, match, intern, append.
void BM_NewSeries(benchmark::State& state) {
  const auto series = static_cast<int>(state.range(0));
  const std::vector<plugin::SampleBatch> batches = Decoded(Requests(series, kStartMs, "m"));
  int64_t samples = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto world = std::make_unique<World>(series);
    state.ResumeTiming();
    for (const plugin::SampleBatch& batch : batches) {
      samples += world->resolver.Apply(batch, "s", kStartMs).written;
    }
    state.PauseTiming();
    world.reset();
    state.ResumeTiming();
  }
  ReportSamples(state, samples);
}
BENCHMARK(BM_NewSeries)->Arg(100000)->Iterations(3);
BENCHMARK(BM_NewSeries)->Arg(1000000)->Iterations(1);

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  std::printf(
      "9 labels per series, 1 sample per series and request, %d series per request; resolve benchmarks run one rule, "
      "rate(...[5m]), that matches every series or none\n",
      weir::kSeriesPerRequest);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
