// The range functions over floats, semantics §2.2–2.5 and §4.3, each as a plain loop over all points of the window.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/model/duration.h"
#include "tests/differential/naive_internal.h"

namespace weir::naive {

namespace {

const double kNaN = std::numeric_limits<double>::quiet_NaN();

// Whether a start timestamp says that the counter began anew between two samples (§2.3).
bool StartTimestampReset(const Point& previous, const Point& current) {
  if (current.start == 0 || current.start >= current.t) {
    return false;
  }
  if (current.start < previous.t) {
    return false;
  }
  if (current.start > previous.t) {
    return true;
  }
  if (previous.start > previous.t) {
    return false;
  }
  return previous.start != 0 && previous.start != previous.t;
}

bool IsReset(const Window& w, const Point& previous, const Point& current) {
  return current.v < previous.v || (w.use_start_timestamps && StartTimestampReset(previous, current));
}

std::optional<double> ExtrapolatedRate(const Window& w, bool is_counter, bool is_rate) {
  const std::vector<Point>& p = *w.points;
  if (p.empty()) {
    return std::nullopt;
  }
  const Point& first = p.front();
  const Point& last = p.back();
  size_t intervals = p.size() - 1;
  double result = last.v - first.v;
  if (is_counter) {
    for (size_t i = 1; i < p.size(); ++i) {
      if (IsReset(w, p[i - 1], p[i])) {
        result += p[i - 1].v;
      }
    }
  }
  double to_start = static_cast<double>(first.t - w.start) / 1000;
  double to_end = static_cast<double>(w.end - last.t) / 1000;
  double sampled = static_cast<double>(last.t - first.t) / 1000;
  double average = intervals > 0 ? sampled / static_cast<double>(intervals) : 0;
  double threshold = average * 1.1;
  if (is_counter && w.use_start_timestamps && first.start != 0 && w.start < first.start && first.start < first.t) {
    to_start = 0;
    sampled = static_cast<double>(last.t - first.start) / 1000;
    result += first.v;
  } else if (intervals == 0) {
    return std::nullopt;
  } else {
    if (to_start >= threshold) {
      to_start = average / 2;
    }
    if (is_counter) {
      double to_zero = to_start;
      if (result > 0 && first.v >= 0) {
        to_zero = sampled * (first.v / result);
      }
      if (to_zero < to_start) {
        to_start = to_zero;
      }
    }
  }
  if (to_end >= threshold) {
    to_end = average / 2;
  }
  double factor = sampled != 0 ? (sampled + to_start + to_end) / sampled : 1;
  if (is_rate) {
    factor /= static_cast<double>(w.range) / 1000;
  }
  return result * factor;
}

double Interpolate(const Point& a, const Point& b, int64_t t, bool is_counter) {
  double left = a.v;
  double right = b.v;
  if (is_counter && right < left) {
    left = 0;
  }
  return left + (right - left) * static_cast<double>(t - a.t) / static_cast<double>(b.t - a.t);
}

// anchored and smoothed rate, increase and delta (§4.3). The points reach outside the window.
std::optional<double> ExtendedRate(const Window& w, bool is_counter, bool is_rate) {
  const std::vector<Point>& p = *w.points;
  if (p.empty()) {
    return std::nullopt;
  }
  size_t first = 0;
  for (size_t i = 0; i < p.size() && p[i].t <= w.start; ++i) {
    first = i;
  }
  size_t last = p.size() - 1;
  if (w.smoothed) {
    for (size_t i = 0; i < p.size(); ++i) {
      if (p[i].t >= w.end) {
        last = i;
        break;
      }
    }
  }
  if (p[last].t <= w.start || (w.smoothed && p[first].t > w.end)) {
    return std::nullopt;
  }
  double left = p[first].v;
  if (w.smoothed && p[first].t < w.start && first + 1 < p.size()) {
    left = Interpolate(p[first], p[first + 1], w.start, is_counter);
  }
  double right = p[last].v;
  if (w.smoothed && p[last].t > w.end && last > 0) {
    right = Interpolate(p[last - 1], p[last], w.end, is_counter);
  }
  double result = right - left;
  if (is_counter) {
    double correction = 0;  // summed by itself, as Prometheus does
    double previous = left;
    for (size_t i = first; i <= last; ++i) {
      if (p[i].t <= w.start || p[i].t >= w.end) {
        continue;
      }
      if (p[i].v < previous) {
        correction += previous;
      }
      previous = p[i].v;
    }
    if (right < previous) {
      correction += previous;
    }
    result += correction;
  }
  if (is_rate) {
    result /= static_cast<double>(w.range) / 1000;
  }
  return result;
}

std::optional<double> InstantValue(const Window& w, bool is_rate) {
  const std::vector<Point>& p = *w.points;
  if (p.size() < 2) {
    return std::nullopt;
  }
  const Point& previous = p[p.size() - 2];
  const Point& current = p[p.size() - 1];
  int64_t delta_ms = current.t - previous.t;
  if (delta_ms == 0) {
    return std::nullopt;
  }
  if (!is_rate) {
    return current.v - previous.v;
  }
  double value = IsReset(w, previous, current) ? current.v : current.v - previous.v;
  return value / (static_cast<double>(delta_ms) / 1000);
}

void LinearRegression(const std::vector<Point>& p, int64_t origin, double* slope, double* intercept) {
  double n = 0, sx = 0, cx = 0, sy = 0, cy = 0, sxy = 0, cxy = 0, sx2 = 0, cx2 = 0;
  bool constant = true;
  for (const Point& point : p) {
    if (point.v != p.front().v) {
      constant = false;
    }
    n += 1;
    double x = static_cast<double>(point.t - origin) / 1e3;
    KahanAdd(x, &sx, &cx);
    KahanAdd(point.v, &sy, &cy);
    KahanAdd(x * point.v, &sxy, &cxy);
    KahanAdd(x * x, &sx2, &cx2);
  }
  if (std::isnan(p.front().v) && p.size() > 1) {
    constant = false;
  }
  if (constant) {
    bool infinite = std::isinf(p.front().v);
    *slope = infinite ? kNaN : 0;
    *intercept = infinite ? kNaN : p.front().v;
    return;
  }
  sx += cx;
  sy += cy;
  sxy += cxy;
  sx2 += cx2;
  double cov = sxy - sx * sy / n;
  double var = sx2 - sx * sx / n;
  *slope = cov / var;
  *intercept = sy / n - *slope * sx / n;
}

std::optional<double> DoubleExponentialSmoothing(const std::vector<Point>& p, double sf, double tf) {
  if (!(sf > 0 && sf < 1)) {
    throw EvalError("invalid smoothing factor. Expected: 0 < sf < 1, got: " + FormatFloat(sf, 'f', 6));
  }
  if (!(tf > 0 && tf < 1)) {
    throw EvalError("invalid trend factor. Expected: 0 < tf < 1, got: " + FormatFloat(tf, 'f', 6));
  }
  if (p.size() < 2) {
    return std::nullopt;
  }
  double s0 = 0;
  double s1 = p[0].v;
  double b = p[1].v - p[0].v;
  for (size_t i = 1; i < p.size(); ++i) {
    double x = sf * p[i].v;
    if (i > 1) {
      b = tf * (s1 - s0) + (1 - tf) * b;
    }
    double y = (1 - sf) * (s1 + b);
    s0 = s1;
    s1 = x + y;
  }
  return s1;
}

double Variance(const std::vector<Point>& p) {
  double n = 0, mean = 0, c_mean = 0, aux = 0, c_aux = 0;
  for (const Point& point : p) {
    n += 1;
    double delta = point.v - (mean + c_mean);
    KahanAdd(delta / n, &mean, &c_mean);
    KahanAdd(delta * (point.v - (mean + c_mean)), &aux, &c_aux);
  }
  return (aux + c_aux) / n;
}

// min/max (sign −1/+1); with_time also takes later ties, as ts_of_min/max do.
const Point& Extreme(const std::vector<Point>& p, int sign, bool later_ties) {
  size_t best = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    double x = p[i].v;
    double b = p[best].v;
    bool better = sign > 0 ? (later_ties ? x >= b : x > b) : (later_ties ? x <= b : x < b);
    if (better || std::isnan(b)) {
      best = i;
    }
  }
  return p[best];
}

double MedianAbsoluteDeviation(const std::vector<double>& values) {
  for (double v : values) {
    if (std::isnan(v)) {
      return kNaN;
    }
  }
  double median = Quantile(0.5, values);
  std::vector<double> deviations;
  for (double v : values) {
    deviations.push_back(std::fabs(v - median));
  }
  return Quantile(0.5, deviations);
}

// Points for changes/resets: the anchored form starts from the newest point at or before the window's start.
std::optional<std::vector<Point>> CountedPoints(const Window& w) {
  const std::vector<Point>& p = *w.points;
  if (!w.anchored) {
    return p;
  }
  size_t first = 0;
  for (size_t i = 0; i < p.size() && p[i].t <= w.start; ++i) {
    first = i;
  }
  if (p.empty() || p.back().t <= w.start) {
    return std::nullopt;
  }
  return std::vector<Point>(p.begin() + static_cast<std::ptrdiff_t>(first), p.end());
}

std::optional<double> CountSteps(const Window& w, bool resets) {
  std::optional<std::vector<Point>> p = CountedPoints(w);
  if (!p || p->empty()) {
    return std::nullopt;
  }
  double n = 0;
  for (size_t i = 1; i < p->size(); ++i) {
    const Point& a = (*p)[i - 1];
    const Point& b = (*p)[i];
    bool changed = b.v != a.v && !(std::isnan(a.v) && std::isnan(b.v));
    if (resets ? IsReset(w, a, b) : changed) {
      n += 1;
    }
  }
  return n;
}

}  // namespace

void KahanAdd(double x, double* sum, double* c) {
  double t = *sum + x;
  if (std::isinf(t)) {
    *c = 0;
  } else if (std::fabs(*sum) >= std::fabs(x)) {
    *c += (*sum - t) + x;
  } else {
    *c += (x - t) + *sum;
  }
  *sum = t;
}

double Quantile(double q, std::vector<double> values) {
  if (values.empty() || std::isnan(q)) {
    return kNaN;
  }
  if (q < 0) {
    return -std::numeric_limits<double>::infinity();
  }
  if (q > 1) {
    return std::numeric_limits<double>::infinity();
  }
  std::sort(values.begin(), values.end(), [](double a, double b) {
    if (std::isnan(a)) {
      return !std::isnan(b);
    }
    return a < b;
  });
  double n = static_cast<double>(values.size());
  double rank = q * (n - 1);
  double lower = std::max(0.0, std::floor(rank));
  double upper = std::min(n - 1, lower + 1);
  double weight = rank - std::floor(rank);
  return values[static_cast<size_t>(lower)] * (1 - weight) + values[static_cast<size_t>(upper)] * weight;
}

double AverageWithOverflow(const std::vector<double>& values) {
  double sum = values[0];
  double c = 0;
  double mean = 0;
  bool incremental = false;
  double n = 1;
  for (size_t i = 1; i < values.size(); ++i) {
    n += 1;
    if (!incremental) {
      double new_sum = sum;
      double new_c = c;
      KahanAdd(values[i], &new_sum, &new_c);
      if (!std::isinf(new_sum)) {
        sum = new_sum;
        c = new_c;
        continue;
      }
      incremental = true;
      mean = sum / (n - 1);
      c /= n - 1;
    }
    double q = (n - 1) / n;
    mean *= q;
    c *= q;
    KahanAdd(values[i] / n, &mean, &c);
  }
  return incremental ? mean + c : sum / n + c / n;
}

bool IsRangeFunction(std::string_view name) {
  static const std::set<std::string_view> names = {"rate",
                                                   "increase",
                                                   "delta",
                                                   "irate",
                                                   "idelta",
                                                   "deriv",
                                                   "predict_linear",
                                                   "changes",
                                                   "resets",
                                                   "avg_over_time",
                                                   "sum_over_time",
                                                   "min_over_time",
                                                   "max_over_time",
                                                   "count_over_time",
                                                   "stddev_over_time",
                                                   "stdvar_over_time",
                                                   "present_over_time",
                                                   "last_over_time",
                                                   "first_over_time",
                                                   "quantile_over_time",
                                                   "double_exponential_smoothing",
                                                   "mad_over_time",
                                                   "ts_of_first_over_time",
                                                   "ts_of_last_over_time",
                                                   "ts_of_min_over_time",
                                                   "ts_of_max_over_time"};
  return names.count(name) > 0;
}

std::optional<double> RangeFunction(std::string_view name, const Window& w, const std::vector<double>& params) {
  const std::vector<Point>& p = *w.points;
  if (const std::optional<double> exact = w.exact_folds ? ExactFold(name, w, params) : std::nullopt) {
    return exact;
  }
  if (name == "rate" || name == "increase" || name == "delta") {
    bool is_counter = name != "delta";
    bool is_rate = name == "rate";
    return w.anchored || w.smoothed ? ExtendedRate(w, is_counter, is_rate) : ExtrapolatedRate(w, is_counter, is_rate);
  }
  if (name == "changes" || name == "resets") {
    return CountSteps(w, name == "resets");
  }
  if (name == "double_exponential_smoothing") {
    return DoubleExponentialSmoothing(p, params[0], params[1]);
  }
  if (p.empty()) {
    return std::nullopt;
  }
  if (name == "irate" || name == "idelta") {
    return InstantValue(w, name == "irate");
  }
  if (name == "deriv" || name == "predict_linear") {
    if (p.size() < 2) {
      return std::nullopt;
    }
    double slope = 0;
    double intercept = 0;
    LinearRegression(p, name == "deriv" ? p.front().t : w.eval, &slope, &intercept);
    return name == "deriv" ? slope : slope * params[0] + intercept;
  }
  std::vector<double> values;
  for (const Point& point : p) {
    values.push_back(point.v);
  }
  if (name == "sum_over_time") {
    double sum = 0;
    double c = 0;
    for (double v : values) {
      KahanAdd(v, &sum, &c);
    }
    return std::isinf(sum) ? sum : sum + c;
  }
  if (name == "avg_over_time") {
    return AverageWithOverflow(values);
  }
  if (name == "min_over_time" || name == "max_over_time") {
    return Extreme(p, name == "max_over_time" ? 1 : -1, false).v;
  }
  if (name == "ts_of_min_over_time" || name == "ts_of_max_over_time") {
    return static_cast<double>(Extreme(p, name == "ts_of_max_over_time" ? 1 : -1, true).t) / 1000;
  }
  if (name == "ts_of_first_over_time" || name == "ts_of_last_over_time") {
    return static_cast<double>(name == "ts_of_first_over_time" ? p.front().t : p.back().t) / 1000;
  }
  if (name == "stddev_over_time" || name == "stdvar_over_time") {
    double variance = Variance(p);
    return name == "stddev_over_time" ? std::sqrt(variance) : variance;
  }
  if (name == "count_over_time") {
    return static_cast<double>(p.size());
  }
  if (name == "present_over_time") {
    return 1;
  }
  if (name == "last_over_time" || name == "first_over_time") {
    return name == "last_over_time" ? p.back().v : p.front().v;
  }
  if (name == "quantile_over_time") {
    return Quantile(params[0], values);
  }
  if (name == "mad_over_time") {
    return MedianAbsoluteDeviation(values);
  }
  throw EvalError("the naive evaluator has no range function " + std::string(name));
}

std::optional<double> SmoothedValue(const std::vector<Point>& points, int64_t t, int64_t lookback) {
  const Point* previous = nullptr;
  const Point* next = nullptr;
  for (const Point& p : points) {
    if (p.t <= t - lookback || p.t > t + lookback) {
      continue;
    }
    if (p.t == t) {
      return p.v;
    }
    if (p.t < t) {
      previous = &p;
    } else if (next == nullptr) {
      next = &p;
    }
  }
  if (previous == nullptr) {
    return std::nullopt;
  }
  return next == nullptr ? previous->v : Interpolate(*previous, *next, t, false);
}

}  // namespace weir::naive
