#pragma once
// The alert state machine of one alerting rule: inactive → pending → firing → resolved, by semantics 6.1–6.4. It knows
// labels by their interned ids, values and the evaluation time it is told, nothing of the engine or of templates, so tables of
// evaluations test it. Engine's thread only; an update costs a hash lookup for every element and a pass over the tracked alerts.
// Cost: some 110 bytes an alert, beside its label sets.

#include "core/base/status.h"
#include "core/model/label_set_places.h"
#include "core/model/labels.h"
#include "core/model/symbols.h"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace weir::rules {

enum class AlertState : unsigned char { kInactive, kPending, kFiring };
inline constexpr size_t kAlertStates = 3;
// RETURNS: "inactive", "pending", "firing".
std::string_view AlertStateText(AlertState state);

inline constexpr int64_t kNoTime = std::numeric_limits<int64_t>::min();
inline constexpr int64_t kResolvedRetentionMs = 15 * 60 * 1000;  // how long a resolved alert is kept and sent again

// What an evaluation says of one alert.
struct AlertElement {
  LabelSetId labels = kNoLabelSet;   // by which the alert is known: those of its ALERTS_FOR_STATE series
  LabelSetId element = kNoLabelSet;  // the labels of the result element, name included: what templates see
  double value = 0;
};

struct TrackedAlert {
  LabelSetId labels = kNoLabelSet;
  LabelSetId element = kNoLabelSet;
  double value = 0;
  int64_t active_at_ms = kNoTime;
  int64_t fired_at_ms = kNoTime;
  int64_t resolved_at_ms = kNoTime;
  int64_t keep_firing_since_ms = kNoTime;
  int64_t last_sent_at_ms = kNoTime;
  int64_t element_ts_ms = 0;

  // What templates have said of the element, where that cannot be asked of them later; null: they are asked.
  std::unique_ptr<const Labels> annotations;

  uint32_t seen = 0;  // the update that last had it in its result

  // Where its ALERTS and ALERTS_FOR_STATE samples go: kept by the rule while generation and state stay the same.
  uint32_t series_generation = 0;
  uint32_t alerts_series = 0;
  uint32_t for_state_series = 0;
  AlertState series_state = AlertState::kInactive;

  AlertState state = AlertState::kPending;
  bool gone = false;  // leaves the set at the end of the update
};

struct AlertTimings {
  int64_t for_ms = 0;
  int64_t keep_firing_for_ms = 0;
  uint64_t limit = 0;
};

class AlertSet {
 public:
  using MayYield = std::function<void(size_t done)>;

  AlertSet() = default;
  AlertSet(const AlertSet&) = delete;
  AlertSet& operator=(const AlertSet&) = delete;

  // Applies the result of the evaluation at `ts_ms`. ERRORS: kInvalid for two elements with equal labels, no state
  // changes then; kLimit `exceeded limit of N with M alerts`, every alert is forgotten then.
  // `may_yield` is called with how far a pass over elements or alerts is, while none of them is half done.
  Status Update(
      const std::vector<AlertElement>& elements, const AlertTimings& timings, int64_t ts_ms,
      const MayYield& may_yield = [](size_t) {});

  // Marks as sent, and returns, the alerts that are due at `ts_ms`: firing ones every resend delay, resolved ones at
  // once and then likewise. In order of creation.
  std::vector<TrackedAlert*> TakeDue(int64_t ts_ms, int64_t resend_delay_ms);

  // Every tracked alert in order of creation, resolved ones included. They stay where they are until the next Update.
  std::deque<TrackedAlert>& all() { return alerts_; }
  const std::deque<TrackedAlert>& all() const { return alerts_; }
  // RETURNS: null when it is not tracked.
  const TrackedAlert* Find(LabelSetId labels) const;
  // RETURNS: the highest state of any alert.
  AlertState State() const;
  size_t Count(AlertState state) const { return counts_[static_cast<size_t>(state)]; }
  size_t size() const { return alerts_.size(); }
  // RETURNS: roughly the memory held, without the label sets.
  size_t Bytes() const;
  // See engine::LabelHolder.
  void MarkLabels(LabelMarks* marks) const;
  // Takes over every alert of the same rule in a group that is replaced.
  void TakeFrom(AlertSet& old);

 private:
  // RETURNS: whether no two elements are of one alert. Those that are tracked are seen from now on.
  bool Distinct(const std::vector<AlertElement>& elements, const MayYield& may_yield);
  void Take(const AlertElement& element, int64_t ts_ms);
  // RETURNS: false when the alert is to be forgotten.
  bool Advance(TrackedAlert& alert, const AlertTimings& timings, int64_t ts_ms) const;
  void Clear();
  // Alerts that are gone leave.
  void CloseRanks(const MayYield& may_yield);
  void Reindex(const MayYield& may_yield);

  std::deque<TrackedAlert> alerts_;  // in order of creation
  LabelSetPlaces by_labels_;
  std::array<size_t, kAlertStates> counts_{};
  uint32_t updates_ = 0;
};

}  // namespace weir::rules
