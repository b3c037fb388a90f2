#pragma once
// Go's floating-point library where it differs from C's, for value equality with Prometheus (semantics 2.6).

#include "core/model/go_math.h"

namespace weir::engine {

// math.Max and math.Min: an infinity of the right sign wins over NaN, any other NaN propagates, and +0 is above −0.
double GoMax(double a, double b);
double GoMin(double a, double b);
using weir::GoLog10;
using weir::GoLog2;
// int64(v) of Go on amd64: truncation, and the smallest integer for NaN and what does not fit.
long long GoInt64(double v);

}  // namespace weir::engine
