#pragma once
// Logarithms, powers and hyperbolic functions as Go's library computes them on amd64. The C library rounds some results differently; results that
// are compared with Prometheus's, or alerted on at a threshold, must not depend on that. Pure functions, any thread.

namespace weir {

// math.Log2: exact on powers of two; NaN below 0, −Inf at 0.
double GoLog2(double x);
// math.Exp, bit for bit where Go finds fused multiply-add; overflows above 1023.5 ln 2 already.
double GoExp(double x);
// math.Log; of a subnormal number what Go gives there, which is off by up to 36.
double GoLog(double x);
// math.Log10.
double GoLog10(double x);
// math.Pow: by squaring, whose error grows with the exponent.
double GoPow(double x, double y);
// math.Cosh, math.Sinh; both overflow where e^|x| does. Sinh below 0.5 is the C library's.
double GoCosh(double x);
double GoSinh(double x);
// math.Exp2.
double GoExp2(double x);

}  // namespace weir
