#include "tests/unit/runtime/pipeline_fixture.h"

namespace weir::runtime {
namespace {

TEST_F(PipelineTest, ATickRunsAsSoonAsTheStreamHasPassedIt) {
  Make({MakeGroup("g", {MakeRule("r", "x")})});
  At(kMinute - 1000);
  Send({{"x", kMinute - 1000, 1}});
  EXPECT_EQ(Take(), Lines{});
  At(kMinute);
  Send({{"x", kMinute, 2}});
  EXPECT_EQ(Take(), Lines{}) << "more samples of the tick's own instant may follow";
  At(kMinute + 10);
  Send({{"x", kMinute + 10, 3}});
  EXPECT_EQ(Take(), (Lines{"60 r 2"})) << "the result carries T and ignores what is newer";
}

TEST_F(PipelineTest, WithoutSamplesATickRunsAtItsDeadline) {
  Make({MakeGroup("g", {MakeRule("r", "vector(1)")})});
  At(kMinute + 4999);
  EXPECT_EQ(Take(), Lines{});
  At(kMinute + 5000);
  EXPECT_EQ(Take(), (Lines{"60 r 1"}));
  EXPECT_EQ(Count("weir_ticks_total", {{"reason", "deadline"}}), 1u);
  EXPECT_EQ(Count("weir_ticks_incomplete_total"), 0u) << "no stream was waited for";
}

TEST_F(PipelineTest, TheSlowestStreamHoldsTheTickUntilTheDeadline) {
  Make({MakeGroup("g", {MakeRule("r", "sum(x)")})});
  At(kMinute + 100);
  Send({{R"(x{i="2"})", kMinute - 500, 10}}, "two");
  Send({{R"(x{i="1"})", kMinute + 100, 1}}, "one");
  Send({{R"(x{i="1"})", kMinute + 200, 1}}, "one");
  EXPECT_EQ(Take(), Lines{});
  At(kMinute + 5000);
  EXPECT_EQ(Take(), (Lines{"60 r 10"})) << "x{i=1} has no sample at or before the tick";
  EXPECT_EQ(Count("weir_ticks_incomplete_total"), 1u);
}

TEST_F(PipelineTest, AClosedStreamHoldsNothing) {
  Make({MakeGroup("g", {MakeRule("r", "count(x)")})});
  At(kMinute + 100);
  Send({{R"(x{i="2"})", kMinute - 500, 10}}, "two");
  Send({{R"(x{i="1"})", kMinute - 400, 1}, {R"(x{i="3"})", kMinute + 100, 1}}, "one");
  pipeline_->AdvanceStream("one", kMinute, clock_.NowMs());
  At(kMinute + 200);
  EXPECT_EQ(Take(), Lines{});
  pipeline_->CloseStream("two");
  At(kMinute + 300);
  EXPECT_EQ(Take(), (Lines{"60 r 2"}));
}

TEST_F(PipelineTest, ALateSampleIsCountedAndServesTheNextTick) {
  Make({MakeGroup("g", {MakeRule("r", "count_over_time(x[2m])")})});
  At(kMinute + 5000);
  EXPECT_EQ(Take(), Lines{});
  Send({{"x", kMinute - 1, 1}});
  EXPECT_EQ(Count("weir_samples_late_total"), 1u);
  At(2 * kMinute + 5000);
  EXPECT_EQ(Take(), (Lines{"120 r 1"}));
}

TEST_F(PipelineTest, AClockThatRunsAheadMakesNoTickEarly) {
  Make({MakeGroup("g", {MakeRule("r", "x")})});
  At(kMinute - 20000);
  Send({{"x", kMinute + 30000, 1}});
  EXPECT_EQ(Count("weir_samples_ahead_total"), 1u);
  EXPECT_EQ(Take(), Lines{});
  EXPECT_EQ(pipeline_->last_tick_ms(), INT64_MIN);
}

TEST_F(PipelineTest, GroupsOfOneInstantRunProducersFirst) {
  Make({MakeGroup("consumer", {MakeRule("b", "a + 1")}), MakeGroup("producer", {MakeRule("a", "x")})});
  At(kMinute + 10);
  Send({{"x", kMinute, 1}});
  At(kMinute + 5000);
  EXPECT_EQ(Take(), (Lines{"60 a 1", "60 b 2"}));
}

TEST_F(PipelineTest, AQueryOffsetKeepsWhatItLooksBackAt) {
  auto group = MakeGroup(
      "g", {MakeRule("r", "count_over_time(x[30s])"), MakeRule("s", "x"), MakeRule("t", "sum_over_time(s[5m:1m])")});
  group.query_offset_ms = 90000;
  Make({group});
  for (int64_t t = 1000; t <= 10 * kMinute; t += 1000) {
    At(t + 10);
    Send({{"x", t, static_cast<double>(t) / 1000}});
  }
  At(10 * kMinute + 5000);
  Lines lines = Take();
  lines.erase(lines.begin(), lines.end() - 3);
  EXPECT_EQ(lines, (Lines{"600 r 30", "600 s 510", "600 t 1650"})) << "at 510 s: s as seen at 240, 300, … 480";
}

TEST_F(PipelineTest, TicksOfAllGroupsRunInTimeOrder) {
  Make({MakeGroup("slow", {MakeRule("slow", "vector(1)")}, 2 * kMinute),
        MakeGroup("fast", {MakeRule("fast", "vector(1)")})});
  At(4 * kMinute + 5000);
  EXPECT_EQ(Take(), (Lines{"60 fast 1", "120 slow 1", "120 fast 1", "180 fast 1", "240 slow 1", "240 fast 1"}));
}

TEST_F(PipelineTest, SlotsFarBehindAreMissedAndCounted) {
  Make({MakeGroup("g", {MakeRule("r", "vector(1)")})});
  At(kMinute + 5000);
  Take();
  Jump(100 * kMinute + 20000);  // the process did not run for long
  EXPECT_EQ(Count("prometheus_rule_group_iterations_missed_total", {{"rule_group", "rules.yml;g"}}), 98u);
  EXPECT_EQ(Take(), Lines{}) << "after a stall senders get the usual time to deliver";
  At(100 * kMinute + 25000);
  EXPECT_EQ(Take(), (Lines{"6000 r 1"}));
}

TEST_F(PipelineTest, TheOneTickThatAlertsNeedDoesNotDependOnBatching) {
  std::vector<TestSample> samples;
  for (int64_t t = 1000; t <= 10 * kMinute; t += 1000) {
    samples.push_back({R"(x{i="1"})", t, t > 5 * kMinute ? 5.0 : 0.0});
    samples.push_back({R"(x{i="2"})", t, static_cast<double>(t)});
  }
  Lines whole;
  for (const size_t size : {samples.size(), size_t{2}, size_t{70}}) {
    Make({MakeGroup("g", {MakeRule("r", "sum(rate(x[2m]))"), MakeRule("A", R"(x{i="1"} > 1)", true, kMinute)})});
    pipeline_->UseEventTime();
    for (size_t at = 0; at < samples.size(); at += size) {
      Send({samples.begin() + static_cast<long>(at),
            samples.begin() + static_cast<long>(std::min(samples.size(), at + size))});
    }
    pipeline_->Finish(clock_.NowMs());
    Lines lines = Take();
    EXPECT_GT(lines.size(), 20u);
    if (whole.empty()) {
      whole = lines;
    }
    EXPECT_EQ(lines, whole) << "batches of " << size;
  }
}

TEST_F(PipelineTest, EventTimeFollowsTheSamplesToTheirEnd) {
  Make({MakeGroup("g", {MakeRule("r", "x")})});
  clock_.Set(1000 * kMinute);
  pipeline_->UseEventTime();
  Send({{"x", 10 * kMinute + 1, 1}});
  Send({{"x", 12 * kMinute, 2}});
  EXPECT_EQ(Take(), (Lines{"660 r 1"})) << "the first slot after the first sample";
  pipeline_->Finish(clock_.NowMs());
  EXPECT_EQ(Take(), (Lines{"720 r 2"}));
}

TEST_F(PipelineTest, ResultsOfThePastAreNotEmittedButStateIsThere) {
  Make({MakeGroup("g", {MakeRule("r", "count_over_time(x[10m])"), MakeRule("A", "x > 0", true, 5 * kMinute)})});
  clock_.Set(100 * kMinute + 30000);
  pipeline_->BeginCatchUp("kafka", clock_.NowMs());
  pipeline_->AdvanceStream("kafka/0", 80 * kMinute, clock_.NowMs());
  for (int64_t minute = 90; minute <= 100; ++minute) {
    Send({{"x", minute * kMinute, 1}}, "kafka/0");
  }
  EXPECT_EQ(Take(), Lines{});
  pipeline_->CatchUpDone("kafka");
  At(101 * kMinute + 5000);
  Lines lines = Take();
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(lines, (Lines{R"(6060 ALERTS_FOR_STATE{alertname="A"} 5400)",
                          R"(6060 ALERTS{alertname="A", alertstate="firing"} 1)", R"(6060 firing {alertname="A"})",
                          "6060 r 9"}));
}

TEST_F(PipelineTest, ACatchUpThatStaysSilentIsGivenUp) {
  Make({MakeGroup("g", {MakeRule("r", "vector(1)")})});
  pipeline_->BeginCatchUp("kafka", 0);
  for (int64_t t = 0; t < kMinute; t += 1000) {
    At(t);
  }
  EXPECT_EQ(pipeline_->last_tick_ms(), INT64_MIN);
  for (int64_t t = kMinute; t <= kMinute + 5000; t += 1000) {
    At(t);
  }
  EXPECT_EQ(Count("weir_catch_up_given_up_total"), 1u);
  EXPECT_EQ(Take(), (Lines{"60 r 1"}));
}

TEST_F(PipelineTest, AReloadLeavesUnchangedGroupsAndWindowsAlone) {
  const auto before =
      MakeGroup("same", {MakeRule("r", "count_over_time(x[5m])"), MakeRule("A", "x > 0", true, 2 * kMinute)});
  Make({before, MakeGroup("other", {MakeRule("o", "vector(1)")})});
  for (int64_t minute = 1; minute <= 3; ++minute) {
    At(minute * kMinute + 10);
    Send({{"x", minute * kMinute, 1}});
  }
  const rules::Group* group = pipeline_->Groups()[0];
  Take();
  ASSERT_TRUE(SetRules({before, MakeGroup("added", {MakeRule("w", "count_over_time(x[4m])")})}).ok());
  EXPECT_EQ(pipeline_->Groups()[0], group);
  At(4 * kMinute + 10);
  Send({{"x", 4 * kMinute, 1}});
  At(4 * kMinute + 5000);
  Lines lines = Take();
  EXPECT_NE(std::find(lines.begin(), lines.end(), "240 r 4"), lines.end()) << ::testing::PrintToString(lines);
  EXPECT_NE(std::find(lines.begin(), lines.end(), "240 o stale"), lines.end())
      << "two intervals after its last slot: " << ::testing::PrintToString(lines);
}

TEST_F(PipelineTest, ABadReloadChangesNothingAndSaysWhy) {
  Make({MakeGroup("g", {MakeRule("r", "x")})});
  const rules::Group* group = pipeline_->Groups()[0];
  rules::RuleDefinition bad = MakeRule("bad", "x", true);
  bad.labels = {{"severity", "{{ $value"}};
  const Status status = SetRules({MakeGroup("new", {MakeRule("n", "x")}), MakeGroup("g", {bad})});
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("rules.yml:1:1: alert \"bad\": "), std::string::npos) << status.message();
  ASSERT_EQ(pipeline_->Groups().size(), 1u);
  EXPECT_EQ(pipeline_->Groups()[0], group);
  At(kMinute + 10);
  Send({{"x", kMinute, 1}});
  At(kMinute + 5000);
  EXPECT_EQ(Take(), (Lines{"60 r 1"}));
}

// Near the limit of memory new series are refused by name, known ones go on, and who was refused may come again.
TEST_F(PipelineTest, NewSeriesAreRefusedWhileMemoryIsShort) {
  uint64_t resident = 50;
  PipelineOptions options = FixedLateness(5000);
  options.memory_max_bytes = 100;
  options.resident_bytes = [&resident] { return resident; };
  Make({MakeGroup("g", {MakeRule("n", "count(up)")})}, options);
  At(10000);
  EXPECT_EQ(Send({{"up{i=\"1\"}", 10000, 1}}).written, 1U);
  resident = 90;
  At(15000);
  const plugin::IngestOutcome refused = Send({{"up{i=\"1\"}", 15000, 1}, {"up{i=\"2\"}", 15000, 1}});
  EXPECT_EQ(refused.written, 1U);
  EXPECT_EQ(refused.rejected, 1U);
  EXPECT_EQ(refused.first_error, "memory is near its limit: new series are refused: series up{i=\"2\"}, t 15000");
  resident = 86;
  At(20000);
  EXPECT_EQ(Send({{"up{i=\"2\"}", 20000, 1}}).rejected, 1U);  // not yet far enough below
  resident = 80;
  At(25000);
  EXPECT_EQ(Send({{"up{i=\"1\"}", 25000, 1}, {"up{i=\"2\"}", 25000, 1}}).written, 2U);
}

// A limit of memory with readings in the test's hands, and a rule for junk beside one that pages.
class ShortMemoryTest : public PipelineTest {
 protected:
  void MakeAll() {
    PipelineOptions options = FixedLateness(5000);
    options.memory_max_bytes = kLimit;
    options.resident_bytes = [this] { return resident_; };
    options.return_free_memory = [this] {
      ++returned_;
      resident_ -= std::min(resident_, free_);
      free_ = 0;
    };
    rules::RuleDefinition junk = MakeRule("junk", "sum_over_time(x[1h])");
    junk.importance = 10;
    rules::RuleDefinition page = MakeRule("Page", "count(up) > 1", true);
    page.importance = 100;
    Make({MakeGroup("g", {junk, page})}, options);
  }
  void Percent(uint64_t used) { resident_ = used * kLimit / 100; }
  const rules::Rule& Rule(size_t i) { return *pipeline_->Groups()[0]->rules()[i]; }
  double Gauge(const std::string& name, MetricLabels labels = {}) {
    return metrics_.GetGauge(name, "", std::move(labels)).value();
  }
  void SendMinute(int64_t minute) {
    std::vector<TestSample> samples = {{"up{i=\"1\"}", minute * kMinute - 1000, 1},
                                       {"up{i=\"2\"}", minute * kMinute - 1000, 1}};
    for (int i = 0; i < 100; ++i) {
      samples.push_back({"x{i=\"" + std::to_string(i) + "\"}", minute * kMinute - 1000, 1});
    }
    At(minute * kMinute - 500);
    Send(samples);
    At(minute * kMinute + 6000);
  }
  size_t LinesOf(const Lines& lines, const std::string& part) {
    return static_cast<size_t>(std::count_if(
        lines.begin(), lines.end(), [&](const std::string& line) { return line.find(part) != std::string::npos; }));
  }

  static constexpr uint64_t kLimit = 10000000;
  uint64_t resident_ = 0;
  uint64_t free_ = 0;
  int returned_ = 0;
};

TEST_F(ShortMemoryTest, TheLeastImportantRuleStopsAndComesBackAndThePageFiresThroughout) {
  MakeAll();
  SendMinute(1);
  Lines lines = Take();
  EXPECT_EQ(LinesOf(lines, "junk{"), 100U);
  EXPECT_EQ(LinesOf(lines, "firing {alertname=\"Page\"}"), 1U);
  EXPECT_GT(pipeline_->engine().Stats().series, 101U);
  Percent(96);
  SendMinute(2);
  EXPECT_EQ(Rule(0).health(), rules::Health::kError);
  EXPECT_EQ(Rule(0).last_error().substr(0, 68), "stopped: memory is near its limit (9.2 MiB of 9.5 MiB resident), and");
  EXPECT_EQ(Rule(1).health(), rules::Health::kOk);
  lines = Take();
  EXPECT_EQ(LinesOf(lines, "junk{"), LinesOf(lines, " stale")) << "its series have been ended";
  EXPECT_EQ(LinesOf(lines, " stale"), 100U);
  EXPECT_EQ(LinesOf(lines, "ALERTS{alertname=\"Page\", alertstate=\"firing\"} 1"), 1U);
  EXPECT_LT(pipeline_->engine().Stats().series, 10U) << "nobody reads x: its windows are given up";
  EXPECT_EQ(Gauge("weir_rules_stopped", {{"reason", "memory"}}), 1);
  EXPECT_EQ(Gauge("weir_rule_group_stopped_rules", {{"rule_group", "rules.yml;g"}}), 1);
  EXPECT_EQ(Gauge("weir_memory_short"), 1);
  Percent(50);
  SendMinute(4);
  EXPECT_EQ(Gauge("weir_rules_stopped", {{"reason", "memory"}}), 0);
  SendMinute(5);
  lines = Take();
  EXPECT_EQ(LinesOf(lines, "300 junk{"), 100U);
  EXPECT_EQ(LinesOf(lines, "resolved"), 0U);
  EXPECT_EQ(Rule(0).health(), rules::Health::kOk);
  EXPECT_EQ(Rule(0).last_error(), "");
}

TEST_F(ShortMemoryTest, WhatRulesMakeIsNotRefused) {
  MakeAll();
  Percent(91);
  At(2000);
  ASSERT_FALSE(pipeline_->engine().admitting());
  EXPECT_EQ(Send({{"up{i=\"1\"}", 2000, 1}}).rejected, 1U);
  Percent(80);
  At(4000);
  Send({{"up{i=\"1\"}", 4000, 1}, {"up{i=\"2\"}", 4000, 1}});
  Percent(91);
  At(kMinute + 6000);
  ASSERT_FALSE(pipeline_->engine().admitting());
  EXPECT_EQ(LinesOf(Take(), "ALERTS{alertname=\"Page\", alertstate=\"firing\"} 1"), 1U);
  EXPECT_EQ(Rule(1).health(), rules::Health::kOk) << Rule(1).last_error();
}

TEST_F(ShortMemoryTest, WhatTheHeapHoldsWithoutNeedIsNotUsed) {
  MakeAll();
  Percent(96);
  free_ = kLimit / 2;
  SendMinute(1);
  EXPECT_EQ(returned_, 1);
  EXPECT_EQ(Gauge("weir_memory_short"), 0);
  EXPECT_EQ(Rule(0).health(), rules::Health::kOk);
}

TEST_F(ShortMemoryTest, AReloadKeepsWhatIsStoppedAndChecksItAllTheSame) {
  MakeAll();
  SendMinute(1);
  Percent(96);
  SendMinute(2);
  rules::RuleDefinition junk = MakeRule("junk", "sum_over_time(x[2h])");
  junk.importance = 10;
  ASSERT_TRUE(SetRules({MakeGroup("g", {junk, MakeRule("Page", "count(up) > 1", true)})}).ok());
  EXPECT_EQ(Rule(0).health(), rules::Health::kError);
  EXPECT_FALSE(Rule(0).planned());
  pipeline_->SetMemoryMax(0);
  At(clock_.NowMs() + 2 * kMinute);
  EXPECT_TRUE(Rule(0).planned()) << "there is no limit any more";
}

TEST_F(ShortMemoryTest, AGroupThatIsEvaluatedLessOftenKeepsItsAlertsAndWindows) {
  PipelineOptions options = FixedLateness(5000);
  options.memory_max_bytes = kLimit;
  options.resident_bytes = [this] { return resident_; };
  Make({MakeGroup("g", {MakeRule("r", "sum(increase(x[5m]))"), MakeRule("A", "count(x) > 1", true, 2 * kMinute)})},
       options);
  for (int minute = 1; minute <= 3; ++minute) {
    SendMinute(minute);
  }
  Percent(93);
  SendMinute(4);
  EXPECT_EQ(pipeline_->Groups()[0]->definition().slots.interval_ms, 4 * kMinute);
  Take();
  for (int minute = 5; minute <= 8; ++minute) {
    SendMinute(minute);
  }
  const Lines lines = Take();
  EXPECT_EQ(LinesOf(lines, " r "), 1U);
  EXPECT_EQ(LinesOf(lines, "480 r 0"), 1U) << "its window is whole";
  EXPECT_EQ(LinesOf(lines, "480 ALERTS{alertname=\"A\", alertstate=\"firing\"} 1"), 1U)
      << "pending since the first minute";
  EXPECT_EQ(Gauge("weir_rule_groups_slowed"), 1);
  EXPECT_EQ(Gauge("weir_rule_group_interval_factor", {{"rule_group", "rules.yml;g"}}), 4);
}

TEST_F(PipelineTest, ARuleOverItsBudgetIsStoppedAndWhatItReadIsGivenUp) {
  rules::RuleDefinition rule = MakeRule("wide", "max_over_time(x[1h])");
  rule.memory_max_bytes = 20000;
  Make({MakeGroup("g", {rule, MakeRule("other", "count(y)")})});
  for (int minute = 1; minute <= 10; ++minute) {
    std::vector<TestSample> samples = {{"y", minute * kMinute - 1000, 1}};
    for (int i = 0; i < 10 * minute; ++i) {
      samples.push_back({"x{i=\"" + std::to_string(i) + "\"}", minute * kMinute - 1000, 1});
    }
    At(minute * kMinute - 500);
    Send(samples);
    At(minute * kMinute + 6000);
  }
  const rules::Rule& wide = *pipeline_->Groups()[0]->rules()[0];
  EXPECT_EQ(wide.health(), rules::Health::kError);
  EXPECT_NE(wide.last_error().find("is over its budget of 19.5 KiB; tried again at 1970-01-01T00:1"), std::string::npos)
      << wide.last_error();
  EXPECT_LT(pipeline_->engine().Stats().series, 5U);
  const Lines lines = Take();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "600 other 1"), 1);
}

}  // namespace
}  // namespace weir::runtime
