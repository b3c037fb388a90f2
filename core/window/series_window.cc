#include "core/window/series_window.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace weir::window {
namespace {

constexpr uint32_t kCompactShare = 8;  // walking a ring must free one in so many of its records

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

size_t SeriesWindow::RareBytes() const {
  const SideLists& side = rare_->side;
  size_t bytes =
      sizeof(RareState) + side.resets.capacity() * sizeof(Reset) + side.changes.capacity() * sizeof(uint32_t);
  if (rare_->panes) {
    bytes += sizeof(Panes) + rare_->panes->HeapBytes();
  }
  if (const RichState* rich = rare_->rich.get()) {
    bytes += sizeof(RichState) + rich->histograms.capacity() * sizeof(HistogramRef) +
             (rich->starts.capacity() + rich->overlaps.capacity()) * sizeof(int64_t) +
             rich->start_resets.capacity() * sizeof(Reset);
    for (const HistogramRef& h : rich->histograms) {
      bytes += h ? h->Size() : 0;
    }
  }
  return bytes;
}

int64_t SeriesWindow::LastRealIndex() const {
  int64_t i = static_cast<int64_t>(ring_.size()) - 1;
  while (i >= 0 && ring_.At(static_cast<uint32_t>(i)).kind() == RecordKind::kStale) {
    --i;
  }
  return i;
}

bool SeriesWindow::LastReal(double* v) const {
  const int64_t i = LastRealIndex();
  if (i < 0 || ring_.At(static_cast<uint32_t>(i)).kind() == RecordKind::kHistogram) {
    return false;
  }
  *v = ring_.Value(static_cast<uint32_t>(i));
  return true;
}

void SeriesWindow::Append(Profile& profile, int64_t t_ms, double v, int64_t start_ms) {
  if (start_ms != 0 || rich() != nullptr) {
    AppendRich(profile, t_ms, v, nullptr, start_ms);
    return;
  }
  if (profile.read) {
    const bool stale = IsStaleNaN(v);
    if (Has(kCountsResets) != profile.count_resets) {
      Set(kCountsResets, profile.count_resets);
    }
    double previous = 0;
    uint32_t ordinal = 0;
    bool follows = false;
    if (!ring_.empty()) {
      const Record& newest = ring_.At(ring_.size() - 1);
      previous = newest.v;
      ordinal = newest.ordinal() + 1;
      follows = !stale;
      if (newest.kind() != RecordKind::kFloat) {
        ordinal = NextOrdinal();
        follows = LastReal(&previous) && !stale;
      }
    }
    if (profile.count_resets && follows && v < previous) {
      side().resets.push_back({t_ms, previous});
    }
    if (profile.thinning == Thinning::kEdges && !thinned()) {
      Set(kThinned, true);
    }
    if (profile.count_changes && follows && Changed(previous, v)) {
      ++side().changes_seen;
    }
    const Incoming in{t_ms, v, ordinal, stale ? RecordKind::kStale : RecordKind::kFloat, 0, false};
    if (!thinned()) {
      Push(profile, in);
    } else {
      if (Panes* panes = mutable_panes(); panes != nullptr && !stale) {
        panes->Add(t_ms, v, profile.PaneStart(t_ms));
      }
      if (!Has(kRefilling)) {
        Keep(profile, in);
      } else {
        Push(profile, in);
      }
    }
    if (profile.thinning == Thinning::kDense && !thinned() && ring_.size() > kRawRecordsMax) {
      ThinIfMany(profile);
    }
  }
  last_t_ms_ = t_ms;
  last_v_ = v;
  ++profile.version;
}

void SeriesWindow::AppendHistogram(Profile& profile, int64_t t_ms, HistogramRef h, int64_t start_ms, bool as_read) {
  if (!as_read && h->hint != CounterResetHint::kGauge) {
    const FloatHistogram* previous = last_histogram() == nullptr ? nullptr : rich()->last.get();
    auto read = std::make_shared<FloatHistogram>(*h);
    read->hint = h->HintAfter(previous);
    h = std::move(read);
  }
  AppendRich(profile, t_ms, 0, std::move(h), start_ms);
}

void SeriesWindow::BecomeRich(const Profile& profile) {
  RareState& own = rare();
  own.rich = std::make_unique<RichState>();
  if (const int64_t i = LastRealIndex(); i >= 0) {
    own.rich->last_real_t_ms = ring_.Time(static_cast<uint32_t>(i));
  }
  if (own.panes) {
    own.panes.reset();  // aggregates are of floats alone: from here on every sample is kept
    if (profile.thinning != Thinning::kEdges && !Has(kRefilling)) {
      Set(kRefilling, true);
      own.complete_since_ms = last_t_ms_;
    }
  }
}

void SeriesWindow::AppendRich(Profile& profile, int64_t t_ms, double v, HistogramRef h, int64_t start_ms) {
  if (rich() == nullptr) {
    BecomeRich(profile);
  }
  RichState& rich = *rare_->rich;
  const bool stale = !h && IsStaleNaN(v);
  bool reset = false;
  bool start_reset = false;
  bool changed = false;
  bool pinned = false;
  double previous = 0;
  const bool follows_float = LastReal(&previous);
  if (!stale && LastRealIndex() >= 0) {
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
        reset = follows_float && v < previous;
        changed = follows_float && Changed(previous, v);
      }
      if (IsStartOverlap(rich.last_start_ms, rich.last_real_t_ms, start_ms)) {
        rich.overlaps.push_back(t_ms);
      }
    }
  }
  if (profile.read) {
    Set(kCountsResets, profile.count_resets);
    if (profile.count_resets && reset) {
      side().resets.push_back({t_ms, previous});
    } else if (profile.count_resets && start_reset) {
      rich.start_resets.push_back({t_ms, previous});
    }
    if (profile.thinning == Thinning::kEdges) {
      Set(kThinned, true);
    }
    if (profile.count_changes && changed) {
      ++side().changes_seen;
    }
    if (const int64_t last = LastRealIndex(); pinned && last >= 0) {
      ring_.Pin(static_cast<uint32_t>(last));
    }
    Incoming in{t_ms, v, NextOrdinal(), stale ? RecordKind::kStale : RecordKind::kFloat, start_ms, pinned};
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
    if (thinned() && !Has(kRefilling)) {
      Keep(profile, in);
    } else {
      Push(profile, in);
    }
  }
  last_t_ms_ = t_ms;
  last_v_ = h ? 0 : v;
  if (!stale) {
    rich.last_real_t_ms = t_ms;
    rich.last_start_ms = start_ms;
    rich.last = std::move(h);
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
  if (ring_.full()) {
    MakeRoom(profile);
  }
  if (RichState* rich = mutable_rich(); rich != nullptr && (in.start_ms != 0 || !rich->starts.empty())) {
    rich->starts.resize(ring_.size());
    rich->starts.push_back(in.start_ms);
  }
  ring_.Push(in.t_ms, in.v, in.ordinal, in.kind, profile.cells);
  if (in.pinned) {
    ring_.Pin(ring_.size() - 1);
  }
  if (thinned() && profile.count_changes) {
    side().changes.push_back(side().changes_seen);
  }
}

// Old records leave when their place is needed and not before: a sample does not look at the far end of the ring.
void SeriesWindow::MakeRoom(const Profile& profile) {
  if (ring_.empty()) {
    return;
  }
  Evict(profile);
  if (ring_.full() && thinned() && !Has(kRefilling) && !profile.anchored && rich() == nullptr) {
    const uint32_t before = ring_.size();
    Compact(profile);
    if (before - ring_.size() < before / kCompactShare) {
      ring_.Grow(profile.cells);  // else every few samples would walk the ring again
    }
  }
  ring_.ShrinkIfSparse(profile.cells);
}

void SeriesWindow::Compact(const Profile& profile) {
  int64_t newest_past = ring_.LastAtOrBefore(profile.low_right_ms);
  for (uint32_t wanted = profile.last_kept; wanted > 0 && newest_past >= 0; --newest_past) {
    wanted -= ring_.At(static_cast<uint32_t>(newest_past)).kind() == RecordKind::kStale ? 0 : 1;
  }
  ++newest_past;  // from here on all stay
  int64_t pane_start = 0;
  int64_t pane_end = std::numeric_limits<int64_t>::min();
  const auto kept = [&](uint32_t i) {
    if (static_cast<int64_t>(i) >= newest_past) {
      return true;
    }
    const int64_t t = ring_.Time(i);
    if (ring_.At(i).kind() == RecordKind::kStale || t <= pane_end) {
      return false;
    }
    profile.cuts.PaneOf(t, &pane_start, &pane_end);
    return true;
  };
  if (!profile.count_changes) {
    ring_.Filter(kept);
    return;
  }
  std::vector<uint32_t>& changes = side().changes;
  size_t size = 0;
  ring_.Filter([&](uint32_t i) {
    const bool keep = kept(i);
    if (keep) {
      changes[size++] = changes[i];
    }
    return keep;
  });
  changes.resize(size);
}

void SeriesWindow::Remove(const Profile& profile, uint32_t from_end) {
  FreePlace(ring_.At(ring_.size() - 1 - from_end));
  if (RichState* rich = mutable_rich(); rich != nullptr && !rich->starts.empty()) {
    rich->starts.erase(rich->starts.end() - 1 - from_end);
  }
  if (thinned() && profile.count_changes) {
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
    rare_->rich->histograms[place].reset();
    rare_->rich->free_places.push_back(place);
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

uint32_t SeriesWindow::ChangesUntil(uint32_t index) const {
  if (thinned()) {
    return ChangesAt(index);
  }
  uint32_t newer = 0;
  int64_t before = -1;
  for (uint32_t i = index; i < ring_.size(); ++i) {
    if (ring_.At(i).kind() != RecordKind::kStale) {
      newer += before >= 0 && ChangedBetween(static_cast<uint32_t>(before), i) ? 1 : 0;
      before = i;
    }
  }
  return (rare_ ? rare_->side.changes_seen : 0) - newer;
}

std::vector<uint32_t> SeriesWindow::ChangesOfAll() const {
  if (thinned()) {
    return rare_->side.changes;
  }
  std::vector<uint32_t> counts = CountChanges(0);
  const uint32_t before = (rare_ ? rare_->side.changes_seen : 0) - (counts.empty() ? 0 : counts.back());
  for (uint32_t& count : counts) {
    count += before;
  }
  return counts;
}

void SeriesWindow::ThinIfMany(Profile& profile) {
  if (rare_ && ring_.size() <= rare_->thin_at) {
    return;
  }
  Evict(profile);
  if (ring_.size() > (rare_ ? rare_->thin_at : kRawRecordsMax)) {
    Thin(profile, false);
  }
}

void SeriesWindow::Thin(Profile& profile, bool forced) {
  uint32_t in_panes = 0;
  int64_t pane_start = std::numeric_limits<int64_t>::max();
  for (uint32_t i = 0; i < ring_.size(); ++i) {
    int64_t start = profile.PaneStart(ring_.Time(i));
    in_panes += start != pane_start ? 1 : 0;
    pane_start = start;
  }
  if (!forced && ring_.size() < 4 * in_panes) {
    rare().thin_at = 2 * ring_.size();  // samples are as rare as cuts: the raw ring is the smaller form
    return;
  }
  std::vector<uint32_t> changes;  // seen up to and including each record
  if (profile.count_changes) {
    changes = ChangesOfAll();
    side().changes.clear();
  }
  const uint32_t flags = ring_.flags();
  Ring raw = std::move(ring_);
  ring_ = Ring();
  ring_.SetFlags(flags);
  Set(kThinned, true);
  std::vector<int64_t> starts;
  if (RichState* rich = mutable_rich()) {
    starts.swap(rich->starts);
  }
  for (uint32_t i = 0; i < raw.size(); ++i) {
    const Record& record = raw.At(i);
    if (record.kind() != RecordKind::kStale && profile.aggregates != kNoAggregates && rich() == nullptr) {
      if (panes() == nullptr) {
        rare().panes = std::make_unique<Panes>(profile.aggregates, raw.Time(i), std::isfinite(record.v) ? record.v : 0);
      }
      rare_->panes->Add(raw.Time(i), record.v, profile.PaneStart(raw.Time(i)));
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
  const int64_t low_range_ms = rich() != nullptr ? profile.low_whole_ms : profile.low_range_ms;
  // The newest sample before a window is its anchor, whatever stale marker comes after it; row stores have the first samples, the
  // ring has the last.
  const uint32_t stay = std::max(profile.newest_kept, profile.anchored || !profile.row_stores.empty() ? 1U : 0U);
  while (ring_.size() > 1 && ring_.Time(0) <= low_range_ms && ring_.Time(1) <= profile.low_instant_ms) {
    uint32_t after = 0;  // samples that stay if the oldest record goes
    for (uint32_t i = 1; after < stay && i < ring_.size() && ring_.Time(i) <= profile.low_instant_ms; ++i) {
      after += ring_.At(i).kind() == RecordKind::kStale ? 0 : 1;
    }
    if (after < stay) {
      break;
    }
    FreePlace(ring_.At(0));
    ring_.PopOldest();
    ++evicted;
  }
  if (evicted == 0 || !rare_) {
    return;
  }
  if (RichState* rich = rare_->rich.get()) {
    if (!rich->starts.empty()) {
      rich->starts.erase(rich->starts.begin(), rich->starts.begin() + evicted);
    }
    std::erase_if(rich->overlaps, [&](int64_t t_ms) { return t_ms <= profile.low_whole_ms; });
    std::erase_if(rich->start_resets, [&](const Reset& r) { return r.t_ms <= profile.low_whole_ms; });
  }
  if (Has(kRefilling) && ring_.Time(0) > rare_->complete_since_ms) {
    if (profile.count_changes) {
      rare_->side.changes.clear();
    }
    BecomeRaw();
  }
  if (rare_->panes) {
    rare_->panes->EvictUntil(profile.low_range_ms);
  }
  if (profile.count_changes && thinned()) {
    rare_->side.changes.erase(rare_->side.changes.begin(), rare_->side.changes.begin() + evicted);
  }
  auto& resets = rare_->side.resets;
  // One that the sample on its way brings has not been told to anybody.
  const int64_t low_resets_ms = std::min(last_t_ms_, rich() != nullptr ? profile.low_whole_ms : profile.low_resets_ms);
  auto live = std::find_if(resets.begin(), resets.end(), [&](const Reset& r) { return r.t_ms > low_resets_ms; });
  resets.erase(resets.begin(), live);
}

// The thinned part is gone: what is left are all samples of their time.
void SeriesWindow::BecomeRaw() {
  Set(kThinned, false);
  Set(kRefilling, false);
  rare_->panes.reset();
}

void SeriesWindow::Restore(const Profile& profile, const std::vector<Restored>& older) {
  Ring ring;
  for (const Restored& r : older) {
    if (ring_.empty() || r.t_ms < ring_.Time(0)) {
      ring.Push(r.t_ms, r.v, r.ordinal, RecordKind::kFloat, profile.cells);
    }
  }
  if (ring.empty()) {
    return;
  }
  const uint32_t restored = ring.size();
  for (uint32_t i = 0; i < ring_.size(); ++i) {
    const Record& record = ring_.At(i);
    ring.Push(ring_.Time(i), record.v, record.ordinal(), record.kind(), profile.cells);
  }
  ring.SetFlags(ring_.flags());
  ring_ = std::move(ring);
  if (thinned() && profile.count_changes) {
    // Changes before what was kept are not counted by any window.
    auto& changes = side().changes;
    changes.insert(changes.begin(), restored, changes.empty() ? side().changes_seen : changes.front());
  }
}

void SeriesWindow::RetractNewest() {
  if (rare_) {
    SideLists& lists = rare_->side;
    if (!lists.resets.empty() && lists.resets.back().t_ms == last_t_ms_) {
      lists.resets.pop_back();
    }
    if (ring_.size() > 1 && ChangesUntil(ring_.size() - 1) != ChangesUntil(ring_.size() - 2)) {
      --lists.changes_seen;
    }
  }
  FreePlace(ring_.At(ring_.size() - 1));
  ring_.PopNewest();
  const bool none = ring_.empty();
  last_t_ms_ = none ? std::numeric_limits<int64_t>::min() : ring_.Time(ring_.size() - 1);
  last_v_ = none ? 0 : ring_.Value(ring_.size() - 1);
  RichState* rich = mutable_rich();
  if (rich == nullptr) {
    return;
  }
  rich->last = nullptr;
  if (const int64_t i = LastRealIndex(); i >= 0) {
    const Record& record = ring_.At(static_cast<uint32_t>(i));
    rich->last = record.kind() == RecordKind::kHistogram ? HistogramOf(record) : nullptr;
    rich->last_real_t_ms = ring_.Time(static_cast<uint32_t>(i));
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
  if (profile.count_resets && !Has(kCountsResets)) {
    if (rare_) {
      rare_->side.resets.clear();
    }
    if (RichState* rich = mutable_rich()) {
      rich->start_resets.clear();
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
        } else if (rich() != nullptr &&
                   IsStartReset(StartOf(previous), ring_.Time(previous), StartOf(i), ring_.Time(i))) {
          rare_->rich->start_resets.push_back(reset);
        }
      }
      before = i;
    }
  }
  Set(kCountsResets, profile.count_resets);
  if (profile.thinning == Thinning::kEdges && !thinned()) {
    Thin(profile, true);
  }
  const auto refill = [this] {
    Set(kRefilling, true);
    rare().complete_since_ms = last_t_ms_;
  };
  if (profile.thinning != Thinning::kNever) {
    Set(kRefilling, false);
  } else if (thinned() && !Has(kRefilling)) {
    refill();  // what was thinned away is not known to functions that need all; the others keep their windows
  }
  if (thinned() && panes() != nullptr) {
    rare_->panes->AddFamilies(profile.aggregates);
  } else if (thinned() && profile.thinning == Thinning::kDense) {
    if (rich() != nullptr && !Has(kRefilling)) {
      refill();
    } else if (rich() == nullptr && profile.aggregates != kNoAggregates) {
      double origin = 0;
      origin = LastReal(&origin) && std::isfinite(origin) ? origin : 0;
      rare().panes = std::make_unique<Panes>(profile.aggregates, std::max(last_t_ms_, int64_t{0}), origin);
    }
  }
  if (!profile.count_changes && rare_) {
    rare_->side.changes.clear();  // not counted on: a later plan starts a new list
  }
  if (profile.count_changes && thinned() && side().changes.size() != ring_.size()) {
    SideLists& lists = side();
    lists.changes = CountChanges(lists.changes_seen);
    lists.changes_seen = lists.changes.empty() ? lists.changes_seen : lists.changes.back();
  }
}

void SeriesWindow::Clear() {
  ring_.Clear();
  ring_.SetFlags(0);
  rare_.reset();
}

}  // namespace weir::window
