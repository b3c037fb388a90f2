#pragma once
// The arithmetic of range functions over one window of one series, in Prometheus's order of operations (semantics 2.2–2.5),
// so that results are equal bit for bit. Pure functions over the ring; no allocation except where sorting needs a scratch.

#include <cstdint>
#include <limits>
#include <vector>

#include "core/model/kahan.h"
#include "core/window/series_window.h"

namespace weir::window {

using weir::KahanAdd;

// One window (start, end] of one series: ring indices of its first and last sample (stale markers never are either).
struct Window {
  const SeriesWindow* series = nullptr;
  uint32_t first = 0;
  uint32_t last = 0;
  int64_t start_ms = 0;
  int64_t end_ms = 0;
  int64_t eval_ms = 0;        // the evaluation time, without offset (predict_linear)
  int64_t lookback_ms = 0;    // anchored, smoothed
  bool reset_list = false;    // resets come from the side list, else from the records
  bool statistics = false;    // see ReadStatistics (rich_kernels.h)
  bool changes_list = false;  // changes come from the prefix counts, else from the records
  double param[2] = {0, 0};
  std::vector<double>* scratch = nullptr;  // of the caller, reused
  // The window's first sample, when the ring no longer has it (row_store.h); `first` is then the oldest one in the ring.
  struct Edge {
    int64_t t_ms = 0;
    double v = 0;
    uint32_t ordinal = 0;
    // Of bounded_rows.h: what resets lost until then, and what was dropped before the sample that may be the window's.
    double resets = 0;
    int64_t resets_until_ms = std::numeric_limits<int64_t>::min();
    bool merged = false;
    double mass_between = 0;
    uint32_t samples_between = 0;
  };
  bool on_tape = false;
  Edge edge;

  const Ring& ring() const { return series->ring(); }
  double range_s() const { return static_cast<double>(end_ms - start_ms) / 1000; }
  int64_t FirstTime() const { return on_tape ? edge.t_ms : ring().Time(first); }
  double FirstValue() const { return on_tape ? edge.v : ring().Value(first); }
  bool OneSample() const { return !on_tape && first == last; }
  uint32_t count() const {
    const uint32_t before = on_tape ? edge.ordinal : ring().At(first).ordinal();
    return ((ring().At(last).ordinal() - before) & Record::kOrdinalMask) + 1;
  }
  template <typename F>
  void ForEach(F f) const {
    const Ring& r = ring();
    for (uint32_t i = first; i <= last; ++i) {
      const Record& record = r.At(i);
      if (record.kind() != RecordKind::kStale) {
        f(r.Time(i), record.v);
      }
    }
  }
};

// Finds the samples of (start_ms, end_ms]; `cursor` as in Ring::FirstAfter. RETURNS: false when there are none.
bool FindWindow(const SeriesWindow& series, int64_t start_ms, int64_t end_ms, uint32_t* cursor, Window* out);

// RETURNS: whether the window has a result.
using Kernel = bool (*)(const Window&, double* out);

bool Rate(const Window& w, double* out);
bool Increase(const Window& w, double* out);
bool Delta(const Window& w, double* out);
bool Irate(const Window& w, double* out);
bool Idelta(const Window& w, double* out);
bool Changes(const Window& w, double* out);
bool Resets(const Window& w, double* out);
bool CountOverTime(const Window& w, double* out);
bool PresentOverTime(const Window& w, double* out);
bool FirstOverTime(const Window& w, double* out);
bool LastOverTime(const Window& w, double* out);
bool TsOfFirstOverTime(const Window& w, double* out);
bool TsOfLastOverTime(const Window& w, double* out);
bool SumOverTime(const Window& w, double* out);
bool AvgOverTime(const Window& w, double* out);
bool MinOverTime(const Window& w, double* out);
bool MaxOverTime(const Window& w, double* out);
bool TsOfMinOverTime(const Window& w, double* out);
bool TsOfMaxOverTime(const Window& w, double* out);
bool StddevOverTime(const Window& w, double* out);
bool StdvarOverTime(const Window& w, double* out);
bool QuantileOverTime(const Window& w, double* out);  // param[0]: q
bool MadOverTime(const Window& w, double* out);
bool Deriv(const Window& w, double* out);
bool PredictLinear(const Window& w, double* out);               // param[0]: seconds ahead
bool DoubleExponentialSmoothing(const Window& w, double* out);  // param: smoothing factor, trend factor

// anchored and smoothed (semantics 4.3). The window must have been found over (start − lookback, end] or, smoothed,
// (start − lookback, end + lookback]; start_ms and end_ms are the window's own.
bool AnchoredRate(const Window& w, double* out);
bool AnchoredIncrease(const Window& w, double* out);
bool AnchoredDelta(const Window& w, double* out);
bool AnchoredChanges(const Window& w, double* out);
bool AnchoredResets(const Window& w, double* out);
bool SmoothedRate(const Window& w, double* out);
bool SmoothedIncrease(const Window& w, double* out);
bool SmoothedDelta(const Window& w, double* out);

// Prometheus's quantile of a multiset, NaN smallest (semantics 2.5); sorts `values`.
double Quantile(double q, std::vector<double>* values);

}  // namespace weir::window
