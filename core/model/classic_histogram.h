#pragma once
// Classic histograms, one float series a bucket, as native histograms with custom bounds ("NHCB"). One object for all samples
// of one histogram at one time, handed over series by series in any order.

#include <vector>

#include "core/base/status.h"
#include "core/model/histogram.h"

namespace weir {

class ClassicHistogram {
 public:
  // A `_bucket` sample: the number of observations up to `le`. A second one for the same bound is ignored.
  void AddBucket(double le, double cumulative_count);
  // The `_count` and `_sum` samples. Without a count, the highest bucket's is taken; without a sum, 0.
  void SetCount(double count);
  void SetSum(double sum);

  // RETURNS: the native histogram; a missing +Inf bucket is made of the count.
  // ERRORS: kInvalid, as Prometheus words it, for the first thing given that no histogram can have (negative or decreasing
  // counts, a bound that is not a number), or if the count is not that of the +Inf bucket.
  Result<FloatHistogram> ToNative() const;

 private:
  struct CumulativeBucket {
    double le = 0;
    double count = 0;
  };
  std::vector<CumulativeBucket> buckets_;  // by ascending bound
  double count_ = 0;
  double sum_ = 0;
  bool has_count_ = false;
  Status error_;
};

}  // namespace weir
