#pragma once
// Compensated addition in Prometheus's order of operations, so that sums are equal bit for bit. Pure, any thread.

namespace weir {

// Adds `x` to `*sum`, whose rounding error so far is kept in `*c` (Neumaier): kahansum.Inc of Prometheus.
inline void KahanAdd(double x, double* sum, double* c) {
  const double t = *sum + x;
  if (__builtin_isinf(t)) {
    *c = 0;
  } else if (__builtin_fabs(*sum) >= __builtin_fabs(x)) {
    *c += (*sum - t) + x;
  } else {
    *c += (x - t) + *sum;
  }
  *sum = t;
}

}  // namespace weir
