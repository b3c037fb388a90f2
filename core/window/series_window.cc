#include "core/window/series_window.h"

#include <algorithm>
#include <cmath>

namespace weir::window {
namespace {

bool Changed(double previous, double current) {
  return current != previous && !(std::isnan(current) && std::isnan(previous));
}

}  // namespace

size_t SeriesWindow::HeapBytes() const {
  size_t bytes = ring_.HeapBytes();
  if (panes_) {
    bytes += sizeof(Panes) + panes_->HeapBytes();
  }
  if (side_) {
    bytes += sizeof(SideLists) + side_->resets.capacity() * sizeof(Reset) + side_->changes.capacity() * 4;
  }
  return bytes;
}

void SeriesWindow::Append(Profile& profile, int64_t t_ms, double v) {
  const bool stale = IsStaleNaN(v);
  if (profile.read) {
    if (profile.count_resets && !stale && ordinal_ > 0 && v < last_real_v_) {
      side().resets.push_back({t_ms, last_real_v_});
    }
    if (profile.thinning == Thinning::kEdges) {
      thinned_ = true;
    }
    const RecordKind kind = stale ? RecordKind::kStale : RecordKind::kFloat;
    if (!thinned_) {
      ring_.Push(t_ms, v, ordinal_, kind);
    } else {
      if (profile.count_changes && !stale && ordinal_ > 0 && Changed(last_real_v_, v)) {
        ++side().changes_seen;
      }
      if (panes_ && !stale) {
        panes_->Add(t_ms, v, profile.PaneStart(t_ms));
      }
      if (!refilling_) {
        Keep(profile, t_ms, v, ordinal_, kind);
      } else {
        ring_.Push(t_ms, v, ordinal_, kind);
        if (profile.count_changes) {
          side().changes.push_back(side().changes_seen);
        }
      }
    }
    Evict(profile);
    if (profile.thinning == Thinning::kDense && !thinned_ && ring_.size() > thin_at_) {
      Thin(profile, false);
    }
  }
  last_t_ms_ = t_ms;
  last_v_ = v;
  if (!stale) {
    last_real_v_ = v;
    ++ordinal_;
  }
  ++profile.version;
}

// A pane keeps its first sample, its newest `last_kept` ones, and a stale marker while it is the newest of all.
void SeriesWindow::Keep(Profile& profile, int64_t t_ms, double v, uint32_t ordinal, RecordKind kind) {
  const int64_t pane_start = profile.PaneStart(t_ms);
  const bool changes = profile.count_changes;
  if (!ring_.empty() && ring_.At(ring_.size() - 1).kind() == RecordKind::kStale &&
      ring_.Time(ring_.size() - 1) > pane_start) {
    ring_.PopNewest();  // no cut lies between the marker and this sample: nobody will see it
    if (changes) {
      side().changes.pop_back();
    }
  }
  if (kind != RecordKind::kStale) {
    uint32_t in_pane = 0;
    while (in_pane <= profile.last_kept && in_pane < ring_.size() &&
           ring_.Time(ring_.size() - 1 - in_pane) > pane_start) {
      ++in_pane;
    }
    if (in_pane > profile.last_kept) {
      ring_.RemoveFromEnd(profile.last_kept - 1);
      if (changes) {
        side().changes.erase(side().changes.end() - profile.last_kept);
      }
    }
  }
  ring_.Push(t_ms, v, ordinal, kind);
  if (changes) {
    side().changes.push_back(side().changes_seen);
  }
}

void SeriesWindow::Thin(Profile& profile, bool forced) {
  uint32_t panes = 0;
  int64_t pane_start = std::numeric_limits<int64_t>::max();
  for (uint32_t i = 0; i < ring_.size(); ++i) {
    int64_t start = profile.PaneStart(ring_.Time(i));
    panes += start != pane_start ? 1 : 0;
    pane_start = start;
  }
  if (!forced && ring_.size() < 4 * panes) {
    thin_at_ = 2 * ring_.size();  // samples are as rare as cuts: the raw ring is the smaller form
    return;
  }
  Ring raw = std::move(ring_);
  ring_ = Ring();
  thinned_ = true;
  if (profile.count_changes) {
    side().changes.clear();
  }
  double previous = 0;
  bool any = false;
  for (uint32_t i = 0; i < raw.size(); ++i) {
    const Record& record = raw.At(i);
    if (record.kind() != RecordKind::kStale) {
      if (profile.aggregates != kNoAggregates) {
        if (!panes_) {
          panes_ = std::make_unique<Panes>(profile.aggregates, raw.Time(i), std::isfinite(record.v) ? record.v : 0);
        }
        panes_->Add(raw.Time(i), record.v, profile.PaneStart(raw.Time(i)));
      }
      if (profile.count_changes && any && Changed(previous, record.v)) {
        ++side().changes_seen;
      }
      previous = record.v;
      any = true;
    }
    Keep(profile, raw.Time(i), record.v, record.ordinal(), record.kind());
  }
}

void SeriesWindow::Evict(const Profile& profile) {
  uint32_t evicted = 0;
  while (ring_.size() > 1 && ring_.Time(0) <= profile.low_range_ms && ring_.Time(1) <= profile.low_instant_ms) {
    // The newest sample before a window is its anchor, whatever stale marker comes after it.
    uint32_t next = 1;
    while (next < ring_.size() && ring_.At(next).kind() == RecordKind::kStale) {
      ++next;
    }
    if (next == ring_.size() || ring_.Time(next) > profile.low_instant_ms) {
      if (profile.anchored) {
        break;
      }
    }
    ring_.PopOldest();
    ++evicted;
  }
  if (evicted == 0) {
    return;
  }
  if (refilling_ && ring_.Time(0) > complete_since_ms_) {
    if (profile.count_changes && side_) {
      side_->changes.clear();
    }
    BecomeRaw();
  }
  if (panes_) {
    panes_->EvictUntil(profile.low_range_ms);
  }
  if (!side_) {
    return;
  }
  if (profile.count_changes && thinned_) {
    side_->changes.erase(side_->changes.begin(), side_->changes.begin() + evicted);
  }
  auto& resets = side_->resets;
  auto live = std::find_if(resets.begin(), resets.end(), [&](const Reset& r) { return r.t_ms > profile.low_range_ms; });
  resets.erase(resets.begin(), live);
}

// The thinned part is gone: what is left are all samples of their time.
void SeriesWindow::BecomeRaw() {
  thinned_ = false;
  refilling_ = false;
  panes_.reset();
}

void SeriesWindow::RetractNewest() {
  bool stale = ring_.At(ring_.size() - 1).kind() == RecordKind::kStale;
  ring_.PopNewest();
  if (!stale) {
    --ordinal_;
  }
  last_t_ms_ = ring_.empty() ? std::numeric_limits<int64_t>::min() : ring_.Time(ring_.size() - 1);
  last_v_ = ring_.empty() ? 0 : ring_.Value(ring_.size() - 1);
}

void SeriesWindow::Adopt(Profile& profile) {
  if (!profile.read) {
    Clear();
    return;
  }
  if (profile.count_resets && !side_) {
    double previous = 0;
    bool any = false;
    for (uint32_t i = 0; i < ring_.size(); ++i) {
      if (ring_.At(i).kind() == RecordKind::kStale) {
        continue;
      }
      if (any && ring_.Value(i) < previous) {
        side().resets.push_back({ring_.Time(i), previous});
      }
      previous = ring_.Value(i);
      any = true;
    }
  }
  if (profile.thinning == Thinning::kEdges && !thinned_) {
    Thin(profile, true);
  }
  if (profile.thinning != Thinning::kNever) {
    refilling_ = false;
  } else if (thinned_ && !refilling_) {
    refilling_ = true;  // what was thinned away is not known to functions that need all; the others keep their windows
    complete_since_ms_ = last_t_ms_;
  }
  if (thinned_ && panes_) {
    panes_->AddFamilies(profile.aggregates);
  } else if (thinned_ && profile.thinning == Thinning::kDense && profile.aggregates != kNoAggregates) {
    panes_ = std::make_unique<Panes>(profile.aggregates, std::max(last_t_ms_, int64_t{0}),
                                     std::isfinite(last_real_v_) ? last_real_v_ : 0);
  }
  if (!profile.count_changes && side_) {
    side_->changes.clear();  // not counted on: a later plan starts a new list
  }
  if (profile.count_changes && thinned_ && side().changes.size() != ring_.size()) {
    SideLists& lists = side();
    lists.changes.clear();
    double previous = 0;
    bool any = false;
    for (uint32_t i = 0; i < ring_.size(); ++i) {
      if (ring_.At(i).kind() != RecordKind::kStale) {
        if (any && Changed(previous, ring_.Value(i))) {
          ++lists.changes_seen;
        }
        previous = ring_.Value(i);
        any = true;
      }
      lists.changes.push_back(lists.changes_seen);
    }
  }
}

void SeriesWindow::Clear() {
  ring_.Clear();
  side_.reset();
  panes_.reset();
  thinned_ = false;
  refilling_ = false;
  complete_since_ms_ = last_t_ms_;
}

}  // namespace weir::window
