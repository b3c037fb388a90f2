#include "core/engine/annotations.h"

#include <algorithm>

#include "core/model/duration.h"
#include "core/model/labels.h"

namespace weir::engine::annotations {
namespace {

constexpr std::string_view kWarning = "PromQL warning: ";
constexpr std::string_view kInfo = "PromQL info: ";

std::string Text(std::string_view kind, std::string_view text) { return std::string(kind) + std::string(text); }
std::string Quoted(std::string_view text) { return GoQuote(std::string(text)); }
std::string Number(double v) { return FormatFloat(v, 'g', -1); }
std::string ForMetric(std::string text, std::string_view metric) {
  return metric.empty() ? text : text + " for metric name " + Quoted(metric);
}

}  // namespace

bool LooksLikeCounter(std::string_view name) {
  return name.ends_with("_total") || name.ends_with("_sum") || name.ends_with("_count") || name.ends_with("_bucket");
}

std::string InvalidQuantile(double q) {
  return Text(kWarning, "quantile value should be between 0 and 1, got ") + Number(q);
}
std::string InvalidRatio(double ratio, double capped) {
  return Text(kWarning, "ratio value should be between -1 and 1, got ") + Number(ratio) + ", capping to " +
         Number(capped);
}
std::string BadBucketLabel(std::string_view metric, std::string_view le) {
  return ForMetric(Text(kWarning, "bucket label \"le\" is missing or has a malformed value of ") + Quoted(le), metric);
}
std::string MixedFloatsHistograms(std::string_view metric) {
  return Text(kWarning, "encountered a mix of histograms and floats for metric name ") + Quoted(metric);
}
std::string MixedFloatsHistogramsAgg() {
  return Text(kWarning, "encountered a mix of histograms and floats for aggregation");
}
std::string MixedClassicNative(std::string_view metric) {
  return ForMetric(Text(kWarning, "vector contains a mix of classic and native histograms"), metric);
}
std::string NotCounter(std::string_view metric) {
  return Text(kWarning, "this native histogram metric is not a counter: ") + Quoted(metric);
}
std::string NotGauge(std::string_view metric) {
  return Text(kWarning, "this native histogram metric is not a gauge: ") + Quoted(metric);
}
std::string MixedExponentialCustom(std::string_view metric) {
  return Text(kWarning,
              "vector contains a mix of histograms with exponential and custom buckets schemas for metric name ") +
         Quoted(metric);
}
std::string IncompatibleBucketLayout(std::string_view op) {
  return Text(kWarning, "incompatible bucket layout encountered for binary operator ") + std::string(op);
}
std::string ResetCollision(std::string_view operation) {
  return Text(kWarning, "conflicting counter resets during histogram ") + std::string(operation);
}
std::string MismatchedBounds(std::string_view operation) {
  return Text(kInfo, "mismatched custom buckets were reconciled during ") + std::string(operation);
}
std::string StartTimeOverlap(std::string_view metric) {
  return Text(kWarning, "sample has start time that overlaps with previous sample timestamp for metric ") +
         Quoted(metric);
}
std::string PossibleNonCounter(std::string_view metric) {
  return Text(kInfo, "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: ") +
         Quoted(metric);
}
std::string PossibleNonCounterLabel(std::string_view metric, std::string_view type) {
  return Text(kInfo, "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got ") +
         Quoted(type) + ": " + Quoted(metric);
}
std::string IncompatibleTypes(std::string_view left, std::string_view op, std::string_view right) {
  return Text(kInfo, "incompatible sample types encountered for binary operator ") + Quoted(op) + ": " +
         std::string(left) + " " + std::string(op) + " " + std::string(right);
}
std::string HistogramIgnoredInAggregation(std::string_view aggregation) {
  return Text(kInfo, "ignored histogram in ") + std::string(aggregation) + " aggregation";
}
std::string HistogramIgnoredInMixedRange(std::string_view metric) {
  return Text(kInfo, "ignored histograms in a range containing both floats and histograms for metric name ") +
         Quoted(metric);
}
std::string SortInRange() {
  return Text(kWarning, "sort is ineffective for range queries since results are always ordered by labels");
}
std::string ForcedMonotonicity(std::string_view metric) {
  return ForMetric(Text(kInfo,
                        "input to histogram_quantile needed to be fixed for monotonicity (see "
                        "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"),
                   metric);
}
std::string MonotonicityDetail(double min_bucket, double max_bucket, double max_diff, int count, int64_t t_ms) {
  const std::string time = FormatRfc3339(t_ms);
  return ", from buckets " + Number(min_bucket) + " to " + Number(max_bucket) + ", with a max diff of " +
         FormatFloat(max_diff, 'g', 2) + ", over " + std::to_string(count) + " samples from " + time + " to " + time;
}
std::string QuantileNaNResult(std::string_view metric) {
  return ForMetric(Text(kInfo, "input to histogram_quantile has NaN observations, result is NaN"), metric);
}
std::string QuantileNaNSkew(std::string_view metric) {
  return ForMetric(Text(kInfo, "input to histogram_quantile has NaN observations, result is skewed higher"), metric);
}
std::string FractionNaNs(std::string_view metric) {
  return ForMetric(
      Text(kInfo, "input to histogram_fraction has NaN observations, which are excluded from all fractions"), metric);
}

}  // namespace weir::engine::annotations

namespace weir::engine {

std::string Remark::Shown(std::string_view query) const {
  const std::string_view before = query.substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t last_break = before.rfind('\n');
  const size_t column = last_break == std::string_view::npos ? offset + 1 : offset - last_break;
  return text + detail + " (" + std::to_string(line) + ":" + std::to_string(column) + ")";
}

}  // namespace weir::engine
