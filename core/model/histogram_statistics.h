#pragma once
// Quantiles, fractions and moments estimated from a native histogram, as histogram_quantile and its kin give them (semantics
// 2.8): bit for bit those of Prometheus, its log2 and exp2 included. Pure functions, any thread, no allocation.

#include "core/model/histogram.h"

namespace weir {

// What a result owes to observations of NaN, which are counted but are in no bucket.
enum class NanObservations : unsigned char {
  kNone,
  kResultIsNan,     // Quantile: the quantile lies among them
  kResultIsSkewed,  // Quantile: they were taken as +Inf. Fraction: they are in the whole, not in the part
};

struct HistogramStatistic {
  double value = 0;
  NanObservations nan_observations = NanObservations::kNone;
};

// Interpolates linearly in custom buckets and the zero bucket, else exponentially.
// RETURNS: −Inf for q < 0, +Inf for q > 1, NaN for q NaN or a histogram without observations.
HistogramStatistic HistogramQuantile(double q, const FloatHistogram& h);
// RETURNS: the share of observations between the bounds; NaN for a bound NaN or no observations, 0 if lower ≥ upper.
HistogramStatistic HistogramFraction(double lower, double upper, const FloatHistogram& h);
double HistogramAvg(const FloatHistogram& h);
// With every observation in the middle of its bucket: arithmetic for custom buckets, geometric for exponential ones, 0 for
// the zero bucket.
double HistogramStdVar(const FloatHistogram& h);
double HistogramStdDev(const FloatHistogram& h);

}  // namespace weir
