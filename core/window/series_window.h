#pragma once
// The windowed state of one series: newest sample, kept-sample ring, and the side lists of resets and changes that a
// thinned ring needs. Append is the per-sample path: no allocation except when the ring grows, no label, no hash.

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

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
  uint32_t changes_seen = 0;
};

class SeriesWindow {
 public:
  int64_t last_t_ms() const { return last_t_ms_; }
  double last_v() const { return last_v_; }
  const Ring& ring() const { return ring_; }
  const std::vector<Reset>* resets() const { return side_ ? &side_->resets : nullptr; }
  // RETURNS: whether the ring holds edges of panes only, at least in its older part.
  bool thinned() const { return thinned_; }
  // RETURNS: the pane aggregates of a thinned series whose profile wants them, else null.
  const Panes* panes() const { return panes_.get(); }
  // RETURNS: the time after which every sample is known to functions that need all of them.
  int64_t complete_since_ms() const { return complete_since_ms_; }
  // REQUIRES: thinned(), and the profile counts changes. RETURNS: changes seen up to the record with this ring index.
  uint32_t ChangesAt(uint32_t index) const { return side_->changes[index]; }
  size_t HeapBytes() const;

  bool InOrder(int64_t t_ms) const { return t_ms > last_t_ms_; }
  // REQUIRES: InOrder(t_ms).
  void Append(Profile& profile, int64_t t_ms, double v);
  // Takes the newest sample back, so that another may take its place at the same time. REQUIRES: thinning is kNever, no
  // side lists, and the series has a sample.
  void RetractNewest();
  // The series is kept by another profile from now on (plans came or went): what can be derived from the kept records for
  // it is derived; windows that start before this moment see only what was kept.
  void Adopt(Profile& profile);
  void Clear();

 private:
  void Keep(Profile& profile, int64_t t_ms, double v, uint32_t ordinal, RecordKind kind);
  // Turns a raw ring into edges and pane aggregates, if that is smaller or `forced`.
  void Thin(Profile& profile, bool forced);
  void Evict(const Profile& profile);
  void BecomeRaw();
  SideLists& side() {
    if (!side_) {
      side_ = std::make_unique<SideLists>();
    }
    return *side_;
  }

  int64_t last_t_ms_ = std::numeric_limits<int64_t>::min();
  double last_v_ = 0;       // bits of the newest sample, stale markers included
  double last_real_v_ = 0;  // newest sample that is no stale marker
  Ring ring_;
  std::unique_ptr<SideLists> side_;
  std::unique_ptr<Panes> panes_;
  int64_t complete_since_ms_ = std::numeric_limits<int64_t>::min();
  uint32_t ordinal_ = 0;               // samples seen, stale markers not counted
  uint32_t thin_at_ = kRawRecordsMax;  // kDense: records at which thinning is tried
  bool thinned_ = false;
  bool refilling_ =
      false;  // thinned, but every sample is kept since complete_since_ms_: a plan that needs all came late
};

}  // namespace weir::window
