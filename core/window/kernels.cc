#include "core/window/kernels.h"

#include <algorithm>
#include <cmath>

namespace weir::window {

bool FindWindow(const SeriesWindow& series, int64_t start_ms, int64_t end_ms, uint32_t* cursor, Window* out) {
  const Ring& ring = series.ring();
  int64_t last = ring.LastAtOrBefore(end_ms);
  while (last >= 0 && ring.At(static_cast<uint32_t>(last)).kind() == RecordKind::kStale) {
    --last;
  }
  if (last < 0) {
    return false;
  }
  uint32_t first = ring.FirstAfter(start_ms, cursor);
  while (first < ring.size() && ring.At(first).kind() == RecordKind::kStale) {
    ++first;
  }
  if (first > static_cast<uint32_t>(last)) {
    return false;
  }
  out->series = &series;
  out->first = first;
  out->last = static_cast<uint32_t>(last);
  out->on_tape = false;
  out->start_ms = start_ms;
  out->end_ms = end_ms;
  return true;
}

namespace {

// Calls add(previous value) for every counter reset after the window's sample at `after_ms` up to `until_ms`, in order.
template <typename Add>
void ForEachReset(const Window& w, int64_t after_ms, int64_t until_ms, Add add) {
  if (w.reset_list) {
    const std::vector<Reset>* resets = w.series->resets();
    if (resets == nullptr || resets->empty() || resets->back().t_ms <= after_ms) {
      return;
    }
    auto it = std::lower_bound(resets->begin(), resets->end(), after_ms,
                               [](const Reset& r, int64_t t) { return r.t_ms <= t; });
    for (; it != resets->end() && it->t_ms <= until_ms; ++it) {
      add(it->previous);
    }
    return;
  }
  double previous = 0;
  bool any = false;
  w.ForEach([&](int64_t t, double v) {
    if (any && t > after_ms && t <= until_ms && v < previous) {
      add(previous);
    }
    previous = v;
    any = true;
  });
}

// Semantics 2.3 without start timestamps.
bool ExtrapolatedRate(const Window& w, bool is_counter, bool is_rate, double* out) {
  if (w.OneSample()) {
    return false;
  }
  const Ring& ring = w.ring();
  const double first_v = w.FirstValue();
  const int64_t first_t = w.FirstTime();
  const int64_t last_t = ring.Time(w.last);
  const auto between = static_cast<double>(w.count() - 1);
  double result = ring.Value(w.last) - first_v;
  if (is_counter && w.on_tape) {
    result = w.edge.resets != 0 ? result + w.edge.resets : result;  // -0 stays
    ForEachReset(w, std::max(first_t, w.edge.resets_until_ms), last_t, [&](double previous) { result += previous; });
  } else if (is_counter) {
    ForEachReset(w, first_t, last_t, [&](double previous) { result += previous; });
  }
  if (w.on_tape && w.edge.merged) {
    // Its first sample is not known, nor is the factor, but it is in [1, 1 + 2.2 / between]: the middle (bounded_rows.cc).
    constexpr double kFactorMiddle = 1.1;
    *out = (result + w.edge.mass_between / 2) * (1 + kFactorMiddle / between) / (is_rate ? w.range_s() : 1);
    return true;
  }
  double to_start = static_cast<double>(first_t - w.start_ms) / 1000;
  double to_end = static_cast<double>(w.end_ms - last_t) / 1000;
  const double sampled = static_cast<double>(last_t - first_t) / 1000;
  const double average = sampled / between;
  const double threshold = average * 1.1;
  if (to_start >= threshold) {
    to_start = average / 2;
  }
  if (is_counter) {
    double to_zero = to_start;
    if (result > 0 && first_v >= 0) {
      to_zero = sampled * (first_v / result);
    }
    if (to_zero < to_start) {
      to_start = to_zero;
    }
  }
  if (to_end >= threshold) {
    to_end = average / 2;
  }
  double factor = sampled != 0 ? (sampled + to_start + to_end) / sampled : 1;
  if (is_rate) {
    factor /= w.range_s();
  }
  *out = result * factor;
  return true;
}

}  // namespace

bool Rate(const Window& w, double* out) { return ExtrapolatedRate(w, true, true, out); }
bool Increase(const Window& w, double* out) { return ExtrapolatedRate(w, true, false, out); }
bool Delta(const Window& w, double* out) { return ExtrapolatedRate(w, false, false, out); }

namespace {

// RETURNS: index of the sample before the window's last one, or false.
bool PreviousIndex(const Window& w, uint32_t* index) {
  for (uint32_t i = w.last; i > w.first;) {
    --i;
    if (w.ring().At(i).kind() != RecordKind::kStale) {
      *index = i;
      return true;
    }
  }
  return false;
}

}  // namespace

bool Irate(const Window& w, double* out) {
  uint32_t previous = 0;
  if (!PreviousIndex(w, &previous)) {
    return false;
  }
  const Ring& ring = w.ring();
  double before = ring.Value(previous);
  double now = ring.Value(w.last);
  double value = now < before ? now : now - before;
  *out = value / (static_cast<double>(ring.Time(w.last) - ring.Time(previous)) / 1000);
  return true;
}

bool Idelta(const Window& w, double* out) {
  uint32_t previous = 0;
  if (!PreviousIndex(w, &previous)) {
    return false;
  }
  *out = w.ring().Value(w.last) - w.ring().Value(previous);
  return true;
}

bool Changes(const Window& w, double* out) {
  if (w.on_tape) {
    *out = static_cast<double>(w.series->ChangesUntil(w.last) - static_cast<uint32_t>(w.edge.v));
    return true;
  }
  if (w.changes_list) {
    *out = static_cast<double>(w.series->ChangesAt(w.last) - w.series->ChangesAt(w.first));
    return true;
  }
  double previous = 0;
  bool any = false;
  uint32_t n = 0;
  w.ForEach([&](int64_t, double v) {
    n += any && v != previous && !(std::isnan(v) && std::isnan(previous)) ? 1 : 0;
    previous = v;
    any = true;
  });
  *out = n;
  return true;
}

bool Resets(const Window& w, double* out) {
  uint32_t n = 0;
  ForEachReset(w, w.FirstTime(), w.ring().Time(w.last), [&](double) { ++n; });
  *out = n;
  return true;
}

bool CountOverTime(const Window& w, double* out) {
  *out = w.count() + (w.on_tape && w.edge.merged ? w.edge.samples_between / 2 : 0);
  return true;
}

bool PresentOverTime(const Window&, double* out) {
  *out = 1;
  return true;
}

bool FirstOverTime(const Window& w, double* out) {
  *out = w.FirstValue();
  return true;
}

bool LastOverTime(const Window& w, double* out) {
  *out = w.ring().Value(w.last);
  return true;
}

bool TsOfFirstOverTime(const Window& w, double* out) {
  *out = static_cast<double>(w.FirstTime()) / 1000;
  return true;
}

bool TsOfLastOverTime(const Window& w, double* out) {
  *out = static_cast<double>(w.ring().Time(w.last)) / 1000;
  return true;
}

bool SumOverTime(const Window& w, double* out) {
  if (const Panes* panes = w.series->panes()) {
    return panes->Sum(w.start_ms, w.end_ms, out);
  }
  double sum = 0;
  double c = 0;
  w.ForEach([&](int64_t, double v) { KahanAdd(v, &sum, &c); });
  *out = std::isinf(sum) ? sum : sum + c;
  return true;
}

bool AvgOverTime(const Window& w, double* out) {
  if (const Panes* panes = w.series->panes()) {
    return panes->Average(w.start_ms, w.end_ms, out);
  }
  double sum = 0;
  double mean = 0;
  double c = 0;
  double n = 0;
  bool incremental = false;
  w.ForEach([&](int64_t, double v) {
    n += 1;
    if (n == 1) {
      sum = v;
      return;
    }
    if (!incremental) {
      double next_sum = sum;
      double next_c = c;
      KahanAdd(v, &next_sum, &next_c);
      if (!std::isinf(next_sum)) {
        sum = next_sum;
        c = next_c;
        return;
      }
      incremental = true;
      mean = sum / (n - 1);
      c /= n - 1;
    }
    double q = (n - 1) / n;
    double next_mean = q * mean;
    double next_c = q * c;
    KahanAdd(v / n, &next_mean, &next_c);
    mean = next_mean;
    c = next_c;
  });
  *out = incremental ? mean + c : sum / n + c / n;
  return true;
}

namespace {

template <typename Better>
bool Extreme(const Window& w, Better better, bool time, double* out) {
  double best = w.ring().Value(w.first);
  int64_t best_t = w.ring().Time(w.first);
  w.ForEach([&](int64_t t, double v) {
    if (better(v, best) || std::isnan(best)) {
      best = v;
      best_t = t;
    }
  });
  *out = time ? static_cast<double>(best_t) / 1000 : best;
  return true;
}

}  // namespace

bool MinOverTime(const Window& w, double* out) {
  if (const Panes* panes = w.series->panes()) {
    Panes::Extreme extreme;
    if (!panes->Min(w.start_ms, w.end_ms, &extreme)) {
      return false;
    }
    *out = extreme.v;
    return true;
  }
  return Extreme(
      w, [](double a, double b) { return a < b; }, false, out);
}
bool MaxOverTime(const Window& w, double* out) {
  if (const Panes* panes = w.series->panes()) {
    Panes::Extreme extreme;
    if (!panes->Max(w.start_ms, w.end_ms, &extreme)) {
      return false;
    }
    *out = extreme.v;
    return true;
  }
  return Extreme(
      w, [](double a, double b) { return a > b; }, false, out);
}
bool TsOfMinOverTime(const Window& w, double* out) {
  if (const Panes* panes = w.series->panes()) {
    Panes::Extreme extreme;
    if (!panes->Min(w.start_ms, w.end_ms, &extreme)) {
      return false;
    }
    *out = static_cast<double>(extreme.t_ms) / 1000;
    return true;
  }
  return Extreme(
      w, [](double a, double b) { return a <= b; }, true, out);
}
bool TsOfMaxOverTime(const Window& w, double* out) {
  if (const Panes* panes = w.series->panes()) {
    Panes::Extreme extreme;
    if (!panes->Max(w.start_ms, w.end_ms, &extreme)) {
      return false;
    }
    *out = static_cast<double>(extreme.t_ms) / 1000;
    return true;
  }
  return Extreme(
      w, [](double a, double b) { return a >= b; }, true, out);
}

bool StdvarOverTime(const Window& w, double* out) {
  if (const Panes* panes = w.series->panes()) {
    return panes->Variance(w.start_ms, w.end_ms, out);
  }
  double n = 0;
  double mean = 0;
  double mean_c = 0;
  double aux = 0;
  double aux_c = 0;
  w.ForEach([&](int64_t, double v) {
    n += 1;
    double delta = v - (mean + mean_c);
    KahanAdd(delta / n, &mean, &mean_c);
    KahanAdd(delta * (v - (mean + mean_c)), &aux, &aux_c);
  });
  *out = (aux + aux_c) / n;
  return true;
}

bool StddevOverTime(const Window& w, double* out) {
  bool present = StdvarOverTime(w, out);
  *out = std::sqrt(*out);
  return present;
}

double Quantile(double q, std::vector<double>* values) {
  if (values->empty() || std::isnan(q)) {
    return NormalNaN();
  }
  if (q < 0) {
    return -std::numeric_limits<double>::infinity();
  }
  if (q > 1) {
    return std::numeric_limits<double>::infinity();
  }
  std::sort(values->begin(), values->end(),
            [](double a, double b) { return a < b || (std::isnan(a) && !std::isnan(b)); });
  const auto n = static_cast<double>(values->size());
  const double rank = q * (n - 1);
  const double low = std::max(0.0, std::floor(rank));
  const double high = std::min(n - 1, low + 1);
  const double weight = rank - std::floor(rank);
  return (*values)[static_cast<size_t>(low)] * (1 - weight) + (*values)[static_cast<size_t>(high)] * weight;
}

bool QuantileOverTime(const Window& w, double* out) {
  w.scratch->clear();
  w.ForEach([&](int64_t, double v) { w.scratch->push_back(v); });
  *out = Quantile(w.param[0], w.scratch);
  return true;
}

bool MadOverTime(const Window& w, double* out) {
  w.scratch->clear();
  bool nan = false;
  w.ForEach([&](int64_t, double v) {
    nan = nan || std::isnan(v);
    w.scratch->push_back(v);
  });
  if (nan) {
    *out = NormalNaN();
    return true;
  }
  double median = Quantile(0.5, w.scratch);
  for (double& v : *w.scratch) {
    v = std::fabs(v - median);
  }
  *out = Quantile(0.5, w.scratch);
  return true;
}

namespace {

// Least squares with x in seconds after origin_ms; y = slope·x + intercept.
bool LinearRegression(const Window& w, int64_t origin_ms, double* slope, double* intercept) {
  double n = 0;
  double sum_x = 0, c_x = 0, sum_y = 0, c_y = 0, sum_xy = 0, c_xy = 0, sum_x2 = 0, c_x2 = 0;
  const double first_y = w.ring().Value(w.first);
  bool constant = true;
  w.ForEach([&](int64_t t, double y) {
    if (constant && n > 0 && y != first_y) {
      constant = false;
    }
    n += 1;
    double x = static_cast<double>(t - origin_ms) / 1e3;
    KahanAdd(x, &sum_x, &c_x);
    KahanAdd(y, &sum_y, &c_y);
    KahanAdd(x * y, &sum_xy, &c_xy);
    KahanAdd(x * x, &sum_x2, &c_x2);
  });
  if (constant) {
    *slope = std::isinf(first_y) ? NormalNaN() : 0;
    *intercept = std::isinf(first_y) ? NormalNaN() : first_y;
    return true;
  }
  sum_x += c_x;
  sum_y += c_y;
  sum_xy += c_xy;
  sum_x2 += c_x2;
  double covariance = sum_xy - sum_x * sum_y / n;
  double variance = sum_x2 - sum_x * sum_x / n;
  *slope = covariance / variance;
  *intercept = sum_y / n - *slope * sum_x / n;
  return true;
}

}  // namespace

bool Deriv(const Window& w, double* out) {
  if (w.first == w.last) {
    return false;
  }
  double intercept = 0;
  if (const Panes* panes = w.series->panes()) {
    return panes->Regression(w.start_ms, w.end_ms, w.end_ms, out, &intercept);
  }
  return LinearRegression(w, w.ring().Time(w.first), out, &intercept);
}

bool PredictLinear(const Window& w, double* out) {
  if (w.first == w.last) {
    return false;
  }
  double slope = 0;
  double intercept = 0;
  if (const Panes* panes = w.series->panes()) {
    if (!panes->Regression(w.start_ms, w.end_ms, w.eval_ms, &slope, &intercept)) {
      return false;
    }
  } else {
    LinearRegression(w, w.eval_ms, &slope, &intercept);
  }
  *out = slope * w.param[0] + intercept;
  return true;
}

bool DoubleExponentialSmoothing(const Window& w, double* out) {
  if (w.first == w.last) {
    return false;
  }
  const double sf = w.param[0];
  const double tf = w.param[1];
  double s0 = 0;
  double s1 = 0;
  double b = 0;
  uint32_t i = 0;
  w.ForEach([&](int64_t, double v) {
    if (i == 0) {
      s1 = v;
    } else {
      if (i == 1) {
        b = v - s1;
      }
      double x = sf * v;
      b = i == 1 ? b : tf * (s1 - s0) + (1 - tf) * b;
      double y = (1 - sf) * (s1 + b);
      s0 = s1;
      s1 = x + y;
    }
    ++i;
  });
  *out = s1;
  return true;
}

namespace {

double Interpolate(const Ring& ring, uint32_t a, uint32_t b, int64_t t_ms, bool is_counter) {
  double y1 = ring.Value(a);
  double y2 = ring.Value(b);
  if (is_counter && y2 < y1) {
    y1 = 0;
  }
  return y1 + (y2 - y1) * static_cast<double>(t_ms - ring.Time(a)) / static_cast<double>(ring.Time(b) - ring.Time(a));
}

uint32_t NextFloat(const Ring& ring, uint32_t i) {
  do {
    ++i;
  } while (ring.At(i).kind() == RecordKind::kStale);
  return i;
}

// The newest sample at or before the window's start, else the oldest of all.
uint32_t Anchor(const Window& w) {
  uint32_t anchor = w.first;
  for (uint32_t i = w.first; i <= w.last && w.ring().Time(i) <= w.start_ms; ++i) {
    if (w.ring().At(i).kind() != RecordKind::kStale) {
      anchor = i;
    }
  }
  return anchor;
}

bool ExtendedRate(const Window& w, bool is_counter, bool is_rate, bool smoothed, double* out) {
  const Ring& ring = w.ring();
  uint32_t first = Anchor(w);
  uint32_t last = w.last;
  if (smoothed) {
    while (last > first) {  // the oldest at or after the end
      uint32_t before = last - 1;
      while (before > first && ring.At(before).kind() == RecordKind::kStale) {
        --before;
      }
      if (ring.Time(before) < w.end_ms) {
        break;
      }
      last = before;
    }
    if (ring.Time(first) > w.end_ms) {
      return false;
    }
  }
  if (ring.Time(last) <= w.start_ms) {
    return false;
  }
  double left = ring.Value(first);
  if (smoothed && ring.Time(first) < w.start_ms && first < last) {
    left = Interpolate(ring, first, NextFloat(ring, first), w.start_ms, is_counter);
  }
  double right = ring.Value(last);
  if (smoothed && ring.Time(last) > w.end_ms && last > first) {
    uint32_t before = last - 1;
    while (ring.At(before).kind() == RecordKind::kStale) {
      --before;
    }
    right = Interpolate(ring, before, last, w.end_ms, is_counter);
  }
  double result = right - left;
  if (is_counter) {
    double correction = 0;
    if (!smoothed && w.reset_list) {
      ForEachReset(w, ring.Time(first), ring.Time(last), [&](double previous) { correction += previous; });
    } else {
      double previous = left;
      for (uint32_t i = first; i <= last; ++i) {
        if (ring.At(i).kind() == RecordKind::kStale || ring.Time(i) <= w.start_ms || ring.Time(i) >= w.end_ms) {
          continue;
        }
        if (ring.Value(i) < previous) {
          correction += previous;
        }
        previous = ring.Value(i);
      }
      if (right < previous) {
        correction += previous;
      }
    }
    result += correction;
  }
  *out = is_rate ? result / w.range_s() : result;
  return true;
}

// RETURNS: the window from its anchor on, or false when nothing lies after the start.
bool Anchored(const Window& w, Window* anchored) {
  if (w.ring().Time(w.last) <= w.start_ms) {
    return false;
  }
  *anchored = w;
  anchored->first = Anchor(w);
  return true;
}

}  // namespace

bool AnchoredRate(const Window& w, double* out) { return ExtendedRate(w, true, true, false, out); }
bool AnchoredIncrease(const Window& w, double* out) { return ExtendedRate(w, true, false, false, out); }
bool AnchoredDelta(const Window& w, double* out) { return ExtendedRate(w, false, false, false, out); }
bool SmoothedRate(const Window& w, double* out) { return ExtendedRate(w, true, true, true, out); }
bool SmoothedIncrease(const Window& w, double* out) { return ExtendedRate(w, true, false, true, out); }
bool SmoothedDelta(const Window& w, double* out) { return ExtendedRate(w, false, false, true, out); }

bool AnchoredChanges(const Window& w, double* out) {
  Window anchored;
  return Anchored(w, &anchored) && Changes(anchored, out);
}

bool AnchoredResets(const Window& w, double* out) {
  Window anchored;
  return Anchored(w, &anchored) && Resets(anchored, out);
}

}  // namespace weir::window
