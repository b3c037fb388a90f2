#pragma once
// What evaluations between ticks have found of one alerting rule, beside the alerts of its ticks, which it never changes: a tick
// confirms (the alert is its own from then on) or withdraws. It knows labels, values and the times it is told, as AlertSet.
// Engine's thread only.

#include "core/rules/alert_set.h"

#include <memory>
#include <vector>

namespace weir::rules {

class EagerAlerts {
 public:
  // Takes the result of an exact evaluation at `ts_ms` between ticks. Alerts that are firing by ticks are left to them; one that is
  // pending by ticks keeps its time. RETURNS: the alerts that fire from now on, marked as sent. ERRORS: as AlertSet::Update.
  Result<std::vector<TrackedAlert*>> Update(const std::vector<AlertElement>& elements, const AlertSet& ticks,
                                            const AlertTimings& timings, int64_t ts_ms);
  // What a tick made of those found at or before `ts_ms`.
  struct Verdict {
    size_t confirmed = 0;
    std::vector<std::unique_ptr<TrackedAlert>> withdrawn;  // had fired: resolved at ts_ms
  };
  Verdict Reconcile(const std::vector<AlertElement>& elements, const AlertSet& ticks, int64_t ts_ms);

  // RETURNS: when the first pending alert has been so for `for_ms`; kNoTime when none is pending.
  int64_t NextDueMs(int64_t for_ms) const;
  bool empty() const { return alerts_.empty(); }
  // See engine::LabelHolder.
  void MarkLabels(LabelMarks* marks) const;

 private:
  TrackedAlert* Find(LabelSetId labels) const;

  std::vector<std::unique_ptr<TrackedAlert>> alerts_;  // few: those of one interval
};

}  // namespace weir::rules
