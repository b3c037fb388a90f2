// What firing alerts and recorded series cost: one rule over as many series as are asked for, an alert that all of them keep firing
// or a recording of all of them. Prints resident memory (not arithmetic) of the process, of the series that are read, and of what
// the rule adds once it has been evaluated: alerts, the series that are written, label sets, rows of results. Free heap is given
// back before each look; the peak is what it was at most while the rule was evaluated and its results handed over. CPU time is that
// of an evaluation after the first.

#include "bench/measure.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/engine/engine.h"
#include "core/rules/group.h"
#include "core/runtime/settings.h"

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

namespace weir {
namespace {

constexpr int64_t kStartMs = 1700000000000 / 60000 * 60000;

class CountingOutput final : public rules::RuleOutput {
 public:
  void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) override {
    samples += results->samples.size();
  }
  void OnAlerts(plugin::AlertBatch batch) override { alerts += batch.alerts.size(); }
  uint64_t samples = 0;
  uint64_t alerts = 0;
};

double ResidentMb() {
  malloc_trim(0);
  return bench::ResidentBytes() / 1e6;
}

constexpr const char* kAlert =
    "groups:\n- name: gpu\n  interval: 1m\n  rules:\n  - alert: GpuTooHot\n"
    "    expr: DCGM_FI_DEV_GPU_TEMP > 85\n    labels: {severity: critical}\n"
    "    annotations:\n      summary: 'GPU {{ $labels.gpu }} of {{ $labels.instance }} is at {{ $value }} C'\n"
    "      runbook_url: https://runbooks.example.org/gpu-too-hot\n";
constexpr const char* kRecording =
    "groups:\n- name: gpu\n  interval: 1m\n  rules:\n  - record: gpu:temperature:kelvin\n"
    "    expr: DCGM_FI_DEV_GPU_TEMP + 273.15\n    labels: {team: hardware}\n";

int Run(int count, bool record) {
  const double process_mb = ResidentMb();
  const auto file = std::filesystem::temp_directory_path() / ("weir-alerts-bench-" + std::to_string(getpid()) + ".yml");
  std::ofstream(file) << (record ? kRecording : kAlert);
  auto settings = runtime::RuleFileSettings(file.string());
  std::filesystem::remove(file);
  WEIR_ASSERT(settings.ok());
  engine::Engine engine{engine::Options{}};
  CountingOutput output;
  MetricRegistry metrics;
  rules::RuleEnvironment environment;
  environment.engine = &engine;
  environment.output = &output;
  environment.metrics = &metrics;
  environment.clock = &SystemClock();
  auto group = rules::Group::Create(std::move(settings->rules.groups[0]), &environment);
  WEIR_ASSERT(group.ok());
  std::vector<engine::SeriesId> ids;
  for (int i = 0; i < count; ++i) {
    const Labels labels{{"__name__", "DCGM_FI_DEV_GPU_TEMP"},
                        {"cluster", "eu-west-1"},
                        {"gpu", std::to_string(i % 8)},
                        {"instance", "node-" + std::to_string(i / 8) + ".example:9400"},
                        {"job", "dcgm-exporter"}};
    ids.push_back(engine.Intern(engine.labels().InternSet(labels)));
  }
  int64_t t = kStartMs;
  const auto append = [&] {
    for (const engine::SeriesId id : ids) {
      engine.Append(id, t, 90);
    }
  };
  append();
  const double before_mb = ResidentMb();
  bench::ResetPeak();
  double first_ms = bench::CpuMs();
  (*group)->Evaluate(t, true);
  first_ms = bench::CpuMs() - first_ms;
  double cpu_ms = 0;
  constexpr int kTicks = 4;  // half of which send the alerts again
  for (int tick = 0; tick < kTicks; ++tick) {
    t += 60000;
    append();
    const double began = bench::CpuMs();
    (*group)->Evaluate(t, true);
    cpu_ms += bench::CpuMs() - began;
    engine.Release(t);
  }
  const double peak_mb = bench::PeakResidentBytes() / 1e6;
  const double after_mb = ResidentMb();
  const rules::Rule& rule = *(*group)->rules()[0];
  const char* what = record ? "recorded series" : "firing alerts";
  std::printf(
      "%d %s: %.1f MB, %.0f bytes each, %.0f of them the rule's by its own account; peak %.1f MB; beside %.1f MB for "
      "the series "
      "that are read, %.0f bytes each, and %.1f MB of the process; %.1f ms an evaluation, %.1f ms the first; %llu "
      "alerts and %llu "
      "samples handed over\n",
      count, what, after_mb - before_mb, (after_mb - before_mb) * 1e6 / count,
      static_cast<double>(rule.Bytes()) / count, peak_mb - before_mb, before_mb - process_mb,
      (before_mb - process_mb) * 1e6 / count, process_mb, cpu_ms / kTicks, first_ms,
      static_cast<unsigned long long>(output.alerts), static_cast<unsigned long long>(output.samples));
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  int count = 100000;
  bool record = false;
  CLI::App app{"Memory and CPU time of firing alerts and of recorded series."};
  app.add_option("--count", count, "how many");
  app.add_flag("--record", record, "recorded series instead of alerts");
  CLI11_PARSE(app, argc, argv);
  weir::SetLogLevel(weir::LogLevel::kError);
  return weir::Run(count, record);
}
