#include "core/rules/group.h"

#include "core/rules/alerting_rule.h"
#include "core/rules/recording_rule.h"

#include <algorithm>
#include <map>
#include <utility>

namespace weir::rules {
namespace {

const std::vector<double>& DurationBounds() {
  static const std::vector<double> bounds = {0.0001, 0.001, 0.01, 0.1, 1, 10};
  return bounds;
}

// Rules are matched across a reload by this; the i-th of equals with the i-th.
std::string RuleKey(const RuleDefinition& definition) {
  std::string key = definition.name;
  for (const Label& label : definition.labels) {
    key += '\0' + label.name + '\0' + label.value;
  }
  return key;
}

Counter& AnnotationCounter(MetricRegistry& registry, const std::string& key, const std::string& kind) {
  return registry.GetCounter("weir_rule_annotations_total",
                             "Warnings and infos of rule evaluations; /api/v1/rules shows those of the last one.",
                             {{"rule_group", key}, {"kind", kind}});
}

}  // namespace

Group::Metrics::Metrics(MetricRegistry& registry, const std::string& key)
    : iterations(registry.GetCounter("prometheus_rule_group_iterations_total",
                                     "Slots of a rule group, whether evaluated or missed.", {{"rule_group", key}})),
      missed(registry.GetCounter("prometheus_rule_group_iterations_missed_total",
                                 "Slots of a rule group that were passed over.", {{"rule_group", key}})),
      evaluations(registry.GetCounter("prometheus_rule_evaluations_total", "Rule evaluations.", {{"rule_group", key}})),
      failures(registry.GetCounter("prometheus_rule_evaluation_failures_total", "Rule evaluations that failed.",
                                   {{"rule_group", key}})),
      warnings(AnnotationCounter(registry, key, "warning")),
      infos(AnnotationCounter(registry, key, "info")),
      interval(registry.GetGauge("prometheus_rule_group_interval_seconds", "Interval of a rule group.",
                                 {{"rule_group", key}})),
      last_duration(registry.GetGauge("prometheus_rule_group_last_duration_seconds",
                                      "Duration of the last evaluation of a rule group.", {{"rule_group", key}})),
      last_timestamp(registry.GetGauge("prometheus_rule_group_last_evaluation_timestamp_seconds",
                                       "Wall-clock time of the last evaluation of a rule group.",
                                       {{"rule_group", key}})),
      last_rule_duration_sum(registry.GetGauge("prometheus_rule_group_last_rule_duration_sum_seconds",
                                               "Sum of the last durations of a group's rules.", {{"rule_group", key}})),
      last_samples(registry.GetGauge("prometheus_rule_group_last_evaluation_samples",
                                     "Samples returned by the last evaluation of a rule group.",
                                     {{"rule_group", key}})),
      rules(registry.GetGauge("prometheus_rule_group_rules", "Rules of a group.", {{"rule_group", key}})),
      stopped(registry.GetGauge("weir_rule_group_stopped_rules",
                                "Rules of a group that are stopped for their budget or for memory.",
                                {{"rule_group", key}})),
      slower(registry.GetGauge("weir_rule_group_interval_factor",
                               "By how much the interval of a group is longer than configured, for memory.",
                               {{"rule_group", key}})),
      rule_duration(registry.GetHistogram("prometheus_rule_evaluation_duration_seconds",
                                          "Duration of rule evaluations.", DurationBounds())),
      group_duration(registry.GetHistogram("prometheus_rule_group_duration_seconds",
                                           "Duration of rule group evaluations.", DurationBounds())) {}

Group::Group(GroupDefinition definition, RuleEnvironment* environment)
    : definition_(std::move(definition)),
      environment_(environment),
      metrics_(*environment->metrics, definition_.Key()) {}

Group::~Group() = default;

Result<std::unique_ptr<Group>> Group::Create(GroupDefinition definition, RuleEnvironment* environment) {
  std::unique_ptr<Group> group(new Group(std::move(definition), environment));
  WEIR_RETURN_IF_ERROR(group->Prepare());
  return group;
}

Status Group::Prepare() {
  std::string errors;
  Code code = Code::kOk;
  for (const SharedRule& definition : definition_.rules) {
    std::unique_ptr<Rule> rule;
    if (definition->alerting) {
      rule = std::make_unique<AlertingRule>(definition, definition_, environment_);
    } else {
      rule = std::make_unique<RecordingRule>(definition, definition_, environment_);
    }
    if (Status status = rule->Prepare(); !status.ok()) {
      code = status.code();
      errors += (errors.empty() ? "" : "\n") + std::string(status.message());
    }
    rules_.push_back(std::move(rule));
  }
  metrics_.interval.Set(static_cast<double>(definition_.slots.interval_ms) / 1000);
  metrics_.rules.Set(static_cast<double>(rules_.size()));
  metrics_.slower.Set(definition_.slower);
  metrics_.stopped.Set(static_cast<double>(std::count_if(
      rules_.begin(), rules_.end(), [](const auto& rule) { return !rule->definition().stopped.empty(); })));
  return code == Code::kOk ? Status() : Status(code, std::move(errors));
}

void Group::Evaluate(int64_t slot_ms, bool emit) {
  const int64_t start_ns = environment_->clock->MonotonicNs();
  last_evaluation_ms_ = environment_->clock->NowMs();
  last_slot_ms_ = slot_ms;
  ResultParts parts = PartsOf(slot_ms);
  const RuleTick tick{slot_ms, slot_ms - definition_.query_offset_ms, emit, Wanted(emit, &parts)};
  double rule_seconds = 0;
  uint64_t samples = 0;
  for (const std::unique_ptr<Rule>& rule : rules_) {
    metrics_.evaluations.Add();
    if (!rule->Evaluate(tick)) {
      metrics_.failures.Add();
    }
    metrics_.warnings.Add(rule->warnings().size());
    metrics_.infos.Add(rule->infos().size());
    metrics_.rule_duration.Observe(rule->evaluation_seconds());
    rule_seconds += rule->evaluation_seconds();
    samples += rule->samples();
  }
  for (const std::unique_ptr<Rule>& orphan : orphans_) {
    orphan->outputs().MarkAllStale(tick.sample_ms, tick.parts);
  }
  orphans_.clear();
  parts.Finish();

  evaluation_seconds_ = static_cast<double>(std::max<int64_t>(0, environment_->clock->MonotonicNs() - start_ns)) * 1e-9;
  metrics_.iterations.Add();
  metrics_.last_duration.Set(evaluation_seconds_);
  metrics_.last_timestamp.Set(static_cast<double>(last_evaluation_ms_) / 1000);
  metrics_.last_rule_duration_sum.Set(rule_seconds);
  metrics_.last_samples.Set(static_cast<double>(samples));
  metrics_.group_duration.Observe(evaluation_seconds_);
}

ResultParts Group::PartsOf(int64_t slot_ms) const { return {environment_->output, definition_.Key(), slot_ms}; }

ResultParts* Group::Wanted(bool emit, ResultParts* parts) const {
  return emit && environment_->output->TakesSamples() ? parts : nullptr;
}

void Group::CountMissed(uint64_t slots) {
  metrics_.missed.Add(slots);
  metrics_.iterations.Add(slots);
}

void Group::TakeState(Group& old) {
  std::multimap<std::string, size_t> by_key;
  for (size_t i = 0; i < old.rules_.size(); ++i) {
    by_key.emplace(RuleKey(old.rules_[i]->definition()), i);  // equal keys stay in order of insertion
  }
  for (const std::unique_ptr<Rule>& rule : rules_) {
    const auto found = by_key.find(RuleKey(rule->definition()));
    const auto first = found == by_key.end() ? found : by_key.lower_bound(found->first);
    if (first != by_key.end()) {
      rule->TakeState(*old.rules_[first->second]);
      by_key.erase(first);
    }
  }
  for (const auto& [key, index] : by_key) {
    if (old.rules_[index]->outputs().previous() > 0) {
      orphans_.push_back(std::move(old.rules_[index]));
    }
  }
  for (std::unique_ptr<Rule>& orphan : old.orphans_) {
    orphans_.push_back(std::move(orphan));
  }
  old.orphans_.clear();
  std::erase(old.rules_, nullptr);
  evaluation_seconds_ = old.evaluation_seconds_;
  last_evaluation_ms_ = old.last_evaluation_ms_;
  last_slot_ms_ = old.last_slot_ms_;
}

void Group::MarkStale(int64_t t_ms, bool emit) {
  ResultParts parts = PartsOf(t_ms);
  for (const std::unique_ptr<Rule>& rule : rules_) {
    rule->outputs().MarkAllStale(t_ms - definition_.query_offset_ms, Wanted(emit, &parts));
  }
  parts.Finish();
}

}  // namespace weir::rules
