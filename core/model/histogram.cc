// What one histogram, or two, can be asked.

#include "core/model/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/model/histogram_buckets.h"
#include "core/model/histogram_layout.h"
#include "core/model/histogram_zero_bucket.h"

namespace weir {
namespace {

bool SameBits(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  return std::ranges::equal(a, b, [](double x, double y) { return SameBits(x, y); });
}

// One sign's buckets merged to a lower resolution on the fly, without those in the zero bucket.
class ReducedCursor {
 public:
  ReducedCursor(const std::vector<BucketSpan>& spans, const std::vector<double>& counts, int32_t from, int32_t to,
                double zero_threshold)
      : cursor_(spans, counts.size()), counts_(counts), from_(from), to_(to) {
    more_ = cursor_.Next();
    if (to != kCustomBucketsSchema && zero_threshold != 0) {
      while (more_ && ExponentialBound(IndexAtSchema(cursor_.index(), from, to), to) <= zero_threshold) {
        more_ = cursor_.Next();
      }
    }
  }

  bool Next() {
    if (!more_) {
      return false;
    }
    index_ = IndexAtSchema(cursor_.index(), from_, to_);
    count_ = 0;
    while (more_ && IndexAtSchema(cursor_.index(), from_, to_) == index_) {
      count_ += counts_[cursor_.position()];
      more_ = cursor_.Next();
    }
    return true;
  }
  int64_t index() const { return index_; }
  double count() const { return count_; }

 private:
  SpanCursor cursor_;
  const std::vector<double>& counts_;
  const int32_t from_;
  const int32_t to_;
  bool more_ = false;
  int64_t index_ = 0;
  double count_ = 0;
};

// RETURNS: whether a bucket of one sign, other than those within `zero_threshold`, has become smaller or is gone.
bool AnyBucketShrank(const FloatHistogram& cur, const FloatHistogram& prev, double zero_threshold, bool positive) {
  const auto& cur_spans = positive ? cur.positive_spans : cur.negative_spans;
  const auto& cur_counts = positive ? cur.positive_buckets : cur.negative_buckets;
  const auto& prev_spans = positive ? prev.positive_spans : prev.negative_spans;
  const auto& prev_counts = positive ? prev.positive_buckets : prev.negative_buckets;
  if (prev_counts.empty() || prev_spans.empty()) {
    return false;
  }
  // Almost always nothing but the counts differs.
  if (cur.schema == prev.schema && cur_spans == prev_spans && cur_counts.size() == prev_counts.size() &&
      (cur.UsesCustomBuckets() || ExponentialBound(cur_spans[0].offset, cur.schema) > zero_threshold)) {
    bool shrank = false;
    for (size_t i = 0; i < cur_counts.size(); ++i) {
      shrank |= cur_counts[i] < prev_counts[i];
    }
    return shrank;
  }
  ReducedCursor before(prev_spans, prev_counts, prev.schema, cur.schema, zero_threshold);
  ReducedCursor now(cur_spans, cur_counts, cur.schema, cur.schema, zero_threshold);
  bool has_now = now.Next();
  while (before.Next()) {
    while (has_now && now.index() < before.index()) {
      has_now = now.Next();
    }
    const bool found = has_now && now.index() == before.index();
    if (found ? now.count() < before.count() : before.count() != 0) {
      return true;
    }
  }
  return false;
}

// Sums an NHCB's buckets bound by bound.
class BoundRollup {
 public:
  explicit BoundRollup(const FloatHistogram& h) : it_(h, BucketOrder::kPositiveOnly), more_(it_.Next()) {}
  // RETURNS: the count of the buckets up to `bound` that were not summed before.
  double UpTo(double bound) {
    double sum = 0;
    for (; more_ && it_.bucket().upper <= bound; more_ = it_.Next()) {
      sum += it_.bucket().count;
    }
    return sum;
  }

 private:
  BucketIterator it_;
  bool more_;
};

bool AnyCommonBoundShrank(const FloatHistogram& cur, const FloatHistogram& prev) {
  std::vector<double> bounds = CommonBounds(cur.custom_values, prev.custom_values);
  bounds.push_back(std::numeric_limits<double>::infinity());
  BoundRollup now(cur);
  BoundRollup before(prev);
  return std::ranges::any_of(bounds, [&](double bound) { return now.UpTo(bound) < before.UpTo(bound); });
}

bool CountsShrank(const FloatHistogram& cur, const FloatHistogram& prev) {
  if (cur.count < prev.count || cur.UsesCustomBuckets() != prev.UsesCustomBuckets()) {
    return true;
  }
  if (cur.UsesCustomBuckets() && cur.custom_values != prev.custom_values) {
    return AnyCommonBoundShrank(cur, prev);
  }
  // A running program only ever lowers the resolution and widens the zero bucket.
  if (cur.schema > prev.schema || cur.zero_threshold < prev.zero_threshold) {
    return true;
  }
  if (!cur.UsesCustomBuckets()) {
    const WidenedZeroBucket zero = WidenZeroBucket(prev, cur.zero_threshold, nullptr);
    if (zero.threshold != cur.zero_threshold || cur.zero_count < zero.count) {
      return true;
    }
  }
  return AnyBucketShrank(cur, prev, cur.zero_threshold, true) || AnyBucketShrank(cur, prev, cur.zero_threshold, false);
}

}  // namespace

bool FloatHistogram::Equals(const FloatHistogram& other) const {
  return schema == other.schema && SameBits(count, other.count) && SameBits(sum, other.sum) &&
         (!UsesCustomBuckets() || custom_values == other.custom_values) && zero_threshold == other.zero_threshold &&
         SameBits(zero_count, other.zero_count) && SameSpans(negative_spans, other.negative_spans) &&
         SameBits(negative_buckets, other.negative_buckets) && SameSpans(positive_spans, other.positive_spans) &&
         SameBits(positive_buckets, other.positive_buckets);
}

bool FloatHistogram::DetectReset(const FloatHistogram& previous) const {
  // A gauge is examined like a counter: functions for counters may be applied to it, with a warning.
  if (hint == CounterResetHint::kReset || hint == CounterResetHint::kNotReset) {
    return hint == CounterResetHint::kReset;
  }
  return CountsShrank(*this, previous);
}

CounterResetHint FloatHistogram::HintAfter(const FloatHistogram* previous) const {
  if (hint == CounterResetHint::kGauge) {
    return hint;
  }
  // Storage looks at every bucket, also at those that lie within the zero bucket and that DetectReset passes over.
  const bool continues = previous != nullptr && previous->hint != CounterResetHint::kGauge &&
                         hint != CounterResetHint::kReset && schema == previous->schema &&
                         zero_threshold == previous->zero_threshold && custom_values == previous->custom_values &&
                         !(count < previous->count) && !(zero_count < previous->zero_count) &&
                         !AnyBucketShrank(*this, *previous, 0, true) && !AnyBucketShrank(*this, *previous, 0, false);
  return continues ? CounterResetHint::kNotReset : CounterResetHint::kUnknown;
}

bool FloatHistogram::HasOverflow() const {
  const auto infinite = [](double v) { return std::isinf(v); };
  return infinite(zero_count) || infinite(count) || infinite(sum) || std::ranges::any_of(positive_buckets, infinite) ||
         std::ranges::any_of(negative_buckets, infinite) || std::ranges::any_of(custom_values, infinite);
}

size_t FloatHistogram::Size() const {
  constexpr size_t kFixed = 168;
  constexpr size_t kItem = 8;  // a span, a count, a bound
  return kFixed + kItem * (positive_spans.size() + negative_spans.size() + positive_buckets.size() +
                           negative_buckets.size() + custom_values.size());
}

}  // namespace weir
