#pragma once
// Eager alerts: which rules are evaluated between ticks and when. A rule is armed at each tick of its group; a sample that crosses
// one of its triggers has it evaluated at once, at the sample's time, and armed again. Evaluations of a rule are limited in number
// and in time: what the limit holds back runs as soon as it allows. Engine's thread only; owns no thread and reads no clock
// except for durations.

#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/engine/engine.h"
#include "core/rules/group.h"

#include <cstdint>
#include <vector>

namespace weir::rules {
class AlertingRule;
}

namespace weir::runtime {

// What the pipeline knows while samples come in.
struct EagerMoment {
  int64_t now_ms = 0;             // arrival of the batch, or now
  int64_t arrived_ns = 0;         // Clock::MonotonicNs when the batch was there; 0: no batch
  int64_t latest_ms = INT64_MAX;  // samples later than this have a clock that leads: ticks see to them
  int64_t last_tick_ms = INT64_MIN;
  int64_t emit_after_ms = INT64_MIN;
  bool past = false;   // the past is re-read: ticks alone
  bool timers = true;  // `for` ends by the clock; false when time is that of the samples
};

class EagerWatch {
 public:
  EagerWatch(engine::Engine* engine, const Clock* clock, MetricRegistry* metrics);
  ~EagerWatch();

  // RETURNS: whether there are eager alerts. Then ticks do not yield: a sample may have an alert evaluated.
  bool active() const { return !watched_.empty(); }
  // The groups as they are now; rules that were there go on undisturbed.
  void SetGroups(const std::vector<rules::Group*>& groups);
  void SetMoment(const EagerMoment& moment) { moment_ = moment; }
  // A batch has been taken in: histograms may be waiting for the rest of their buckets.
  void EndBatch();
  // Nothing is evaluated for samples that rules write during a tick before it has ended.
  void BeginTick() { in_tick_ = true; }
  // Arms the rules of the groups that were evaluated at `tick_ms`, then sees to what the tick's own samples crossed.
  void EndTick(int64_t tick_ms, const std::vector<rules::Group*>& evaluated);
  // Runs what the limit held back, and what has been pending for `for`. RETURNS: when there is more to do, INT64_MAX for never.
  int64_t RunDue();

 private:
  struct Watched {
    rules::AlertingRule* rule = nullptr;
    const rules::Group* group = nullptr;
    engine::PlanId plan = engine::kNoPlan;
    int64_t last_ms = INT64_MIN;        // newest evaluation, by a tick or between; not armed before the first
    int64_t horizon_ms = 0;             // for how long it is armed
    int64_t held_until_ms = INT64_MIN;  // crossed, but over the limit: on the clock of arrivals
    int64_t paid_until_ms = INT64_MIN;  // what the evaluations so far may cost
  };
  struct Metrics;

  void OnCrossings();
  void OnCrossing(Watched& watched);
  void Evaluate(Watched& watched, int64_t t_ms);
  void Arm(Watched& watched);
  static int64_t LongestHorizon(const rules::Group& group);

  engine::Engine& engine_;
  const Clock& clock_;
  MetricRegistry& registry_;
  std::unique_ptr<Metrics> metrics_;  // made with the first eager rule
  std::vector<Watched> watched_;
  EagerMoment moment_;
  bool in_tick_ = false;
  bool evaluating_ = false;
};

}  // namespace weir::runtime
