#include "core/promqltest/custom_buckets.h"

#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>

#include "core/model/classic_histogram.h"

namespace weir::promqltest {
namespace {

// What a series contributes to a classic histogram.
struct Part {
  enum class Kind : unsigned char { kBucket, kCount, kSum };
  Kind kind = Kind::kBucket;
  double le = 0;
  Labels histogram;  // the labels of the whole
};

std::optional<double> ParseBound(const std::string& text) {
  char* end = nullptr;
  const double v = std::strtod(text.c_str(), &end);
  if (text.empty() || end != text.c_str() + text.size() || std::isnan(v)) {
    return std::nullopt;
  }
  return v;
}

// RETURNS: none for a series that is no part of a histogram, or a bucket whose bound is no number.
std::optional<Part> PartOf(const Labels& labels) {
  const std::string name(labels.Get(kMetricName));
  constexpr std::pair<std::string_view, Part::Kind> kSuffixes[] = {
      {"_bucket", Part::Kind::kBucket}, {"_sum", Part::Kind::kSum}, {"_count", Part::Kind::kCount}};
  for (const auto& [suffix, kind] : kSuffixes) {
    if (!name.ends_with(suffix)) {
      continue;
    }
    Part part;
    part.kind = kind;
    if (kind == Part::Kind::kBucket) {
      const std::optional<double> le = ParseBound(std::string(labels.Get(kBucketLabel)));
      if (!le) {
        return std::nullopt;
      }
      part.le = *le;
    }
    part.histogram = labels;
    part.histogram.Remove(kBucketLabel);
    part.histogram.Set(kMetricName, name.substr(0, name.size() - suffix.size()));
    return part;
  }
  return std::nullopt;
}

Result<HistogramRef> Convert(const ClassicHistogram& classic) {
  WEIR_ASSIGN_OR_RETURN(FloatHistogram native, classic.ToNative());
  WEIR_RETURN_IF_ERROR(native.Validate());
  return HistogramRef(std::make_shared<FloatHistogram>(std::move(native)));
}

}  // namespace

Status AddCustomBucketSeries(std::vector<LoadedSeries>* load) {
  std::map<Labels, std::map<int64_t, ClassicHistogram>> histograms;
  for (const LoadedSeries& series : *load) {
    const std::optional<Part> part = PartOf(series.labels);
    if (!part) {
      continue;
    }
    std::map<int64_t, ClassicHistogram>& by_time = histograms[part->histogram];
    for (const LoadedSample& sample : series.samples) {
      switch (part->kind) {
        case Part::Kind::kBucket:
          by_time[sample.t].AddBucket(part->le, sample.v);
          break;
        case Part::Kind::kCount:
          by_time[sample.t].SetCount(sample.v);
          break;
        case Part::Kind::kSum:
          by_time[sample.t].SetSum(sample.v);
          break;
      }
    }
  }
  for (const auto& [labels, by_time] : histograms) {
    LoadedSeries native;
    native.labels = labels;
    for (const auto& [t, classic] : by_time) {
      WEIR_ASSIGN_OR_RETURN(HistogramRef histogram, Convert(classic));
      native.histograms.push_back({t, std::move(histogram)});
    }
    load->push_back(std::move(native));
  }
  return {};
}

}  // namespace weir::promqltest
