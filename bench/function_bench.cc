// What each family of functions costs: nanoseconds of CPU per sample taken in and per (series, tick) evaluated, one rule alone in
// an engine. Prints a Markdown table with its conditions (docs/BENCHMARKS.md). Time that goes into the steps of a subquery counts
// to the ticks.

#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "core/engine/engine.h"
#include "core/model/histogram.h"
#include "core/promql/parser.h"

namespace weir {
namespace {

constexpr int kSeries = 10000;
constexpr int64_t kStepMs = 15000;
constexpr int64_t kTickMs = 60000;
constexpr int kWarmTicks = 7;  // windows are full, slots and labels are made
constexpr int kTicks = 10;
constexpr int64_t kStartMs = 1700000000000 / kTickMs * kTickMs;

enum class Load { kCounters, kGauges, kBuckets, kTwoSides, kHistograms };

struct Row {
  const char* family;
  const char* expr;
  Load load;
};

constexpr Row kRows[] = {
    {"rate", "rate(c_total[5m])", Load::kCounters},
    {"increase anchored", "increase(c_total[5m] anchored)", Load::kCounters},
    {"irate", "irate(c_total[5m])", Load::kCounters},
    {"delta", "delta(g[5m])", Load::kGauges},
    {"changes", "changes(g[5m])", Load::kGauges},
    {"resets", "resets(c_total[5m])", Load::kCounters},
    {"count, last, …_over_time", "count_over_time(g[5m])", Load::kGauges},
    {"sum_over_time", "sum_over_time(g[5m])", Load::kGauges},
    {"avg_over_time", "avg_over_time(g[5m])", Load::kGauges},
    {"min, max_over_time", "max_over_time(g[5m])", Load::kGauges},
    {"stddev_over_time", "stddev_over_time(g[5m])", Load::kGauges},
    {"deriv, predict_linear", "deriv(g[5m])", Load::kGauges},
    {"quantile_over_time", "quantile_over_time(0.9, g[5m])", Load::kGauges},
    {"mad_over_time", "mad_over_time(g[5m])", Load::kGauges},
    {"double_exponential_smoothing", "double_exponential_smoothing(g[5m], 0.5, 0.5)", Load::kGauges},
    {"subquery", "max_over_time(rate(c_total[1m])[5m:1m])", Load::kCounters},
    {"instant selector", "g", Load::kGauges},
    {"elementwise", "ceil(g)", Load::kGauges},
    {"sum by", "sum by (job) (g)", Load::kGauges},
    {"avg by", "avg by (job) (g)", Load::kGauges},
    {"stddev by", "stddev by (job) (g)", Load::kGauges},
    {"topk", "topk by (job) (5, g)", Load::kGauges},
    {"quantile by", "quantile by (job) (0.9, g)", Load::kGauges},
    {"count_values", "count_values by (job) (\"v\", round(g))", Load::kGauges},
    {"arithmetic with a scalar", "g * 2 > 1", Load::kGauges},
    {"one-to-one join", "left / on(i) right", Load::kTwoSides},
    {"many-to-one join", "left * on(job) group_left() max by (job) (right)", Load::kTwoSides},
    {"histogram_quantile, classic", "histogram_quantile(0.9, rate(b_bucket[5m]))", Load::kBuckets},
    {"instant selector, native", "h", Load::kHistograms},
    {"rate, native", "rate(h[5m])", Load::kHistograms},
    {"sum by rate, native", "sum by (job) (rate(h[5m]))", Load::kHistograms},
    {"histogram_quantile, native", "histogram_quantile(0.9, rate(h[5m]))", Load::kHistograms},
};

double CpuNs() { return bench::CpuMs() * 1e6; }

std::vector<engine::SeriesId> MakeSeries(engine::Engine* engine, Load load) {
  std::vector<engine::SeriesId> series;
  for (int i = 0; i < kSeries; ++i) {
    Labels labels;
    const bool second_half = i >= kSeries / 2;
    int instance = i;
    switch (load) {
      case Load::kCounters:
        labels.Set("__name__", "c_total");
        break;
      case Load::kGauges:
        labels.Set("__name__", "g");
        break;
      case Load::kHistograms:
        labels.Set("__name__", "h");
        break;
      case Load::kTwoSides:
        labels.Set("__name__", second_half ? "right" : "left");
        instance = i % (kSeries / 2);
        break;
      case Load::kBuckets: {
        static constexpr const char* kBounds[] = {"0.005", "0.01", "0.05", "0.1", "0.5", "1", "2.5", "5", "10", "+Inf"};
        labels.Set("__name__", "b_bucket");
        labels.Set("le", kBounds[i % 10]);
        instance = i / 10;
        break;
      }
    }
    labels.Set("i", std::to_string(instance));
    labels.Set("job", "job" + std::to_string(instance % 20));
    series.push_back(engine->Intern(engine->labels().InternSet(labels)));
  }
  return series;
}

// The histogram of every series after `steps` steps: schema 3, 60 populated buckets.
HistogramRef HistogramAfter(int64_t steps) {
  FloatHistogram h;
  h.schema = 3;
  h.zero_threshold = 1e-128;
  h.positive_spans.push_back({-40, 60});
  for (int i = 0; i < 60; ++i) {
    h.positive_buckets.push_back(static_cast<double>(steps * (1 + i % 7)));
    h.count += h.positive_buckets.back();
  }
  h.sum = h.count * 0.1;
  return std::make_shared<const FloatHistogram>(std::move(h));
}

double ValueOf(Load load, int series, int64_t steps) {
  if (load == Load::kCounters) {  // a reset an hour and series
    return static_cast<double>((steps + series) % 240) * (1 + series % 5);
  }
  if (load == Load::kBuckets) {
    return static_cast<double>(steps * (1 + series % 10));
  }
  return 50 + 40 * std::sin(static_cast<double>(steps * 7 + series));
}

int Measure(const Row& row) {
  engine::Engine engine{engine::Options{}};
  promql::ParseOutcome parsed = promql::ParseExpr(row.expr, promql::ParserOptions::All());
  if (!parsed.expr) {
    std::fprintf(stderr, "%s: %s\n", row.expr, parsed.errors[0].message.c_str());
    return 1;
  }
  engine::Grid grid;
  grid.interval_ms = kTickMs;
  Result<engine::PlanId> plan = engine.AddPlan(*parsed.expr, grid);
  if (!plan.ok()) {
    std::fprintf(stderr, "%s: %s\n", row.expr, std::string(plan.status().message()).c_str());
    return 1;
  }
  const std::vector<engine::SeriesId> series = MakeSeries(&engine, row.load);
  std::vector<double> values(kSeries);
  double append_ns = 0;
  double tick_ns = 0;
  constexpr int64_t kSteps = (kWarmTicks + kTicks) * kTickMs / kStepMs;
  for (int64_t step = 1; step <= kSteps; ++step) {
    const int64_t t_ms = kStartMs + step * kStepMs;
    const bool measured = step > kWarmTicks * kTickMs / kStepMs;
    HistogramRef histogram = row.load == Load::kHistograms ? HistogramAfter(step) : nullptr;
    for (int i = 0; i < kSeries; ++i) {
      values[static_cast<size_t>(i)] = ValueOf(row.load, i, step);
    }
    double before = CpuNs();
    engine.AdvanceTo(t_ms - 1);
    tick_ns += measured ? CpuNs() - before : 0;
    before = CpuNs();
    for (size_t i = 0; i < kSeries; ++i) {
      if (histogram) {
        engine.AppendHistogram(series[i], t_ms, histogram);
      } else {
        engine.Append(series[i], t_ms, values[i]);
      }
    }
    append_ns += measured ? CpuNs() - before : 0;
    if (t_ms % kTickMs != 0) {
      continue;
    }
    before = CpuNs();
    engine::Evaluation evaluation = engine.Evaluate(*plan, t_ms);
    if (!evaluation.status.ok() || evaluation.vector.size() == 0) {
      std::fprintf(stderr, "%s: %s\n", row.expr, std::string(evaluation.status.message()).c_str());
      return 1;
    }
    engine.Release(t_ms - 1);
    tick_ns += measured ? CpuNs() - before : 0;
  }
  constexpr double kSamples = static_cast<double>(kSeries) * kTicks * kTickMs / kStepMs;
  std::printf("| %s | `%s` | %.0f | %.0f | %.0f |\n", row.family, row.expr, append_ns / kSamples,
              tick_ns / (static_cast<double>(kSeries) * kTicks),
              static_cast<double>(engine.Stats().window_bytes) / kSeries);
  return 0;
}

}  // namespace
}  // namespace weir

int main() {
  std::printf(
      "%d series, a sample each %lld s, windows of 5 minutes, a tick each minute; CPU time, mean of %d ticks.\n\n",
      weir::kSeries, static_cast<long long>(weir::kStepMs / 1000), weir::kTicks);
  std::printf("| family | expression | ns per sample | ns per (series, tick) | window bytes per series |\n");
  std::printf("|---|---|---|---|---|\n");
  int failed = 0;
  for (const weir::Row& row : weir::kRows) {
    failed += weir::Measure(row);
  }
  return failed == 0 ? 0 : 1;
}
