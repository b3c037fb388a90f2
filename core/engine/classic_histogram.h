#pragma once
// Classic histograms: cumulative counts by upper bound. Prometheus's quantile and fraction of one (semantics 2.8), and what the
// quantile may be when the counts are known by spans alone (trigger.h). Pure functions.

#include <limits>
#include <vector>

#include "core/engine/trigger.h"

namespace weir::engine {

struct Bucket {
  double bound;
  double count;
};

// Where bucket counts had to be raised to be monotonic, beyond rounding.
struct Forced {
  int histograms = 0;
  double min_bucket = std::numeric_limits<double>::infinity();
  double max_bucket = -std::numeric_limits<double>::infinity();
  double max_diff = 0;
};

// RETURNS: the q-quantile. REQUIRES: `buckets` sorted by bound; they are made monotonic.
double BucketQuantile(double q, std::vector<Bucket>* buckets, Forced* forced);
// RETURNS: the share of observations in (lower, upper]. REQUIRES: `buckets` sorted by bound.
double BucketFraction(double lower, double upper, std::vector<Bucket>* buckets);

// A bucket whose count is not known exactly.
struct BucketSpan {
  double bound;
  Span count;
};

// RETURNS: what BucketQuantile gives for some counts within the spans (absent: without the bucket); absent when all may be.
// REQUIRES: sorted by bound; q in [0, 1].
Span BoundBucketQuantile(double q, const std::vector<BucketSpan>& buckets);
// Widens the spans, a common factor for all of them, so that BoundBucketQuantile keeps to `keep`; leaves them where it does not keep to
// it as they are. RETURNS: whether it does. What cannot make the quantile pass `keep` is let go.
bool WidenForQuantile(double q, const Span& keep, std::vector<BucketSpan>* buckets);

}  // namespace weir::engine
