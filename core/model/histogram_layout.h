#pragma once
// Operations on one sign's spans and counts, under the arithmetic of histograms; private to this room. A side may carry
// compensations, one a bucket, which then move along with the counts.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "core/model/histogram.h"

namespace weir {

// One sign of a histogram being changed. `compensations` is null outside compensated sums.
struct SideRef {
  std::vector<BucketSpan>* spans = nullptr;
  std::vector<double>* counts = nullptr;
  std::vector<double>* compensations = nullptr;
};

// One sign of a histogram being read. `compensations` is empty outside compensated sums.
struct SideView {
  std::span<const BucketSpan> spans;
  std::span<const double> counts;
  std::span<const double> compensations;
};

// The sides of `h`; `c` is its compensation or null.
SideRef PositiveSide(FloatHistogram* h, FloatHistogram* c);
SideRef NegativeSide(FloatHistogram* h, FloatHistogram* c);

// RETURNS: the index in schema `to` of bucket `index` of schema `from`. REQUIRES: to ≤ from.
inline int64_t IndexAtSchema(int64_t index, int32_t from, int32_t to) {
  // Schemas are not validated where they come from test notation.
  return ((index - 1) >> std::min<int64_t>(int64_t{from} - to, 63)) + 1;
}

// Merges the side's buckets from schema `from` to `to`. REQUIRES: to ≤ from.
void ReduceSide(int32_t from, int32_t to, SideRef side);
// Adds `sign` times `b`'s buckets to `a`, inserting missing ones. Leading buckets of `b` whose bound is ≤ `threshold` are left
// out: they are part of the zero bucket. Compensated if `a` is.
void AddSide(int32_t schema, double threshold, double sign, SideView b, SideRef a);
// See FloatHistogram::Compact. A bucket with a compensation is not empty.
void CompactSide(size_t max_empty, SideRef side);
// RETURNS: whether both name the same buckets in the same runs; runs of length 0 do not count.
bool SameSpans(std::span<const BucketSpan> a, std::span<const BucketSpan> b);

// Custom bounds of a and b that are in both.
std::vector<double> CommonBounds(std::span<const double> a, std::span<const double> b);
// Adds `sign` times `b` (with bounds `b_bounds`) to `a` (with bounds `a_bounds`), both mapped to `common` bounds.
void AddAtCommonBounds(double sign, SideView b, std::span<const double> b_bounds, std::span<const double> a_bounds,
                       std::span<const double> common, SideRef a);

}  // namespace weir
