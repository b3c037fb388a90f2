#pragma once
// A rule group: its rules in order, its slots, its metrics. Evaluate runs one slot; every rule's samples are in the
// engine before the next rule is evaluated, so later rules see them (semantics 5.3). Engine's thread only.

#include "core/base/metrics.h"
#include "core/rules/definition.h"
#include "core/rules/rule.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace weir::rules {

class Group {
 public:
  // Plans every rule. ERRORS: kUnsupported, one line per rule that this build does not evaluate; nothing stays planned
  // then.
  static Result<std::unique_ptr<Group>> Create(GroupDefinition definition, RuleEnvironment* environment);
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // Runs the slot; `emit` false advances state and writes to the engine but sends nothing out.
  void Evaluate(int64_t slot_ms, bool emit);
  // Counts slots that were passed over.
  void CountMissed(uint64_t slots);
  // Takes over what `old`, the group of the same file and name, knows: series and alerts rule by rule, by name and
  // labels. Series of rules that are gone get their stale markers at the end of the next evaluation.
  void TakeState(Group& old);
  // The group is gone: ends all its series at `t_ms`.
  void MarkStale(int64_t t_ms, bool emit);

  const GroupDefinition& definition() const { return definition_; }
  const std::vector<std::unique_ptr<Rule>>& rules() const { return rules_; }
  double evaluation_seconds() const { return evaluation_seconds_; }
  int64_t last_evaluation_ms() const { return last_evaluation_ms_; }  // wall clock; 0 before the first
  int64_t last_slot_ms() const { return last_slot_ms_; }

 private:
  struct Metrics {
    explicit Metrics(MetricRegistry& registry, const std::string& key);
    Counter& iterations;
    Counter& missed;
    Counter& evaluations;
    Counter& failures;
    Counter& warnings;
    Counter& infos;
    Gauge& interval;
    Gauge& last_duration;
    Gauge& last_timestamp;
    Gauge& last_rule_duration_sum;
    Gauge& last_samples;
    Gauge& rules;
    Gauge& stopped;
    Gauge& slower;
    HistogramMetric& rule_duration;
    HistogramMetric& group_duration;
  };

  Group(GroupDefinition definition, RuleEnvironment* environment);
  Status Prepare();
  ResultParts PartsOf(int64_t slot_ms) const;
  // RETURNS: `parts`, or null when samples are to go nowhere.
  ResultParts* Wanted(bool emit, ResultParts* parts) const;

  const GroupDefinition definition_;
  RuleEnvironment* environment_;
  Metrics metrics_;
  std::vector<std::unique_ptr<Rule>> rules_;
  std::vector<std::unique_ptr<Rule>> orphans_;  // rules of the group before, whose series are still to be ended
  double evaluation_seconds_ = 0;
  int64_t last_evaluation_ms_ = 0;
  int64_t last_slot_ms_ = 0;
};

}  // namespace weir::rules
