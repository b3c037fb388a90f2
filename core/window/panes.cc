#include "core/window/panes.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/model/sample.h"

namespace weir::window {
namespace {

__float128 Wide(const DoubleDouble& x) { return static_cast<__float128>(x.hi) + x.lo; }

DoubleDouble Pair(__float128 x) {
  const auto hi = static_cast<double>(x);
  return {hi, std::isfinite(hi) ? static_cast<double>(x - hi) : 0};
}

}  // namespace

void DoubleDouble::Add(double x) { Add(DoubleDouble{x, 0}); }

void DoubleDouble::Add(const DoubleDouble& x) {
  DoubleDouble s = TwoSum(hi, x.hi);
  DoubleDouble t = TwoSum(lo, x.lo);
  s.lo += t.hi;
  s = TwoSum(s.hi, s.lo);
  s.lo += t.lo;
  *this = TwoSum(s.hi, s.lo);
}

void Panes::AddFamilies(uint8_t families) {
  const auto fresh = static_cast<uint8_t>(families & ~families_);
  if (fresh == 0) {
    return;
  }
  families_ |= fresh;
  split_ = true;
  for (size_t bit = 0; bit < known_from_.size(); ++bit) {
    if (fresh & (1U << bit)) {
      known_from_[bit] = heads_.size();
    }
  }
  const double nan = std::numeric_limits<double>::quiet_NaN();
  if (fresh & kSums) {
    sums_.resize(heads_.size());
  }
  if (fresh & kExtremes) {
    extremes_.resize(heads_.size(), {nan, nan, 0, 0});
  }
  if (fresh & kDeviations) {
    deviations_.resize(heads_.size());
  }
  if (fresh & kRegressions) {
    moments_.resize(heads_.size());
  }
}

void Panes::Add(int64_t t_ms, double v, int64_t pane_start_ms) {
  if (t_ms - base_ms_ > std::numeric_limits<uint32_t>::max()) {
    EvictUntil(t_ms - std::numeric_limits<uint32_t>::max() / 2);
    int64_t base = size() > 0 ? base_ms_ + heads_[first_].last_dt_ms : t_ms;
    // Only reached after 49 days; panes older than half of that are out of every window.
    auto shift = static_cast<uint32_t>(base - base_ms_);
    for (size_t i = first_; i < heads_.size(); ++i) {
      heads_[i].last_dt_ms -= shift;
      if (!extremes_.empty()) {
        extremes_[i].min_dt_ms -= shift;
        extremes_[i].max_dt_ms -= shift;
      }
      if (!moments_.empty()) {
        Moments& m = moments_[i];
        auto n = static_cast<__int128>(heads_[i].count);
        m.tt += n * shift * shift - static_cast<__int128>(2) * m.t * shift;
        m.t -= static_cast<int64_t>(n) * shift;
        DoubleDouble moved = TwoProduct(-static_cast<double>(shift), m.v.hi);
        moved.lo -= static_cast<double>(shift) * m.v.lo;
        m.tv.Add(moved);
      }
    }
    base_ms_ = base;
  }
  const auto dt = static_cast<uint32_t>(t_ms - base_ms_);
  const bool fresh = size() == 0 || split_ || base_ms_ + heads_.back().last_dt_ms <= pane_start_ms;
  if (fresh) {
    split_ = false;
    heads_.push_back({dt, 0, 0, 0, 0});
    if (families_ & kSums) {
      sums_.emplace_back();
    }
    if (families_ & kExtremes) {
      extremes_.push_back({v, v, dt, dt});
    }
    if (families_ & kDeviations) {
      deviations_.emplace_back();
    }
    if (families_ & kRegressions) {
      moments_.push_back({});
    }
  }
  Head& head = heads_.back();
  head.last_dt_ms = dt;
  ++head.count;
  if (families_ & kExtremes) {
    ExtremePair& e = extremes_.back();
    if (v <= e.min || std::isnan(e.min)) {
      e.min_dt_ms = dt;
      e.min = v;
    }
    if (v >= e.max || std::isnan(e.max)) {
      e.max_dt_ms = dt;
      e.max = v;
    }
  }
  if (!std::isfinite(v)) {
    head.nan += std::isnan(v) ? 1 : 0;
    head.plus_inf |= std::isinf(v) && v > 0 ? 1 : 0;
    head.minus_inf |= std::isinf(v) && v < 0 ? 1 : 0;
    return;
  }
  if (families_ & kSums) {
    sums_.back().Add(v);
  }
  if (families_ & kDeviations) {
    DoubleDouble d = TwoSum(v, -origin_);
    DoubleDouble square = TwoProduct(d.hi, d.hi);
    square.lo += 2 * d.hi * d.lo;
    deviations_.back().first.Add(d);
    deviations_.back().second.Add(square);
  }
  if (families_ & kRegressions) {
    Moments& m = moments_.back();
    m.t += dt;
    m.tt += static_cast<__int128>(dt) * dt;
    m.v.Add(v);
    m.tv.Add(TwoProduct(dt, v));
  }
}

void Panes::EvictUntil(int64_t t_ms) {
  while (first_ < heads_.size() && base_ms_ + heads_[first_].last_dt_ms <= t_ms) {
    ++first_;
  }
  if (first_ > 32 && first_ * 2 > heads_.size()) {
    Compact();
  }
}

void Panes::Compact() {
  auto drop = [this](auto& list) {
    if (!list.empty()) {
      list.erase(list.begin(), list.begin() + static_cast<ptrdiff_t>(first_));
    }
  };
  drop(heads_);
  drop(sums_);
  drop(extremes_);
  drop(deviations_);
  drop(moments_);
  for (size_t& from : known_from_) {
    from -= std::min(from, first_);
  }
  first_ = 0;
}

size_t Panes::HeapBytes() const {
  return heads_.capacity() * sizeof(Head) + sums_.capacity() * sizeof(DoubleDouble) +
         extremes_.capacity() * sizeof(ExtremePair) + deviations_.capacity() * sizeof(Deviation) +
         moments_.capacity() * sizeof(Moments);
}

void Panes::Range(uint8_t families, int64_t start_ms, int64_t end_ms, size_t* from, size_t* to) const {
  auto after = [this](int64_t t, size_t low) {
    size_t high = heads_.size();
    while (low < high) {
      size_t middle = (low + high) / 2;
      if (base_ms_ + heads_[middle].last_dt_ms <= t) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  };
  size_t known = first_;
  for (size_t bit = 0; bit < known_from_.size(); ++bit) {
    if (families & (1U << bit)) {
      known = std::max(known, known_from_[bit]);
    }
  }
  *from = after(start_ms, known);
  *to = after(end_ms, *from);
}

bool Panes::Finite(size_t from, size_t to, double* out) const {
  bool nan = false;
  bool plus = false;
  bool minus = false;
  for (size_t i = from; i < to; ++i) {
    nan = nan || heads_[i].nan > 0;
    plus = plus || heads_[i].plus_inf != 0;
    minus = minus || heads_[i].minus_inf != 0;
  }
  if (nan || (plus && minus)) {
    *out = NormalNaN();
  } else if (plus || minus) {
    *out = plus ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
  }
  return !nan && !plus && !minus;
}

bool Panes::Sum(int64_t start_ms, int64_t end_ms, double* sum) const {
  size_t from = 0;
  size_t to = 0;
  Range(kSums, start_ms, end_ms, &from, &to);
  if (from == to) {
    return false;
  }
  if (Finite(from, to, sum)) {
    DoubleDouble total;
    for (size_t i = from; i < to; ++i) {
      total.Add(sums_[i]);
    }
    *sum = total.hi + total.lo;
  }
  return true;
}

bool Panes::SumParts(int64_t start_ms, int64_t end_ms, DoubleDouble* sum, uint32_t* count) const {
  size_t from = 0;
  size_t to = 0;
  Range(kSums, start_ms, end_ms, &from, &to);
  *sum = DoubleDouble{};
  *count = 0;
  for (size_t i = from; i < to; ++i) {
    *count += heads_[i].count;
    sum->Add(sums_[i]);
  }
  double odd = 0;
  if (from < to && !Finite(from, to, &odd)) {
    *sum = DoubleDouble{odd, 0};
  }
  return from < to;
}

bool Panes::Average(int64_t start_ms, int64_t end_ms, double* average) const {
  size_t from = 0;
  size_t to = 0;
  Range(kSums, start_ms, end_ms, &from, &to);
  if (from == to) {
    return false;
  }
  if (Finite(from, to, average)) {
    __float128 total = 0;  // wide enough not to overflow
    uint64_t n = 0;
    for (size_t i = from; i < to; ++i) {
      total += Wide(sums_[i]);
      n += heads_[i].count;
    }
    *average = static_cast<double>(total / n);
  }
  return true;
}

bool Panes::Min(int64_t start_ms, int64_t end_ms, Extreme* out) const {
  size_t from = 0;
  size_t to = 0;
  Range(kExtremes, start_ms, end_ms, &from, &to);
  for (size_t i = from; i < to; ++i) {
    if (i == from || extremes_[i].min <= out->v || std::isnan(out->v)) {
      *out = {extremes_[i].min, base_ms_ + extremes_[i].min_dt_ms};
    }
  }
  return from != to;
}

bool Panes::Max(int64_t start_ms, int64_t end_ms, Extreme* out) const {
  size_t from = 0;
  size_t to = 0;
  Range(kExtremes, start_ms, end_ms, &from, &to);
  for (size_t i = from; i < to; ++i) {
    if (i == from || extremes_[i].max >= out->v || std::isnan(out->v)) {
      *out = {extremes_[i].max, base_ms_ + extremes_[i].max_dt_ms};
    }
  }
  return from != to;
}

Panes::DeviationSums Panes::SumDeviations(size_t from, size_t to) const {
  DeviationSums sums;
  __float128 squares = 0;
  for (size_t i = from; i < to; ++i) {
    sums.first += Wide(deviations_[i].first);
    squares += Wide(deviations_[i].second);
    sums.count += heads_[i].count;
  }
  if (sums.count > 0) {
    const __float128 about_mean = squares - sums.first * sums.first / sums.count;
    sums.about_mean = about_mean > 0 ? about_mean : 0;
  }
  return sums;
}

bool Panes::Variance(int64_t start_ms, int64_t end_ms, double* out) const {
  size_t from = 0;
  size_t to = 0;
  Range(kDeviations, start_ms, end_ms, &from, &to);
  if (from == to) {
    return false;
  }
  if (!Finite(from, to, out)) {
    *out = NormalNaN();
    return true;
  }
  const DeviationSums sums = SumDeviations(from, to);
  *out = static_cast<double>(sums.about_mean / sums.count);
  return true;
}

bool Panes::CountFinite(int64_t start_ms, int64_t end_ms, uint32_t* count) const {
  size_t from = 0;
  size_t to = 0;
  Range(kExtremes, start_ms, end_ms, &from, &to);
  *count = 0;
  for (size_t i = from; i < to; ++i) {
    *count += heads_[i].count;
  }
  double odd = 0;
  return Finite(from, to, &odd);
}

bool Panes::DeviationParts(int64_t start_ms, int64_t end_ms, DoubleDouble* sum, DoubleDouble* squares) const {
  size_t from = 0;
  size_t to = 0;
  Range(kDeviations | kExtremes, start_ms, end_ms, &from, &to);
  const DeviationSums sums = SumDeviations(from, to);
  if (sums.count == 0) {
    return false;
  }
  *sum = Pair(sums.first + static_cast<__float128>(origin_) * sums.count);
  *squares = Pair(sums.about_mean);
  return true;
}

Panes::MomentSums Panes::MomentParts(int64_t start_ms, int64_t end_ms, double unit) const {
  size_t from = 0;
  size_t to = 0;
  Range(kRegressions, start_ms, end_ms, &from, &to);
  MomentSums out;
  __float128 y = 0;
  __float128 xy = 0;
  const int64_t shift = base_ms_ - start_ms;
  for (size_t i = from; i < to; ++i) {
    const Moments& m = moments_[i];
    const auto n = static_cast<int64_t>(heads_[i].count);
    out.x += m.t + n * shift;
    out.xx += m.tt + 2 * static_cast<__int128>(shift) * m.t + static_cast<__int128>(n * shift) * shift;
    y += Wide(m.v);
    xy += Wide(m.tv) + shift * Wide(m.v);
  }
  out.y = Pair(y / unit);
  out.xy = Pair(xy / unit);
  return out;
}

bool Panes::Regression(int64_t start_ms, int64_t end_ms, int64_t origin_ms, double* slope_per_s,
                       double* intercept) const {
  size_t from = 0;
  size_t to = 0;
  Range(kRegressions | kExtremes, start_ms, end_ms, &from, &to);
  uint64_t n = 0;
  __int128 t = 0;
  __int128 tt = 0;
  __float128 v = 0;
  __float128 tv = 0;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (size_t i = from; i < to; ++i) {
    n += heads_[i].count;
    t += moments_[i].t;
    tt += moments_[i].tt;
    v += Wide(moments_[i].v);
    tv += Wide(moments_[i].tv);
    low = std::min(low, extremes_[i].min);
    high = std::max(high, extremes_[i].max);
  }
  if (n < 2) {
    return false;
  }
  double special = 0;
  if (!Finite(from, to, &special)) {
    *slope_per_s = *intercept = NormalNaN();
    return true;
  }
  if (low == high) {
    *slope_per_s = 0;
    *intercept = low;
    return true;
  }
  __float128 covariance = tv - static_cast<__float128>(t) * v / n;
  __float128 variance = static_cast<__float128>(tt) - static_cast<__float128>(t) * t / n;
  __float128 slope = covariance / variance;
  *slope_per_s = static_cast<double>(slope * 1000);
  *intercept = static_cast<double>(v / n - slope * (static_cast<__float128>(t) / n - (origin_ms - base_ms_)));
  return true;
}

}  // namespace weir::window
