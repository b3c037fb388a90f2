// The rule pack against the simulated fleet: one cycle of incidents through the real pipeline, under a clock of its own.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/files.h"
#include "core/runtime/pipeline.h"
#include "core/runtime/settings.h"
#include "plugins/sources/fleet/fleet_model.h"

namespace weir::runtime {
namespace {

constexpr int64_t kStart = 1700000000000;

class RulePackTest : public ::testing::Test, public rules::RuleOutput {
 protected:
  struct Seen {
    int64_t fired_s = -1;     // first, seconds since the start
    int64_t resolved_s = -1;  // last
    size_t firings = 0;       // different alerts of that name
    std::string summary;
  };

  void Run(const fleet::FleetOptions& options, int64_t seconds) {
    PipelineOptions pipeline_options;
    pipeline_ = std::make_unique<Pipeline>(pipeline_options, &clock_, &metrics_, this);
    pipeline_->UseEventTime();
    RuleSettings settings;
    for (const std::string& path : ExpandPattern("configs/rules/*.rules.yml")) {
      Result<Settings> file = RuleFileSettings(path);
      ASSERT_TRUE(file.ok()) << file.status().message();
      for (auto& group : file->rules.groups) {
        settings.groups.push_back(std::move(group));
      }
      settings.parser = file->rules.parser;
    }
    Status set = pipeline_->SetRules(std::move(settings), clock_.NowMs());
    ASSERT_TRUE(set.ok()) << set.message();
    fleet::FleetModel model(options, kStart);
    for (int64_t s = 0; s <= seconds; ++s) {
      clock_.Set(kStart + s * 1000);
      plugin::SampleBatch batch;
      model.Scrape(clock_.NowMs(), &batch);
      plugin::IngestOutcome outcome = pipeline_->Apply(batch, "fleet", clock_.NowMs());
      ASSERT_EQ(outcome.rejected + outcome.invalid_series, 0u) << outcome.first_error;
      pipeline_->AdvanceStream("fleet", clock_.NowMs(), clock_.NowMs());
      pipeline_->RunDue(clock_.NowMs());
    }
    for (const rules::Group* group : pipeline_->Groups()) {
      for (const auto& rule : group->rules()) {
        EXPECT_EQ(rule->health(), rules::Health::kOk) << rule->definition().name;
      }
    }
  }

  void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) override {
    for (const plugin::ResultSample& sample : results->samples) {
      recorded_.insert(std::string(sample.labels->Get(kMetricName)));
    }
  }
  void OnAlerts(plugin::AlertBatch alerts) override {
    for (const plugin::Alert& alert : alerts.alerts) {
      Seen& seen = alerts_[std::string(alert.labels.Get(kAlertName))];
      int64_t at_s = (alerts.tick_ms - kStart) / 1000;
      if (alert.resolved) {
        seen.resolved_s = (alert.ends_at_ms - kStart) / 1000;  // told again and again, with the same end
      } else if (different_.insert(alert.labels.ToString()).second) {
        ++seen.firings;
        seen.fired_s = seen.fired_s < 0 ? at_s : seen.fired_s;
        seen.summary = alert.annotations.Get("summary");
      }
    }
  }

  FakeClock clock_{kStart};
  MetricRegistry metrics_;
  std::unique_ptr<Pipeline> pipeline_;
  std::map<std::string, Seen> alerts_;
  std::set<std::string> different_, recorded_;
};

TEST_F(RulePackTest, EveryIncidentFiresItsAlertsAndTheyResolve) {
  Run({}, fleet::kCycleSeconds);
  struct Expected {
    const char* alert;
    int64_t begin_s, end_s;  // of the incident; firing and resolving may come this much later:
    int64_t resolve_within_s;
    size_t firings;
  };
  const std::vector<Expected> expected = {
      {"GpuHot", 8, 95, 20, 1},
      {"GpuThermalThrottle", 8, 95, 80, 1},
      {"GpuStraggler", 8, 95, 80, 1},
      {"ErrorBudgetFastBurn", 50, 170, 330, 1},
      {"PredictSlow", 50, 170, 90, 1},
      {"InferenceQueueGrows", 50, 170, 30, 3},
      {"GpuXidFatal", 120, 240, 10, 3},
      {"GpuEccUncorrectable", 120, 240, 140, 1},
      {"TrainingLossDiverges", 220, 340, 40, 1},
      {"TrainingGradientsExplode", 220, 340, 30, 1},
      {"GpuExporterDown", 330, 420, 10, 1},
      {"GatewayReplicaMissing", 360, 450, 10, 1},
      {"DiskAlmostFull", 440, 560, 30, 1},
      {"DiskFillsUp", 440, 560, 40, 1},
  };
  for (const Expected& want : expected) {
    ASSERT_TRUE(alerts_.contains(want.alert)) << want.alert << " never fired";
    const Seen& seen = alerts_[want.alert];
    EXPECT_GE(seen.fired_s, want.begin_s) << want.alert;
    EXPECT_LE(seen.fired_s, want.begin_s + 60) << want.alert;
    EXPECT_GE(seen.resolved_s, seen.fired_s) << want.alert;
    EXPECT_LE(seen.resolved_s, want.end_s + want.resolve_within_s) << want.alert;
    EXPECT_EQ(seen.firings, want.firings) << want.alert;
    EXPECT_EQ(seen.summary.find("no value"), std::string::npos) << seen.summary;
    EXPECT_FALSE(seen.summary.empty()) << want.alert;
  }
  EXPECT_EQ(alerts_.size(), expected.size()) << "an alert fired that no incident explains";
  EXPECT_LE(alerts_["GpuHot"].fired_s, 40) << "a newcomer sees an alert within a minute of the start";
  EXPECT_TRUE(recorded_.contains("service:http_request_duration_seconds:p99_rate1m"));
}

TEST_F(RulePackTest, AHealthyFleetIsQuiet) {
  fleet::FleetOptions options;
  options.incidents = false;
  for (uint64_t seed : {1u, 2u}) {
    options.seed = seed;
    Run(options, 300);
    EXPECT_TRUE(alerts_.empty()) << "seed " << seed << ": " << (alerts_.empty() ? "" : alerts_.begin()->first);
  }
}

}  // namespace
}  // namespace weir::runtime
