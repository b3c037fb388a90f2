#pragma once
// Partial aggregates per pane, for series that deliver many samples between two cuts. A window is then a run of whole panes,
// and its state does not grow with the sample rate: sums are compensated pairs, moments are double-doubles about a fixed
// origin, minima and maxima are kept with their times. Non-finite samples are counted, never added. Each family is kept
// only if a plan asks for it. Agreement with Prometheus's sample-by-sample folds: last bits of a double (docs/DECISIONS.md).

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/window/double_double.h"

namespace weir::window {

enum AggregateFamily : uint8_t {
  kNoAggregates = 0,
  kSums = 1,         // sum, avg
  kExtremes = 2,     // min, max and their times
  kDeviations = 4,   // stddev, stdvar
  kRegressions = 8,  // deriv, predict_linear
};

class Panes {
 public:
  // `origin` is a value near the series': moments are taken about it.
  Panes(uint8_t families, int64_t base_ms, double origin) : families_(families), base_ms_(base_ms), origin_(origin) {}

  uint8_t families() const { return families_; }
  // Keeps these families from now on, too: their aggregates know no sample from before. What is kept stays kept.
  void AddFamilies(uint8_t families);
  // Adds a sample that is newer than all others; a new pane begins when the last sample is not after pane_start_ms.
  void Add(int64_t t_ms, double v, int64_t pane_start_ms);
  // Forgets panes whose newest sample is at or before t_ms.
  void EvictUntil(int64_t t_ms);
  size_t HeapBytes() const;
  // RETURNS: what one pane takes with these families.
  static size_t BytesPerPane(uint8_t families) {
    return sizeof(Head) + ((families & kSums) != 0 ? sizeof(DoubleDouble) : 0) +
           ((families & kExtremes) != 0 ? sizeof(ExtremePair) : 0) +
           ((families & kDeviations) != 0 ? sizeof(Deviation) : 0) +
           ((families & kRegressions) != 0 ? sizeof(Moments) : 0);
  }
  size_t size() const { return heads_.size() - first_; }

  // Aggregates of the panes whose samples lie in (start, end]. REQUIRES: both are cuts. RETURNS: false when there are none.
  bool Sum(int64_t start_ms, int64_t end_ms, double* sum) const;
  // The sum as a pair, and how many samples; a sum that is not finite is in `hi`.
  bool SumParts(int64_t start_ms, int64_t end_ms, DoubleDouble* sum, uint32_t* count) const;
  bool Average(int64_t start_ms, int64_t end_ms, double* average) const;
  struct Extreme {
    double v = 0;
    int64_t t_ms = 0;
  };
  bool Min(int64_t start_ms, int64_t end_ms, Extreme* out) const;
  bool Max(int64_t start_ms, int64_t end_ms, Extreme* out) const;
  bool Variance(int64_t start_ms, int64_t end_ms, double* out) const;
  // How many samples. RETURNS: whether all are finite.
  bool CountFinite(int64_t start_ms, int64_t end_ms, uint32_t* count) const;
  // Σv and Σ(v − mean)². RETURNS: false when there are none. REQUIRES: only of finite samples (Finite).
  bool DeviationParts(int64_t start_ms, int64_t end_ms, DoubleDouble* sum, DoubleDouble* squares) const;
  // Of times x in milliseconds after start_ms.
  struct MomentSums {
    int64_t x = 0;
    __int128 xx = 0;
    DoubleDouble y;  // in units of `unit`: Σxy of the largest is then finite
    DoubleDouble xy;
  };
  MomentSums MomentParts(int64_t start_ms, int64_t end_ms, double unit) const;
  // Least squares; the intercept is at origin_ms. RETURNS: false with fewer than two samples.
  bool Regression(int64_t start_ms, int64_t end_ms, int64_t origin_ms, double* slope_per_s, double* intercept) const;

 private:
  struct Head {
    uint32_t last_dt_ms;  // newest sample, after base_ms_
    uint32_t count;
    uint32_t nan : 30;
    uint32_t plus_inf : 1;
    uint32_t minus_inf : 1;
  };
  struct ExtremePair {
    double min, max;
    uint32_t min_dt_ms, max_dt_ms;
  };
  struct Deviation {
    DoubleDouble first, second;  // Σ(v − origin), Σ(v − origin)²
  };
  struct Moments {
    int64_t t;           // Σ dt in ms
    __int128 tt;         // Σ dt²
    DoubleDouble v, tv;  // Σ v, Σ dt·v
  };
  struct DeviationSums {
    __float128 first = 0;       // Σ(v − origin)
    __float128 about_mean = 0;  // Σ(v − mean)²
    uint64_t count = 0;
  };
  DeviationSums SumDeviations(size_t from, size_t to) const;
  // RETURNS: pane index range [from, to), of panes that all of `families` know.
  void Range(uint8_t families, int64_t start_ms, int64_t end_ms, size_t* from, size_t* to) const;
  // RETURNS: whether all samples are finite; else *out is the sum's NaN or infinity.
  bool Finite(size_t from, size_t to, double* out) const;
  void Compact();

  uint8_t families_;
  bool split_ = false;  // the next sample begins a pane: the open one lacks a family
  int64_t base_ms_;
  double origin_;
  std::array<size_t, 4> known_from_{};  // per family, by bit: the panes before it are unknown to it
  size_t first_ = 0;                    // panes before it are evicted; arrays are compacted now and then
  std::vector<Head> heads_;
  std::vector<DoubleDouble> sums_;
  std::vector<ExtremePair> extremes_;
  std::vector<Deviation> deviations_;
  std::vector<Moments> moments_;
};

}  // namespace weir::window
