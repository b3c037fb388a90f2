// Folds over windows without rounding: in numbers with the precision and the exponents of IEEE binary128.
#include <algorithm>
#include <boost/multiprecision/cpp_bin_float.hpp>
#include <cmath>

#include "tests/differential/naive_internal.h"

namespace weir::naive {
namespace {

using Wide = boost::multiprecision::cpp_bin_float_quad;

Wide Mean(const std::vector<Wide>& values) {
  Wide sum = 0;
  for (const Wide& v : values) {
    sum += v;
  }
  return sum / static_cast<double>(values.size());
}

}  // namespace

std::optional<double> ExactFold(std::string_view name, const Window& w, const std::vector<double>& params) {
  const std::vector<Point>& p = *w.points;
  const bool finite = std::all_of(p.begin(), p.end(), [](const Point& point) { return std::isfinite(point.v); });
  const bool same = std::all_of(p.begin(), p.end(), [&](const Point& point) { return point.v == p.front().v; });
  if (p.empty() || !finite || same) {
    return std::nullopt;
  }
  std::vector<Wide> x;
  std::vector<Wide> y;
  for (const Point& point : p) {
    x.push_back(Wide(point.t - w.eval) / 1000);
    y.push_back(Wide(point.v));
  }
  const Wide mean = Mean(y);
  if (name == "sum_over_time" || name == "avg_over_time") {
    return static_cast<double>(name == "avg_over_time" ? mean : mean * static_cast<double>(y.size()));
  }
  const Wide mean_x = Mean(x);
  Wide squares = 0;
  Wide squares_x = 0;
  Wide products = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    squares += (y[i] - mean) * (y[i] - mean);
    squares_x += (x[i] - mean_x) * (x[i] - mean_x);
    products += (x[i] - mean_x) * (y[i] - mean);
  }
  if (name == "stddev_over_time" || name == "stdvar_over_time") {
    const auto variance = static_cast<double>(squares / static_cast<double>(y.size()));
    return name == "stddev_over_time" ? std::sqrt(variance) : variance;
  }
  if (name == "deriv" || name == "predict_linear") {
    const auto slope = static_cast<double>(products / squares_x);
    const auto intercept = static_cast<double>(mean - products / squares_x * mean_x);
    return name == "deriv" ? slope : slope * params[0] + intercept;
  }
  return std::nullopt;
}

}  // namespace weir::naive
