#pragma once
// Unevaluated sums of two doubles, about 106 bits. Pure, any thread.

#include <cmath>
#include <cstdint>

namespace weir::window {

struct DoubleDouble {
  double hi = 0;
  double lo = 0;
  void Add(double x);
  void Add(const DoubleDouble& x);
  double value() const { return hi + lo; }
  DoubleDouble operator-() const { return {-hi, -lo}; }
};

// The exact sum of two doubles (Knuth).
inline DoubleDouble TwoSum(double a, double b) {
  const double s = a + b;
  const double bb = s - a;
  return {s, (a - (s - bb)) + (b - bb)};
}

// The exact product of two doubles.
inline DoubleDouble TwoProduct(double a, double b) {
  const double p = a * b;
  return {p, std::fma(a, b, -p)};
}

// Adds x to *sum. RETURNS: what the pair could not hold, at most.
inline double AddPair(const DoubleDouble& x, DoubleDouble* sum) {
  const DoubleDouble high = TwoSum(sum->hi, x.hi);
  const DoubleDouble low = TwoSum(sum->lo, x.lo);
  const DoubleDouble middle = TwoSum(high.lo, low.hi);
  const DoubleDouble first = TwoSum(high.hi, middle.hi);
  const DoubleDouble rest = TwoSum(middle.lo, low.lo);
  const DoubleDouble second = TwoSum(first.lo, rest.hi);
  *sum = TwoSum(first.hi, second.hi);
  return std::fabs(second.lo) + std::fabs(rest.lo);
}

// Adds x to *sum, quickly: the pair is one again after Settled(). Of n terms all but the last log2(n) of 106 bits are right.
inline void Gather(const DoubleDouble& x, DoubleDouble* sum) {
  const DoubleDouble high = TwoSum(sum->hi, x.hi);
  sum->hi = high.hi;
  sum->lo += high.lo + x.lo;
}
inline DoubleDouble Settled(const DoubleDouble& sum) { return TwoSum(sum.hi, sum.lo); }

// The last bits of these are rounded: relative error 2^-100 at most.
inline DoubleDouble Plus(DoubleDouble a, const DoubleDouble& b) {
  AddPair(b, &a);
  return a;
}
inline DoubleDouble Times(const DoubleDouble& a, double b) {
  DoubleDouble p = TwoProduct(a.hi, b);
  p.lo += a.lo * b;
  return TwoSum(p.hi, p.lo);
}
inline DoubleDouble Times(const DoubleDouble& a, const DoubleDouble& b) {
  DoubleDouble p = TwoProduct(a.hi, b.hi);
  p.lo += a.hi * b.lo + a.lo * b.hi;
  return TwoSum(p.hi, p.lo);
}
inline DoubleDouble Over(const DoubleDouble& a, double b) {
  const double q = a.hi / b;
  const DoubleDouble p = TwoProduct(q, b);
  return TwoSum(q, ((a.hi - p.hi) - p.lo + a.lo) / b);
}
inline DoubleDouble Exactly(int64_t x) {
  const auto hi = static_cast<double>(x);
  return {hi, static_cast<double>(static_cast<int64_t>(static_cast<__int128>(x) - static_cast<__int128>(hi)))};
}

}  // namespace weir::window
