#pragma once
// What tests of the pipeline and of the API share: batches written as text, a pipeline under a clock that the test moves, and
// the results as lines.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/model/duration.h"
#include "core/promql/parser.h"
#include "core/runtime/pipeline.h"

namespace weir::runtime {

inline constexpr int64_t kMinute = 60000;

struct TestSample {
  std::string series;
  int64_t t_ms;
  double v;
};

inline plugin::SampleBatch BatchOf(const std::vector<TestSample>& samples) {
  plugin::SampleBatch batch;
  batch.arena.reserve(1 << 16);
  for (const TestSample& sample : samples) {
    const Labels labels = *promql::ParseMetric(sample.series);
    const size_t at = batch.arena.size();
    plugin::EncodeLabels(labels, &batch.arena);
    plugin::SampleBatch::Series series;
    series.labels = std::string_view(batch.arena).substr(at);
    plugin::HashLabels(series.labels, series.hash);
    series.first = static_cast<uint32_t>(batch.samples.size());
    series.count = 1;
    batch.series.push_back(series);
    batch.samples.push_back({sample.t_ms, sample.v});
  }
  return batch;
}

inline rules::RuleDefinition MakeRule(const std::string& name, const std::string& expr, bool alerting = false,
                                      int64_t for_ms = 0) {
  rules::RuleDefinition rule;
  rule.name = name;
  rule.alerting = alerting;
  rule.for_ms = for_ms;
  rule.expr = promql::ParseExpr(expr).expr;
  rule.query = expr;
  rule.where = "rules.yml:1:1";
  return rule;
}

inline rules::GroupDefinition MakeGroup(const std::string& name, const std::vector<rules::RuleDefinition>& rules,
                                        int64_t interval_ms = kMinute) {
  rules::GroupDefinition group;
  group.file = "rules.yml";
  group.name = name;
  group.slots = {interval_ms, 0};
  group.rules.assign(rules.begin(), rules.end());
  return group;
}

class PipelineTest : public ::testing::Test, public rules::RuleOutput {
 protected:
  using Lines = std::vector<std::string>;

  void Make(std::vector<rules::GroupDefinition> groups, PipelineOptions options = FixedLateness(5000)) {
    pipeline_ = std::make_unique<Pipeline>(options, &clock_, &metrics_, static_cast<rules::RuleOutput*>(this));
    ASSERT_TRUE(SetRules(std::move(groups)).ok());
  }

  static PipelineOptions FixedLateness(int64_t ms) {
    PipelineOptions options;
    options.watermarks.lateness_auto = false;
    options.watermarks.lateness_ms = ms;
    return options;
  }

  Status SetRules(std::vector<rules::GroupDefinition> groups) {
    RuleSettings settings;
    settings.groups = std::move(groups);
    settings.external_url = "http://weir:9797";
    return pipeline_->SetRules(std::move(settings), clock_.NowMs());
  }

  plugin::IngestOutcome Send(const std::vector<TestSample>& samples, const std::string& stream = "test") {
    plugin::SampleBatch batch = BatchOf(samples);
    const plugin::IngestOutcome outcome = pipeline_->Apply(batch, stream, clock_.NowMs());
    pipeline_->RunDue(clock_.NowMs());
    return outcome;
  }

  // Lets time pass as it does in a process that runs: in small steps.
  void At(int64_t now_ms) {
    constexpr int64_t kStepMs = 1000;
    for (int64_t t = clock_.NowMs() + kStepMs; t < now_ms; t += kStepMs) {
      Jump(t);
    }
    Jump(now_ms);
  }
  void Jump(int64_t now_ms) {
    clock_.Set(now_ms);
    pipeline_->RunDue(now_ms);
  }

  // RETURNS: results since the last call, `T series value`.
  Lines Take() { return std::exchange(lines_, {}); }
  uint64_t Count(const std::string& name, MetricLabels labels = {}) {
    return metrics_.GetCounter(name, "", std::move(labels)).value();
  }

  void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) override {
    for (const plugin::ResultSample& sample : results->samples) {
      lines_.push_back(std::to_string(results->tick_ms / 1000) + " " + sample.labels->ToString() + " " +
                       (IsStaleNaN(sample.v) ? "stale" : FormatSampleValue(sample.v)));
    }
  }
  void OnAlerts(plugin::AlertBatch batch) override {
    for (const plugin::Alert& alert : batch.alerts) {
      lines_.push_back(std::to_string(batch.tick_ms / 1000) + (alert.resolved ? " resolved " : " firing ") +
                       alert.labels.ToString());
    }
  }

  FakeClock clock_{0};
  MetricRegistry metrics_;
  std::unique_ptr<Pipeline> pipeline_;
  Lines lines_;
};

}  // namespace weir::runtime
