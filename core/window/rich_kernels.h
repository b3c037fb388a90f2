#pragma once
// Range functions over a window that holds histograms, or floats with start timestamps: the cases that the kernels over plain
// floats (kernels.h) do not know. Prometheus's order of operations; what deserves an annotation is returned as notes.

#include <cstdint>
#include <vector>

#include "core/window/kernels.h"

namespace weir::window {

enum class RangeFunction : unsigned char {
  kFloatsOnly,  // histograms are passed over: min, max, quantile, deviations, regressions, smoothing
  kRate,
  kIncrease,
  kDelta,
  kIrate,
  kIdelta,
  kChanges,
  kResets,
  kCount,  // count and present
  kFirst,
  kLast,
  kTsOfFirst,
  kTsOfLast,
  kSum,
  kAvg,
};

// What a window deserves an annotation for.
enum Note : uint32_t {
  kMixedFloatsHistograms = 1,
  kMixedExponentialCustom = 2,
  kNotCounter = 4,
  kNotGauge = 8,
  kMismatchedBoundsAdd = 16,
  kMismatchedBoundsSub = 32,
  kMismatchedBoundsAgg = 64,
  kResetCollisionAgg = 128,
  kHistogramsIgnored = 256,  // in a window with floats
  kStartOverlap = 512,
};

struct RichResult {
  double v = 0;
  HistogramRef h;  // null: a float
};

// RETURNS: whether the window needs these functions: it holds a histogram, or the function looks at start timestamps.
bool IsRich(const Window& w, RangeFunction function, bool start_timestamps);
// RETURNS: whether both floats and histograms are among the samples of the window.
bool IsMixed(const Window& w);

// Evaluates; `kernel` is the function over plain floats (used by kFloatsOnly). RETURNS: whether there is a result.
bool EvaluateRich(const Window& w, RangeFunction function, Kernel kernel, bool start_timestamps, RichResult* out,
                  uint32_t* notes);
// anchored and smoothed. The window is found as in kernels.h.
bool EvaluateRichExtended(const Window& w, RangeFunction function, Kernel kernel, bool smoothed, RichResult* out,
                          uint32_t* notes);

// Where only count and sum of histograms are looked at, Prometheus reads them without their buckets, and finds the resets that
// this hides itself: a sample whose hint is unknown is told to be a reset, or none, by the sample before it, if that is after
// `after_ms`. RETURNS: the histogram of the record with this ring index, so read.
FloatHistogram ReadStatistics(const SeriesWindow& series, uint32_t index, int64_t after_ms);

// One sample of a rich window.
struct Point {
  int64_t t_ms;
  double v;
  const FloatHistogram* h;  // null: a float
  int64_t start_ms;
  uint32_t index;  // in the ring
};
// An instant `smoothed` selector: the value at t_ms between the samples of the window. RETURNS: whether there is one.
bool SmoothedInstant(const std::vector<Point>& points, int64_t t_ms, RichResult* out, uint32_t* notes);
// RETURNS: the samples of the window, stale markers left out.
std::vector<Point> PointsOf(const Window& w);

}  // namespace weir::window
