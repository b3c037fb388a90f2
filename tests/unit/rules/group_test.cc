#include "core/rules/group.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "core/model/duration.h"
#include "core/promql/parser.h"
#include "core/rules/alerting_rule.h"

namespace weir::rules {
namespace {

constexpr int64_t kMinute = 60000;

RuleDefinition Record(const std::string& name, const std::string& expr, std::vector<Label> labels = {}) {
  RuleDefinition rule;
  rule.name = name;
  rule.expr = promql::ParseExpr(expr).expr;
  rule.query = expr;
  rule.labels = std::move(labels);
  return rule;
}

RuleDefinition Alert(const std::string& name, const std::string& expr, int64_t for_ms = 0,
                     std::vector<Label> labels = {}, std::vector<Label> annotations = {}) {
  RuleDefinition rule = Record(name, expr, std::move(labels));
  rule.alerting = true;
  rule.for_ms = for_ms;
  rule.annotations = std::move(annotations);
  return rule;
}

GroupDefinition GroupOf(const std::vector<RuleDefinition>& rules) {
  GroupDefinition group;
  group.file = "rules.yml";
  group.name = "g";
  group.slots = {kMinute, 0};
  group.rules.assign(rules.begin(), rules.end());
  return group;
}

// An engine, a group and what it gave out; samples are written as text, `metric{a="b"}`.
class World : public RuleOutput {
 public:
  World() {
    environment_.engine = &engine_;
    environment_.output = this;
    environment_.metrics = &metrics_;
    environment_.clock = &clock_;
    environment_.external_url = "http://weir:9797";
  }

  void Use(GroupDefinition definition) {
    Result<std::unique_ptr<Group>> group = Group::Create(std::move(definition), &environment_);
    ASSERT_TRUE(group.ok()) << group.status().message();
    std::unique_ptr<Group> old = std::move(group_);
    group_ = std::move(*group);
    if (old != nullptr) {
      group_->TakeState(*old);
    }
  }

  void Add(const std::string& series, int64_t t_ms, double v) {
    const Labels labels = *promql::ParseMetric(series);
    engine_.Append(engine_.Intern(engine_.labels().InternSet(labels)), t_ms, v);
  }
  // A histogram with `count` observations in (1, 2].
  void AddHistogram(const std::string& series, int64_t t_ms, double count) {
    FloatHistogram h;
    h.count = count;
    h.sum = 1.5 * count;
    h.positive_spans = {{1, 1}};
    h.positive_buckets = {count};
    const Labels labels = *promql::ParseMetric(series);
    engine_.AppendHistogram(engine_.Intern(engine_.labels().InternSet(labels)), t_ms,
                            std::make_shared<const FloatHistogram>(h));
  }

  // Runs the slot. RETURNS: what was written, `series value` sorted, stale markers as `series stale`.
  std::vector<std::string> Tick(int64_t slot_ms, bool emit = true) {
    written_.clear();
    times_.clear();
    alerts_.clear();
    parts_.clear();
    group_->Evaluate(slot_ms, emit);
    std::sort(written_.begin(), written_.end());
    return written_;
  }

  Group& group() { return *group_; }
  const std::vector<plugin::Alert>& alerts() const { return alerts_; }
  const std::vector<int64_t>& times() const { return times_; }
  MetricRegistry& metrics() { return metrics_; }
  RuleEnvironment& environment() { return environment_; }
  void DropGroup(int64_t t_ms) {
    written_.clear();
    group_->MarkStale(t_ms, true);
  }
  const std::vector<std::string>& written() const { return written_; }
  const std::vector<size_t>& parts() const { return parts_; }
  engine::Engine& engine() { return engine_; }
  bool takes_samples = true;

 private:
  bool TakesSamples() const override { return takes_samples; }
  void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) override {
    parts_.push_back(results->samples.size());
    for (const plugin::ResultSample& sample : results->samples) {
      written_.push_back(sample.labels->ToString() + " " +
                         (sample.h != nullptr    ? sample.h->ToString()
                          : IsStaleNaN(sample.v) ? "stale"
                                                 : FormatSampleValue(sample.v)));
      times_.push_back(sample.t);
    }
  }
  void OnAlerts(plugin::AlertBatch batch) override {
    alerts_.insert(alerts_.end(), batch.alerts.begin(), batch.alerts.end());
  }

  FakeClock clock_{1000000};
  MetricRegistry metrics_;
  engine::Engine engine_{engine::Options{}};
  RuleEnvironment environment_;
  std::unique_ptr<Group> group_;
  std::vector<std::string> written_;
  std::vector<int64_t> times_;
  std::vector<size_t> parts_;
  std::vector<plugin::Alert> alerts_;
};

using Lines = std::vector<std::string>;

TEST(Group, RecordedHistogramsFeedLaterRulesAndEndLikeFloats) {
  World world;
  world.Use(GroupOf({Record("r", "sum(h)"), Record("c", "histogram_count(r)"), Alert("Some", "r")}));
  world.AddHistogram("h{i=\"1\"}", kMinute, 3);
  world.AddHistogram("h{i=\"2\"}", kMinute, 4);
  const std::vector<std::string> written = world.Tick(kMinute);
  EXPECT_EQ(written[written.size() - 2], "c 7");
  EXPECT_EQ(written[written.size() - 1], "r {count:7, sum:10.5, (1,2]:7}");
  ASSERT_EQ(world.alerts().size(), 1u);
  EXPECT_EQ(world.alerts()[0].value, 0);  // as in Prometheus
  const std::vector<std::string> ended = world.Tick(kMinute + 2 * 300000);
  EXPECT_EQ(ended[ended.size() - 2], "c stale");
  EXPECT_EQ(ended[ended.size() - 1], "r stale");
}

TEST(Group, AHistogramThatNoStorageTakesIsRefused) {
  World world;
  world.Use(GroupOf({Record("r", "h - on() x"), Record("c", "histogram_count(r)")}));
  world.AddHistogram("h", kMinute, 3);
  world.AddHistogram("x", kMinute, 1);
  EXPECT_EQ(world.Tick(kMinute), (Lines{"c 2", "r {count:2, sum:3, (1,2]:2}"}));
  world.AddHistogram("x", kMinute + 1, 4);
  EXPECT_EQ(world.Tick(2 * kMinute), (Lines{"c stale", "r stale"}));
  EXPECT_EQ(world.group().rules()[0]->health(), Health::kError);
  EXPECT_EQ(world.group().rules()[0]->last_error(),
            "observation count is  -1: histogram's observation count is negative");
  EXPECT_EQ(world.group().rules()[1]->health(), Health::kOk);
}

TEST(Group, LaterRulesSeeRecordedSamplesOfTheSameTick) {
  World world;
  world.Use(GroupOf({Record("a", "sum(x)"), Record("b", "a * 2")}));
  world.Add(R"(x{i="1"})", kMinute - 1, 1);
  world.Add(R"(x{i="2"})", kMinute - 1, 2);
  EXPECT_EQ(world.Tick(kMinute), (Lines{"a 3", "b 6"}));
}

TEST(Group, RuleLabelsOverrideAndEmptyOnesRemove) {
  World world;
  world.Use(GroupOf({Record("r", "x", {{"drop", ""}, {"job", "weir"}})}));
  world.Add(R"(x{drop="1",job="a",keep="k"})", kMinute, 5);
  EXPECT_EQ(world.Tick(kMinute), (Lines{R"(r{job="weir", keep="k"} 5)"}));
}

TEST(Group, ScalarResultIsOneSampleWithoutLabels) {
  World world;
  world.Use(GroupOf({Record("r", "1 + 2", {{"a", "b"}})}));
  EXPECT_EQ(world.Tick(kMinute), (Lines{R"(r{a="b"} 3)"}));
}

TEST(Group, StringResultIsAnError) {
  World world;
  world.Use(GroupOf({Record("r", R"("text")")}));
  EXPECT_EQ(world.Tick(kMinute), Lines{});
  EXPECT_EQ(world.group().rules()[0]->health(), Health::kError);
  EXPECT_EQ(world.group().rules()[0]->last_error(), "rule result is not a vector or scalar");
}

TEST(Group, DuplicatesAfterLabelsWriteNothingAndOtherRulesGoOn) {
  World world;
  world.Use(GroupOf({Record("r", "x", {{"i", "same"}}), Record("s", "count(x)")}));
  world.Add(R"(x{i="1"})", kMinute, 1);
  world.Add(R"(x{i="2"})", kMinute, 2);
  EXPECT_EQ(world.Tick(kMinute), (Lines{"s 2"}));
  EXPECT_EQ(world.group().rules()[0]->last_error(),
            "vector contains metrics with the same labelset after applying rule labels");
  EXPECT_EQ(world.group().rules()[1]->health(), Health::kOk);
}

TEST(Group, AnExpressionThatFailsShowsInHealthAndOthersGoOn) {
  World world;
  world.Use(GroupOf({Record("r", "x * on(job) y"), Record("s", "count(y)")}));
  world.Add(R"(x{job="a",i="1"})", kMinute, 1);
  world.Add(R"(x{job="a",i="2"})", kMinute, 1);
  world.Add(R"(y{job="a",i="1"})", kMinute, 1);
  world.Add(R"(y{job="a",i="2"})", kMinute, 1);
  EXPECT_EQ(world.Tick(kMinute), (Lines{"s 2"}));
  EXPECT_EQ(world.group().rules()[0]->health(), Health::kError);
  EXPECT_NE(world.group().rules()[0]->last_error().find("many"), std::string::npos)
      << world.group().rules()[0]->last_error();
  EXPECT_EQ(world.metrics()
                .GetCounter("prometheus_rule_evaluation_failures_total", "", {{"rule_group", "rules.yml;g"}})
                .value(),
            1u);
}

TEST(Group, RemarksAreKeptCountedAndLoggedOnce) {
  const std::string info =
      "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"temp\" (1:10)";
  const std::string warning = "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)";
  RuleDefinition written = Record("r", "sum(rate(temp[5m]))");
  written.expr = promql::ParseExpr("sum( rate ( (temp[5m]) ) )").expr;  // places are counted in the printed text
  World world;
  world.Use(GroupOf({written, Alert("A", "quantile(2, temp)")}));
  world.Add("temp", kMinute, 1);
  world.Add("temp", 2 * kMinute, 2);
  const auto logged = [&](int64_t slot_ms) {
    testing::internal::CaptureStderr();
    world.Tick(slot_ms);
    return testing::internal::GetCapturedStderr();
  };
  const std::string log = logged(3 * kMinute);
  EXPECT_NE(log.find("warning rule evaluation annotated"), std::string::npos) << log;
  EXPECT_NE(log.find("info rule evaluation annotated"), std::string::npos) << log;
  EXPECT_EQ(world.group().rules()[0]->infos(), Lines{info});
  EXPECT_EQ(world.group().rules()[0]->warnings(), Lines{});
  EXPECT_EQ(world.group().rules()[0]->health(), Health::kOk);
  EXPECT_EQ(world.group().rules()[1]->warnings(), Lines{warning});
  EXPECT_EQ(logged(4 * kMinute), "");

  world.Use(GroupOf({written, Alert("A", "quantile(2, temp)", kMinute)}));
  EXPECT_EQ(world.group().rules()[0]->infos(), Lines{info});  // shown until the next evaluation
  const std::string again = logged(5 * kMinute);              // the rule that changed tells again
  EXPECT_EQ(again.find("info rule evaluation annotated"), std::string::npos) << again;
  EXPECT_NE(again.find("warning rule evaluation annotated"), std::string::npos) << again;
  const std::string metrics = world.metrics().Expose();
  EXPECT_NE(metrics.find(R"(weir_rule_annotations_total{rule_group="rules.yml;g",kind="info"} 3)"), std::string::npos)
      << metrics;

  logged(20 * kMinute);  // what has nothing to say says nothing
  EXPECT_EQ(world.group().rules()[0]->infos(), Lines{});
}

TEST(Group, VanishedSeriesGetOneStaleMarker) {
  World world;
  world.Use(GroupOf({Record("r", "x > 0")}));
  world.Add(R"(x{i="1"})", kMinute, 1);
  world.Add(R"(x{i="2"})", kMinute, 1);
  world.Tick(kMinute);
  world.Add(R"(x{i="2"})", kMinute + 1, -1);
  EXPECT_EQ(world.Tick(2 * kMinute), (Lines{R"(r{i="1"} 1)", R"(r{i="2"} stale)"}));
  EXPECT_EQ(world.Tick(3 * kMinute), (Lines{R"(r{i="1"} 1)"}));
}

TEST(Group, AFailedEvaluationLeavesSeriesAsTheyAre) {
  World world;
  GroupDefinition definition = GroupOf({Record("r", "x")});
  definition.limit = 1;
  world.Use(definition);
  world.Add(R"(x{i="1"})", kMinute, 1);
  EXPECT_EQ(world.Tick(kMinute), (Lines{R"(r{i="1"} 1)"}));
  world.Add(R"(x{i="2"})", kMinute + 1, 1);
  EXPECT_EQ(world.Tick(2 * kMinute), Lines{});
  EXPECT_EQ(world.group().rules()[0]->last_error(), "exceeded limit of 1 with 2 series");
  world.Add(R"(x{i="1"})", 2 * kMinute + 1, StaleNaN());
  world.Add(R"(x{i="2"})", 2 * kMinute + 1, StaleNaN());
  EXPECT_EQ(world.Tick(3 * kMinute), (Lines{R"(r{i="1"} stale)"}));
}

TEST(Group, TwoRulesOfOneSeriesTheLaterValueIsRefused) {
  World world;
  world.Use(GroupOf({Record("r", "x"), Record("r", "x + 1"), Record("s", "r")}));
  world.Add("x", kMinute, 1);
  EXPECT_EQ(world.Tick(kMinute), (Lines{"r 1", "s 1"}));
  EXPECT_EQ(world.group().rules()[0]->health(), Health::kOk);
  EXPECT_EQ(world.group().rules()[1]->health(), Health::kError);
  EXPECT_EQ(world.group().rules()[1]->last_error(), "duplicate sample for timestamp");
}

TEST(Group, QueryOffsetShiftsQueryAndSamplesButNotActiveAt) {
  World world;
  GroupDefinition definition = GroupOf({Record("r", "x"), Alert("A", "x > 0")});
  definition.query_offset_ms = 10000;
  world.Use(definition);
  world.Add("x", kMinute - 10000, 1);
  world.Add("x", kMinute - 5000, 2);
  EXPECT_EQ(world.Tick(kMinute),
            (Lines{R"(ALERTS_FOR_STATE{alertname="A"} 60)", R"(ALERTS{alertname="A", alertstate="firing"} 1)", "r 1"}));
  EXPECT_EQ(world.times(), (std::vector<int64_t>(3, kMinute - 10000)));
  EXPECT_EQ(world.alerts().at(0).active_at_ms, kMinute);
}

TEST(Group, PendingThenFiringEndsOneAlertsSeriesAndStartsAnother) {
  World world;
  world.Use(GroupOf({Alert("Hot", "temp > 80", kMinute, {{"severity", "page"}},
                           {{"summary", "{{ $labels.gpu }} at {{ $value }}"}})}));
  world.Add(R"(temp{gpu="0"})", kMinute, 90);
  EXPECT_EQ(world.Tick(kMinute),
            (Lines{R"(ALERTS_FOR_STATE{alertname="Hot", gpu="0", severity="page"} 60)",
                   R"(ALERTS{alertname="Hot", alertstate="pending", gpu="0", severity="page"} 1)"}));
  EXPECT_TRUE(world.alerts().empty());
  world.Add(R"(temp{gpu="0"})", 2 * kMinute, 91);
  EXPECT_EQ(world.Tick(2 * kMinute),
            (Lines{R"(ALERTS_FOR_STATE{alertname="Hot", gpu="0", severity="page"} 60)",
                   R"(ALERTS{alertname="Hot", alertstate="firing", gpu="0", severity="page"} 1)",
                   R"(ALERTS{alertname="Hot", alertstate="pending", gpu="0", severity="page"} stale)"}));
  ASSERT_EQ(world.alerts().size(), 1u);
  const plugin::Alert& alert = world.alerts()[0];
  EXPECT_EQ(alert.labels.ToString(), R"({alertname="Hot", gpu="0", severity="page"})");
  EXPECT_EQ(alert.annotations.Get("summary"), "0 at 91");
  EXPECT_EQ(alert.active_at_ms, kMinute);
  EXPECT_EQ(alert.starts_at_ms, 2 * kMinute);
  EXPECT_EQ(alert.ends_at_ms, 2 * kMinute + 4 * kMinute);
  EXPECT_EQ(alert.generator_url, "http://weir:9797/graph?g0.expr=temp+%3E+80&g0.tab=1");
  world.Add(R"(temp{gpu="0"})", 3 * kMinute, 20);
  EXPECT_EQ(world.Tick(3 * kMinute),
            (Lines{R"(ALERTS_FOR_STATE{alertname="Hot", gpu="0", severity="page"} stale)",
                   R"(ALERTS{alertname="Hot", alertstate="firing", gpu="0", severity="page"} stale)"}));
  ASSERT_EQ(world.alerts().size(), 1u);
  EXPECT_TRUE(world.alerts()[0].resolved);
  EXPECT_EQ(world.alerts()[0].ends_at_ms, 3 * kMinute);
}

TEST(Group, TemplatesInLabelsAndTheQueryFunction) {
  World world;
  world.environment().external_labels = Labels{{"cluster", "c1"}};
  world.Use(GroupOf({Record("total", "sum(x)"),
                     Alert("A", "x > 1", 0, {{"where", "{{ $labels.i }}@{{ $externalLabels.cluster }}"}},
                           {{"sum", R"({{ query "total" | first | value }})"}, {"broken", "{{ query `sum(` }}"}})}));
  world.Add(R"(x{i="1"})", kMinute, 1);
  world.Add(R"(x{i="2"})", kMinute, 2);
  world.Tick(kMinute);
  ASSERT_EQ(world.alerts().size(), 1u);
  EXPECT_EQ(world.alerts()[0].labels.Get("where"), "2@c1");
  EXPECT_EQ(world.alerts()[0].annotations.Get("sum"), "3");
  EXPECT_TRUE(world.alerts()[0].annotations.Get("broken").starts_with("<error expanding template: "))
      << world.alerts()[0].annotations.Get("broken");
}

TEST(Group, AlertsWithEqualLabelsAreAnErrorAndChangeNothing) {
  World world;
  world.Use(GroupOf({Alert("A", "x", 0, {{"i", "same"}})}));
  world.Add(R"(x{i="1"})", kMinute, 1);
  world.Add(R"(x{i="2"})", kMinute, 1);
  EXPECT_EQ(world.Tick(kMinute), Lines{});
  EXPECT_TRUE(world.alerts().empty());
  EXPECT_EQ(world.group().rules()[0]->last_error(),
            "vector contains metrics with the same labelset after applying alert labels");
}

TEST(Group, WithoutEmittingStateMovesAndNothingLeaves) {
  World world;
  world.Use(GroupOf({Record("r", "x"), Alert("A", "r > 0")}));
  world.Add("x", kMinute, 1);
  EXPECT_EQ(world.Tick(kMinute, false), Lines{});
  EXPECT_TRUE(world.alerts().empty());
  world.Tick(2 * kMinute);
  ASSERT_EQ(world.alerts().size(), 1u);
  EXPECT_EQ(world.alerts()[0].active_at_ms, kMinute) << "the alert has been active since the tick that was not emitted";
}

TEST(Group, AReplacedGroupKeepsAlertsAndEndsTheSeriesOfRulesThatAreGone) {
  World world;
  world.Use(GroupOf({Record("gone", "x"), Alert("A", "x > 0", kMinute)}));
  world.Add("x", kMinute, 1);
  world.Tick(kMinute);
  world.Use(GroupOf({Record("fresh", "x"), Alert("A", "x > 0.5", kMinute)}));
  EXPECT_EQ(world.Tick(2 * kMinute),
            (Lines{R"(ALERTS_FOR_STATE{alertname="A"} 60)", R"(ALERTS{alertname="A", alertstate="firing"} 1)",
                   R"(ALERTS{alertname="A", alertstate="pending"} stale)", "fresh 1", "gone stale"}));
  ASSERT_EQ(world.alerts().size(), 1u);
  EXPECT_EQ(world.alerts()[0].active_at_ms, kMinute);
}

TEST(Group, ARemovedGroupEndsItsSeries) {
  World world;
  world.Use(GroupOf({Record("r", "x")}));
  world.Add("x", kMinute, 1);
  world.Tick(kMinute);
  world.DropGroup(3 * kMinute);
  EXPECT_EQ(world.written(), (Lines{"r stale"}));
}

TEST(Group, ManySeriesComingAndGoingKeepTheirOwnLabels) {
  World world;
  world.Use(GroupOf({Record("r", "x + 0")}));
  for (int64_t tick = 1; tick <= 40; ++tick) {
    std::map<std::string, double> expected;
    for (int64_t i = tick * 100; i < tick * 100 + 300; ++i) {
      const std::string labels = "{i=\"" + std::to_string(i) + "\"}";
      world.Add("x" + labels, tick * kMinute, static_cast<double>(i));
      expected["r" + labels + " " + std::to_string(i)] = 1;
    }
    for (int64_t i = (tick - 1) * 100; tick > 1 && i < tick * 100; ++i) {
      world.Add("x{i=\"" + std::to_string(i) + "\"}", tick * kMinute, StaleNaN());
      expected["r{i=\"" + std::to_string(i) + "\"} stale"] = 1;
    }
    Lines lines;
    for (const auto& [line, one] : expected) {
      lines.push_back(line);
    }
    ASSERT_EQ(world.Tick(tick * kMinute), lines) << "tick " << tick;
  }
}

// Label sets that only a rule knows, of resolved alerts and of series that have ended, must outlive the engine's collections.
TEST(Group, LabelsOfResolvedAlertsSurviveChurn) {
  World world;
  world.Use(GroupOf({Alert("Hot", "temp > 80", 0, {{"severity", "page"}}, {{"text", "{{ $labels.gpu }} is hot"}})}));
  world.Add("temp{gpu=\"7\"}", kMinute, 90);
  world.Tick(kMinute);
  ASSERT_EQ(world.alerts().size(), 1u);
  const Labels labels = world.alerts()[0].labels;
  size_t sent = 0;
  for (int64_t tick = 2; tick <= 14; ++tick) {
    for (int i = 0; i < 1500; ++i) {
      world.Add("other{pod=\"" + std::to_string(tick * 10000 + i) + "\"}", tick * kMinute, 1);
    }
    world.Tick(tick * kMinute);
    for (const plugin::Alert& alert : world.alerts()) {
      EXPECT_EQ(alert.labels, labels);
      EXPECT_EQ(alert.annotations.Get("text"), "7 is hot");
      sent += alert.resolved ? 1 : 0;
    }
    world.engine().Release(tick * kMinute);
    world.engine().Expire(tick * kMinute);
  }
  EXPECT_GE(sent, 4u);
}

// Labels made by templates are new at every evaluation; where it fails, they never become series.
TEST(Group, LabelsOfFailedEvaluationsAreGivenBack) {
  World world;
  world.Use(GroupOf({Alert("Twice", "x", 0, {{"same", "{{ $value }}"}, {"i", ""}}, {})}));
  for (int64_t tick = 1; tick <= 3000; ++tick) {
    for (int64_t i = 0; i < 20; ++i) {
      const int64_t value = tick * 100 + i / 2;
      world.Add("x{i=\"" + std::to_string(i) + "\"}", tick * kMinute, static_cast<double>(value));
    }
    EXPECT_TRUE(world.Tick(tick * kMinute).empty());
    world.engine().Release(tick * kMinute);
    world.engine().Expire(tick * kMinute);
    ASSERT_LT(world.engine().labels().sets(), 12000u);
  }
}

TEST(Group, ManyResultsComeInParts) {
  World world;
  world.Use(GroupOf({Record("r", "x + 0"), Alert("A", "r >= 0")}));
  Lines expected;
  constexpr size_t kSeries = 5000;
  for (size_t i = 0; i < kSeries; ++i) {
    const std::string label = "i=\"" + std::to_string(i) + "\"";
    world.Add("x{" + label + "}", kMinute, 1);
    expected.push_back("r{" + label + "} 1");
    expected.push_back("ALERTS{alertname=\"A\", alertstate=\"firing\", " + label + "} 1");
    expected.push_back("ALERTS_FOR_STATE{alertname=\"A\", " + label + "} 60");
  }
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(world.Tick(kMinute), expected);
  EXPECT_EQ(world.alerts().size(), kSeries);
  EXPECT_EQ(world.parts().size(), (3 * kSeries + kPartSamplesMax - 1) / kPartSamplesMax);
  EXPECT_LE(*std::max_element(world.parts().begin(), world.parts().end()), kPartSamplesMax);
}

TEST(Group, SamplesThatNobodyTakesAreNotMadeButWritten) {
  World world;
  world.takes_samples = false;
  world.Use(GroupOf({Record("r", "x + 0"), Alert("A", "r > 0")}));
  world.Add("x", kMinute, 1);
  EXPECT_TRUE(world.Tick(kMinute).empty());
  EXPECT_EQ(world.alerts().size(), 1u);  // it has seen r
}

}  // namespace
}  // namespace weir::rules
