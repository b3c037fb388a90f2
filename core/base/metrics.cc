#include "core/base/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <mutex>

#include "core/base/status.h"

namespace weir {
namespace {

enum class Kind : unsigned char { kCounter, kGauge, kHistogram };

std::string_view KindText(Kind kind) {
  switch (kind) {
    case Kind::kCounter:
      return "counter";
    case Kind::kGauge:
      return "gauge";
    case Kind::kHistogram:
      return "histogram";
  }
  return "untyped";
}

std::string NumberText(double v) {
  if (std::isnan(v)) {
    return "NaN";
  }
  if (std::isinf(v)) {
    return v > 0 ? "+Inf" : "-Inf";
  }
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), v);
  return std::string(text, end.ptr);
}

void AppendEscaped(std::string_view text, bool escape_quotes, std::string* out) {
  for (const char c : text) {
    if (c == '\\') {
      out->append("\\\\");
    } else if (c == '\n') {
      out->append("\\n");
    } else if (c == '"' && escape_quotes) {
      out->append("\\\"");
    } else {
      out->push_back(c);
    }
  }
}

// RETURNS: `a="b",c="d"`, without braces.
std::string LabelText(const MetricLabels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    if (!out.empty()) {
      out.push_back(',');
    }
    out.append(name);
    out.append("=\"");
    AppendEscaped(value, true, &out);
    out.push_back('"');
  }
  return out;
}

void AppendLine(std::string_view name, std::string_view suffix, std::string_view labels, std::string_view extra,
                std::string_view value, std::string* out) {
  out->append(name);
  out->append(suffix);
  if (!labels.empty() || !extra.empty()) {
    out->push_back('{');
    out->append(labels);
    if (!labels.empty() && !extra.empty()) {
      out->push_back(',');
    }
    out->append(extra);
    out->push_back('}');
  }
  out->push_back(' ');
  out->append(value);
  out->push_back('\n');
}

struct Metric {
  std::unique_ptr<Counter> counter;
  std::unique_ptr<Gauge> gauge;
  std::unique_ptr<HistogramMetric> histogram;
};

struct Family {
  Kind kind = Kind::kCounter;
  std::string help;
  std::map<std::string, Metric, std::less<>> metrics;  // by label text
};

void AppendHistogram(std::string_view name, std::string_view labels, const HistogramMetric& histogram,
                     std::string* out) {
  uint64_t cumulative = 0;
  for (size_t i = 0; i <= histogram.bounds().size(); ++i) {
    cumulative += histogram.bucket(i);
    const bool last = i == histogram.bounds().size();
    const std::string bound = "le=\"" + (last ? std::string("+Inf") : NumberText(histogram.bounds()[i])) + "\"";
    AppendLine(name, "_bucket", labels, bound, std::to_string(cumulative), out);
  }
  AppendLine(name, "_sum", labels, "", NumberText(histogram.sum()), out);
  AppendLine(name, "_count", labels, "", std::to_string(cumulative), out);
}

}  // namespace

HistogramMetric::HistogramMetric(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(new std::atomic<uint64_t>[bounds_.size() + 1]) {
  WEIR_ASSERT(std::is_sorted(bounds_.begin(), bounds_.end()));
  for (size_t i = 0; i <= bounds_.size(); ++i) {
    counts_[i].store(0, std::memory_order_relaxed);
  }
}

void HistogramMetric::Observe(double v) {
  // A NaN compares false with every bound and lands in +Inf.
  size_t i = 0;
  while (i < bounds_.size() && !(v <= bounds_[i])) {
    ++i;
  }
  counts_[i].fetch_add(1, std::memory_order_relaxed);
  double sum = sum_.load(std::memory_order_relaxed);
  while (!sum_.compare_exchange_weak(sum, sum + v, std::memory_order_relaxed)) {
  }
}

struct MetricRegistry::Impl {
  mutable std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;
  std::vector<std::function<void()>> collectors;

  // REQUIRES: mutex is held. A name keeps the kind of its first use.
  Metric& Find(std::string_view name, std::string_view help, Kind kind, const MetricLabels& labels) {
    auto it = families.find(name);
    if (it == families.end()) {
      it = families.emplace(std::string(name), Family{kind, std::string(help), {}}).first;
    }
    WEIR_ASSERT(it->second.kind == kind);
    return it->second.metrics[LabelText(labels)];
  }

  Gauge& FindGauge(std::string_view name, std::string_view help, Kind kind, const MetricLabels& labels) {
    const std::lock_guard lock(mutex);
    Metric& metric = Find(name, help, kind, labels);
    WEIR_ASSERT(!metric.counter);
    if (!metric.gauge) {
      metric.gauge = std::make_unique<Gauge>();
    }
    return *metric.gauge;
  }
};

MetricRegistry::MetricRegistry() : impl_(std::make_unique<Impl>()) {}
MetricRegistry::~MetricRegistry() = default;

Counter& MetricRegistry::GetCounter(std::string_view name, std::string_view help, MetricLabels labels) {
  const std::lock_guard lock(impl_->mutex);
  Metric& metric = impl_->Find(name, help, Kind::kCounter, labels);
  if (!metric.counter) {
    metric.counter = std::make_unique<Counter>();
  }
  return *metric.counter;
}

Gauge& MetricRegistry::GetGauge(std::string_view name, std::string_view help, MetricLabels labels) {
  return impl_->FindGauge(name, help, Kind::kGauge, labels);
}

Gauge& MetricRegistry::GetTotal(std::string_view name, std::string_view help, MetricLabels labels) {
  return impl_->FindGauge(name, help, Kind::kCounter, labels);
}

HistogramMetric& MetricRegistry::GetHistogram(std::string_view name, std::string_view help, std::vector<double> bounds,
                                              MetricLabels labels) {
  const std::lock_guard lock(impl_->mutex);
  Metric& metric = impl_->Find(name, help, Kind::kHistogram, labels);
  if (!metric.histogram) {
    metric.histogram = std::make_unique<HistogramMetric>(std::move(bounds));
  }
  return *metric.histogram;
}

void MetricRegistry::OnCollect(std::function<void()> collect) {
  const std::lock_guard lock(impl_->mutex);
  impl_->collectors.push_back(std::move(collect));
}

std::string MetricRegistry::Expose() const {
  std::vector<std::function<void()>> collectors;
  {
    const std::lock_guard lock(impl_->mutex);
    collectors = impl_->collectors;
  }
  // Without the lock: collectors may look metrics up.
  for (const auto& collect : collectors) {
    collect();
  }
  const std::lock_guard lock(impl_->mutex);
  std::string out;
  for (const auto& [name, family] : impl_->families) {
    out.append("# HELP ").append(name).push_back(' ');
    AppendEscaped(family.help, false, &out);
    out.append("\n# TYPE ").append(name).push_back(' ');
    out.append(KindText(family.kind)).push_back('\n');
    for (const auto& [labels, metric] : family.metrics) {
      if (metric.counter) {
        AppendLine(name, "", labels, "", std::to_string(metric.counter->value()), &out);
      } else if (metric.gauge) {
        AppendLine(name, "", labels, "", NumberText(metric.gauge->value()), &out);
      } else if (metric.histogram) {
        AppendHistogram(name, labels, *metric.histogram, &out);
      }
    }
  }
  return out;
}

}  // namespace weir
