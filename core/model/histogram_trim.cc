// `h </ x` and `h >/ x`: the part of a distribution below or above a value (semantics 2.7).

#include <cmath>

#include "core/model/histogram.h"
#include "core/model/histogram_buckets.h"

namespace weir {
namespace {

// What stays of a bucket, and where its observations are assumed to be.
struct Kept {
  double count = 0;
  double middle = 0;
};

struct Cut {
  double at = 0;
  TrimSide side = TrimSide::kKeepBelow;
  bool custom = false;
  bool keeps_below() const { return side == TrimSide::kKeepBelow; }
};

double ZeroIfInfinite(double v) { return std::isinf(v) ? 0 : v; }

double Middle(double lower, double upper, bool positive, bool linear) {
  if (std::isinf(lower)) {
    if (std::isinf(upper)) {
      return 0;
    }
    return upper > 0 ? upper / 2 : upper;
  }
  if (std::isinf(upper)) {
    return lower;
  }
  if (linear) {
    return (lower + upper) / 2;
  }
  const double geometric = std::sqrt(std::fabs(lower * upper));
  return positive ? geometric : -geometric;
}

// The lowest bucket of an NHCB. Nothing is known of how its observations are spread, unless they may be taken as positive.
Kept CutLowest(const Bucket& bucket, const Cut& cut) {
  const bool spread = bucket.upper > 0 && !std::isinf(bucket.upper);  // as from 0 to upper
  if (cut.keeps_below()) {
    if (cut.at >= bucket.upper) {
      return {bucket.count, 0};
    }
    if (cut.at > 0 && spread) {
      return {bucket.count * cut.at / bucket.upper, cut.at / 2};
    }
    return bucket.upper <= 0 ? Kept{bucket.count, cut.at} : Kept{0, ZeroIfInfinite(bucket.upper)};
  }
  if (cut.at <= bucket.lower) {
    return {bucket.count, 0};
  }
  if (cut.at >= 0 && bucket.upper > cut.at && spread) {
    return {bucket.count * (1 - cut.at / bucket.upper), (cut.at + bucket.upper) / 2};
  }
  return {0, ZeroIfInfinite(bucket.upper)};
}

// The bucket up to +Inf: nothing of it is known to lie below any value.
Kept CutHighest(const Bucket& bucket, const Cut& cut) {
  if (!cut.keeps_below() && cut.at >= bucket.lower) {
    return {bucket.count, cut.at};
  }
  return {0, ZeroIfInfinite(bucket.lower)};
}

Kept CutInside(const Bucket& bucket, const Cut& cut, bool positive) {
  if (std::isinf(bucket.lower) && bucket.lower < 0) {
    return CutLowest(bucket, cut);
  }
  if (std::isinf(bucket.upper) && bucket.upper > 0) {
    return CutHighest(bucket, cut);
  }
  double below = bucket.count * bucket.FractionBelow(cut.at, cut.custom);
  if (cut.at <= bucket.lower) {
    below = 0;
  } else if (cut.at >= bucket.upper) {
    below = bucket.count;
  }
  if (cut.keeps_below()) {
    return {below, Middle(bucket.lower, cut.at, positive, cut.custom)};
  }
  return {bucket.count - below, Middle(cut.at, bucket.upper, positive, cut.custom)};
}

Kept CutBucket(const Bucket& bucket, const Cut& cut, bool positive) {
  if (cut.keeps_below() ? bucket.upper <= cut.at : bucket.lower >= cut.at) {
    return {bucket.count, Middle(bucket.lower, bucket.upper, positive, cut.custom)};
  }
  if (cut.keeps_below() ? bucket.lower < cut.at : bucket.upper > cut.at) {
    return CutInside(bucket, cut, positive);
  }
  return {};
}

// The zero bucket is linear; next to populated buckets of one sign only, it is the half of that sign.
Kept CutZeroBucket(const Bucket& bucket, const Cut& cut, bool has_negative, bool has_positive) {
  const double lower = has_positive && !has_negative ? 0 : bucket.lower;
  const double upper = has_negative && !has_positive ? 0 : bucket.upper;
  const bool all = cut.keeps_below() ? cut.at > lower && cut.at >= upper : cut.at <= lower;
  if (all) {
    return {bucket.count, (lower + upper) / 2};
  }
  if (cut.keeps_below() ? cut.at <= lower : cut.at >= upper) {
    return {};
  }
  if (cut.keeps_below()) {
    return {bucket.count * ((cut.at - lower) / (upper - lower)), (lower + cut.at) / 2};
  }
  return {bucket.count * ((upper - cut.at) / (upper - lower)), (cut.at + upper) / 2};
}

// The histogram's totals, summed anew.
struct Totals {
  double count = 0;
  double sum = 0;
  bool changed = false;

  // RETURNS: the count that stays.
  double Take(double old_count, const Kept& kept) {
    count += kept.count;
    sum += kept.middle * kept.count;
    changed |= old_count != kept.count;
    return kept.count;
  }
};

// RETURNS: whether any bucket is populated.
bool TrimBuckets(const FloatHistogram& h, bool positive, const Cut& cut, std::vector<double>* counts, Totals* totals) {
  bool populated = false;
  BucketIterator it(h, positive ? BucketOrder::kPositiveOnly : BucketOrder::kNegativeOnly);
  for (size_t i = 0; it.Next(); ++i) {
    if (it.bucket().count != 0) {
      populated = true;
      (*counts)[i] = totals->Take(it.bucket().count, CutBucket(it.bucket(), cut, positive));
    }
  }
  return populated;
}

}  // namespace

void FloatHistogram::Trim(double at, TrimSide side) {
  const Cut cut{at, side, UsesCustomBuckets()};
  Totals totals;
  const bool has_positive = TrimBuckets(*this, true, cut, &positive_buckets, &totals);
  const bool has_negative = TrimBuckets(*this, false, cut, &negative_buckets, &totals);
  if (zero_count > 0) {
    zero_count = totals.Take(zero_count, CutZeroBucket(ZeroBucket(*this), cut, has_negative, has_positive));
  }
  if (totals.changed) {
    count = totals.count;
    sum = totals.sum;
    Compact(0);
  }
}

}  // namespace weir
