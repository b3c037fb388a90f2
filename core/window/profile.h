#pragma once
// What one class of series has to keep: the union of the demands of every selector that reads them. The cuts are the
// instants at which some window starts or ends; panes lie between cuts, left-open and right-closed. A profile is made
// in the structure phase; on a sample it answers "which pane" from a one-entry cache.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "core/base/cell_pool.h"

namespace weir::window {

class RowStore;

// What a cell of a tape holds, by what the function over the window looks at.
enum class TapeKind : unsigned char {
  kNone,        // more than a tape has
  kFirst,       // the first sample of the row; the newest sample of the window is in the ring
  kResets,      // the same, and every reset is known
  kChanges,     // as kFirst, but instead of its value how often the series had changed until then
  kSums,        // the sum of the row's samples
  kDeviations,  // that, and the squares of their deviations from their mean
  kMoments,     // the sum, and sums of times, their squares, and times times values
};

// Cuts at every k·interval + phase. UNITS: milliseconds.
struct CutPattern {
  int64_t interval_ms = 0;
  int64_t phase_ms = 0;  // in [0, interval)
  friend bool operator==(const CutPattern&, const CutPattern&) = default;
};

class CutSet {
 public:
  void AddPeriodic(int64_t interval_ms, int64_t phase_ms);
  void AddTime(int64_t t_ms);
  void Finish();  // sorts; REQUIRES: before PaneOf
  bool empty() const { return patterns_.empty() && times_.empty(); }
  size_t patterns() const { return patterns_.size(); }

  // Sets the pane (start, end] that t_ms falls into; without a cut on a side that side is ∓infinity.
  void PaneOf(int64_t t_ms, int64_t* start_ms, int64_t* end_ms) const;

 private:
  std::vector<CutPattern> patterns_;
  std::vector<int64_t> times_;
};

enum class Thinning : unsigned char {
  kNever,  // every sample, for as long as windows reach: order statistics, subquery results
  kDense,  // every sample while they are few; a series with many samples a pane keeps edges and pane aggregates
  kEdges,  // first and last of each pane (and stale markers that a cut can see)
};

// A kDense series may hold this many samples before it is thinned; up to here folds are Prometheus's own, bit for bit.
inline constexpr uint32_t kRawRecordsMax = 512;

struct Profile {
  CutSet cuts;
  Thinning thinning = Thinning::kEdges;
  uint8_t aggregates = 0;         // kDense: families of pane aggregates (panes.h)
  uint32_t last_kept = 1;         // thinned: how many newest samples of a pane stay (irate needs 2)
  uint32_t newest_kept = 0;       // how many newest samples stay however old they are
  bool count_resets = false;      // a side list of resets is needed
  bool count_changes = false;     // thinned: a prefix count of changes is needed
  bool anchored = false;          // some window reads the newest sample before its start
  bool read = false;              // some plan reads these series
  bool watched = false;           // some plan has trigger values for them
  bool written_by_rules = false;  // has had samples while a tick ran
  int64_t range_ms = 0;    // the longest offset + range: records at or before (floor − range) are out of every window
  int64_t instant_ms = 0;  // the longest offset of an instant: the newest record at (floor − instant) is still needed
  int64_t right_ms =
      0;  // the longest offset of a window's end: before (floor − right) only starts of windows are looked up
  // What takes over older rows of the series (row_store.h). Windows there leave `range_ms` to the others; a series with
  // histograms keeps what all of them need, and resets are kept for as long as any on tape looks back.
  std::vector<std::shared_ptr<RowStore>> row_stores;
  int64_t whole_range_ms = 0;
  int64_t resets_range_ms = 0;
  int64_t forget_ms = 0;            // a series silent for this long is invisible to every plan
  uint64_t version = 0;             // grows with every append to a series of this profile
  CellPool::Lane* cells = nullptr;  // of the rings of these series; null: the heap

  // The oldest time still to be evaluated is after floor_ms.
  void SetFloor(int64_t floor_ms) {
    low_range_ms = Minus(floor_ms, range_ms);
    low_instant_ms = Minus(floor_ms, instant_ms);
    low_right_ms = Minus(floor_ms, right_ms);
    low_whole_ms = Minus(floor_ms, whole_range_ms);
    low_resets_ms = Minus(floor_ms, resets_range_ms);
  }
  int64_t low_range_ms = std::numeric_limits<int64_t>::min();
  int64_t low_instant_ms = std::numeric_limits<int64_t>::min();
  int64_t low_right_ms = std::numeric_limits<int64_t>::min();
  int64_t low_whole_ms = std::numeric_limits<int64_t>::min();
  int64_t low_resets_ms = std::numeric_limits<int64_t>::min();
  int64_t taped_until_ms = std::numeric_limits<int64_t>::min();  // samples up to here must be told to row_stores

  // RETURNS: the start (exclusive) of the pane of t_ms.
  int64_t PaneStart(int64_t t_ms) {
    if (t_ms <= pane_start_ms || t_ms > pane_end_ms) {
      cuts.PaneOf(t_ms, &pane_start_ms, &pane_end_ms);
    }
    return pane_start_ms;
  }

 private:
  static int64_t Minus(int64_t a, int64_t b) {
    return a < std::numeric_limits<int64_t>::min() + b ? std::numeric_limits<int64_t>::min() : a - b;
  }
  int64_t pane_start_ms = 1;  // an empty pane: the first question asks the cuts
  int64_t pane_end_ms = 0;
};

}  // namespace weir::window
