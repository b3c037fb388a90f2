#pragma once
// Comparing native histograms with what a script expects (semantics 9.3). Pure functions.

#include "core/model/histogram.h"

namespace weir::promqltest {

// Both without their empty buckets; schema, bounds, zero threshold and layout have to be equal, numbers almost.
// `hint_named`: the expectation names a counter reset hint, so that has to be equal too. UNITS: `epsilon` is relative.
bool SameHistogram(const FloatHistogram& want, bool hint_named, const FloatHistogram& got, double epsilon);

}  // namespace weir::promqltest
