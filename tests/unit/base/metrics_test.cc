#include "core/base/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

namespace weir {
namespace {

TEST(Metrics, ExposesSortedFamiliesWithEscapes) {
  MetricRegistry registry;
  registry.GetGauge("weir_b", "The b.").Set(-0.5);
  registry.GetCounter("weir_a_total", "Line one\nand \\.", {{"path", "a\"b\\c\nd"}}).Add(3);
  registry.GetCounter("weir_a_total", "", {{"path", "x"}}).Add();
  registry.GetTotal("weir_c_seconds_total", "The c.").Set(1.5);
  EXPECT_EQ(registry.Expose(),
            "# HELP weir_a_total Line one\\nand \\\\.\n"
            "# TYPE weir_a_total counter\n"
            "weir_a_total{path=\"a\\\"b\\\\c\\nd\"} 3\n"
            "weir_a_total{path=\"x\"} 1\n"
            "# HELP weir_b The b.\n"
            "# TYPE weir_b gauge\n"
            "weir_b -0.5\n"
            "# HELP weir_c_seconds_total The c.\n"
            "# TYPE weir_c_seconds_total counter\n"
            "weir_c_seconds_total 1.5\n");
}

TEST(Metrics, HandlesAreStable) {
  MetricRegistry registry;
  Counter& first = registry.GetCounter("weir_a_total", "A.");
  for (int i = 0; i < 1000; ++i) {
    registry.GetCounter("weir_a_total", "A.", {{"i", std::to_string(i)}}).Add();
  }
  first.Add(7);
  EXPECT_EQ(&registry.GetCounter("weir_a_total", "A."), &first);
  EXPECT_EQ(first.value(), 7u);
}

TEST(Metrics, HistogramsAreCumulative) {
  MetricRegistry registry;
  HistogramMetric& histogram = registry.GetHistogram("weir_h_seconds", "H.", {0.1, 1}, {{"q", "1"}});
  for (const double v : {0.05, 0.1, 0.5, 2.0, std::numeric_limits<double>::infinity()}) {
    histogram.Observe(v);
  }
  EXPECT_EQ(registry.Expose(),
            "# HELP weir_h_seconds H.\n# TYPE weir_h_seconds histogram\n"
            "weir_h_seconds_bucket{q=\"1\",le=\"0.1\"} 2\n"
            "weir_h_seconds_bucket{q=\"1\",le=\"1\"} 3\n"
            "weir_h_seconds_bucket{q=\"1\",le=\"+Inf\"} 5\n"
            "weir_h_seconds_sum{q=\"1\"} +Inf\n"
            "weir_h_seconds_count{q=\"1\"} 5\n");
}

TEST(Metrics, NanObservationsCountBeyondEveryBound) {
  HistogramMetric histogram({1});
  histogram.Observe(std::nan(""));
  EXPECT_EQ(histogram.bucket(0), 0u);
  EXPECT_EQ(histogram.bucket(1), 1u);
}

TEST(Metrics, CollectorsMayLookMetricsUp) {
  MetricRegistry registry;
  registry.OnCollect([&registry] { registry.GetGauge("weir_late", "Late.").Set(4); });
  EXPECT_NE(registry.Expose().find("weir_late 4\n"), std::string::npos);
}

TEST(Metrics, ThreadsLoseNothing) {
  MetricRegistry registry;
  Counter& counter = registry.GetCounter("weir_c_total", "C.");
  HistogramMetric& histogram = registry.GetHistogram("weir_h", "H.", {1});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10000; ++i) {
        counter.Add();
        histogram.Observe(0.5);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(counter.value(), 40000u);
  EXPECT_EQ(histogram.bucket(0), 40000u);
  EXPECT_EQ(histogram.sum(), 20000);
}

}  // namespace
}  // namespace weir
