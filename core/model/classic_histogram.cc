#include "core/model/classic_histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/model/duration.h"

namespace weir {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string General(double v) { return FormatFloat(v, 'g'); }

Status NotCumulative(double count, const char* relation, double neighbour) {
  return InvalidError("count is not cumulative: " + General(count) + relation + General(neighbour));
}

bool IsWhole(double v) { return v == std::round(v) && std::fabs(v) < 9223372036854775808.0; }

}  // namespace

void ClassicHistogram::AddBucket(double le, double cumulative_count) {
  if (!error_.ok()) {
    return;
  }
  if (std::isnan(le)) {
    error_ = InvalidError("bucket boundary must not be NaN");
    return;
  }
  if (cumulative_count < 0) {
    error_ =
        InvalidError("bucket count must be non-negative: le=" + General(le) + ", count=" + General(cumulative_count));
    return;
  }
  const auto at = std::ranges::lower_bound(buckets_, le, {}, &CumulativeBucket::le);
  if (at != buckets_.end() && at->le == le) {
    return;
  }
  if (at != buckets_.begin() && cumulative_count < (at - 1)->count) {
    error_ = NotCumulative(cumulative_count, " < ", (at - 1)->count);
    return;
  }
  if (at != buckets_.end() && cumulative_count > at->count) {
    error_ = NotCumulative(cumulative_count, " > ", at->count);
    return;
  }
  buckets_.insert(at, {le, cumulative_count});
}

void ClassicHistogram::SetCount(double count) {
  if (!error_.ok()) {
    return;
  }
  if (count < 0) {
    error_ = InvalidError("count must be non-negative: count=" + General(count));
    return;
  }
  count_ = count;
  has_count_ = true;
}

void ClassicHistogram::SetSum(double sum) { sum_ = sum; }

Result<FloatHistogram> ClassicHistogram::ToNative() const {
  if (!error_.ok()) {
    return error_;
  }
  std::vector<CumulativeBucket> buckets = buckets_;
  FloatHistogram out;
  out.schema = kCustomBucketsSchema;
  out.sum = sum_;
  out.count = !has_count_ && !buckets.empty() ? buckets.back().count : count_;
  if (buckets.empty() || buckets.back().le != kInfinity) {
    buckets.push_back({kInfinity, out.count});
  }
  if (out.count != buckets.back().count) {
    return InvalidError("count mismatch: count=" + General(out.count) + " != le=" + General(buckets.back().le) +
                        " count=" + General(buckets.back().count));
  }
  out.positive_spans.push_back({0, static_cast<uint32_t>(buckets.size())});
  double below = 0;
  bool whole = IsWhole(out.count);
  for (const CumulativeBucket& bucket : buckets) {
    out.positive_buckets.push_back(bucket.count - below);
    below = bucket.count;
    whole = whole && IsWhole(bucket.count);
    if (bucket.le != kInfinity) {
      out.custom_values.push_back(bucket.le);
    }
  }
  // Upstream keeps whole counts as integers, in whose layout up to two empty buckets in a row are cheaper than a new span.
  out.Compact(whole ? 2 : 0);
  return out;
}

}  // namespace weir
