#pragma once
// stddev_over_time, stdvar_over_time, deriv and predict_linear of windows on tape: see tape_folds.h.
//
// Deviations: a row has its count, its sum, and the squares about its own mean, so that nothing of small deviations of large
// numbers is lost in a file. In RAM the window's are about an origin near its mean, which follows it.
// Moments: a row has its count, its sum, and the sums of x, x² and xy with x in milliseconds after the row's start. In RAM x counts
// from an origin that all members share and that is moved now and then; sums of x and x² are integers and exact.
//
// Both know whether all samples of the window are the same number, which is no matter of rounding: then the variance and the
// slope are zero, as Prometheus has them.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "core/window/tape_folds.h"

namespace weir::window {

// How many samples of a window are before its newest change; none: all are the same.
struct Sameness {
  double value = 0;  // of the newest row, where its samples are the same
  uint32_t count = 0;
  uint32_t before_change = 0;

  // A row enters at the end, or leaves at the start.
  void Add(const TapeCell* cells, double unit);
  void Remove(uint32_t samples);
  // The newest row is another now. `held`: as it was before this row was Added again.
  void Rewritten(const Sameness& held, const TapeCell* before, const TapeCell* after, double unit);
  bool same() const { return before_change == 0; }
};

// What a sum may be off by, as half a double, rounded up.
class ErrorBound {
 public:
  double value() const { return std::bit_cast<double>(uint64_t{high_} << 32U); }
  void Add(double error) {
    const auto bits = std::bit_cast<uint64_t>(std::min(value() + error, std::numeric_limits<double>::max() / 2));
    high_ = static_cast<uint32_t>((bits + 0xffffffffU) >> 32U);
  }

 private:
  uint32_t high_ = 0;
};

class TapeDeviations final : public TapeFolds {
 public:
  struct State {
    DoubleDouble first;   // Σ(v − origin)
    DoubleDouble second;  // Σ(v − origin)²
    double origin = 0;
    Sameness sameness;
    ErrorBound error;  // of `second`
    ErrorBound floor;  // what it was when this was made anew
  };
  static constexpr uint32_t kStateBytes = sizeof(State);
  static_assert(kStateBytes == 64);

  using TapeFolds::TapeFolds;
  bool Evaluate(Kernel kernel, size_t member, const Window& w, const SeriesWindow& series, double* out) const override;
  size_t HeapBytes() const override { return TapeFolds::HeapBytes() + states_.capacity() * sizeof(State); }

 protected:
  void Arrange(const std::vector<uint32_t>& from) override;
  void Clear(uint32_t member) override { states_[member] = {}; }
  void Add(uint32_t member, const TapeCell* cells, uint32_t row, int sign) override;
  void Replace(uint32_t member, const TapeCell* before, const TapeCell* after, uint32_t row) override;
  bool Worn(uint32_t member) const override;
  void Renewed(uint32_t member) override { states_[member].floor = states_[member].error; }

 private:
  std::vector<State> states_;
};

class TapeMoments final : public TapeFolds {
 public:
  struct State {
    __int128 xx = 0;
    DoubleDouble y;  // in units of fold::kMomentUnit
    DoubleDouble xy;
    int64_t x = 0;
    Sameness sameness;
    ErrorBound error;  // of `xy`
    ErrorBound floor;  // what it was when this was made anew
  };
  static constexpr uint32_t kStateBytes = sizeof(State);
  static_assert(kStateBytes == 80);

  using TapeFolds::TapeFolds;
  bool Evaluate(Kernel kernel, size_t member, const Window& w, const SeriesWindow& series, double* out) const override;
  size_t HeapBytes() const override { return TapeFolds::HeapBytes() + states_.capacity() * sizeof(State); }

 protected:
  void Arrange(const std::vector<uint32_t>& from) override;
  void Clear(uint32_t member) override { states_[member] = {}; }
  void Add(uint32_t member, const TapeCell* cells, uint32_t row, int sign) override;
  void Replace(uint32_t member, const TapeCell* before, const TapeCell* after, uint32_t row) override;
  bool Worn(uint32_t member) const override;
  void Renewed(uint32_t member) override { states_[member].floor = states_[member].error; }
  void Move(int64_t start_ms, const RowStore::Yield& yield) override;

 private:
  static void Fold(State* s, const TapeCell* cells, int64_t shift_ms, int sign);

  std::vector<State> states_;
  int64_t origin_ms_ = INT64_MIN;
  int64_t start_ms_ = 0;
};

}  // namespace weir::window
