#include "core/engine/arithmetic.h"

#include <cmath>
#include <limits>

namespace weir::engine {

double GoMax(double a, double b) {
  if (std::isinf(a) && a > 0) {
    return a;
  }
  if (std::isinf(b) && b > 0) {
    return b;
  }
  if (std::isnan(a) || std::isnan(b)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (a == 0 && b == 0) {
    return std::signbit(a) ? b : a;
  }
  return a > b ? a : b;
}

double GoMin(double a, double b) {
  if (std::isinf(a) && a < 0) {
    return a;
  }
  if (std::isinf(b) && b < 0) {
    return b;
  }
  if (std::isnan(a) || std::isnan(b)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (a == 0 && b == 0) {
    return std::signbit(a) ? a : b;
  }
  return a < b ? a : b;
}

long long GoInt64(double v) {
  if (!(v >= -9223372036854775808.0 && v < 9223372036854775808.0)) {
    return std::numeric_limits<long long>::min();
  }
  return static_cast<long long>(v);
}

}  // namespace weir::engine
