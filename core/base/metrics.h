#pragma once
// Self-metrics: counters, gauges and histograms that any thread may update without a lock, and the Prometheus text
// exposition of all of them. Handles are looked up once (by the owner of the thing measured) and kept; they live as
// long as the registry. Metric names follow Prometheus: its own where it has one, weir_… otherwise.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void Set(double v) { value_.store(v, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Fixed upper bounds; Observe is lock-free.
class HistogramMetric {
 public:
  explicit HistogramMetric(std::vector<double> bounds);
  void Observe(double v);
  const std::vector<double>& bounds() const { return bounds_; }
  uint64_t bucket(size_t i) const {
    return counts_[i].load(std::memory_order_relaxed);
  }  // not cumulative; last is +Inf
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

class MetricRegistry {
 public:
  MetricRegistry();
  ~MetricRegistry();
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  // RETURNS: the metric of this name and these labels, made on first use. `help` is one sentence.
  Counter& GetCounter(std::string_view name, std::string_view help, MetricLabels labels = {});
  Gauge& GetGauge(std::string_view name, std::string_view help, MetricLabels labels = {});
  // A counter whose total, perhaps no whole number, is kept elsewhere and set here.
  Gauge& GetTotal(std::string_view name, std::string_view help, MetricLabels labels = {});
  HistogramMetric& GetHistogram(std::string_view name, std::string_view help, std::vector<double> bounds,
                                MetricLabels labels = {});
  // Called before each exposition, to set gauges that are derived. Called on the exposing thread.
  void OnCollect(std::function<void()> collect);
  // RETURNS: Prometheus text format 0.0.4.
  std::string Expose() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
