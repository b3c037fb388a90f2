#pragma once
// Widening the zero buckets of exponential histograms, so that two of them can be compared or added; private to this room.

#include "core/model/histogram.h"

namespace weir {

// The zero bucket that a histogram has or would have.
struct WidenedZeroBucket {
  double count = 0;
  double compensation = 0;  // rounding error of count
  double threshold = 0;
};

// RETURNS: h's zero bucket widened to `threshold`; further, to the end of the bucket, if that lies in a populated one. `c` is
// h's compensation or null. REQUIRES: threshold ≥ h.zero_threshold.
WidenedZeroBucket WidenZeroBucket(const FloatHistogram& h, double threshold, const FloatHistogram* c);

// Makes the zero buckets of both histograms equally wide: changes h and its compensation (or null).
// RETURNS: what `other` would have.
WidenedZeroBucket ReconcileZeroBuckets(const FloatHistogram& other, FloatHistogram* h, FloatHistogram* c);

}  // namespace weir
