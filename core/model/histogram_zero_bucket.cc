#include "core/model/histogram_zero_bucket.h"

#include "core/model/histogram_buckets.h"
#include "core/model/histogram_layout.h"
#include "core/model/kahan.h"

namespace weir {
namespace {

// Adds one sign's buckets that start below out->threshold to out->count. RETURNS: the bound the threshold has to be raised
// to, because the last of them is populated and reaches beyond it; else the threshold.
double Swallow(const FloatHistogram& h, bool positive, const FloatHistogram* c, WidenedZeroBucket* out) {
  BucketIterator it(h, positive ? BucketOrder::kPositiveOnly : BucketOrder::kNegativeOnly);
  for (size_t i = 0; it.Next(); ++i) {
    const Bucket& bucket = it.bucket();
    const double near = positive ? bucket.lower : -bucket.upper;
    const double far = positive ? bucket.upper : -bucket.lower;
    if (near >= out->threshold) {
      break;
    }
    KahanAdd(bucket.count, &out->count, &out->compensation);
    if (c != nullptr) {
      KahanAdd((positive ? c->positive_buckets : c->negative_buckets)[i], &out->count, &out->compensation);
    }
    if (far > out->threshold) {
      return bucket.count != 0 ? far : out->threshold;
    }
  }
  return out->threshold;
}

// Empties the buckets that are part of the zero bucket; the threshold is a bucket bound.
void DropSwallowed(BucketOrder order, FloatHistogram* h, SideRef side) {
  BucketIterator it(*h, order);
  for (size_t i = 0; it.Next(); ++i) {
    const double near = order == BucketOrder::kPositiveOnly ? it.bucket().lower : -it.bucket().upper;
    if (near >= h->zero_threshold) {
      break;
    }
    (*side.counts)[i] = 0;
    if (side.compensations != nullptr) {
      (*side.compensations)[i] = 0;
    }
  }
  CompactSide(0, side);
}

}  // namespace

WidenedZeroBucket WidenZeroBucket(const FloatHistogram& h, double threshold, const FloatHistogram* c) {
  WidenedZeroBucket out{h.zero_count, c == nullptr ? 0 : c->zero_count, threshold};
  if (threshold == h.zero_threshold) {
    return out;
  }
  while (true) {
    out.count = h.zero_count;  // but not the compensation: a second round goes on with it, as upstream
    out.threshold = Swallow(h, true, c, &out);
    const double reach = Swallow(h, false, c, &out);
    if (reach == out.threshold) {
      return out;
    }
    // The negative side widened it once more: what was taken from the positive side was not enough.
    out.threshold = reach;
  }
}

WidenedZeroBucket ReconcileZeroBuckets(const FloatHistogram& other, FloatHistogram* h, FloatHistogram* c) {
  WidenedZeroBucket out{other.zero_count, 0, other.zero_threshold};
  while (true) {
    if (h->zero_threshold > out.threshold) {
      out = WidenZeroBucket(other, h->zero_threshold, nullptr);
    }
    if (!(out.threshold > h->zero_threshold)) {
      return out;
    }
    const WidenedZeroBucket own = WidenZeroBucket(*h, out.threshold, c);
    h->zero_count = own.count;
    h->zero_threshold = own.threshold;
    if (c != nullptr) {
      c->zero_count = own.compensation;
    }
    DropSwallowed(BucketOrder::kPositiveOnly, h, PositiveSide(h, c));
    DropSwallowed(BucketOrder::kNegativeOnly, h, NegativeSide(h, c));
  }
}

}  // namespace weir
