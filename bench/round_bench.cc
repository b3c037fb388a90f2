// What a tick of all rules costs, without network and without a clock's wait: the rule files are planned in one engine, samples of
// the load (bench/load.h) are appended in time order, and every group is evaluated at its slots. Prints, per group, the CPU time
// of its ticks once all series are known (the first ticks, where labels are made, apart), and their sum: one round of all rules.

#include "bench/load.h"
#include "bench/measure.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/engine/engine.h"
#include "core/rules/group.h"
#include "core/runtime/settings.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace weir {
namespace {

constexpr int64_t kStartMs = 1700000000000 / 300000 * 300000;
constexpr int64_t kStepMs = 15000;

struct Options {
  std::string rules;
  int instances = 2000;
  int minutes = 16;
  bool groups = false;
};

class NoOutput final : public rules::RuleOutput {
 public:
  void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) override {
    samples += results->samples.size();
  }
  void OnAlerts(plugin::AlertBatch alerts) override { alerts_seen += alerts.alerts.size(); }
  uint64_t samples = 0;
  uint64_t alerts_seen = 0;
};

struct Ticks {
  std::unique_ptr<rules::Group> group;
  int64_t interval_ms = 0;
  double first_ms = 0;
  std::vector<double> later_ms;
};

int Run(const Options& options) {
  engine::Engine engine{engine::Options{}};
  NoOutput output;
  MetricRegistry metrics;
  rules::RuleEnvironment environment;
  environment.engine = &engine;
  environment.output = &output;
  environment.metrics = &metrics;
  environment.clock = &SystemClock();
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(options.rules)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Ticks> groups;
  size_t rules = 0;
  for (const std::string& file : files) {
    auto settings = runtime::RuleFileSettings(file);
    if (!settings.ok()) {
      std::fprintf(stderr, "%s\n", std::string(settings.status().message()).c_str());
      return 1;
    }
    for (rules::GroupDefinition& definition : settings->rules.groups) {
      rules += definition.rules.size();
      const int64_t interval_ms = definition.slots.interval_ms;
      auto group = rules::Group::Create(std::move(definition), &environment);
      if (!group.ok()) {
        std::fprintf(stderr, "%s\n", std::string(group.status().message()).c_str());
        return 1;
      }
      groups.push_back({std::move(*group), interval_ms, 0, {}});
    }
  }
  std::vector<bench::LoadSeries> all;
  std::vector<engine::SeriesId> ids;
  for (int instance = 0; instance < options.instances; ++instance) {
    for (bench::LoadSeries& series : bench::InstanceSeries(instance)) {
      Labels labels;
      for (const auto& [name, value] : series.labels) {
        labels.Set(name, value);
      }
      ids.push_back(engine.Intern(engine.labels().InternSet(labels)));
      all.push_back(std::move(series));
    }
  }
  bench::LoadRandom random(0);
  double append_ms = 0;
  uint64_t samples = 0;
  const int64_t end_ms = kStartMs + int64_t{options.minutes} * 60000;
  for (int64_t t = kStartMs; t <= end_ms; t += kStepMs) {
    for (bench::LoadSeries& series : all) {
      random.Step(&series);
    }
    const double before = bench::CpuMs();
    for (size_t i = 0; i < all.size(); ++i) {
      engine.Append(ids[i], t, all[i].value);
    }
    append_ms += bench::CpuMs() - before;
    samples += all.size();
    for (Ticks& g : groups) {
      if (t % g.interval_ms != 0 || t == kStartMs) {
        continue;
      }
      const double began = bench::CpuMs();
      g.group->Evaluate(t, true);
      const double took = bench::CpuMs() - began;
      (g.first_ms == 0 ? g.first_ms : g.later_ms.emplace_back()) = took;
    }
    engine.Release(t);
  }
  double round = 0;
  double first = 0;
  std::sort(groups.begin(), groups.end(), [](const Ticks& a, const Ticks& b) { return a.first_ms > b.first_ms; });
  for (Ticks& g : groups) {
    std::sort(g.later_ms.begin(), g.later_ms.end());
    const double median = g.later_ms.empty() ? 0 : g.later_ms[g.later_ms.size() / 2];
    round += median;
    first += g.first_ms;
    if (options.groups) {
      std::printf("%-60s every %4lld s  first %8.2f ms  then %8.2f ms (median of %zu)\n",
                  g.group->definition().Key().substr(g.group->definition().Key().rfind('/') + 1).c_str(),
                  static_cast<long long>(g.interval_ms / 1000), g.first_ms, median, g.later_ms.size());
    }
  }
  const engine::SeriesStats stats = engine.Stats();
  size_t rule_bytes = 0;
  size_t written = 0;
  for (const Ticks& g : groups) {
    for (const auto& rule : g.group->rules()) {
      rule_bytes += rule->Bytes();
      written += rule->outputs().previous();
    }
  }
  std::printf(
      "%zu series, %zu rules in %zu groups: one round %.1f ms, the first %.1f ms; append %.3f us a sample; "
      "windows %zu bytes, labels %zu bytes, %zu nodes with %zu bytes; rules %zu bytes for %zu series that they write; "
      "resident %.1f MB\n",
      all.size(), rules, groups.size(), round, first, append_ms * 1e3 / static_cast<double>(samples),
      static_cast<size_t>(stats.window_bytes), static_cast<size_t>(stats.label_bytes), static_cast<size_t>(stats.nodes),
      stats.node_bytes, rule_bytes, written, bench::ResidentBytes() / 1e6);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::Options options;
  CLI::App app{"CPU time of one round of all rules."};
  app.add_option("rules", options.rules, "folder of rule files")->required();
  app.add_option("--instances", options.instances, "instances of 51 series each");
  app.add_option("--minutes", options.minutes, "length of the stream");
  app.add_flag("--groups", options.groups, "print every group");
  CLI11_PARSE(app, argc, argv);
  weir::SetLogLevel(weir::LogLevel::kError);  // what rules have to say is not the question here
  return weir::Run(options);
}
