#include "core/runtime/eager_watch.h"

#include "core/rules/alerting_rule.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace weir::runtime {
namespace {

// Of one rule: so many evaluations a second, these at once, and at most this part of the engine's time.
constexpr int64_t kEvaluationEveryMs = 10;
constexpr int64_t kBurst = 50;
constexpr int64_t kTimeShare = 10;
// A tick runs some time after its own; until then the triggers of the one before hold.
constexpr int64_t kTickLagMs = 5000;
// How long a histogram of which some buckets have come waits for the others: senders cut requests anywhere and deal series out to
// several connections.
constexpr int64_t kBucketsWaitMs = 1000;
constexpr int64_t kHorizonShare = 16;  // the shortest, as a part of the interval
constexpr size_t kArmAtOnceMax = 512;  // series: some 0.2 ms

}  // namespace

struct EagerWatch::Metrics {
  explicit Metrics(MetricRegistry& registry)
      : fired(Evaluations(registry, "fired")),
        nothing(Evaluations(registry, "nothing")),
        failed(Evaluations(registry, "failed")),
        limited(registry.GetCounter("weir_eager_limited_total",
                                    "Evaluations between ticks that waited because their rule had too many.")),
        delayed(registry.GetCounter(
            "weir_eager_delayed_total",
            "Evaluations between ticks that waited for a tick or another walk over series to end: their "
            "rule was being evaluated or their series was new.")),
        ahead(registry.GetCounter("weir_eager_ahead_total",
                                  "Samples that crossed a trigger with a time ahead of the clock: ticks see to them.")),
        rules(registry.GetGauge("weir_eager_rules", "Alerts that are evaluated between ticks.")),
        latency(registry.GetHistogram(
            "weir_eager_latency_seconds",
            "From the arrival of the bytes with the sample that fired an alert to its being handed to the sinks.",
            {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1})) {}
  static Counter& Evaluations(MetricRegistry& registry, const char* outcome) {
    return registry.GetCounter("weir_eager_evaluations_total",
                               "Evaluations of alerts between ticks, by what came of them.", {{"outcome", outcome}});
  }

  Counter& fired;
  Counter& nothing;
  Counter& failed;
  Counter& limited;
  Counter& delayed;
  Counter& ahead;
  Gauge& rules;
  HistogramMetric& latency;
};

EagerWatch::EagerWatch(engine::Engine* engine, const Clock* clock, MetricRegistry* metrics)
    : engine_(*engine), clock_(*clock), registry_(*metrics) {
  engine_.OnCrossing([this] {
    if (!evaluating_ && (phase_ == Phase::kFree || in_batch_)) {
      OnCrossings();
    }
  });
}

EagerWatch::~EagerWatch() = default;

int64_t EagerWatch::LongestHorizon(const rules::Group& group) {
  return group.definition().slots.interval_ms + kTickLagMs;
}

void EagerWatch::SetGroups(const std::vector<rules::Group*>& groups) {
  std::vector<Watched> next;
  for (const rules::Group* group : groups) {
    for (const std::unique_ptr<rules::Rule>& rule : group->rules()) {
      if (!rule->definition().alerting) {
        continue;
      }
      auto& alerting = static_cast<rules::AlertingRule&>(*rule);
      if (alerting.eager_plan() == engine::kNoPlan) {
        continue;
      }
      const auto same = [&](const Watched& w) { return w.rule == &alerting && w.plan == alerting.eager_plan(); };
      const auto known = std::find_if(watched_.begin(), watched_.end(), same);
      next.push_back(known != watched_.end() ? *known
                                             : Watched{.rule = &alerting,
                                                       .group = group,
                                                       .plan = alerting.eager_plan(),
                                                       .horizon_ms = LongestHorizon(*group)});
    }
  }
  watched_ = std::move(next);
  if (metrics_ == nullptr && !watched_.empty()) {
    metrics_ = std::make_unique<Metrics>(registry_);
  }
  if (metrics_ != nullptr) {
    metrics_->rules.Set(static_cast<double>(watched_.size()));
  }
}

void EagerWatch::EndTick(int64_t tick_ms, const std::vector<rules::Group*>& evaluated) {
  phase_ = Phase::kFree;
  if (watched_.empty()) {
    return;
  }
  std::vector<engine::PlanId> at_once;
  int64_t until_ms = INT64_MAX;
  for (Watched& watched : watched_) {
    if (std::find(evaluated.begin(), evaluated.end(), watched.group) == evaluated.end()) {
      continue;
    }
    // What it waits to be evaluated for came after the tick's time: that is still to be done.
    const bool held = watched.delayed || watched.held_until_ms != INT64_MIN;
    if (held && watched.last_ms != INT64_MIN && engine_.CrossedMs(watched.plan) > tick_ms) {
      continue;
    }
    watched.delayed = false;
    watched.held_until_ms = INT64_MIN;
    watched.horizon_ms = std::min(2 * watched.horizon_ms, LongestHorizon(*watched.group));
    if (watched.last_ms > tick_ms) {  // the tick ran late: what is known is newer
      if (!watched.to_arm) {
        Begin(watched);
        Arm(watched);
      }
      continue;
    }
    watched.last_ms = tick_ms;
    if (engine_.ArmSeries(watched.plan) > kArmAtOnceMax) {
      Begin(watched);
      Arm(watched);
      continue;
    }
    at_once.push_back(watched.plan);
    until_ms = std::min(until_ms, tick_ms + watched.horizon_ms);
  }
  if (!at_once.empty() && !moment_.past) {
    engine_.Arm(at_once, tick_ms, until_ms);
  }
  EndBatch();  // of what the tick wrote
  OnCrossings();
}

void EagerWatch::EndBatch() {
  if (!watched_.empty()) {
    (void)engine_.EndTogether(moment_.now_ms, kBucketsWaitMs);
  }
  in_batch_ = false;
}

void EagerWatch::OnCrossings() {
  evaluating_ = true;
  for (std::vector<engine::Crossing> some = engine_.TakeCrossings(); !some.empty(); some = engine_.TakeCrossings()) {
    for (const engine::Crossing& crossing : some) {
      for (Watched& watched : watched_) {
        if (watched.plan == crossing.plan) {
          OnCrossing(watched, crossing.newborn);
        }
      }
    }
  }
  evaluating_ = false;
}

bool EagerWatch::Waits(const Watched& watched, bool newborn) const {
  return newborn || phase_ == Phase::kSweep || watched.rule->in_tick() ||
         (phase_ == Phase::kTick && engine_.ReadsRules(watched.plan));
}

void EagerWatch::OnCrossing(Watched& watched, bool newborn) {
  if (watched.last_ms == INT64_MIN || moment_.past) {
    return;
  }
  if (Waits(watched, newborn)) {
    metrics_->delayed.Add();
    watched.delayed = true;
    watched.arrived_ns = in_batch_ ? moment_.arrived_ns : watched.arrived_ns;
    return;
  }
  const int64_t t_ms = engine_.CrossedMs(watched.plan);
  if (t_ms > moment_.latest_ms) {
    metrics_->ahead.Add();
    engine_.IgnoreCrossing(watched.plan);
    return;
  }
  if (watched.paid_until_ms > moment_.now_ms + kBurst * kEvaluationEveryMs) {
    metrics_->limited.Add();
    watched.held_until_ms = watched.paid_until_ms - kBurst * kEvaluationEveryMs;
    return;
  }
  Evaluate(watched, t_ms + watched.group->definition().query_offset_ms);
}

void EagerWatch::Evaluate(Watched& watched, int64_t t_ms) {
  watched.held_until_ms = INT64_MIN;
  watched.delayed = watched.to_arm = false;
  // Time does not go back, and what is before the last tick may be gone.
  const int64_t before_ms = watched.last_ms;
  watched.last_ms = std::max({watched.last_ms, t_ms, moment_.last_tick_ms});
  const int64_t start_ns = clock_.MonotonicNs();
  Begin(watched);  // first: while the rule tells what it finds samples come in
  const rules::AlertingRule::Found found =
      watched.rule->EvaluateBetween(watched.last_ms, watched.last_ms > moment_.emit_after_ms);
  const int64_t arrived_ns = in_batch_ ? moment_.arrived_ns : watched.arrived_ns;
  watched.arrived_ns = 0;
  if (found.fired > 0 && arrived_ns != 0) {
    metrics_->latency.Observe(static_cast<double>(std::max<int64_t>(0, clock_.MonotonicNs() - arrived_ns)) * 1e-9);
  }
  (!found.status.ok() ? metrics_->failed : found.fired > 0 ? metrics_->fired : metrics_->nothing).Add();
  // Near a threshold bounds over a short time are much tighter; far from all they need not end before the tick.
  if (watched.last_ms - before_ms >= watched.horizon_ms) {
    watched.horizon_ms = std::min(2 * watched.horizon_ms, LongestHorizon(*watched.group));
  } else if (found.fired == 0 && watched.last_ms - before_ms < watched.horizon_ms / 4) {
    watched.horizon_ms =
        std::max(watched.horizon_ms / 2, watched.group->definition().slots.interval_ms / kHorizonShare);
  }
  Arm(watched);
  Charge(watched, clock_.MonotonicNs() - start_ns, kEvaluationEveryMs);
}

void EagerWatch::Charge(Watched& watched, int64_t ns, int64_t least_ms) const {
  const int64_t cost_ms = ns * kTimeShare / 1000000;
  watched.paid_until_ms = std::max(watched.paid_until_ms, moment_.now_ms) + std::max(least_ms, cost_ms);
}

void EagerWatch::Begin(Watched& watched) {
  if (!moment_.past) {
    engine_.BeginArm(watched.plan, watched.last_ms);
  }
}

void EagerWatch::Arm(Watched& watched) {
  if (moment_.past) {
    return;
  }
  if (engine_.ArmSeries(watched.plan) <= kArmAtOnceMax) {
    ArmNow(watched);
  } else {
    watched.to_arm = true;
    watched.begun_ns = clock_.MonotonicNs();
  }
}

void EagerWatch::ArmNow(Watched& watched) {
  engine_.Arm(std::span(&watched.plan, 1), watched.last_ms, watched.last_ms + watched.horizon_ms);
}

bool EagerWatch::AnyToArm() const {
  return std::any_of(watched_.begin(), watched_.end(), [](const Watched& watched) { return watched.to_arm; });
}

void EagerWatch::ArmAll(const std::function<int64_t()>& spent_ns) {
  for (Watched& watched : watched_) {
    if (watched.to_arm) {
      watched.to_arm = false;
      const int64_t start_ns = clock_.MonotonicNs() - spent_ns();
      watched.arrived_ns = watched.begun_ns;  // what crosses in the end has come since then
      ArmNow(watched);
      watched.arrived_ns = watched.delayed ? watched.arrived_ns : 0;
      Charge(watched, clock_.MonotonicNs() - spent_ns() - start_ns, 0);
    }
  }
}

int64_t EagerWatch::RunDue() {
  if (watched_.empty()) {
    return INT64_MAX;
  }
  int64_t next_ms = engine_.EndTogether(moment_.now_ms, kBucketsWaitMs);
  OnCrossings();
  for (Watched& watched : watched_) {
    if (std::exchange(watched.delayed, false)) {
      evaluating_ = true;
      OnCrossing(watched, false);
      evaluating_ = false;
    }
    if (watched.held_until_ms != INT64_MIN) {
      if (watched.held_until_ms <= moment_.now_ms) {
        evaluating_ = true;
        Evaluate(watched, engine_.CrossedMs(watched.plan) + watched.group->definition().query_offset_ms);
        evaluating_ = false;
      } else {
        next_ms = std::min(next_ms, watched.held_until_ms);
      }
    }
    const int64_t due_ms = watched.rule->EagerDueMs();
    if (due_ms == rules::kNoTime || !moment_.timers || watched.last_ms >= due_ms) {
      continue;
    }
    if (due_ms <= moment_.now_ms) {
      evaluating_ = true;
      Evaluate(watched, due_ms);
      evaluating_ = false;
    } else {
      next_ms = std::min(next_ms, due_ms);
    }
  }
  return next_ms;
}

}  // namespace weir::runtime
