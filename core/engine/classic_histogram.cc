#include "core/engine/classic_histogram.h"

#include <algorithm>
#include <cmath>

#include "core/model/sample.h"

namespace weir::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// almost.Equal of Prometheus: relative to the sum of the magnitudes.
bool AlmostEqual(double a, double b, double epsilon) {
  constexpr double kMinNormal = 2.2250738585072014e-308;
  if (std::isnan(a) && std::isnan(b)) {
    return true;
  }
  if (a == b) {
    return true;
  }
  double sum = std::fabs(a) + std::fabs(b);
  double difference = std::fabs(a - b);
  if (a == 0 || b == 0 || sum < kMinNormal) {
    return difference < epsilon * kMinNormal;
  }
  return difference / std::min(sum, std::numeric_limits<double>::max()) < epsilon;
}

void Coalesce(std::vector<Bucket>* buckets) {
  size_t last = 0;
  for (size_t i = 1; i < buckets->size(); ++i) {
    if ((*buckets)[i].bound == (*buckets)[last].bound) {
      (*buckets)[last].count += (*buckets)[i].count;
    } else {
      (*buckets)[++last] = (*buckets)[i];
    }
  }
  buckets->resize(last + 1);
}

// RETURNS: whether counts went down.
bool EnsureMonotonic(std::vector<Bucket>* buckets, Forced* forced) {
  bool any = false;
  double previous = (*buckets)[0].count;
  for (size_t i = 1; i < buckets->size(); ++i) {
    Bucket& bucket = (*buckets)[i];
    if (bucket.count == previous) {
      continue;
    }
    if (AlmostEqual(previous, bucket.count, 1e-12)) {
      bucket.count = previous;
      continue;
    }
    if (bucket.count < previous) {
      any = true;
      forced->min_bucket = std::min(forced->min_bucket, bucket.bound);
      forced->max_bucket = std::max(forced->max_bucket, bucket.bound);
      forced->max_diff = std::max(forced->max_diff, previous - bucket.count);
      bucket.count = previous;
      continue;
    }
    previous = bucket.count;
  }
  return any;
}

// Counts that Prometheus takes for equal differ by no more than this, as a part; more than it, for bounds to be safe.
constexpr double kTolerance = 1e-11;

// RETURNS: where the line through (bound, share) reaches q: Prometheus's quantile of a distribution, its shares rising with the bound and
// the last one, of +Inf, being 1. `shares` has all but that.
double Reached(double q, const std::vector<BucketSpan>& buckets, const std::vector<double>& shares) {
  const auto n = shares.size();
  size_t i = 0;
  while (i < n && shares[i] < q) {
    ++i;
  }
  if (i == n) {
    return buckets[n - 1].bound;
  }
  const double end = buckets[i].bound;
  if (i == 0 && end <= 0) {
    return end;
  }
  const double start = i == 0 ? 0 : buckets[i - 1].bound;
  const double before = i == 0 ? 0 : shares[i - 1];
  return shares[i] > before ? start + (end - start) * ((q - before) / (shares[i] - before)) : start;
}

// The least and the greatest share of the observations that each finite bucket may have.
struct Shares {
  std::vector<double> least;
  std::vector<double> greatest;
  double total_lo = 0;
};

Shares SharesOf(const std::vector<BucketSpan>& buckets) {
  Shares shares;
  const size_t n = buckets.size() - 1;
  shares.least.resize(n);
  shares.greatest.resize(n);
  double lo = 0;  // of this bucket and those below
  double hi = 0;
  for (size_t i = 0; i < n; ++i) {
    lo = std::max(lo, buckets[i].count.lo);
    hi = std::max(hi, buckets[i].count.hi);
    shares.least[i] = lo;
    shares.greatest[i] = hi;
  }
  shares.total_lo = std::max(lo, buckets[n].count.lo);
  double above = 0;  // the most that a bucket above has
  for (size_t i = n; i-- > 0;) {
    above = std::max(above, buckets[i + 1].count.hi);
    const double least = shares.least[i];
    shares.least[i] = least <= 0 ? 0 : least >= above ? 1 : least / above;
    shares.greatest[i] = shares.greatest[i] >= shares.total_lo ? 1 : shares.greatest[i] / shares.total_lo;
    shares.least[i] *= 1 - kTolerance;
    shares.greatest[i] = std::min(1.0, shares.greatest[i] * (1 + kTolerance));
  }
  return shares;
}

// RETURNS: whether all buckets are surely there, with the bounds of a histogram and counts that are numbers from 0 on.
bool IsPlain(const std::vector<BucketSpan>& buckets) {
  for (size_t i = 0; i < buckets.size(); ++i) {
    const BucketSpan& bucket = buckets[i];
    const bool last = i + 1 == buckets.size();
    if (bucket.count.absent || bucket.count.nan || !(bucket.count.lo >= 0) || bucket.count.hi < bucket.count.lo ||
        (last ? bucket.bound != kInfinity : !std::isfinite(bucket.bound)) ||
        (i > 0 && buckets[i - 1].bound == bucket.bound)) {
      return false;
    }
  }
  return buckets.size() >= 2;
}

}  // namespace

double BucketQuantile(double q, std::vector<Bucket>* buckets, Forced* forced) {
  if (std::isnan(q)) {
    return NormalNaN();
  }
  if (q < 0) {
    return -std::numeric_limits<double>::infinity();
  }
  if (q > 1) {
    return std::numeric_limits<double>::infinity();
  }
  if (buckets->empty() || !(std::isinf(buckets->back().bound) && buckets->back().bound > 0)) {
    return NormalNaN();
  }
  Coalesce(buckets);
  forced->histograms += EnsureMonotonic(buckets, forced) ? 1 : 0;
  const auto& b = *buckets;
  if (b.size() < 2) {
    return NormalNaN();
  }
  const double observations = b.back().count;
  if (observations == 0) {
    return NormalNaN();
  }
  double rank = q * observations;
  // The first of all but the last bucket with at least `rank`, by binary search: with NaN counts the answer depends on it.
  size_t low = 0;
  size_t high = b.size() - 1;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (!(b[middle].count >= rank)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == b.size() - 1) {
    return b[b.size() - 2].bound;
  }
  if (low == 0 && b[0].bound <= 0) {
    return b[0].bound;
  }
  double start = 0;
  const double end = b[low].bound;
  double count = b[low].count;
  if (low > 0) {
    start = b[low - 1].bound;
    count -= b[low - 1].count;
    rank -= b[low - 1].count;
  }
  return start + (end - start) * (rank / count);
}

double BucketFraction(double lower, double upper, std::vector<Bucket>* buckets) {
  if (buckets->empty() || !(std::isinf(buckets->back().bound) && buckets->back().bound > 0)) {
    return NormalNaN();
  }
  Coalesce(buckets);
  const auto& b = *buckets;
  const double count = b.back().count;
  if (count == 0 || std::isnan(lower) || std::isnan(upper)) {
    return NormalNaN();
  }
  if (lower >= upper) {
    return 0;
  }
  double rank = 0;
  double lower_rank = 0;
  double upper_rank = 0;
  bool lower_set = false;
  bool upper_set = false;
  for (size_t i = 0; i < b.size(); ++i) {
    double bucket_lower = i > 0 ? b[i - 1].bound : b[0].bound > 0 ? 0 : -std::numeric_limits<double>::infinity();
    const double bucket_upper = b[i].bound;
    auto interpolate = [&](double v) {
      if (std::isinf(bucket_lower)) {
        return b[i].count;  // no place inside a bucket without a lower bound
      }
      return rank + (b[i].count - rank) * (v - bucket_lower) / (bucket_upper - bucket_lower);
    };
    if (!lower_set && bucket_lower >= lower) {
      lower_rank = rank;
      lower_set = true;
    }
    if (!upper_set && bucket_lower >= upper) {
      upper_rank = rank;
      upper_set = true;
    }
    if (lower_set && upper_set) {
      break;
    }
    if (!lower_set && bucket_lower < lower && bucket_upper > lower) {
      lower_rank = interpolate(lower);
      lower_set = true;
    }
    if (!upper_set && bucket_lower < upper && bucket_upper > upper) {
      upper_rank = interpolate(upper);
      upper_set = true;
    }
    if (lower_set && upper_set) {
      break;
    }
    rank = b[i].count;
  }
  if (!lower_set || lower_rank > count) {
    lower_rank = count;
  }
  if (!upper_set || upper_rank > count) {
    upper_rank = count;
  }
  return (upper_rank - lower_rank) / count;
}

// A quantile hangs on the shares r(i) = F(i) / T alone, where F(i) is the greatest count up to bucket i, which is how counts are made
// monotonic, and T that of all. It falls when a share rises: it is where the line through (bound(i), r(i)) reaches q. And
// r(i) = min(1, F(i) / greatest count above i) lies between its values at the corners: F(i) at its least with what is above at
// its greatest, and F(i) at its greatest with T at its least. So does the quantile between what it is for the one and the other
// line. What passes for equal in Prometheus, and rounding, moves shares by less than kTolerance.
Span BoundBucketQuantile(double q, const std::vector<BucketSpan>& all) {
  bool sure = false;
  std::vector<BucketSpan> buckets;
  for (const BucketSpan& bucket : all) {
    if (bucket.count.present()) {
      buckets.push_back(bucket);
      sure = sure || !bucket.count.absent;
    }
  }
  if (buckets.empty()) {
    return Span::Absent();
  }
  if (!IsPlain(buckets)) {
    Span any = Span::Any();
    any.absent = !sure;
    return any;
  }
  const Shares shares = SharesOf(buckets);
  Span span = Span::Nothing();
  // No observations; or the rank is so small that an empty bucket reaches it.
  span.nan =
      !(q * shares.total_lo > std::numeric_limits<double>::min() / kTolerance) ||
      std::any_of(buckets.begin(), buckets.end(), [](const BucketSpan& b) { return !std::isfinite(b.count.hi); });
  span.Add(Reached(q, buckets, shares.greatest));
  span.Add(Reached(q, buckets, shares.least));
  span = span.Widened(std::max(std::fabs(buckets.front().bound), std::fabs(buckets[buckets.size() - 2].bound)));
  // Beyond the ends rounding alone leads, as far as a whole bucket's width.
  double top = buckets[0].bound;
  for (size_t i = 0; i + 1 < buckets.size(); ++i) {
    const double start = i == 0 ? std::min(0.0, buckets[0].bound) : buckets[i - 1].bound;
    top = std::max({top, buckets[i].bound, start + (buckets[i].bound - start)});
  }
  span.lo = std::max(span.lo, std::min(0.0, buckets[0].bound));
  span.hi = std::min(span.hi, top);
  return span;
}

bool WidenForQuantile(double q, const Span& keep, std::vector<BucketSpan>* all) {
  std::vector<BucketSpan> buckets;
  std::vector<size_t> places;
  for (size_t i = 0; i < all->size(); ++i) {
    if ((*all)[i].count.present()) {
      buckets.push_back((*all)[i]);
      places.push_back(i);
    }
  }
  if (buckets.empty() || !IsPlain(buckets) || !keep.Holds(BoundBucketQuantile(q, buckets))) {
    return false;
  }
  const Shares shares = SharesOf(buckets);
  const auto holds = [&](double factor) {
    std::vector<double> least = shares.least;
    std::vector<double> greatest = shares.greatest;
    for (size_t i = 0; i < least.size(); ++i) {
      least[i] /= factor;
      greatest[i] = std::min(1.0, greatest[i] * factor);
    }
    return Reached(q, buckets, least) <= keep.hi && Reached(q, buckets, greatest) >= keep.lo;
  };
  double inside = 1;
  double outside = 16;
  constexpr int kHalvings = 24;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = std::sqrt(inside * outside);
    (holds(middle) ? inside : outside) = middle;
  }
  const double each = std::sqrt(inside);
  std::vector<BucketSpan> widened = buckets;
  for (BucketSpan& bucket : widened) {
    bucket.count.lo /= each;
    bucket.count.hi *= each;
  }
  // One bucket that alone has enough below the bound needs nothing of those below it, and neither it nor they can have too much.
  std::vector<BucketSpan> freer = widened;
  for (size_t i = 0; i + 1 < freer.size() && freer[i].bound <= keep.hi; ++i) {
    freer[i].count.hi = kInfinity;
    if (i > 0) {
      freer[i - 1].count.lo = 0;
    }
  }
  const std::vector<BucketSpan>* best = nullptr;
  for (const std::vector<BucketSpan>* proposed : {&freer, &widened}) {
    if (best == nullptr && keep.Holds(BoundBucketQuantile(q, *proposed))) {
      best = proposed;
    }
  }
  for (size_t i = 0; best != nullptr && i < places.size(); ++i) {
    (*all)[places[i]].count = (*best)[i].count;
  }
  return true;
}

}  // namespace weir::engine
