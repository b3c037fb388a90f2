#include "core/window/profile.h"

#include <algorithm>

namespace weir::window {

void CutSet::AddPeriodic(int64_t interval_ms, int64_t phase_ms) {
  int64_t phase = phase_ms % interval_ms;
  CutPattern pattern{interval_ms, phase < 0 ? phase + interval_ms : phase};
  if (std::find(patterns_.begin(), patterns_.end(), pattern) == patterns_.end()) {
    patterns_.push_back(pattern);
  }
}

void CutSet::AddTime(int64_t t_ms) { times_.push_back(t_ms); }

void CutSet::Finish() {
  std::sort(times_.begin(), times_.end());
  times_.erase(std::unique(times_.begin(), times_.end()), times_.end());
}

void CutSet::PaneOf(int64_t t_ms, int64_t* start_ms, int64_t* end_ms) const {
  int64_t start = std::numeric_limits<int64_t>::min();
  int64_t end = std::numeric_limits<int64_t>::max();
  for (const CutPattern& p : patterns_) {
    int64_t distance = (t_ms - p.phase_ms) % p.interval_ms;  // behind the last cut at or before t
    if (distance <= 0) {
      distance += p.interval_ms;  // a sample on a cut belongs to the pane that ends there
    }
    start = std::max(start, t_ms - distance);
    end = std::min(end, t_ms - distance + p.interval_ms);
  }
  auto it = std::lower_bound(times_.begin(), times_.end(), t_ms);
  if (it != times_.end()) {
    end = std::min(end, *it);
  }
  if (it != times_.begin()) {
    start = std::max(start, *std::prev(it));
  }
  *start_ms = start;
  *end_ms = end;
}

}  // namespace weir::window
