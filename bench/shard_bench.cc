// What shards bring, in one process: the work of the benchmarks (bench/load.h, all series read by some rule) is taken in as batches
// of some 2,000 series, decoded before, and all rules tick over it, with one shard and with more. Prints wall time, CPU time
// of all threads and CPU time of the calling thread, which is the longest: its ratio is what wall time comes to where every shard
// has a core to itself. What sharding can come to on the machine is measured beside it, by engines that share nothing. On a machine
// that is busy otherwise wall time says little.

#include "bench/load.h"
#include "bench/measure.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/runtime/pipeline.h"
#include "core/runtime/settings.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

namespace weir {
namespace {

constexpr int64_t kStartMs = 1700000000000 / 300000 * 300000;
constexpr int64_t kStepMs = 15000;
constexpr int kInstancesPerBatch = 40;
constexpr size_t kTogether = 16;

struct Options {
  std::string rules;
  int instances = 2000;
  int minutes = 16;
  uint32_t shards = 2;
};

class NoOutput final : public rules::RuleOutput {
 public:
  void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) override { taken_.push_back(results); }
  void OnAlerts(plugin::AlertBatch) override {}
  // Adds what has come to the sum, in order, and lets it go; not part of what is measured.
  void Sum() {
    for (const auto& results : taken_) {
      for (const plugin::ResultSample& sample : results->samples) {
        sum = sum * 31 + static_cast<uint64_t>(sample.t) + std::bit_cast<uint64_t>(sample.v) + sample.labels->Hash();
      }
    }
    taken_.clear();
  }
  uint64_t sum = 0;

 private:
  std::vector<std::shared_ptr<const plugin::SampleResults>> taken_;
};

struct Spent {
  double wall_ms = 0;
  double cpu_ms = 0;     // of all threads
  double caller_ms = 0;  // CPU time of the thread that calls, which has a part of everything
};

template <typename Work>
void Spend(Spent* on, Work work) {
  const double wall = bench::ClockMs(CLOCK_MONOTONIC);
  const double cpu = bench::ClockMs(CLOCK_PROCESS_CPUTIME_ID);
  const double caller = bench::ClockMs(CLOCK_THREAD_CPUTIME_ID);
  work();
  on->wall_ms += bench::ClockMs(CLOCK_MONOTONIC) - wall;
  on->cpu_ms += bench::ClockMs(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  on->caller_ms += bench::ClockMs(CLOCK_THREAD_CPUTIME_ID) - caller;
}

struct Load {
  std::vector<plugin::SampleBatch> batches;
  std::vector<bench::LoadSeries> series;
  bench::LoadRandom random{0};

  explicit Load(int instances) {
    for (int first = 0; first < instances; first += kInstancesPerBatch) {
      plugin::SampleBatch& batch = batches.emplace_back();
      std::vector<size_t> ends;
      for (int i = first; i < std::min(first + kInstancesPerBatch, instances); ++i) {
        for (bench::LoadSeries& one : bench::InstanceSeries(i)) {
          std::vector<Label> labels;
          for (const auto& [name, value] : one.labels) {
            labels.push_back({name, value});
          }
          plugin::EncodeLabels(labels, &batch.arena);
          ends.push_back(batch.arena.size());
          series.push_back(std::move(one));
        }
      }
      size_t begin = 0;
      for (const size_t end : ends) {
        plugin::SampleBatch::Series& made = batch.series.emplace_back();
        made.labels = std::string_view(batch.arena).substr(begin, end - begin);
        plugin::HashLabels(made.labels, made.hash);
        made.first = static_cast<uint32_t>(batch.samples.size());
        made.count = 1;
        batch.samples.emplace_back();
        begin = end;
      }
    }
  }
  void Step(int64_t t_ms) {
    size_t at = 0;
    for (plugin::SampleBatch& batch : batches) {
      for (Sample& sample : batch.samples) {
        random.Step(&series[at]);
        sample = {t_ms, series[at++].value};
      }
    }
  }
};

struct Figures {
  Spent storm;   // every series for the first time
  Spent ingest;  // all later samples
  Spent ticks;   // all later rounds
  uint64_t samples = 0;
  uint64_t results = 0;
};

Result<Figures> Measure(const Options& options, uint32_t shards) {
  runtime::PipelineOptions pipeline_options;
  pipeline_options.engine.shards = shards;
  pipeline_options.watermarks.lateness_auto = false;
  pipeline_options.watermarks.lateness_ms = 1;
  runtime::RuleSettings rules;
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(options.rules)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    WEIR_ASSIGN_OR_RETURN(runtime::Settings of_file, runtime::RuleFileSettings(file));
    rules.parser = of_file.rules.parser;
    std::move(of_file.rules.groups.begin(), of_file.rules.groups.end(), std::back_inserter(rules.groups));
  }
  FakeClock clock(kStartMs);
  MetricRegistry metrics;
  NoOutput output;
  runtime::Pipeline pipeline(pipeline_options, &clock, &metrics, &output);
  WEIR_RETURN_IF_ERROR(pipeline.SetRules(std::move(rules), kStartMs));
  Load load(options.instances);
  std::vector<ingest::Parts> parts;
  for (const plugin::SampleBatch& batch : load.batches) {  // in the process, decoding threads do this
    parts.push_back(ingest::PartsOf(batch, shards));
  }
  Figures figures;
  constexpr int kRoundsWarm = 25;  // every group has ticked
  int round = 0;
  for (int64_t t = kStartMs + 1; t < kStartMs + int64_t{options.minutes} * 60000; t += kStepMs, ++round) {
    load.Step(t);
    clock.Set(t);
    const bool warm = round >= kRoundsWarm;
    Spent unused;
    Spend(round == 0 ? &figures.storm
          : warm     ? &figures.ingest
                     : &unused,
          [&] {
            std::vector<runtime::Pipeline::Arrival> arrivals;
            for (size_t i = 0; i < load.batches.size(); ++i) {
              arrivals.push_back({&load.batches[i], "load", t, {t, t}, &parts[i], {}});
              if (arrivals.size() == kTogether || i + 1 == load.batches.size()) {
                pipeline.Apply(arrivals);
                arrivals.clear();
              }
            }
          });
    figures.samples += warm ? load.series.size() : 0;
    clock.Set(t + 10);
    Spend(warm ? &figures.ticks : &unused, [&] { pipeline.RunDue(t + 10); });
    output.Sum();
  }
  figures.results = output.sum;
  return figures;
}

void Print(const char* what, const Spent& one, const Spent& many, double per, const char* unit) {
  std::printf("  %-32s wall %8.3f -> %8.3f %s (%.2fx); CPU %8.3f -> %8.3f, of the calling thread %8.3f (%.2fx)\n", what,
              one.wall_ms / per, many.wall_ms / per, unit, one.wall_ms / many.wall_ms, one.cpu_ms / per,
              many.cpu_ms / per, many.caller_ms / per, one.cpu_ms / many.caller_ms);
}

// What the machine can give at all: as many engines of one shard as there would be shards, each with its part of the series and
// nothing in common with the others, at the same time. RETURNS: the slowest of each kind of work.
Figures MeasureApart(Options options, uint32_t engines) {
  options.instances /= static_cast<int>(engines);
  std::vector<Figures> each(engines);
  std::vector<std::thread> threads;
  for (Figures& figures : each) {
    threads.emplace_back([&] { figures = *Measure(options, 1); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  Figures slowest;
  for (const Figures& figures : each) {
    slowest.storm.wall_ms = std::max(slowest.storm.wall_ms, figures.storm.wall_ms);
    slowest.ingest.wall_ms = std::max(slowest.ingest.wall_ms, figures.ingest.wall_ms);
    slowest.ticks.wall_ms = std::max(slowest.ticks.wall_ms, figures.ticks.wall_ms);
  }
  return slowest;
}

int Run(const Options& options) {
  const Result<Figures> one = Measure(options, 1);
  const Result<Figures> many = one.ok() ? Measure(options, options.shards) : one;
  if (!many.ok()) {
    std::fprintf(stderr, "%s\n", std::string(many.status().message()).c_str());
    return 1;
  }
  std::printf("%d series, all rules, 1 against %u shards, batches of %d series, %zu together:\n",
              options.instances * 51, options.shards, kInstancesPerBatch * 51, kTogether);
  Print("every series for the first time", one->storm, many->storm, 1, "ms");
  Print("ingest", one->ingest, many->ingest, static_cast<double>(one->samples) / 1e3, "us a sample");
  Print("ticks", one->ticks, many->ticks, static_cast<double>(one->samples) / (options.instances * 51), "ms each 15 s");
  const Figures apart = MeasureApart(options, options.shards);
  std::printf(
      "  %u engines at once that share nothing, each with its part of the series: new series %.2fx, ingest %.2fx, "
      "ticks %.2fx\n",
      options.shards, one->storm.wall_ms / apart.storm.wall_ms, one->ingest.wall_ms / apart.ingest.wall_ms,
      one->ticks.wall_ms / apart.ticks.wall_ms);
  std::printf("  results %s\n", one->results == many->results ? "equal, bit for bit" : "DIFFER");
  return one->results == many->results ? 0 : 1;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::Options options;
  CLI::App app{"Ingest and ticks with one shard and with more."};
  app.add_option("rules", options.rules, "folder of rule files")->required();
  app.add_option("--instances", options.instances, "instances of 51 series each");
  app.add_option("--minutes", options.minutes, "length of the stream");
  app.add_option("--shards", options.shards, "how many");
  CLI11_PARSE(app, argc, argv);
  weir::SetLogLevel(weir::LogLevel::kError);
  return weir::Run(options);
}
