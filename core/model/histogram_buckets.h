#pragma once
// The buckets of a native histogram with their bounds: what functions over distributions iterate. Iterators hold a pointer
// to the histogram, allocate nothing, and cost one bound computation a bucket.

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/model/histogram.h"

namespace weir {

struct Bucket {
  double lower = 0;
  double upper = 0;
  bool lower_inclusive = false;
  bool upper_inclusive = false;
  double count = 0;
  int32_t index = 0;  // within the schema and sign; of no meaning for the zero bucket

  // RETURNS: which part of the bucket's width lies below `v`; linear, or on a logarithmic scale for exponential buckets.
  // REQUIRES: finite bounds, lower < v < upper.
  double FractionBelow(double v, bool linear) const;
};

// RETURNS: how Prometheus's JSON says which bounds belong to the bucket: 0 the upper, 1 the lower, 2 none, 3 both.
inline int BoundsCode(const Bucket& bucket) {
  if (bucket.lower_inclusive) {
    return bucket.upper_inclusive ? 3 : 1;
  }
  return bucket.upper_inclusive ? 0 : 2;
}

// RETURNS: the upper bound, in absolute terms, of exponential bucket `index`; of the last bucket the largest double, of the one
// after it +Inf.
double ExponentialBound(int64_t index, int32_t schema);

// Walks the bucket positions that spans stand for, in order of index.
class SpanCursor {
 public:
  SpanCursor(std::span<const BucketSpan> spans, size_t buckets);
  // RETURNS: false at the end; stops early when spans name more buckets than there are.
  bool Next();
  int64_t index() const { return index_; }       // of the bucket in its schema
  size_t position() const { return position_; }  // in the array of counts
  bool starts_span() const { return in_span_ == 1; }

 private:
  std::span<const BucketSpan> spans_;
  size_t buckets_;
  size_t span_ = 0;
  uint32_t in_span_ = 0;  // buckets of the span already walked
  int64_t index_ = 0;
  size_t position_ = static_cast<size_t>(-1);
};

// Which buckets are walked and in which order.
enum class BucketOrder : unsigned char {
  kAscending,     // negative from the lowest, the zero bucket if it is populated, positive
  kDescending,    // the same backwards
  kPositiveOnly,  // away from zero; bounds are not cut at the zero threshold
  kNegativeOnly,  // away from zero; bounds are not cut at the zero threshold
};

// for (BucketIterator it(h, BucketOrder::kAscending); it.Next();) { it.bucket() … }
class BucketIterator {
 public:
  BucketIterator(const FloatHistogram& h, BucketOrder order);
  bool Next();
  const Bucket& bucket() const { return bucket_; }

 private:
  // One sign's buckets in one direction.
  struct Side {
    bool positive = true;
    bool outwards = true;  // ascending index
    size_t span = 0;
    uint32_t left_in_span = 0;
    int64_t index = 0;
    size_t left = 0;  // buckets still to come
  };
  static Side Outwards(const FloatHistogram& h, bool positive);
  static Side Inwards(const FloatHistogram& h, bool positive);
  bool Step(Side* side);
  void SetBucket(const Side& side, size_t position);
  void CutAtZeroBucket();

  const FloatHistogram* h_;
  Side sides_[2];
  size_t sides_count_ = 0;
  size_t side_ = 0;
  bool whole_;  // zero bucket included, bounds cut at it
  bool zero_done_ = false;
  Bucket bucket_;
};

// RETURNS: the zero bucket, [−threshold, threshold].
Bucket ZeroBucket(const FloatHistogram& h);

}  // namespace weir
