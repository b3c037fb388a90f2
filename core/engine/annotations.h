#pragma once
// The texts of annotations, word for word those of Prometheus 3.15 (semantics 3.6), without the position.

#include <string>
#include <string_view>

#include "core/engine/node.h"

namespace weir::engine::annotations {

// Whether rate() of a metric with this name deserves no doubt.
bool LooksLikeCounter(std::string_view name);

// `for metric name "x"` is left out where the name is empty.
std::string InvalidQuantile(double q);
std::string InvalidRatio(double ratio, double capped);
std::string BadBucketLabel(std::string_view metric, std::string_view le);
std::string MixedFloatsHistograms(std::string_view metric);
std::string MixedFloatsHistogramsAgg();
std::string MixedClassicNative(std::string_view metric);
std::string NotCounter(std::string_view metric);
std::string NotGauge(std::string_view metric);
std::string MixedExponentialCustom(std::string_view metric);
std::string IncompatibleBucketLayout(std::string_view op);
std::string ResetCollision(std::string_view operation);    // addition, subtraction, aggregation
std::string MismatchedBounds(std::string_view operation);  // info
std::string SortInRange();
std::string StartTimeOverlap(std::string_view metric);
std::string PossibleNonCounter(std::string_view metric);                                            // info
std::string PossibleNonCounterLabel(std::string_view metric, std::string_view type);                // info
std::string IncompatibleTypes(std::string_view left, std::string_view op, std::string_view right);  // info
std::string HistogramIgnoredInAggregation(std::string_view aggregation);                            // info
std::string HistogramIgnoredInMixedRange(std::string_view metric);                                  // info
std::string ForcedMonotonicity(std::string_view metric);                                            // info
// What Prometheus adds to it where it shows a position: over how many histograms, all of one time.
std::string MonotonicityDetail(double min_bucket, double max_bucket, double max_diff, int count, int64_t t_ms);
std::string QuantileNaNResult(std::string_view metric);  // info
std::string QuantileNaNSkew(std::string_view metric);    // info
std::string FractionNaNs(std::string_view metric);       // info

}  // namespace weir::engine::annotations
