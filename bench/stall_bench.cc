// How long a batch waits for the engine while rules tick: the whole runtime with all rules, and a source that hands it batches of
// some 2,000 series at an even pace, stamped with the present. A batch's wait is from Submit to the end of its application.
// With --speed the wall clock runs faster: that much more samples and ticks per second of machine time; waits are always in machine
// time. On a machine that others use, too, the CPU time of the engine's thread meanwhile says more: that is what a batch waits when
// nobody takes the processor away. The second line of each leaves out what batches before it took, which come in bursts when the
// sender was held up: the tick and the batch's own application remain.

#include "bench/load.h"
#include "core/base/log.h"
#include "core/runtime/runtime.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>

#include <CLI/CLI.hpp>

namespace weir {
namespace {

constexpr int kInstancesPerBatch = 40;

struct Options {
  std::string rules;
  int instances = 2000;
  int seconds = 60;  // of machine time, after the warm-up
  int interval_s = 15;
  double speed = 4;
  double churn = 0;
};
Options g_options;

class FastClock final : public Clock {
 public:
  explicit FastClock(double speed) : speed_(speed), began_ns_(MonotonicNs()), began_ms_(SystemClock().NowMs()) {}
  int64_t NowMs() const override {
    return began_ms_ + static_cast<int64_t>(static_cast<double>(MonotonicNs() - began_ns_) / 1e6 * speed_);
  }
  int64_t MonotonicNs() const override { return SystemClock().MonotonicNs(); }
  void SleepMs(int64_t ms) const override {
    std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(static_cast<double>(ms) / speed_));
  }

 private:
  const double speed_;
  const int64_t began_ns_;
  const int64_t began_ms_;
};

int64_t CpuNs(clockid_t of) {
  constexpr int64_t kNsPerSecond = 1000000000;
  timespec now{};
  clock_gettime(of, &now);
  return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

struct Waits {
  std::vector<int64_t> ns;                                     // engine's thread
  std::vector<int64_t> first_ns;                               // likewise: since no other batch was before it
  std::vector<int64_t> cpu_ns;                                 // likewise
  std::vector<int64_t> first_cpu_ns;                           // likewise
  int64_t last_ns = 0;                                         // likewise: when the last batch had been applied
  int64_t last_cpu_ns = 0;                                     // likewise
  std::atomic<clockid_t> engine_cpu{CLOCK_THREAD_CPUTIME_ID};  // once known: the clock of the engine's thread
  std::atomic<bool> known{false};
  std::atomic<bool> counting{false};
  std::atomic<int> rounds{0};
};
Waits g_waits;

// Label blocks live as long as the process, so that a batch to send is a copy of two short arrays.
struct Template {
  std::string arena;
  plugin::SampleBatch batch;
  std::vector<bench::LoadSeries> series;
};

class PacedSource final : public plugin::Source {
 public:
  ~PacedSource() override { Stop(); }
  Status Start(plugin::SourceHost& host) override {
    thread_ = std::thread([this, &host] { Run(host); });
    return {};
  }
  void Stop() override {
    stop_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
  }

 private:
  static std::unique_ptr<Template> TemplateOf(int first, int count) {
    auto made = std::make_unique<Template>();
    for (int i = first; i < first + count; ++i) {
      std::vector<bench::LoadSeries> series = bench::InstanceSeries(i);
      std::move(series.begin(), series.end(), std::back_inserter(made->series));
    }
    std::vector<size_t> ends;
    for (const bench::LoadSeries& series : made->series) {
      std::vector<Label> labels;
      for (const auto& [name, value] : series.labels) {
        labels.push_back({name, value});
      }
      plugin::EncodeLabels(labels, &made->arena);
      ends.push_back(made->arena.size());
    }
    size_t begin = 0;
    for (const size_t end : ends) {
      plugin::SampleBatch::Series& series = made->batch.series.emplace_back();
      series.labels = std::string_view(made->arena).substr(begin, end - begin);
      plugin::HashLabels(series.labels, series.hash);
      series.first = static_cast<uint32_t>(made->batch.samples.size());
      series.count = 1;
      made->batch.samples.emplace_back();
      begin = end;
    }
    return made;
  }
  static std::vector<std::unique_ptr<Template>> Templates() {
    std::vector<std::unique_ptr<Template>> all;
    for (int first = 0; first < g_options.instances; first += kInstancesPerBatch) {
      all.push_back(TemplateOf(first, std::min(kInstancesPerBatch, g_options.instances - first)));
    }
    return all;
  }

  void Run(plugin::SourceHost& host) {
    std::vector<std::unique_ptr<Template>> templates = Templates();
    bench::LoadRandom random(0);
    const double gap_ns = g_options.interval_s * 1e9 / g_options.speed / static_cast<double>(templates.size());
    const int64_t began_ns = host.clock().MonotonicNs();
    std::vector<std::unique_ptr<Template>> gone;  // batches on their way view their labels
    double replace = 0;
    int next_instance = g_options.instances;
    for (int64_t n = 0; !stop_; ++n) {
      replace += n < static_cast<int64_t>(templates.size()) ? 0 : g_options.churn;
      if (replace >= 1) {
        replace -= 1;
        std::unique_ptr<Template>& old = templates[static_cast<size_t>(n) % templates.size()];
        const int count = static_cast<int>(old->series.size() / bench::InstanceSeries(0).size());
        gone.push_back(std::exchange(old, TemplateOf(next_instance, count)));
        next_instance += count;
      }
      const auto due_ns = began_ns + static_cast<int64_t>(gap_ns * static_cast<double>(n));
      while (!stop_ && host.clock().MonotonicNs() < due_ns) {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
      Template& of = *templates[static_cast<size_t>(n) % templates.size()];
      plugin::SampleBatch batch;
      batch.series = of.batch.series;
      batch.samples = of.batch.samples;
      const int64_t now_ms = host.clock().NowMs();
      for (size_t i = 0; i < batch.samples.size(); ++i) {
        random.Step(&of.series[i]);
        batch.samples[i] = {now_ms, of.series[i].value};
      }
      const Clock* clock = &host.clock();
      const int64_t submitted_ns = clock->MonotonicNs();
      const int64_t cpu_ns = CpuNs(g_waits.engine_cpu);
      const bool taken =
          host.Submit(std::move(batch), "load", [clock, submitted_ns, cpu_ns](const plugin::IngestOutcome&) {
            if (!g_waits.known.exchange(true)) {
              clockid_t own{};
              if (pthread_getcpuclockid(pthread_self(), &own) == 0) {
                g_waits.engine_cpu = own;
              }
            }
            const int64_t now_ns = clock->MonotonicNs();
            const int64_t now_cpu_ns = CpuNs(CLOCK_THREAD_CPUTIME_ID);
            if (g_waits.counting) {
              g_waits.ns.push_back(now_ns - submitted_ns);
              g_waits.first_ns.push_back(now_ns - std::max(submitted_ns, g_waits.last_ns));
              g_waits.cpu_ns.push_back(now_cpu_ns - cpu_ns);
              g_waits.first_cpu_ns.push_back(now_cpu_ns - std::max(cpu_ns, g_waits.last_cpu_ns));
            }
            g_waits.last_ns = now_ns;
            g_waits.last_cpu_ns = now_cpu_ns;
          });
      if (!taken) {
        std::fprintf(stderr, "the queue is full: this machine cannot keep that pace\n");
      }
      g_waits.rounds = static_cast<int>(n / static_cast<int64_t>(templates.size()));
    }
  }

  std::atomic<bool> stop_{false};
  std::thread thread_;
};

const plugin::Plugin kPaced{.kind = plugin::PluginKind::kSource,
                            .name = "paced",
                            .help = "The load of this benchmark.",
                            .options = {},
                            .make_source = [](const plugin::OptionValues&) -> std::unique_ptr<plugin::Source> {
                              return std::make_unique<PacedSource>();
                            }};

Result<runtime::Settings> LoadRules() {
  runtime::Settings settings;
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(g_options.rules)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    WEIR_ASSIGN_OR_RETURN(runtime::Settings of_file, runtime::RuleFileSettings(file));
    settings.rules.parser = of_file.rules.parser;
    std::move(of_file.rules.groups.begin(), of_file.rules.groups.end(), std::back_inserter(settings.rules.groups));
  }
  settings.sources.push_back({"paced", &kPaced, {}});
  settings.listen = "127.0.0.1:0";
  return settings;
}

void Print(const char* what, std::vector<int64_t>* ns) {
  std::sort(ns->begin(), ns->end());
  const auto ms = [ns](double q) {
    return static_cast<double>((*ns)[static_cast<size_t>(q * static_cast<double>(ns->size() - 1))]) / 1e6;
  };
  std::printf("%s: p50 %.3f ms, p99 %.3f ms, p99.9 %.3f ms, max %.3f ms\n", what, ms(0.5), ms(0.99), ms(0.999), ms(1));
}

int Run() {
  Result<runtime::Settings> settings = LoadRules();
  if (!settings.ok()) {
    std::fprintf(stderr, "%s\n", std::string(settings.status().message()).c_str());
    return 1;
  }
  const FastClock clock(g_options.speed);
  MetricRegistry metrics;
  runtime::Runtime runtime(
      std::move(*settings), [] { return Result<runtime::Settings>(UnavailableError("none")); }, clock, metrics);
  Status status = runtime.Prepare();
  status = status.ok() ? runtime.Start() : status;
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 1;
  }
  // Until every series is known and every group has ticked once with all of them.
  while (g_waits.rounds < 2 || runtime.GetFigures().last_tick_ms == INT64_MIN) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(60 / g_options.speed));
  g_waits.counting = true;
  std::this_thread::sleep_for(std::chrono::seconds(g_options.seconds));
  g_waits.counting = false;
  const runtime::Figures figures = runtime.GetFigures();
  runtime.Stop();
  if (g_waits.ns.empty()) {
    std::fprintf(stderr, "no batch was applied\n");
    return 1;
  }
  std::printf(
      "%d series, %zu rules, a sample each %d s at %.3g times the pace of the clock (%.0f samples/s), last tick %.1f "
      "ms; %zu batches\n",
      g_options.instances * 51, figures.rules, g_options.interval_s, g_options.speed,
      g_options.instances * 51 * g_options.speed / g_options.interval_s, figures.tick_seconds * 1e3, g_waits.ns.size());
  Print("wait", &g_waits.ns);
  Print("of it not behind other batches", &g_waits.first_ns);
  Print("CPU time of the engine's thread meanwhile", &g_waits.cpu_ns);
  Print("of it not behind other batches", &g_waits.first_cpu_ns);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::Options& options = weir::g_options;
  CLI::App app{"How long batches wait for the engine while rules tick."};
  app.add_option("rules", options.rules, "folder of rule files")->required();
  app.add_option("--instances", options.instances, "instances of 51 series each");
  app.add_option("--seconds", options.seconds, "machine time to measure for");
  app.add_option("--interval", options.interval_s, "seconds between two samples of a series");
  app.add_option("--churn", options.churn, "part of the instances that others take the place of between two samples");
  app.add_option("--speed", options.speed, "how much faster than real time");
  CLI11_PARSE(app, argc, argv);
  weir::SetLogLevel(weir::LogLevel::kError);
  return weir::Run();
}
