#pragma once
// Eager alerts: which rules are evaluated between ticks and when. A rule is armed at each tick of its group; a sample that crosses
// one of its triggers has it evaluated at once, at the sample's time, and armed again: at once, too, where that is little work,
// else in RunDue, in pieces between which samples come in. Samples also come in while a tick is evaluated, and rules are evaluated
// for them there. Evaluations of a rule are limited in number and in time: what the limit holds back runs as soon as it allows.
// Engine's thread only; owns no thread and reads no clock except for durations.

#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/engine/engine.h"
#include "core/rules/group.h"

#include <cstdint>
#include <functional>
#include <memory>
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

  // RETURNS: whether there are eager alerts.
  bool active() const { return !watched_.empty(); }
  // The groups as they are now; rules that were there go on undisturbed.
  void SetGroups(const std::vector<rules::Group*>& groups);
  void SetMoment(const EagerMoment& moment) { moment_ = moment; }
  // Around each batch, wherever it comes in.
  void BeginBatch() { in_batch_ = true; }
  // A batch has been taken in: histograms may be waiting for the rest of their buckets.
  void EndBatch();
  // Of a tick: nothing is evaluated for samples that rules write before it has ended.
  void BeginTick() { phase_ = Phase::kTick; }
  // What no plan or rule holds is being let go: nothing is evaluated, since that makes more of it.
  void BeginSweep() { phase_ = Phase::kSweep; }
  // The tick has ended. Evaluates the rules of the groups that were evaluated at `tick_ms`, to be armed from there.
  void EndTick(int64_t tick_ms, const std::vector<rules::Group*>& evaluated);
  // Runs what the limit or a yield held back, and what has been pending for `for`. RETURNS: when there is more to do, INT64_MAX for
  // never.
  int64_t RunDue();
  // RETURNS: whether rules wait to be armed.
  bool AnyToArm() const;
  // Arms them; may yield. `spent_ns` tells how much time samples that come in have taken so far.
  void ArmAll(const std::function<int64_t()>& spent_ns);

 private:
  struct Watched {
    rules::AlertingRule* rule = nullptr;
    const rules::Group* group = nullptr;
    engine::PlanId plan = engine::kNoPlan;
    int64_t last_ms = INT64_MIN;        // newest evaluation, by a tick or between; not armed before the first
    int64_t horizon_ms = 0;             // for how long it is armed
    int64_t held_until_ms = INT64_MIN;  // crossed, but over the limit: on the clock of arrivals
    int64_t paid_until_ms = INT64_MIN;  // what the evaluations so far may cost
    bool to_arm = false;                // it was begun
    int64_t begun_ns = 0;               // and when
    bool delayed = false;               // crossed in a yield in which it cannot be evaluated
    int64_t arrived_ns = 0;             // of what it is evaluated for outside of a batch, at the earliest; 0: not known
  };
  enum class Phase : unsigned char { kFree, kTick, kSweep };
  struct Metrics;

  void OnCrossings();
  void OnCrossing(Watched& watched, bool newborn);
  // RETURNS: whether it has to wait for RunDue.
  bool Waits(const Watched& watched, bool newborn) const;
  void Evaluate(Watched& watched, int64_t t_ms);
  // From here on samples count as later than last_ms. Arm follows.
  void Begin(Watched& watched);
  // Arms what has begun, now or later.
  void Arm(Watched& watched);
  void ArmNow(Watched& watched);
  // `ns`: what it took.
  void Charge(Watched& watched, int64_t ns, int64_t least_ms) const;
  static int64_t LongestHorizon(const rules::Group& group);

  engine::Engine& engine_;
  const Clock& clock_;
  MetricRegistry& registry_;
  std::unique_ptr<Metrics> metrics_;  // made with the first eager rule
  std::vector<Watched> watched_;
  EagerMoment moment_;
  Phase phase_ = Phase::kFree;
  bool evaluating_ = false;
  bool in_batch_ = false;
};

}  // namespace weir::runtime
