#pragma once
// The windowed state of one series: newest sample, kept-sample ring, and the side lists of resets and changes that a
// thinned ring needs. Append is the per-sample path: no allocation except when the ring grows, no label, no hash.
// A series becomes "rich" with its first histogram or start timestamp; only then does it pay for them. A rich series keeps,
// beside what its profile says, both samples around every reset and every change of type, layout or gauge flag of histograms:
// those are all that Prometheus's arithmetic looks at between the edges of a pane.

#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "core/model/histogram.h"
#include "core/model/sample.h"
#include "core/window/panes.h"
#include "core/window/profile.h"
#include "core/window/ring.h"

namespace weir::window {

// A counter reset: the sample at t_ms was below its predecessor, whose value was `previous`.
struct Reset {
  int64_t t_ms;
  double previous;
};

struct SideLists {
  std::vector<Reset> resets;  // in time order
  // Thinned: for every record of the ring, changes seen up to and including it.
  std::vector<uint32_t> changes;
  uint32_t changes_seen = 0;  // up to the newest sample
};

// What only series with histograms or start timestamps have.
struct RichState {
  std::vector<HistogramRef> histograms;  // by the place that a record names
  std::vector<uint32_t> free_places;
  std::vector<int64_t> starts;      // start timestamps of the ring's records, 0 unset; empty: none was ever set
  std::vector<Reset> start_resets;  // resets that only a start timestamp tells of
  std::vector<int64_t> overlaps;    // times of samples whose start lies before the sample before them
  HistogramRef last;                // newest sample that is no stale marker, if it is a histogram
  int64_t last_real_t_ms = 0;       // its time, whatever its type
  int64_t last_start_ms = 0;
};

// What few series have: one pointer in the others.
struct RareState {
  SideLists side;
  std::unique_ptr<Panes> panes;
  std::unique_ptr<RichState> rich;
  int64_t complete_since_ms = std::numeric_limits<int64_t>::min();
  uint32_t thin_at = kRawRecordsMax;  // kDense: records at which thinning is tried
};

// Semantics of start timestamps (Prometheus 3.15): whether a sample's start says that the counter began anew.
bool IsStartReset(int64_t previous_start_ms, int64_t previous_t_ms, int64_t start_ms, int64_t t_ms);
bool IsStartOverlap(int64_t previous_start_ms, int64_t previous_t_ms, int64_t start_ms);

class SeriesWindow {
 public:
  int64_t last_t_ms() const { return last_t_ms_; }
  double last_v() const { return last_v_; }
  const Ring& ring() const { return ring_; }
  const std::vector<Reset>* resets() const { return rare_ ? &rare_->side.resets : nullptr; }
  // RETURNS: whether the ring holds edges of panes only, at least in its older part.
  bool thinned() const { return Has(kThinned); }
  // RETURNS: the pane aggregates of a thinned series whose profile wants them, else null.
  const Panes* panes() const { return rare_ ? rare_->panes.get() : nullptr; }
  // RETURNS: the time after which every sample is known to functions that need all of them.
  int64_t complete_since_ms() const { return rare_ ? rare_->complete_since_ms : std::numeric_limits<int64_t>::min(); }
  // REQUIRES: thinned(), and the profile counts changes. RETURNS: changes seen up to the record with this ring index.
  uint32_t ChangesAt(uint32_t index) const { return rare_->side.changes[index]; }
  // The same of any series whose profile counts changes, by walking what is newer where the ring is not thinned. Wraps.
  uint32_t ChangesUntil(uint32_t index) const;
  // RETURNS: that of every record.
  std::vector<uint32_t> ChangesOfAll() const;
  size_t HeapBytes() const { return ring_.HeapBytes() + (rare_ ? RareBytes() : 0); }

  const RichState* rich() const { return rare_ ? rare_->rich.get() : nullptr; }
  // RETURNS: the newest sample, if it is a histogram.
  const HistogramRef* last_histogram() const {
    const RichState* r = rich();
    return r != nullptr && r->last && !IsStaleNaN(last_v_) ? &r->last : nullptr;
  }
  // REQUIRES: the record is a histogram.
  const HistogramRef& HistogramOf(const Record& record) const {
    return rare_->rich->histograms[std::bit_cast<uint64_t>(record.v)];
  }
  // RETURNS: the start timestamp of the newest sample, 0 when unset.
  int64_t last_start_ms() const { return rich() != nullptr ? rich()->last_start_ms : 0; }
  // RETURNS: the start timestamp of the record with this ring index, 0 when unset.
  int64_t StartOf(uint32_t index) const {
    return rich() != nullptr && !rich()->starts.empty() ? rich()->starts[index] : 0;
  }

  bool InOrder(int64_t t_ms) const { return t_ms > last_t_ms_; }
  // Asks for what Append will touch beside this object, which must be in the cache.
  void PrefetchAppend() const { ring_.PrefetchNewest(); }
  // REQUIRES: InOrder(t_ms).
  void Append(Profile& profile, int64_t t_ms, double v, int64_t start_ms = 0);
  // `as_read`: the hint is already what a query would see; otherwise it is set as Prometheus's storage does: of what came over
  // the wire only "gauge" counts, a counter that continues the sample before it is "not reset", anything else "unknown".
  void AppendHistogram(Profile& profile, int64_t t_ms, HistogramRef h, int64_t start_ms, bool as_read);
  struct Restored {
    int64_t t_ms;
    double v;
    uint32_t ordinal;
  };
  // Takes back what the ring has given to a tape, oldest first; what the ring still has is passed over. REQUIRES: no histogram.
  void Restore(const Profile& profile, const std::vector<Restored>& older);
  // Takes the newest sample back, so that another may take its place at the same time. REQUIRES: thinning is kNever, and the
  // series has a sample.
  void RetractNewest();
  // The series is kept by another profile from now on (plans came or went): what can be derived from the kept records for
  // it is derived; windows that start before this moment see only what was kept.
  void Adopt(Profile& profile);
  void Clear();

 private:
  struct Incoming {
    int64_t t_ms;
    double v;
    uint32_t ordinal;
    RecordKind kind;
    int64_t start_ms;
    bool pinned;
  };
  void AppendRich(Profile& profile, int64_t t_ms, double v, HistogramRef h, int64_t start_ms);
  void BecomeRich(const Profile& profile);
  void Keep(Profile& profile, const Incoming& in);
  void Push(const Profile& profile, const Incoming& in);
  // Removes the record that many places before the newest one, with all that belongs to it.
  void Remove(const Profile& profile, uint32_t from_end);
  void FreePlace(const Record& record);
  // Whether the record with ring index i differs from (begins anew after) the one with index `before`.
  bool ChangedBetween(uint32_t before, uint32_t i) const;
  bool ResetBetween(uint32_t before, uint32_t i) const;
  // RETURNS: for every record, `seen` and the changes up to and including it.
  std::vector<uint32_t> CountChanges(uint32_t seen) const;
  // kDense: turns the raw ring into edges and aggregates when it holds more than it may.
  void ThinIfMany(Profile& profile);
  // Turns a raw ring into edges and pane aggregates, if that is smaller or `forced`.
  void Thin(Profile& profile, bool forced);
  void Evict(const Profile& profile);
  void BecomeRaw();
  // Drops what panes that are over need no more: all but their first samples.
  void Compact(const Profile& profile);
  // The ring is full: lets go what is out of every window, compacts, or makes the ring larger.
  void MakeRoom(const Profile& profile);
  size_t RareBytes() const;
  // RETURNS: index of the newest record that is no stale marker, -1 when there is none.
  int64_t LastRealIndex() const;
  // RETURNS: whether the newest sample that is no stale marker is kept and a float.
  bool LastReal(double* v) const;
  // RETURNS: samples before the next one, stale markers not counted; 0 when none is kept.
  uint32_t NextOrdinal() const {
    if (ring_.empty()) {
      return 0;
    }
    const Record& newest = ring_.At(ring_.size() - 1);
    return newest.ordinal() + (newest.kind() == RecordKind::kStale ? 0 : 1);
  }

  enum Flag : uint32_t {
    kThinned = 1,
    kCountsResets = 2,  // the side list has every reset of what is kept
    kRefilling = 4,     // thinned, but every sample is kept since complete_since_ms: a plan that needs all came late
  };
  bool Has(Flag flag) const { return (ring_.flags() & flag) != 0; }
  void Set(Flag flag, bool on) { ring_.SetFlags(on ? ring_.flags() | flag : ring_.flags() & ~uint32_t{flag}); }
  RareState& rare() {
    if (!rare_) {
      rare_ = std::make_unique<RareState>();
    }
    return *rare_;
  }
  SideLists& side() { return rare().side; }
  RichState* mutable_rich() { return rare_ ? rare_->rich.get() : nullptr; }
  Panes* mutable_panes() { return rare_ ? rare_->panes.get() : nullptr; }

  int64_t last_t_ms_ = std::numeric_limits<int64_t>::min();
  double last_v_ = 0;  // bits of the newest sample, stale markers included
  Ring ring_;
  std::unique_ptr<RareState> rare_;
};
static_assert(sizeof(SeriesWindow) == 56, "with its labels and profile a series is one cache line");

}  // namespace weir::window
