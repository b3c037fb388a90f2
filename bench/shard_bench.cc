// What shards bring, in one process: the work of the benchmarks (bench/load.h, all series read by some rule) is taken in as batches
// of some 2,000 series, decoded before, and all rules tick over it, with one shard and with more. Prints wall time, CPU time
// of all threads and CPU time of the calling thread, which is the longest: its ratio is what wall time comes to where every shard
// has a core to itself. What sharding can come to on the machine is measured beside it, by engines that share nothing. All take
// turns, a round each, so that they have the same of a machine that is busy otherwise.

#include "bench/load.h"
#include "bench/measure.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/runtime/pipeline.h"
#include "core/runtime/settings.h"

#include <algorithm>
#include <barrier>
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
  bool alone = false;
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
};

constexpr int kRoundsWarm = 25;  // every group has ticked

// A pipeline and its load.
class Runner {
 public:
  static Result<std::unique_ptr<Runner>> Create(const std::string& rules, int instances, uint32_t shards) {
    auto runner = std::unique_ptr<Runner>(new Runner(instances, shards));
    WEIR_RETURN_IF_ERROR(runner->SetRules(rules));
    return runner;
  }
  // One step of the stream: samples of all series, then what is due.
  void Round() {
    const int64_t t = kStartMs + 1 + round_ * kStepMs;
    load_.Step(t);
    clock_.Set(t);
    const bool warm = round_ >= kRoundsWarm;
    Spent unused;
    Spend(round_ == 0 ? &figures.storm
          : warm      ? &figures.ingest
                      : &unused,
          [&] {
            std::vector<runtime::Pipeline::Arrival> arrivals;
            for (size_t i = 0; i < load_.batches.size(); ++i) {
              arrivals.push_back({&load_.batches[i], "load", t, {t, t}, &parts_[i], {}});
              if (arrivals.size() == kTogether || i + 1 == load_.batches.size()) {
                pipeline_.Apply(arrivals);
                arrivals.clear();
              }
            }
          });
    clock_.Set(t + 10);
    Spend(warm ? &figures.ticks : &unused, [&] { pipeline_.RunDue(t + 10); });
    output_.Sum();
    ++round_;
  }
  uint64_t results() const { return output_.sum; }

  Figures figures;

 private:
  Runner(int instances, uint32_t shards)
      : clock_(kStartMs), pipeline_(OptionsOf(shards), &clock_, &metrics_, &output_), load_(instances) {
    for (const plugin::SampleBatch& batch : load_.batches) {  // in the process, decoding threads do this
      parts_.push_back(ingest::PartsOf(batch, shards));
    }
  }
  static runtime::PipelineOptions OptionsOf(uint32_t shards) {
    runtime::PipelineOptions options;
    options.engine.shards = shards;
    options.watermarks.lateness_auto = false;
    options.watermarks.lateness_ms = 1;
    return options;
  }
  Status SetRules(const std::string& folder) {
    runtime::RuleSettings rules;
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) {
      WEIR_ASSIGN_OR_RETURN(runtime::Settings of_file, runtime::RuleFileSettings(file));
      rules.parser = of_file.rules.parser;
      std::move(of_file.rules.groups.begin(), of_file.rules.groups.end(), std::back_inserter(rules.groups));
    }
    return pipeline_.SetRules(std::move(rules), kStartMs);
  }

  FakeClock clock_;
  MetricRegistry metrics_;
  NoOutput output_;
  runtime::Pipeline pipeline_;
  Load load_;
  std::vector<ingest::Parts> parts_;
  int round_ = 0;
};

// What the machine can give at all: as many engines of one shard as there would be shards, each with its part of the series, a thread
// of its own and nothing in common with the others. All do a round at once, and the next when all are done.
class Apart {
 public:
  static Result<std::unique_ptr<Apart>> Create(const Options& options) {
    std::unique_ptr<Apart> apart(new Apart(options.shards));
    for (uint32_t i = 0; i < options.shards; ++i) {
      WEIR_ASSIGN_OR_RETURN(std::unique_ptr<Runner> runner,
                            Runner::Create(options.rules, options.instances / static_cast<int>(options.shards), 1));
      apart->runners_.push_back(std::move(runner));
    }
    for (uint32_t i = 0; i < options.shards; ++i) {
      apart->threads_.emplace_back([&apart = *apart, i] { apart.Loop(i); });
    }
    return apart;
  }
  ~Apart() {
    go_on_ = false;
    begin_.arrive_and_wait();
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }
  void Round() {
    begin_.arrive_and_wait();
    end_.arrive_and_wait();
  }
  // RETURNS: by kind of work, the wall time of the slowest.
  Figures Slowest() const {
    Figures slowest;
    for (const std::unique_ptr<Runner>& runner : runners_) {
      const Figures& figures = runner->figures;
      slowest.storm.wall_ms = std::max(slowest.storm.wall_ms, figures.storm.wall_ms);
      slowest.ingest.wall_ms = std::max(slowest.ingest.wall_ms, figures.ingest.wall_ms);
      slowest.ticks.wall_ms = std::max(slowest.ticks.wall_ms, figures.ticks.wall_ms);
    }
    return slowest;
  }

 private:
  explicit Apart(uint32_t engines) : begin_(engines + 1), end_(engines + 1) {}
  void Loop(uint32_t engine) {
    for (begin_.arrive_and_wait(); go_on_; begin_.arrive_and_wait()) {
      runners_[engine]->Round();
      end_.arrive_and_wait();
    }
  }

  std::vector<std::unique_ptr<Runner>> runners_;
  std::barrier<> begin_;
  std::barrier<> end_;
  bool go_on_ = true;
  std::vector<std::thread> threads_;
};

void Print(const char* what, const Spent& one, const Spent& many, const Spent& apart, double per, const char* unit) {
  std::printf(
      "  %-32s wall %8.3f -> %8.3f %s (%.2fx, apart %.2fx); CPU %8.3f -> %8.3f, of the calling thread %8.3f (%.2fx)\n",
      what, one.wall_ms / per, many.wall_ms / per, unit, one.wall_ms / many.wall_ms, one.wall_ms / apart.wall_ms,
      one.cpu_ms / per, many.cpu_ms / per, many.caller_ms / per, one.cpu_ms / many.caller_ms);
}

Status Run(const Options& options) {
  const int rounds = static_cast<int>(int64_t{options.minutes} * 60000 / kStepMs);
  WEIR_ASSIGN_OR_RETURN(const std::unique_ptr<Runner> many,
                        Runner::Create(options.rules, options.instances, options.shards));
  const int series = options.instances * 51;
  if (options.alone) {
    for (int round = 0; round < rounds; ++round) {
      many->Round();
    }
    std::printf("%d series, all rules, %u shards: ingest %.3f us a sample, ticks %.3f ms each 15 s\n", series,
                options.shards, many->figures.ingest.wall_ms * 1e3 / (rounds - kRoundsWarm) / series,
                many->figures.ticks.wall_ms / (rounds - kRoundsWarm));
    return {};
  }
  WEIR_ASSIGN_OR_RETURN(const std::unique_ptr<Runner> one, Runner::Create(options.rules, options.instances, 1));
  WEIR_ASSIGN_OR_RETURN(const std::unique_ptr<Apart> apart, Apart::Create(options));
  for (int round = 0; round < rounds; ++round) {
    one->Round();
    many->Round();
    apart->Round();
  }
  std::printf(
      "%d series, all rules, 1 against %u shards, batches of %d series, %zu together; apart: %u engines at once "
      "that share nothing, each with its part of the series:\n",
      series, options.shards, kInstancesPerBatch * 51, kTogether, options.shards);
  const Figures slowest = apart->Slowest();
  const double warm = rounds - kRoundsWarm;
  Print("every series for the first time", one->figures.storm, many->figures.storm, slowest.storm, 1, "ms");
  Print("ingest", one->figures.ingest, many->figures.ingest, slowest.ingest, warm * series / 1e3, "us a sample");
  Print("ticks", one->figures.ticks, many->figures.ticks, slowest.ticks, warm, "ms each 15 s");
  std::printf("  results %s\n", one->results() == many->results() ? "equal, bit for bit" : "DIFFER");
  return one->results() == many->results() ? Status() : InternalError("results differ");
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
  app.add_flag("--alone", options.alone, "only these, for profilers: nothing is compared");
  CLI11_PARSE(app, argc, argv);
  weir::SetLogLevel(weir::LogLevel::kError);
  if (const weir::Status status = weir::Run(options); !status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
