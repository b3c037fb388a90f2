#include "core/model/go_math.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>

namespace weir {
namespace {

// ln 2 in two parts: the high one has trailing zero bits, so that small multiples of it are exact.
constexpr double kLn2High = 6.93147180369123816490e-01;
constexpr double kLn2Low = 1.90821492927058770002e-10;

// ln(fraction · 2^exponent), fraction in [½, 1): fdlibm's series in s = f / (2 + f), with x = 2^k (1 + f), 1 + f in [√½, √2).
double NaturalLog(double fraction, int exponent) {
  constexpr double kL1 = 6.666666666666735130e-01;
  constexpr double kL2 = 3.999999999940941908e-01;
  constexpr double kL3 = 2.857142874366239149e-01;
  constexpr double kL4 = 2.222219843214978396e-01;
  constexpr double kL5 = 1.818357216161805012e-01;
  constexpr double kL6 = 1.531383769920937332e-01;
  constexpr double kL7 = 1.479819860511658591e-01;
  constexpr double kSqrtHalf = 7.07106781186547524401e-01;
  if (fraction < kSqrtHalf) {
    fraction *= 2;
    --exponent;
  }
  const double f = fraction - 1;
  const double k = exponent;
  const double s = f / (2 + f);
  const double s2 = s * s;
  const double s4 = s2 * s2;
  const double odd = s2 * (kL1 + s4 * (kL3 + s4 * (kL5 + s4 * kL7)));
  const double even = s4 * (kL2 + s4 * (kL4 + s4 * kL6));
  const double half = 0.5 * f * f;
  return k * kLn2High - ((half - (s * (half + (odd + even)) + k * kLn2Low)) - f);
}

// RETURNS: whether v is an odd integer.
bool IsOdd(double v) { return std::fabs(std::fmod(v, 2)) == 1; }

// 1^y, x^0, and what has a zero, an infinity or NaN on either side. RETURNS: whether it is one of these.
bool SpecialPow(double x, double y, double* out) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (y == 0 || x == 1) {
    *out = 1;
  } else if (std::isnan(x) || std::isnan(y)) {
    *out = std::numeric_limits<double>::quiet_NaN();
  } else if (x == 0) {
    const double result = y < 0 ? kInfinity : 0;
    *out = IsOdd(y) ? std::copysign(result, x) : result;
  } else if (std::isinf(y)) {
    *out = x == -1 ? 1 : (std::fabs(x) < 1) == (y > 0) ? 0 : kInfinity;
  } else if (std::isinf(x)) {
    const double result = y < 0 ? 0 : kInfinity;
    *out = x < 0 && IsOdd(y) ? -result : result;
  } else {
    return false;
  }
  return true;
}

}  // namespace

double GoExp(double x) {
  if (!std::isfinite(x)) {
    return x < 0 ? 0 : x;
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (x > 7.09782712893384e+02) {
    return kInfinity;
  }
  if (x < -1000) {
    return 0;
  }
  // x = k ln 2 + r; e^(r/16) − 1 by its series, then (1 + y)² − 1 = y (y + 2) four times. One rounding an operation pair.
  constexpr double kLog2E = 1.4426950408889634073599246810018920;
  constexpr double kLn2Upper = 0.69314718055966295651160180568695068359375;
  constexpr double kLn2Lower = 0.28235290563031577122588448175013436025525412068e-12;
  const double k = std::nearbyint(x * kLog2E);
  double y = std::fma(-kLn2Lower, k, std::fma(-kLn2Upper, k, x)) * 0.0625;
  double series = 2.4801587301587301587e-5;
  for (const double c : {1.9841269841269841270e-4, 1.3888888888888888889e-3, 8.3333333333333333333e-3,
                         4.1666666666666666667e-2, 1.6666666666666666667e-1, 0.5, 1.0}) {
    series = std::fma(series, y, c);
  }
  y *= series;
  for (int i = 0; i < 3; ++i) {
    y *= y + 2;
  }
  y = std::fma(y, y + 2, 1.0);
  // 2^1024 overflows here though y < 1 may bring it back: so it does in Go.
  return k >= 1024 ? kInfinity : std::ldexp(y, static_cast<int>(k));
}

double GoLog(double x) {
  if (std::isnan(x) || (std::isinf(x) && x > 0)) {
    return x;
  }
  if (x < 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (x == 0) {
    return -std::numeric_limits<double>::infinity();
  }
  int exponent = 0;
  double fraction = std::frexp(x, &exponent);
  if (!std::isnormal(x)) {
    // On amd64 Go reads the bits of a subnormal number as if it were a normal one.
    constexpr uint64_t kHalf = 0x3FE0000000000000;
    fraction = std::bit_cast<double>(std::bit_cast<uint64_t>(x) | kHalf);
    exponent = -1022;
  }
  return NaturalLog(fraction, exponent);
}

double GoLog10(double x) {
  constexpr double kOneByLn10 = 0.43429448190325182765112891891660508229439700580367;
  return GoLog(x) * kOneByLn10;
}

double GoPow(double x, double y) {
  double special = 0;
  if (SpecialPow(x, y, &special)) {
    return special;
  }
  if (y == 1) {
    return x;
  }
  if (std::fabs(y) == 0.5) {
    return y > 0 ? std::sqrt(x) : 1 / std::sqrt(x);
  }
  double whole = 0;
  double part = std::modf(std::fabs(y), &whole);
  if (part != 0 && x < 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  constexpr double kTwo63 = 9223372036854775808.0;
  if (whole >= kTwo63) {
    return x == -1 ? 1 : (std::fabs(x) < 1) == (y > 0) ? 0 : std::numeric_limits<double>::infinity();
  }
  // The result is mantissa · 2^exponent: x^part by logarithm, then x^whole by squaring, bit after bit.
  double mantissa = 1;
  int64_t exponent = 0;
  if (part != 0) {
    if (part > 0.5) {
      part -= 1;
      whole += 1;
    }
    mantissa = GoExp(part * GoLog(x));
  }
  int x_exponent = 0;
  double factor = std::frexp(x, &x_exponent);
  int64_t factor_exponent = x_exponent;
  constexpr int64_t kFarOut = 1 << 12;  // no double reaches there: the rest of the bits changes nothing
  for (auto bits = static_cast<uint64_t>(whole); bits != 0; bits >>= 1) {
    if (factor_exponent < -kFarOut || factor_exponent > kFarOut) {
      exponent += factor_exponent;
      break;
    }
    if ((bits & 1) != 0) {
      mantissa *= factor;
      exponent += factor_exponent;
    }
    factor *= factor;
    factor_exponent *= 2;
    if (factor < 0.5) {
      factor += factor;
      --factor_exponent;
    }
  }
  if (y < 0) {
    mantissa = 1 / mantissa;
    exponent = -exponent;
  }
  return std::ldexp(mantissa, static_cast<int>(exponent));
}

double GoCosh(double x) {
  const double e = GoExp(std::fabs(x));
  return std::fabs(x) > 21 ? e * 0.5 : (e + 1 / e) * 0.5;
}

double GoSinh(double x) {
  const double size = std::fabs(x);
  if (!(size > 0.5)) {
    return std::sinh(x);
  }
  const double e = GoExp(size);
  return std::copysign(size > 21 ? e * 0.5 : (e - 1 / e) * 0.5, x);
}

double GoLog2(double x) {
  if (std::isnan(x) || (std::isinf(x) && x > 0)) {
    return x;
  }
  if (x < 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (x == 0) {
    return -std::numeric_limits<double>::infinity();
  }
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  if (fraction == 0.5) {
    return exponent - 1;
  }
  constexpr double kOneByLn2 = 1.44269504088896340735992468100189214;
  return NaturalLog(fraction, 0) * kOneByLn2 + exponent;
}

double GoExp2(double x) {
  if (std::isnan(x)) {
    return x;
  }
  if (x > 1.0239999999999999e+03) {
    return std::numeric_limits<double>::infinity();
  }
  if (x < -1.0740e+03) {
    return 0;
  }
  int k = 0;
  if (x != 0) {
    k = static_cast<int>(x > 0 ? x + 0.5 : x - 0.5);
  }
  const double t = x - k;
  const double high = t * kLn2High;
  const double low = -t * kLn2Low;
  // e^r of the rest, |r| ≤ ln(2)/2: fdlibm's rational approximation.
  constexpr double kP1 = 1.66666666666666657415e-01;
  constexpr double kP2 = -2.77777777770155933842e-03;
  constexpr double kP3 = 6.61375632143793436117e-05;
  constexpr double kP4 = -1.65339022054652515390e-06;
  constexpr double kP5 = 4.13813679705723846039e-08;
  const double r = high - low;
  const double r2 = r * r;
  const double c = r - r2 * (kP1 + r2 * (kP2 + r2 * (kP3 + r2 * (kP4 + r2 * kP5))));
  const double y = 1 - ((low - (r * c) / (2 - c)) - high);
  return std::ldexp(y, k);
}

}  // namespace weir
