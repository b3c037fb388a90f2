#include "core/model/histogram_statistics.h"

#include <cmath>
#include <limits>

#include "core/model/go_math.h"
#include "core/model/histogram_buckets.h"
#include "core/model/kahan.h"

namespace weir {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Next to populated buckets of one sign only, a bucket around 0 is the half of that sign.
void CutToPopulatedSign(const FloatHistogram& h, Bucket* bucket) {
  if (h.negative_buckets.empty() && !h.positive_buckets.empty()) {
    bucket->lower = 0;
  } else if (h.positive_buckets.empty() && !h.negative_buckets.empty()) {
    bucket->upper = 0;
  }
}

// RETURNS: the value `fraction` of the way through the bucket.
double Interpolate(const Bucket& bucket, double fraction, bool custom) {
  if (custom || (bucket.lower <= 0 && bucket.upper >= 0)) {
    return bucket.lower + (bucket.upper - bucket.lower) * fraction;
  }
  const double log_lower = GoLog2(std::fabs(bucket.lower));
  const double log_upper = GoLog2(std::fabs(bucket.upper));
  if (bucket.lower > 0) {
    return GoExp2(log_lower + (log_upper - log_lower) * fraction);
  }
  return -GoExp2(log_upper + (log_lower - log_upper) * (1 - fraction));
}

// The walk through the buckets until a rank is reached. Observations of NaN count as the highest ones, so with them it has to
// start at the lowest bucket; without, it starts at the nearer end.
struct RankWalk {
  RankWalk(double q, const FloatHistogram& h)
      : ascending(std::isnan(h.sum) || q < 0.5),
        rank((ascending ? q : 1 - q) * h.count),
        it(h, ascending ? BucketOrder::kAscending : BucketOrder::kDescending) {
    while (it.Next()) {
      bucket = it.bucket();
      if (bucket.count != 0) {
        count += bucket.count;
        if (count >= rank) {
          break;
        }
      }
    }
  }
  bool ascending;
  double rank;
  BucketIterator it;
  double count = 0;
  Bucket bucket;  // the last one seen
};

}  // namespace

HistogramStatistic HistogramQuantile(double q, const FloatHistogram& h) {
  if (q < 0 || q > 1) {
    return {q < 0 ? -kInfinity : kInfinity};
  }
  if (h.count == 0 || std::isnan(q)) {
    return {kNaN};
  }
  RankWalk walk(q, h);
  Bucket& bucket = walk.bucket;
  if (h.UsesCustomBuckets()) {
    if (bucket.lower == -kInfinity) {
      if (bucket.upper <= 0) {
        return {bucket.upper};
      }
      bucket.lower = 0;
    } else if (bucket.upper == kInfinity) {
      return {bucket.lower};
    }
  } else if (bucket.lower < 0 && bucket.upper > 0) {
    CutToPopulatedSign(h, &bucket);
  }
  // The sum of the buckets may be above the count by rounding.
  double count = walk.count > h.count ? h.count : walk.count;
  if (count < walk.rank) {
    if (std::isnan(h.sum)) {
      return {kNaN, NanObservations::kResultIsNan};
    }
    return {bucket.upper};
  }
  const double rank = walk.ascending ? walk.rank - (count - bucket.count) : count - walk.rank;
  HistogramStatistic out;
  if (std::isnan(h.sum)) {
    // The remaining buckets tell whether there are observations of NaN. That the last of them is then interpolated in is
    // upstream's, and visible in its results.
    while (walk.it.Next()) {
      bucket = walk.it.bucket();
      count += bucket.count;
    }
    if (count < h.count) {
      out.nan_observations = NanObservations::kResultIsSkewed;
    }
  }
  out.value = Interpolate(bucket, rank / bucket.count, h.UsesCustomBuckets());
  return out;
}

namespace {

// One end of a fraction: the number of observations below a value, found while buckets are walked upwards.
class RankFinder {
 public:
  explicit RankFinder(double value) : value_(value) {}
  bool found() const { return found_; }
  // `rank`: the count of the buckets below.
  void AtLowerEdge(const Bucket& bucket, double rank) {
    if (!found_ && bucket.lower >= value_) {
      rank_ = rank;
      found_ = true;
    }
  }
  void Inside(const Bucket& bucket, double rank, bool linear) {
    if (found_ || !(bucket.lower < value_ && bucket.upper > value_)) {
      return;
    }
    // Nothing can be said within a bucket from −Inf: all of it counts as below.
    const bool unbounded = linear && bucket.lower == -kInfinity;
    rank_ = unbounded ? bucket.count : rank + bucket.count * bucket.FractionBelow(value_, linear);
    found_ = true;
  }
  double RankOf(double total) const { return !found_ || rank_ > total ? total : rank_; }

 private:
  const double value_;
  double rank_ = 0;
  bool found_ = false;
};

}  // namespace

HistogramStatistic HistogramFraction(double lower, double upper, const FloatHistogram& h) {
  if (h.count == 0 || std::isnan(lower) || std::isnan(upper)) {
    return {kNaN};
  }
  if (lower >= upper) {
    return {0};
  }
  RankFinder low(lower);
  RankFinder high(upper);
  double rank = 0;
  double count = 0;
  BucketIterator it(h, BucketOrder::kAscending);
  while (it.Next()) {
    Bucket bucket = it.bucket();
    count += bucket.count;
    const bool around_zero = bucket.lower <= 0 && bucket.upper >= 0;
    if (around_zero) {
      CutToPopulatedSign(h, &bucket);
    }
    low.AtLowerEdge(bucket, rank);
    high.AtLowerEdge(bucket, rank);
    const bool linear = h.UsesCustomBuckets() || around_zero;
    low.Inside(bucket, rank, linear);
    high.Inside(bucket, rank, linear);
    if (low.found() && high.found()) {
      break;
    }
    rank += bucket.count;
  }
  HistogramStatistic out;
  if (std::isnan(h.sum)) {
    while (it.Next()) {
      count += it.bucket().count;
    }
    if (count < h.count) {
      out.nan_observations = NanObservations::kResultIsSkewed;
    }
  } else {
    count = h.count;
  }
  out.value = (high.RankOf(count) - low.RankOf(count)) / h.count;
  return out;
}

double HistogramAvg(const FloatHistogram& h) { return h.sum / h.count; }

double HistogramStdVar(const FloatHistogram& h) {
  const double mean = HistogramAvg(h);
  double variance = 0;
  double c = 0;
  for (BucketIterator it(h, BucketOrder::kAscending); it.Next();) {
    const Bucket& bucket = it.bucket();
    if (bucket.count == 0) {
      continue;
    }
    double value = 0;
    if (h.UsesCustomBuckets()) {
      value = (bucket.upper + bucket.lower) / 2;
    } else if (!(bucket.lower <= 0 && bucket.upper >= 0)) {
      value = std::sqrt(bucket.upper * bucket.lower);
      value = bucket.upper < 0 ? -value : value;
    }
    const double delta = value - mean;
    KahanAdd(bucket.count * delta * delta, &variance, &c);
  }
  return (variance + c) / h.count;
}

double HistogramStdDev(const FloatHistogram& h) { return std::sqrt(HistogramStdVar(h)); }

}  // namespace weir
