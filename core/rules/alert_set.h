#pragma once
// The alert state machine of one alerting rule: inactive → pending → firing → resolved, by semantics 6.1–6.4. It knows
// labels, values and the evaluation time it is told, nothing of the engine or of templates, so tables of evaluations
// test it. Engine's thread only; an update costs a hash lookup for every element and a pass over the tracked alerts.

#include "core/base/status.h"
#include "core/model/labels.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace weir::rules {

enum class AlertState : unsigned char { kInactive, kPending, kFiring };
// RETURNS: "inactive", "pending", "firing".
std::string_view AlertStateText(AlertState state);

inline constexpr int64_t kNoTime = std::numeric_limits<int64_t>::min();
inline constexpr int64_t kResolvedRetentionMs = 15 * 60 * 1000;  // how long a resolved alert is kept and sent again

// An alert's labels with their hash, made once per result element and shared.
struct AlertLabels {
  Labels labels;
  uint64_t hash = 0;
};

// What an evaluation says of one alert.
struct AlertElement {
  std::shared_ptr<const AlertLabels> identity;
  std::shared_ptr<const Labels> element;  // the labels of the result element, name included: what templates see
  double value = 0;
};

struct TrackedAlert {
  std::shared_ptr<const AlertLabels> identity;
  AlertState state = AlertState::kPending;
  double value = 0;
  int64_t active_at_ms = kNoTime;
  int64_t fired_at_ms = kNoTime;
  int64_t resolved_at_ms = kNoTime;
  int64_t keep_firing_since_ms = kNoTime;
  int64_t last_sent_at_ms = kNoTime;
  int64_t valid_until_ms = kNoTime;

  // Annotations are expanded when somebody needs them; until then these say from what.
  std::shared_ptr<const Labels> element;
  int64_t element_ts_ms = 0;
  bool annotations_current = false;
  Labels annotations;

  uint64_t seen = 0;   // the update that last had it in its result
  uint64_t order = 0;  // of creation

  // Where its ALERTS and ALERTS_FOR_STATE samples go: kept by the rule while generation and state stay the same.
  uint64_t series_generation = 0;
  AlertState series_state = AlertState::kInactive;
  uint32_t alerts_series = 0;
  uint32_t for_state_series = 0;
};

struct AlertTimings {
  int64_t for_ms = 0;
  int64_t keep_firing_for_ms = 0;
  uint64_t limit = 0;
};

class AlertSet {
 public:
  // Applies the result of the evaluation at `ts_ms`. ERRORS: kInvalid for two elements with equal labels, no state
  // changes then; kLimit `exceeded limit of N with M alerts`, every alert is forgotten then.
  Status Update(const std::vector<AlertElement>& elements, const AlertTimings& timings, int64_t ts_ms);

  // Marks as sent, and returns, the alerts that are due at `ts_ms`: firing ones every resend delay, resolved ones at
  // once and then likewise. valid_until is set to ts + 4·max(interval, resend delay). In order of creation.
  std::vector<TrackedAlert*> TakeDue(int64_t ts_ms, int64_t interval_ms, int64_t resend_delay_ms);

  // Every tracked alert in order of creation, resolved ones included.
  std::vector<TrackedAlert*> All();
  // RETURNS: null when it is not tracked.
  const TrackedAlert* Find(const std::shared_ptr<const AlertLabels>& identity) const;
  // Those in state pending or firing.
  std::vector<TrackedAlert*> Active();
  // RETURNS: the highest state of any alert.
  AlertState State() const;
  size_t Count(AlertState state) const;
  size_t size() const { return alerts_.size(); }
  // RETURNS: roughly the memory held: of some alerts, times how many there are.
  size_t Bytes() const;
  // Takes over every alert of the same rule in a group that is replaced.
  void TakeFrom(AlertSet& old);

 private:
  struct HashOf {
    size_t operator()(const std::shared_ptr<const AlertLabels>& a) const { return static_cast<size_t>(a->hash); }
  };
  struct SameLabels {
    bool operator()(const std::shared_ptr<const AlertLabels>& a, const std::shared_ptr<const AlertLabels>& b) const {
      return a == b || (a->hash == b->hash && a->labels == b->labels);
    }
  };
  using Map = std::unordered_map<std::shared_ptr<const AlertLabels>, std::unique_ptr<TrackedAlert>, HashOf, SameLabels>;

  // RETURNS: false when the alert is to be forgotten.
  bool Advance(TrackedAlert& alert, const AlertTimings& timings, int64_t ts_ms, uint64_t* active);

  Map alerts_;
  uint64_t updates_ = 0;
  uint64_t next_order_ = 0;
};

}  // namespace weir::rules
