#include "core/model/go_math.h"

#include <cmath>
#include <limits>

namespace weir {
namespace {

// ln 2 in two parts: the high one has trailing zero bits, so that small multiples of it are exact.
constexpr double kLn2High = 6.93147180369123816490e-01;
constexpr double kLn2Low = 1.90821492927058770002e-10;

// ln(x) of a finite x > 0: fdlibm's series in s = f / (2 + f), with x = 2^k (1 + f) and 1 + f in [√½, √2).
double NaturalLog(double x) {
  constexpr double kL1 = 6.666666666666735130e-01;
  constexpr double kL2 = 3.999999999940941908e-01;
  constexpr double kL3 = 2.857142874366239149e-01;
  constexpr double kL4 = 2.222219843214978396e-01;
  constexpr double kL5 = 1.818357216161805012e-01;
  constexpr double kL6 = 1.531383769920937332e-01;
  constexpr double kL7 = 1.479819860511658591e-01;
  constexpr double kSqrtHalf = 7.07106781186547524401e-01;
  int exponent = 0;
  double fraction = std::frexp(x, &exponent);
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

}  // namespace

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
  return NaturalLog(fraction) * kOneByLn2 + exponent;
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
