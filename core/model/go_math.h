#pragma once
// Logarithm and power of two as Go's library computes them. The C library rounds some results differently; results that
// are compared with Prometheus's, or alerted on at a threshold, must not depend on that. Pure functions, any thread.

namespace weir {

// math.Log2: exact on powers of two; NaN below 0, −Inf at 0.
double GoLog2(double x);
// math.Exp2.
double GoExp2(double x);

}  // namespace weir
