#include "core/window/tape_moments.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/model/sample.h"

namespace weir::window {
namespace {

constexpr double kRounding = 0x1p-98;  // of what is computed anew in pairs, relative, at most
constexpr double kErrorMax = 1e-12;    // of what a result is made of, relative
// What is made anew and is no better is let be until it is this much worse, or more has left than is there.
constexpr double kWearAgain = 4;
constexpr double kFarOrigin = 0x1p24;  // squares about an origin so many times those about the mean: it is moved

template <typename State>
std::vector<State> Arranged(const std::vector<State>& states, const std::vector<uint32_t>& from, uint32_t nobody) {
  std::vector<State> out(from.size());
  for (size_t m = 0; m < from.size(); ++m) {
    if (from[m] != nobody) {
      out[m] = states[from[m]];
    }
  }
  return out;
}

// --- deviations ---

using Deviation = TapeDeviations::State;

// Σ(v − mean)².
DoubleDouble AboutMean(const Deviation& s) { return Plus(s.second, -Over(Times(s.first, s.first), s.sameness.count)); }

// REQUIRES: n samples are folded, all of them.
void MoveOrigin(Deviation* s, double n) {
  const double origin = s->origin + s->first.hi / n;
  const DoubleDouble by = TwoSum(origin, -s->origin);
  if (!std::isfinite(origin)) {
    return;
  }
  const DoubleDouble all = Times(by, n);
  const DoubleDouble squares = Times(by, all);
  s->error.Add(kRounding * (s->second.hi + squares.hi));
  s->second = Plus(Plus(s->second, -Times(Times(by, s->first), 2)), squares);
  s->first = Plus(s->first, -all);
  s->origin = origin;
}

void Fold(Deviation* s, const TapeCell* cells, int sign) {
  const double n = fold::CountOf(cells);
  const DoubleDouble sum = fold::PairOf(cells[0]);
  if (s->sameness.count == 0 && sign > 0) {
    s->origin = sum.hi / n;
  }
  const DoubleDouble first = Plus(sum, -TwoProduct(n, s->origin));
  const DoubleDouble second = Plus(fold::PairOf(cells[1]), Over(Times(first, first), n));
  const double of_first = AddPair(sign > 0 ? first : -first, &s->first);
  const double of_second = AddPair(sign > 0 ? second : -second, &s->second);
  if (of_first != 0 || of_second != 0) {
    s->error.Add(of_second + of_first * (std::fabs(s->first.hi) + of_first));
  }
  if (sign < 0 && second.hi > s->second.hi) {
    s->floor = {};
  }
}

// RETURNS: whether the row is finite.
bool FoldRow(Deviation* s, const TapeCell* cells, int sign) {
  const bool finite = std::isfinite(cells[0].v);
  if (finite) {
    Fold(s, cells, sign);
  }
  if (sign > 0) {
    s->sameness.Add(cells, 1);
  } else {
    s->sameness.Remove(fold::CountOf(cells));
  }
  if (s->sameness.count == 0) {
    *s = {};
  }
  return finite;
}

}  // namespace

void Sameness::Add(const TapeCell* cells, double unit) {
  const uint32_t samples = fold::CountOf(cells);
  const bool varies = fold::Varies(cells);
  const double v = varies ? NormalNaN() : fold::SameValue(cells, unit);
  if (varies) {
    before_change = count + samples;
  } else if (count > 0 && v != value) {
    before_change = count;
  }
  value = v;
  count += samples;
}

void Sameness::Remove(uint32_t samples) {
  count -= samples;
  before_change -= std::min(before_change, samples);
}

void Sameness::Rewritten(const Sameness& held, const TapeCell* before, const TapeCell* after, double unit) {
  const uint32_t in_row = fold::CountOf(after);
  count = held.count + in_row - fold::CountOf(before);
  before_change = held.before_change;
  if (fold::Varies(after)) {
    before_change = count;
    value = NormalNaN();
    return;
  }
  value = fold::SameValue(after, unit);
  if (fold::CountOf(before) == 0 && count > in_row && value != held.value) {
    before_change = count - in_row;
  }
}

void TapeDeviations::Arrange(const std::vector<uint32_t>& from) { states_ = Arranged(states_, from, kNobody); }

void TapeDeviations::Add(uint32_t member, const TapeCell* cells, uint32_t, int sign) {
  State& s = states_[member];
  if (!FoldRow(&s, cells, sign)) {
    CountSpecial(member, cells, sign);
    return;
  }
  const double n = s.sameness.count - SpecialSamples(member);
  if (sign > 0 && s.first.hi * s.first.hi > n * s.second.hi * (1 - 1 / kFarOrigin)) {
    MoveOrigin(&s, n);
  }
}

void TapeDeviations::Replace(uint32_t member, const TapeCell* before, const TapeCell* after, uint32_t row) {
  const Sameness held = states_[member].sameness;
  Add(member, after, row, 1);
  if (fold::CountOf(before) > 0) {
    Add(member, before, row, -1);
  }
  states_[member].sameness.Rewritten(held, before, after, 1);
}

bool TapeDeviations::Worn(uint32_t member) const {
  const State& s = states_[member];
  if (s.error.value() <= kWearAgain * s.floor.value() || s.sameness.same() || SpecialSamples(member) != 0) {
    return false;
  }
  return s.error.value() > kErrorMax * std::max(AboutMean(s).hi, 0.0);
}

bool TapeDeviations::Evaluate(Kernel kernel, size_t member, const Window&, const SeriesWindow& series,
                              double* out) const {
  State s = states_[member];
  TapeCells newest{};
  if (Newest(series, newest.data())) {
    FoldRow(&s, newest.data(), 1);
  }
  if (s.sameness.count == 0) {
    return false;
  }
  if (s.sameness.same()) {
    *out = 0;
  } else if (const double odd = Special(member, newest[0].v); odd != 0) {
    *out = odd > 0 ? odd : NormalNaN();
  } else {
    *out = std::max(AboutMean(s).value(), 0.0) / s.sameness.count;
  }
  *out = kernel == StddevOverTime ? std::sqrt(*out) : *out;
  return true;
}

// --- moments ---

namespace {

// Σ(x − mean of x)·(y − mean of y).
DoubleDouble Covariance(const TapeMoments::State& s) {
  return Plus(s.xy, -Over(Times(Exactly(s.x), s.y), s.sameness.count));
}

}  // namespace

void TapeMoments::Arrange(const std::vector<uint32_t>& from) { states_ = Arranged(states_, from, kNobody); }

void TapeMoments::Fold(State* s, const TapeCell* cells, int64_t shift_ms, int sign) {
  const fold::Moments m = fold::MomentsOf(cells);
  const auto n = static_cast<int64_t>(fold::CountOf(cells));
  const DoubleDouble y = fold::PairOf(cells[0]);
  s->x += sign * (m.x + n * shift_ms);
  s->xx += sign * (static_cast<__int128>(m.xx) + 2 * static_cast<__int128>(shift_ms) * m.x +
                   static_cast<__int128>(n) * shift_ms * shift_ms);
  const DoubleDouble xy = Plus(m.xy, Times(y, static_cast<double>(shift_ms)));
  const double of_y = AddPair(sign > 0 ? y : -y, &s->y);
  const double of_xy = AddPair(sign > 0 ? xy : -xy, &s->xy);
  if (of_y != 0 || of_xy != 0) {
    constexpr double kHourMs = 3600e3;  // of what is near the origin the sum matters, too
    s->error.Add(of_xy + of_y * (std::fabs(static_cast<double>(shift_ms)) + kHourMs));
  }
  if (sign < 0 && std::fabs(xy.hi) > std::fabs(s->xy.hi)) {
    s->floor = {};
  }
}

void TapeMoments::Add(uint32_t member, const TapeCell* cells, uint32_t row, int sign) {
  State& s = states_[member];
  if (std::isfinite(cells[0].v)) {
    Fold(&s, cells, StartOf(row) - origin_ms_, sign);
  } else {
    CountSpecial(member, cells, sign);
  }
  if (sign > 0) {
    s.sameness.Add(cells, fold::kMomentUnit);
  } else {
    s.sameness.Remove(fold::CountOf(cells));
  }
  if (s.sameness.count == 0) {
    s = {};
  }
}

void TapeMoments::Replace(uint32_t member, const TapeCell* before, const TapeCell* after, uint32_t row) {
  const Sameness held = states_[member].sameness;
  Add(member, after, row, 1);
  if (fold::CountOf(before) > 0) {
    Add(member, before, row, -1);
  }
  states_[member].sameness.Rewritten(held, before, after, fold::kMomentUnit);
}

// Far from its origin a window's sums lose digits: once in a few weeks it is moved to the window's start.
void TapeMoments::Move(int64_t start_ms, const RowStore::Yield& yield) {
  start_ms_ = start_ms;
  if (origin_ms_ != INT64_MIN && std::abs(start_ms - origin_ms_) <= Tape::kReachMaxMs) {
    return;
  }
  for (uint32_t m = 0; m < states_.size() && origin_ms_ != INT64_MIN; ++m) {
    constexpr uint32_t kMembersPerYield = 1024;
    if (m % kMembersPerYield == 0) {
      yield();
    }
    State& s = states_[m];
    const int64_t by = start_ms - origin_ms_;
    const auto n = static_cast<int64_t>(s.sameness.count) - SpecialSamples(m);
    s.xx += static_cast<__int128>(n) * by * by - 2 * static_cast<__int128>(by) * s.x;
    s.x -= n * by;
    const DoubleDouble moved = Times(s.y, static_cast<double>(by));
    s.error.Add(kRounding * (std::fabs(moved.hi) + std::fabs(s.xy.hi)));
    s.xy = Plus(s.xy, -moved);
  }
  origin_ms_ = start_ms;
}

bool TapeMoments::Worn(uint32_t member) const {
  // Below this Prometheus's own sums have no digits.
  constexpr double kOfPrometheus = 0x1p-62;
  const State& s = states_[member];
  const auto range_ms = static_cast<double>(ring_from_ms() - start_ms_);
  if (s.error.value() <= kOfPrometheus * range_ms * std::fabs(s.y.hi) ||
      s.error.value() <= kWearAgain * s.floor.value() || s.sameness.same() || SpecialSamples(member) != 0) {
    return false;
  }
  return s.error.value() > kErrorMax * std::fabs(Covariance(s).hi);
}

bool TapeMoments::Evaluate(Kernel kernel, size_t member, const Window& w, const SeriesWindow& series,
                           double* out) const {
  State s = states_[member];
  int64_t origin_ms = origin_ms_;
  TapeCells newest{};
  if (Newest(series, newest.data())) {
    if (s.sameness.count == 0) {
      origin_ms = ring_from_ms();
    }
    if (std::isfinite(newest[0].v)) {
      Fold(&s, newest.data(), ring_from_ms() - origin_ms, 1);
    }
    s.sameness.Add(newest.data(), fold::kMomentUnit);
  }
  if (s.sameness.count < 2) {
    return false;
  }
  if (Special(member, newest[0].v) != 0) {
    *out = NormalNaN();
    return true;
  }
  const auto n = static_cast<double>(s.sameness.count);
  double slope_per_ms = 0;
  double intercept = s.sameness.value;
  if (!s.sameness.same()) {
    const auto variance = static_cast<__int128>(s.sameness.count) * s.xx - static_cast<__int128>(s.x) * s.x;
    slope_per_ms = Covariance(s).value() / (static_cast<double>(variance) / n);
    const __int128 x = s.x - static_cast<__int128>(s.sameness.count) * (w.eval_ms - origin_ms);
    intercept = (s.y.value() / n - slope_per_ms * (static_cast<double>(x) / n)) * fold::kMomentUnit;
  }
  const double slope = slope_per_ms * fold::kMomentUnit * 1000;
  *out = kernel == Deriv ? slope : slope * w.param[0] + intercept;
  return true;
}

}  // namespace weir::window
