#include "core/promqltest/histogram_match.h"

#include <algorithm>

#include "core/promqltest/runner.h"

namespace weir::promqltest {

bool SameHistogram(const FloatHistogram& want, bool hint_named, const FloatHistogram& got, double epsilon) {
  FloatHistogram a = want;
  FloatHistogram b = got;
  a.Compact(0);
  b.Compact(0);
  const auto same = [epsilon](double x, double y) { return AlmostEqual(x, y, epsilon); };
  return a.schema == b.schema && same(a.count, b.count) && same(a.sum, b.sum) &&
         (!a.UsesCustomBuckets() || a.custom_values == b.custom_values) && a.zero_threshold == b.zero_threshold &&
         same(a.zero_count, b.zero_count) && a.negative_spans == b.negative_spans &&
         std::ranges::equal(a.negative_buckets, b.negative_buckets, same) && a.positive_spans == b.positive_spans &&
         std::ranges::equal(a.positive_buckets, b.positive_buckets, same) && (!hint_named || a.hint == b.hint);
}

}  // namespace weir::promqltest
