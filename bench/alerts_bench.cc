// What firing alerts cost: one alerting rule over as many series as alerts are asked for, every one of them above its threshold.
// Prints resident memory (not arithmetic) before the alerts exist, with all of them firing and handed to a sink, and the CPU
// time of an evaluation once they fire.

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
  void OnSamples(const std::shared_ptr<const plugin::SampleResults>&) override {}
  void OnAlerts(plugin::AlertBatch batch) override { alerts += batch.alerts.size(); }
  uint64_t alerts = 0;
};

double ResidentMb() {
  malloc_trim(0);
  return bench::ResidentBytes() / 1e6;
}

int Run(int alerts) {
  const auto file = std::filesystem::temp_directory_path() / ("weir-alerts-bench-" + std::to_string(getpid()) + ".yml");
  std::ofstream(file)
      << "groups:\n- name: gpu\n  interval: 1m\n  rules:\n  - alert: GpuTooHot\n"
         "    expr: DCGM_FI_DEV_GPU_TEMP > 85\n    labels: {severity: critical}\n"
         "    annotations:\n      summary: 'GPU {{ $labels.gpu }} of {{ $labels.instance }} is at {{ $value }} C'\n"
         "      runbook_url: https://runbooks.example.org/gpu-too-hot\n";
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
  for (int i = 0; i < alerts; ++i) {
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
  (*group)->Evaluate(t, true);
  double cpu_ms = 0;
  constexpr int kTicks = 3;
  for (int tick = 0; tick < kTicks; ++tick) {
    t += 60000;
    append();
    const double began = bench::CpuMs();
    (*group)->Evaluate(t, true);
    cpu_ms += bench::CpuMs() - began;
    engine.Release(t);
  }
  const double after_mb = ResidentMb();
  std::printf(
      "%d alerts firing, %llu handed over: %.1f MB beside %.1f MB of series and process, %.0f bytes an alert; an "
      "evaluation %.1f ms\n",
      alerts, static_cast<unsigned long long>(output.alerts), after_mb - before_mb, before_mb,
      (after_mb - before_mb) * 1e6 / alerts, cpu_ms / kTicks);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  int alerts = 100000;
  CLI::App app{"Memory and CPU time of firing alerts."};
  app.add_option("--alerts", alerts, "how many");
  CLI11_PARSE(app, argc, argv);
  weir::SetLogLevel(weir::LogLevel::kError);
  return weir::Run(alerts);
}
