#include "core/window/series_window.h"

#include <algorithm>
#include <cmath>

namespace weir::window {
namespace {

bool Changed(double previous, double current) {
  return current != previous && !(std::isnan(current) && std::isnan(previous));
}

bool SameLayout(const FloatHistogram& a, const FloatHistogram& b) {
  return a.schema == b.schema && a.zero_threshold == b.zero_threshold && a.custom_values == b.custom_values;
}

}  // namespace

bool IsStartReset(int64_t previous_start_ms, int64_t previous_t_ms, int64_t start_ms, int64_t t_ms) {
  if (previous_start_ms == start_ms || start_ms == 0 || start_ms >= t_ms || start_ms < previous_t_ms) {
    return false;
  }
  if (start_ms > previous_t_ms) {
    return true;
  }
  // The start is the time of the sample before: a delta series, unless that sample's own start is not known.
  return previous_start_ms != 0 && previous_start_ms < previous_t_ms;
}

bool IsStartOverlap(int64_t previous_start_ms, int64_t previous_t_ms, int64_t start_ms) {
  return start_ms != 0 && start_ms < previous_t_ms && start_ms != previous_start_ms;
}

size_t SeriesWindow::HeapBytes() const {
  size_t bytes = ring_.HeapBytes();
  if (panes_) {
    bytes += sizeof(Panes) + panes_->HeapBytes();
  }
  if (side_) {
    bytes += sizeof(SideLists) + side_->resets.capacity() * sizeof(Reset) + side_->changes.capacity() * 4;
  }
  if (rich_) {
    bytes += sizeof(RichState) + rich_->histograms.capacity() * sizeof(HistogramRef) +
             (rich_->starts.capacity() + rich_->overlaps.capacity()) * sizeof(int64_t) +
             rich_->start_resets.capacity() * sizeof(Reset);
    for (const HistogramRef& h : rich_->histograms) {
      bytes += h ? h->Size() : 0;
    }
  }
  return bytes;
}

void SeriesWindow::Append(Profile& profile, int64_t t_ms, double v, int64_t start_ms) {
  if (rich_ || start_ms != 0) {
    AppendRich(profile, t_ms, v, nullptr, start_ms);
    return;
  }
  const bool stale = IsStaleNaN(v);
  if (profile.read) {
    counts_resets_ = profile.count_resets;
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
      const Incoming in{t_ms, v, ordinal_, kind, 0, false};
      if (!refilling_) {
        Keep(profile, in);
      } else {
        Push(profile, in);
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

void SeriesWindow::AppendHistogram(Profile& profile, int64_t t_ms, HistogramRef h, int64_t start_ms, bool as_read) {
  if (!as_read && h->hint != CounterResetHint::kGauge) {
    const FloatHistogram* previous = last_histogram() == nullptr ? nullptr : rich_->last.get();
    auto read = std::make_shared<FloatHistogram>(*h);
    read->hint = h->HintAfter(previous);
    h = std::move(read);
  }
  AppendRich(profile, t_ms, 0, std::move(h), start_ms);
}

void SeriesWindow::BecomeRich(const Profile& profile) {
  rich_ = std::make_unique<RichState>();
  for (uint32_t i = ring_.size(); i-- > 0;) {
    if (ring_.At(i).kind() != RecordKind::kStale) {
      rich_->last_real_t_ms = ring_.Time(i);
      break;
    }
  }
  if (panes_) {
    panes_.reset();  // aggregates are of floats alone: from here on every sample is kept
    if (profile.thinning != Thinning::kEdges && !refilling_) {
      refilling_ = true;
      complete_since_ms_ = last_t_ms_;
    }
  }
}

void SeriesWindow::AppendRich(Profile& profile, int64_t t_ms, double v, HistogramRef h, int64_t start_ms) {
  if (!rich_) {
    BecomeRich(profile);
  }
  RichState& rich = *rich_;
  const bool stale = !h && IsStaleNaN(v);
  bool reset = false;
  bool start_reset = false;
  bool changed = false;
  bool pinned = false;
  if (!stale && ordinal_ > 0) {
    if ((h == nullptr) != (rich.last == nullptr)) {
      reset = changed = pinned = true;
    } else {
      start_reset = IsStartReset(rich.last_start_ms, rich.last_real_t_ms, start_ms, t_ms);
      if (h) {
        reset = h->DetectReset(*rich.last);
        changed = !h->Equals(*rich.last);
        pinned = reset || start_reset || !SameLayout(*h, *rich.last) ||
                 (h->hint == CounterResetHint::kGauge) != (rich.last->hint == CounterResetHint::kGauge);
      } else {
        reset = v < last_real_v_;
        changed = Changed(last_real_v_, v);
      }
      if (IsStartOverlap(rich.last_start_ms, rich.last_real_t_ms, start_ms)) {
        rich.overlaps.push_back(t_ms);
      }
    }
  }
  if (profile.read) {
    counts_resets_ = profile.count_resets;
    if (profile.count_resets && reset) {
      side().resets.push_back({t_ms, last_real_v_});
    } else if (profile.count_resets && start_reset) {
      rich.start_resets.push_back({t_ms, last_real_v_});
    }
    thinned_ = thinned_ || profile.thinning == Thinning::kEdges;
    if (thinned_ && profile.count_changes && changed) {
      ++side().changes_seen;
    }
    if (pinned) {
      for (uint32_t i = ring_.size(); i-- > 0;) {
        if (ring_.At(i).kind() != RecordKind::kStale) {
          ring_.Pin(i);
          break;
        }
      }
    }
    Incoming in{t_ms, v, ordinal_, stale ? RecordKind::kStale : RecordKind::kFloat, start_ms, pinned};
    if (h) {
      in.kind = RecordKind::kHistogram;
      size_t place = rich.histograms.size();
      if (rich.free_places.empty()) {
        rich.histograms.push_back(h);
      } else {
        place = rich.free_places.back();
        rich.free_places.pop_back();
        rich.histograms[place] = h;
      }
      in.v = std::bit_cast<double>(uint64_t{place});
    }
    if (thinned_ && !refilling_) {
      Keep(profile, in);
    } else {
      Push(profile, in);
    }
    Evict(profile);
  }
  last_t_ms_ = t_ms;
  last_v_ = h ? 0 : v;
  if (!stale) {
    rich.last_real_t_ms = t_ms;
    rich.last_start_ms = start_ms;
    last_real_v_ = h ? 0 : v;
    rich.last = std::move(h);
    ++ordinal_;
  }
  ++profile.version;
}

// A pane keeps its first sample, its newest `last_kept` ones, what is pinned, and a stale marker while it is the newest of all.
void SeriesWindow::Keep(Profile& profile, const Incoming& in) {
  const int64_t pane_start = profile.PaneStart(in.t_ms);
  if (!ring_.empty() && ring_.At(ring_.size() - 1).kind() == RecordKind::kStale &&
      ring_.Time(ring_.size() - 1) > pane_start) {
    Remove(profile, 0);  // no cut lies between the marker and this sample: nobody will see it
  }
  if (in.kind != RecordKind::kStale) {
    uint32_t in_pane = 0;
    while (in_pane <= profile.last_kept && in_pane < ring_.size() &&
           ring_.Time(ring_.size() - 1 - in_pane) > pane_start) {
      ++in_pane;
    }
    if (in_pane > profile.last_kept && !ring_.At(ring_.size() - profile.last_kept).pinned()) {
      Remove(profile, profile.last_kept - 1);
    }
  }
  Push(profile, in);
}

void SeriesWindow::Push(const Profile& profile, const Incoming& in) {
  if (rich_ && (in.start_ms != 0 || !rich_->starts.empty())) {
    rich_->starts.resize(ring_.size());
    rich_->starts.push_back(in.start_ms);
  }
  ring_.Push(in.t_ms, in.v, in.ordinal, in.kind);
  if (in.pinned) {
    ring_.Pin(ring_.size() - 1);
  }
  if (thinned_ && profile.count_changes) {
    side().changes.push_back(side().changes_seen);
  }
}

void SeriesWindow::Remove(const Profile& profile, uint32_t from_end) {
  FreePlace(ring_.At(ring_.size() - 1 - from_end));
  if (rich_ && !rich_->starts.empty()) {
    rich_->starts.erase(rich_->starts.end() - 1 - from_end);
  }
  if (thinned_ && profile.count_changes) {
    side().changes.erase(side().changes.end() - 1 - from_end);
  }
  if (from_end == 0) {
    ring_.PopNewest();
  } else {
    ring_.RemoveFromEnd(from_end);
  }
}

void SeriesWindow::FreePlace(const Record& record) {
  if (record.kind() == RecordKind::kHistogram) {
    const auto place = static_cast<uint32_t>(std::bit_cast<uint64_t>(record.v));
    rich_->histograms[place].reset();
    rich_->free_places.push_back(place);
  }
}

bool SeriesWindow::ChangedBetween(uint32_t before, uint32_t i) const {
  const Record& a = ring_.At(before);
  const Record& b = ring_.At(i);
  if (a.kind() != b.kind()) {
    return true;
  }
  return a.kind() == RecordKind::kHistogram ? !HistogramOf(b)->Equals(*HistogramOf(a)) : Changed(a.v, b.v);
}

bool SeriesWindow::ResetBetween(uint32_t before, uint32_t i) const {
  const Record& a = ring_.At(before);
  const Record& b = ring_.At(i);
  if (a.kind() != b.kind()) {
    return true;
  }
  return a.kind() == RecordKind::kHistogram ? HistogramOf(b)->DetectReset(*HistogramOf(a)) : b.v < a.v;
}

std::vector<uint32_t> SeriesWindow::CountChanges(uint32_t seen) const {
  std::vector<uint32_t> counts;
  int64_t before = -1;
  for (uint32_t i = 0; i < ring_.size(); ++i) {
    if (ring_.At(i).kind() != RecordKind::kStale) {
      seen += before >= 0 && ChangedBetween(static_cast<uint32_t>(before), i) ? 1 : 0;
      before = i;
    }
    counts.push_back(seen);
  }
  return counts;
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
  std::vector<uint32_t> changes;  // seen up to and including each record
  if (profile.count_changes) {
    changes = CountChanges(side().changes_seen);
    side().changes.clear();
  }
  Ring raw = std::move(ring_);
  ring_ = Ring();
  std::vector<int64_t> starts;
  if (rich_) {
    starts.swap(rich_->starts);
  }
  thinned_ = true;
  for (uint32_t i = 0; i < raw.size(); ++i) {
    const Record& record = raw.At(i);
    if (record.kind() != RecordKind::kStale && profile.aggregates != kNoAggregates && !rich_) {
      if (!panes_) {
        panes_ = std::make_unique<Panes>(profile.aggregates, raw.Time(i), std::isfinite(record.v) ? record.v : 0);
      }
      panes_->Add(raw.Time(i), record.v, profile.PaneStart(raw.Time(i)));
    }
    if (profile.count_changes) {
      side().changes_seen = changes[i];
    }
    Keep(profile,
         {raw.Time(i), record.v, record.ordinal(), record.kind(), starts.empty() ? 0 : starts[i], record.pinned()});
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
    FreePlace(ring_.At(0));
    ring_.PopOldest();
    ++evicted;
  }
  if (evicted == 0) {
    return;
  }
  if (rich_) {
    if (!rich_->starts.empty()) {
      rich_->starts.erase(rich_->starts.begin(), rich_->starts.begin() + evicted);
    }
    std::erase_if(rich_->overlaps, [&](int64_t t_ms) { return t_ms <= profile.low_range_ms; });
    std::erase_if(rich_->start_resets, [&](const Reset& r) { return r.t_ms <= profile.low_range_ms; });
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
  const Record newest = ring_.At(ring_.size() - 1);
  FreePlace(newest);
  ring_.PopNewest();
  if (newest.kind() != RecordKind::kStale) {
    --ordinal_;
  }
  const bool none = ring_.empty();
  last_t_ms_ = none ? std::numeric_limits<int64_t>::min() : ring_.Time(ring_.size() - 1);
  last_v_ = none ? 0 : ring_.Value(ring_.size() - 1);
  if (!rich_) {
    return;
  }
  rich_->last = nullptr;
  for (uint32_t i = ring_.size(); i-- > 0;) {
    const Record& record = ring_.At(i);
    if (record.kind() != RecordKind::kStale) {
      rich_->last = record.kind() == RecordKind::kHistogram ? HistogramOf(record) : nullptr;
      rich_->last_real_t_ms = ring_.Time(i);
      break;
    }
  }
  if (!none && ring_.At(ring_.size() - 1).kind() == RecordKind::kHistogram) {
    last_v_ = 0;
  }
}

void SeriesWindow::Adopt(Profile& profile) {
  if (!profile.read) {
    Clear();
    return;
  }
  if (profile.count_resets && !counts_resets_) {
    if (side_) {
      side_->resets.clear();
    }
    if (rich_) {
      rich_->start_resets.clear();
    }
    int64_t before = -1;
    for (uint32_t i = 0; i < ring_.size(); ++i) {
      if (ring_.At(i).kind() == RecordKind::kStale) {
        continue;
      }
      if (before >= 0) {
        const auto previous = static_cast<uint32_t>(before);
        const Reset reset{ring_.Time(i), ring_.Value(previous)};
        if (ResetBetween(previous, i)) {
          side().resets.push_back(reset);
        } else if (rich_ && IsStartReset(StartOf(previous), ring_.Time(previous), StartOf(i), ring_.Time(i))) {
          rich_->start_resets.push_back(reset);
        }
      }
      before = i;
    }
  }
  counts_resets_ = profile.count_resets;
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
  } else if (rich_ && thinned_ && profile.thinning == Thinning::kDense && !refilling_) {
    refilling_ = true;
    complete_since_ms_ = last_t_ms_;
  } else if (!rich_ && thinned_ && profile.thinning == Thinning::kDense && profile.aggregates != kNoAggregates) {
    panes_ = std::make_unique<Panes>(profile.aggregates, std::max(last_t_ms_, int64_t{0}),
                                     std::isfinite(last_real_v_) ? last_real_v_ : 0);
  }
  if (!profile.count_changes && side_) {
    side_->changes.clear();  // not counted on: a later plan starts a new list
  }
  if (profile.count_changes && thinned_ && side().changes.size() != ring_.size()) {
    SideLists& lists = side();
    lists.changes = CountChanges(lists.changes_seen);
    lists.changes_seen = lists.changes.empty() ? lists.changes_seen : lists.changes.back();
  }
}

void SeriesWindow::Clear() {
  ring_.Clear();
  side_.reset();
  panes_.reset();
  rich_.reset();
  thinned_ = false;
  counts_resets_ = false;
  refilling_ = false;
  complete_since_ms_ = last_t_ms_;
}

}  // namespace weir::window
