// What eager alerts cost between ticks: an evaluation, which is one piece, and arming, which lets samples in at its yields. Some
// alerts, each in an engine of its own over INSTANCES × 51 series that are sampled every 15 s; after the windows are full each is
// evaluated and armed half a second after every scrape. Prints CPU time, so what other processes take is in no figure: the median
// and the most of an evaluation and of arming (the most is the first, which finds the series), and what lies between two yields of
// arming, without its evaluation: the 99th percentile and the longest, with its number among the pieces of one arming.

#include "bench/load.h"
#include "bench/measure.h"
#include "core/engine/engine.h"
#include "core/promql/parser.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace weir {
namespace {

constexpr int64_t kStartMs = 1700000000000 / 60000 * 60000;
constexpr int64_t kScrapeMs = 15000;
constexpr int64_t kHorizonMs = 65000;
constexpr int64_t kLagMs = 500;

// None of them fires; the quantiles are near enough to their threshold to be linked.
constexpr const char* kAlerts[] = {
    "nvidia_gpu_memory_used_bytes > 1e12",
    "rate(http_requests_total[5m]) > 1e12",
    "sum by (status) (rate(http_requests_total[5m])) > 1e12",
    "sum by (instance) (rate(model_errors_total[5m])) / sum by (instance) (rate(http_requests_total[5m])) > 1e6",
    "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5m]))) > 1",
    "histogram_quantile(0.9, sum by (instance, le) (rate(http_request_duration_seconds_bucket[5m]))) > 1",
};

double At(std::vector<double> values, double q) {
  if (values.empty()) {
    return 0;
  }
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(q * static_cast<double>(values.size())))];
}

int Measure(const std::string& expr, int instances, int rounds) {
  engine::Engine engine{engine::Options{}};
  const promql::ParseOutcome parsed = promql::ParseExpr(expr, promql::ParserOptions::All());
  if (parsed.expr == nullptr) {
    std::fprintf(stderr, "arm_bench: %s: %s\n", expr.c_str(), parsed.errors.front().ToString().c_str());
    return 1;
  }
  engine::Grid grid;
  grid.interval_ms = 60000;
  grid.between = true;
  const Result<engine::PlanId> plan = engine.AddPlan(*parsed.expr, grid);
  if (!plan.ok()) {
    std::fprintf(stderr, "arm_bench: %s: %s\n", expr.c_str(), std::string(plan.status().message()).c_str());
    return 1;
  }
  bench::LoadRandom random(0);
  std::vector<bench::LoadSeries> series;
  std::vector<engine::SeriesId> ids;
  for (int i = 0; i < instances; ++i) {
    for (bench::LoadSeries& one : bench::InstanceSeries(i)) {
      std::vector<Label> labels;
      for (const auto& [name, value] : one.labels) {
        labels.push_back({name, value});
      }
      ids.push_back(engine.Intern(engine.labels().InternSet(Labels(std::move(labels)))));
      series.push_back(std::move(one));
    }
  }
  double yielded = 0;
  std::vector<double> gaps;
  double longest = 0;
  size_t longest_at = 0;
  size_t yields = 0;
  const auto end_piece = [&] {
    const double now = bench::CpuMs();
    gaps.push_back(now - yielded);
    if (gaps.back() > longest) {
      longest = gaps.back();
      longest_at = yields;
    }
    ++yields;
  };
  engine.SetYield([&] {
    end_piece();
    yielded = bench::CpuMs();
  });
  std::vector<double> evaluations;
  std::vector<double> armings;
  size_t crossed = 0;
  constexpr int kWarm = 24;  // scrapes
  for (int round = 0; round < kWarm + rounds; ++round) {
    const int64_t t_ms = kStartMs + round * kScrapeMs;
    for (size_t i = 0; i < ids.size(); ++i) {
      random.Step(&series[i]);
      engine.Append(ids[i], t_ms, series[i].value);
    }
    if (round < kWarm) {
      continue;
    }
    crossed += engine.TakeCrossings().size();
    double begun = bench::CpuMs();
    engine.BeginArm(*plan, t_ms + kLagMs);
    evaluations.push_back(bench::CpuMs() - begun);
    yields = 0;
    engine.BeginYielding();
    begun = yielded = bench::CpuMs();
    engine.Arm(std::span(&*plan, 1), t_ms + kLagMs, t_ms + kLagMs + kHorizonMs);
    end_piece();
    armings.push_back(bench::CpuMs() - begun);
    engine.EndYielding();
    engine.Release(t_ms - 1);
  }
  std::printf(
      "%s\n  %zu series of %zu: evaluation %.2f ms, at most %.2f; arming %.2f ms, at most %.2f; between yields "
      "p99 %.3f ms, longest %.2f (number %zu); crossed in %zu of %d scrapes\n",
      expr.c_str(), engine.ArmSeries(*plan), ids.size(), At(evaluations, 0.5), At(evaluations, 1), At(armings, 0.5),
      At(armings, 1), At(gaps, 0.99), longest, longest_at, crossed, rounds);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  int instances = 2000;
  int rounds = 20;
  std::string alert;
  CLI::App app{"CPU time of evaluating and arming eager alerts, and the longest piece in which no sample comes in."};
  app.add_option("--instances", instances, "instances of 51 series each");
  app.add_option("--rounds", rounds, "scrapes after each of which it is done");
  app.add_option("--alert", alert, "an expression instead of the built-in ones");
  CLI11_PARSE(app, argc, argv);
  int failed = 0;
  for (const char* each : weir::kAlerts) {
    failed += alert.empty() ? weir::Measure(each, instances, rounds) : 0;
  }
  return failed + (alert.empty() ? 0 : weir::Measure(alert, instances, rounds));
}
