#include "core/model/histogram_buckets.h"

#include <cmath>
#include <limits>

#include "core/model/go_math.h"

namespace weir {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
double CustomBound(int64_t index, const std::vector<double>& bounds) {
  if (index < 0) {
    return -kInfinity;
  }
  return static_cast<size_t>(index) < bounds.size() ? bounds[static_cast<size_t>(index)] : kInfinity;
}

}  // namespace

double Bucket::FractionBelow(double v, bool linear) const {
  if (linear) {
    return (v - lower) / (upper - lower);
  }
  const double log_lower = GoLog2(std::fabs(lower));
  const double log_upper = GoLog2(std::fabs(upper));
  const double log_v = GoLog2(std::fabs(v));
  if (v > 0) {
    return (log_v - log_lower) / (log_upper - log_lower);
  }
  return 1 - ((log_v - log_upper) / (log_lower - log_upper));
}

SpanCursor::SpanCursor(std::span<const BucketSpan> spans, size_t buckets)
    : spans_(spans), buckets_(spans.empty() ? 0 : buckets) {
  if (buckets_ > 0) {
    index_ = int64_t{spans_[0].offset} - 1;
  }
}

bool SpanCursor::Next() {
  if (++position_ >= buckets_) {
    position_ = buckets_ - 1;  // the next call must say the end again
    return false;
  }
  ++index_;
  while (in_span_ == spans_[span_].length) {
    if (++span_ == spans_.size()) {
      buckets_ = 0;
      return false;
    }
    index_ += spans_[span_].offset;
    in_span_ = 0;
  }
  ++in_span_;
  return true;
}

Bucket ZeroBucket(const FloatHistogram& h) {
  return {-h.zero_threshold, h.zero_threshold, true, true, h.zero_count, 0};
}

BucketIterator::BucketIterator(const FloatHistogram& h, BucketOrder order)
    : h_(&h), whole_(order == BucketOrder::kAscending || order == BucketOrder::kDescending) {
  switch (order) {
    case BucketOrder::kAscending:
    case BucketOrder::kDescending: {
      const bool ascending = order == BucketOrder::kAscending;
      sides_[0] = Inwards(h, !ascending);
      sides_[1] = Outwards(h, ascending);
      sides_count_ = 2;
      break;
    }
    case BucketOrder::kPositiveOnly:
    case BucketOrder::kNegativeOnly:
      sides_[0] = Outwards(h, order == BucketOrder::kPositiveOnly);
      sides_count_ = 1;
      break;
  }
}

BucketIterator::Side BucketIterator::Outwards(const FloatHistogram& h, bool positive) {
  const auto& spans = positive ? h.positive_spans : h.negative_spans;
  const auto& buckets = positive ? h.positive_buckets : h.negative_buckets;
  Side side;
  side.positive = positive;
  if (!spans.empty()) {
    side.left = buckets.size();
    side.left_in_span = spans[0].length;
    side.index = int64_t{spans[0].offset} - 1;
  }
  return side;
}

BucketIterator::Side BucketIterator::Inwards(const FloatHistogram& h, bool positive) {
  const auto& spans = positive ? h.positive_spans : h.negative_spans;
  const auto& buckets = positive ? h.positive_buckets : h.negative_buckets;
  Side side;
  side.positive = positive;
  side.outwards = false;
  if (!spans.empty()) {
    side.left = buckets.size();
    side.span = spans.size() - 1;
    side.left_in_span = spans.back().length;
    for (const BucketSpan& span : spans) {
      side.index += int64_t{span.offset} + span.length;
    }
  }
  return side;
}

bool BucketIterator::Step(Side* side) {
  const auto& spans = side->positive ? h_->positive_spans : h_->negative_spans;
  if (side->left == 0) {
    return false;
  }
  side->index += side->outwards ? 1 : -1;
  while (side->left_in_span == 0) {
    if (side->outwards ? side->span + 1 == spans.size() : side->span == 0) {
      side->left = 0;
      return false;
    }
    side->index += side->outwards ? spans[side->span + 1].offset : -int64_t{spans[side->span].offset};
    side->span += side->outwards ? 1 : size_t(-1);
    side->left_in_span = spans[side->span].length;
  }
  --side->left_in_span;
  --side->left;
  const auto& buckets = side->positive ? h_->positive_buckets : h_->negative_buckets;
  SetBucket(*side, side->outwards ? buckets.size() - 1 - side->left : side->left);
  return true;
}

void BucketIterator::SetBucket(const Side& side, size_t position) {
  const bool custom = h_->UsesCustomBuckets();
  const double outer = custom ? CustomBound(side.index, h_->custom_values) : ExponentialBound(side.index, h_->schema);
  const double inner =
      custom ? CustomBound(side.index - 1, h_->custom_values) : ExponentialBound(side.index - 1, h_->schema);
  bucket_.lower = side.positive ? inner : -outer;
  bucket_.upper = side.positive ? outer : -inner;
  bucket_.lower_inclusive = custom ? side.index == 0 : bucket_.lower < 0;
  bucket_.upper_inclusive = custom || bucket_.upper > 0;
  bucket_.count = (side.positive ? h_->positive_buckets : h_->negative_buckets)[position];
  bucket_.index = static_cast<int32_t>(side.index);
}

// A threshold inside a bucket belongs to the zero bucket.
void BucketIterator::CutAtZeroBucket() {
  if (bucket_.upper < 0 && bucket_.upper > -h_->zero_threshold) {
    bucket_.upper = -h_->zero_threshold;
  } else if (bucket_.lower > 0 && bucket_.lower < h_->zero_threshold) {
    bucket_.lower = h_->zero_threshold;
  }
}

bool BucketIterator::Next() {
  while (side_ < sides_count_) {
    if (side_ == 1 && !zero_done_) {
      zero_done_ = true;
      if (h_->zero_count > 0) {
        bucket_ = ZeroBucket(*h_);
        return true;
      }
    }
    if (Step(&sides_[side_])) {
      if (whole_) {
        CutAtZeroBucket();
      }
      return true;
    }
    ++side_;
  }
  return false;
}

}  // namespace weir
