// Eager alerts from sample to sink and back: fired by a sample, confirmed or withdrawn by the tick, and ticks as they are without.
#include "core/base/files.h"
#include "core/runtime/check.h"
#include "core/runtime/overrides.h"
#include "core/runtime/settings.h"
#include "tests/unit/runtime/pipeline_fixture.h"

namespace weir::runtime {
namespace {

rules::RuleDefinition Eager(const std::string& name, const std::string& expr, int64_t for_ms = 0) {
  rules::RuleDefinition rule = MakeRule(name, expr, true, for_ms);
  rule.eager = true;
  return rule;
}

class EagerTest : public PipelineTest {
 protected:
  // RETURNS: the alerts among the results since the last call.
  Lines Alerts() {
    Lines alerts = Take();
    std::erase_if(alerts, [](const std::string& line) {
      return line.find(" firing ") == std::string::npos && line.find(" resolved ") == std::string::npos;
    });
    return alerts;
  }
  uint64_t Evaluations(const std::string& outcome) {
    return Count("weir_eager_evaluations_total", {{"outcome", outcome}});
  }
};

TEST_F(EagerTest, FiresAtTheSampleAndIsConfirmedByTheTick) {
  Make({MakeGroup("g", {Eager("High", "load > 5")})});
  Send({{"load{host=\"a\"}", 59000, 1}, {"load{host=\"b\"}", 59000, 1}});
  At(70000);
  EXPECT_EQ(Take(), Lines{});
  Send({{"load{host=\"a\"}", 70000, 4.9}, {"load{host=\"b\"}", 70000, 5}});
  EXPECT_EQ(Evaluations("nothing"), 0u);
  Send({{"load{host=\"a\"}", 75000, 5.1}, {"load{host=\"b\"}", 75000, 2}});
  EXPECT_EQ(Take(), (Lines{R"(75 firing {alertname="High", host="a"})"}));
  EXPECT_EQ(Evaluations("fired"), 1u);
  // It stays crossed: nothing more to find until the tick.
  Send({{"load{host=\"a\"}", 80000, 9}});
  Send({{"load{host=\"a\"}", 85000, 4}});
  EXPECT_EQ(Evaluations("fired") + Evaluations("nothing"), 1u);
  Send({{"load{host=\"a\"}", 119000, 9}});
  At(126000);
  EXPECT_EQ(Take(), (Lines{R"(120 firing {alertname="High", host="a"})",
                           R"(120 ALERTS{alertname="High", alertstate="firing", host="a"} 1)",
                           R"(120 ALERTS_FOR_STATE{alertname="High", host="a"} 120)"}));
  EXPECT_EQ(Count("weir_eager_confirmed_total"), 1u);
}

TEST_F(EagerTest, TheTickWithdrawsWhatItDoesNotFind) {
  Make({MakeGroup("g", {Eager("High", "load > 5")})});
  Send({{"load", 59000, 1}});
  At(70000);
  Send({{"load", 70000, 6}});
  EXPECT_EQ(Take(), (Lines{R"(70 firing {alertname="High"})"}));
  Send({{"load", 80000, 1}});
  At(126000);
  EXPECT_EQ(Take(), (Lines{R"(120 resolved {alertname="High"})"}));
  EXPECT_EQ(Count("weir_eager_withdrawn_total"), 1u);
  Send({{"load", 130000, 7}});
  EXPECT_EQ(Take(), (Lines{R"(130 firing {alertname="High"})"}));
}

TEST_F(EagerTest, ALateTickSaysNothingOfWhatCameAfterItsTime) {
  Make({MakeGroup("g", {Eager("High", "load > 5")})});
  Send({{"load", 59000, 1}});
  At(119000);
  Take();
  clock_.Set(121000);
  Send({{"load", 121000, 6}});  // the tick of 120 s waits for lateness
  EXPECT_EQ(Take(), (Lines{R"(121 firing {alertname="High"})"}));
  At(130000);
  EXPECT_EQ(Take(), Lines{});
  Send({{"load", 179000, 6}});
  At(186000);
  EXPECT_EQ(Alerts(), (Lines{R"(180 firing {alertname="High"})"}));
}

TEST_F(EagerTest, ForEndsByTheClock) {
  Make({MakeGroup("g", {Eager("High", "load > 5", 90000)})});
  Send({{"load", 59000, 1}});
  At(70000);
  Send({{"load", 70000, 6}});
  EXPECT_EQ(Alerts(), Lines{});
  At(126000);
  Send({{"load", 126000, 6}});
  EXPECT_EQ(Alerts(), Lines{});
  At(159000);
  EXPECT_EQ(Alerts(), Lines{});
  At(161000);
  EXPECT_EQ(Alerts(), (Lines{R"(160 firing {alertname="High"})"}));
  // By ticks it is pending since 120 s, and fires at the first that is 90 s later.
  Send({{"load", 200000, 6}});
  At(246000);
  EXPECT_EQ(Alerts(), (Lines{R"(240 firing {alertname="High"})"}));
  EXPECT_EQ(Count("weir_eager_withdrawn_total"), 0u);
}

TEST_F(EagerTest, RatesSumsAndBurnRatesFireBetweenTicks) {
  Make({MakeGroup("g", {Eager("Rate", "rate(errors_total[1m]) > 10"), Eager("Sum", "sum(rate(errors_total[1m])) > 15"),
                        Eager("Burn",
                              "sum(rate(errors_total[1m])) / sum(rate(requests_total[1m])) > 0.5 and "
                              "sum(rate(errors_total[2m])) / sum(rate(requests_total[2m])) > 0.3")})});
  for (int64_t t = 0; t <= 120000; t += 5000) {
    At(t);
    const auto n = static_cast<double>(t) / 1000;
    Send({{"errors_total{i=\"a\"}", t, n}, {"errors_total{i=\"b\"}", t, n}, {"requests_total", t, 20 * n}});
  }
  At(126000);
  EXPECT_EQ(Take(), Lines{});
  const uint64_t before = Evaluations("nothing");
  Send({{"errors_total{i=\"a\"}", 125000, 125},
        {"errors_total{i=\"b\"}", 125000, 125},
        {"requests_total", 125000, 2500}});
  EXPECT_EQ(Evaluations("nothing"), before);
  Send({{"errors_total{i=\"a\"}", 130000, 5000},
        {"errors_total{i=\"b\"}", 130000, 130},
        {"requests_total", 130000, 7000}});
  EXPECT_EQ(Alerts(), (Lines{R"(130 firing {alertname="Rate", i="a"})", R"(130 firing {alertname="Sum"})",
                             R"(130 firing {alertname="Burn"})"}));
}

TEST_F(EagerTest, QuantilesOfHistogramsFireBetweenTicks) {
  Make({MakeGroup("g", {Eager("Slow", "histogram_quantile(0.9, sum by (le) (rate(seconds_bucket[5m]))) > 0.5")})});
  const auto buckets = [&](int64_t t, double fast, double all) {
    Send({{"seconds_bucket{le=\"+Inf\"}", t, all},
          {"seconds_bucket{le=\"0.1\"}", t, fast},
          {"seconds_bucket{le=\"0.5\"}", t, fast},
          {"seconds_bucket{le=\"1\"}", t, all}});
  };
  for (int64_t t = 0; t <= 125000; t += 5000) {
    At(t);
    buckets(t, 1e6 + static_cast<double>(t), 1e6 + static_cast<double>(t));
  }
  At(126000);
  Take();
  const uint64_t before = Evaluations("nothing");
  buckets(130000, 1130000, 1130000);
  buckets(135000, 1135000, 1135500);
  buckets(140000, 1150000, 1150500);
  EXPECT_EQ(Evaluations("nothing"), before);
  clock_.Set(145000);
  buckets(145000, 1155000, 1255000);
  EXPECT_EQ(Alerts(), (Lines{R"(145 firing {alertname="Slow"})"}));
}

TEST_F(EagerTest, AHistogramWaitsForTheRestOfItsBuckets) {
  Make({MakeGroup("g", {Eager("Slow", "histogram_quantile(0.9, sum by (le) (rate(seconds_bucket[5m]))) > 0.5")})});
  for (int64_t t = 0; t <= 125000; t += 5000) {
    At(t);
    const double n = 1e6 + static_cast<double>(t);
    Send({{"seconds_bucket{le=\"+Inf\"}", t, n},
          {"seconds_bucket{le=\"0.5\"}", t, n},
          {"seconds_bucket{le=\"1\"}", t, n}});
  }
  At(126000);
  Take();
  const uint64_t before = Evaluations("nothing");
  clock_.Set(130000);
  Send({{"seconds_bucket{le=\"+Inf\"}", 130000, 1180000}});
  EXPECT_EQ(Evaluations("nothing"), before);
  Send({{"seconds_bucket{le=\"0.5\"}", 130000, 1180000}, {"seconds_bucket{le=\"1\"}", 130000, 1180000}});
  Jump(132000);
  EXPECT_EQ(Evaluations("nothing"), before);
  EXPECT_EQ(Alerts(), Lines{});
  clock_.Set(135000);
  Send({{"seconds_bucket{le=\"+Inf\"}", 135000, 1200000}});
  EXPECT_EQ(Alerts(), Lines{});
  Jump(136100);  // the others do not come
  EXPECT_EQ(Evaluations("nothing") + Evaluations("fired"), before + 1);
}

TEST_F(EagerTest, ManyCrossingsAreLimitedAndNoneIsLost) {
  Make({MakeGroup("g", {Eager("High", "stddev(load) > 5")})});  // without bounds: every sample crosses
  Send({{"load{i=\"a\"}", 59000, 1}, {"load{i=\"b\"}", 59000, 1}});
  At(70000);
  for (int64_t t = 70001; t <= 70200; ++t) {
    Send({{"load{i=\"a\"}", t, 1}});
  }
  EXPECT_EQ(Count("weir_eager_limited_total"), 1u);
  EXPECT_LE(Evaluations("nothing"), 60u);
  Send({{"load{i=\"a\"}", 70300, 100}});
  EXPECT_EQ(Alerts(), Lines{});
  Jump(70500);
  EXPECT_EQ(Alerts(), (Lines{R"(70 firing {alertname="High"})"}));
}

TEST_F(EagerTest, ASampleFromTheFutureIsLeftToTicks) {
  Make({MakeGroup("g", {Eager("High", "load > 5")})});
  Send({{"load{i=\"a\"}", 59000, 1}, {"load{i=\"b\"}", 59000, 1}});
  At(70000);
  Send({{"load{i=\"a\"}", 400000, 9}});
  EXPECT_EQ(Alerts(), Lines{});
  EXPECT_EQ(Count("weir_eager_ahead_total"), 1u);
  Send({{"load{i=\"b\"}", 70000, 9}});
  EXPECT_EQ(Alerts(), (Lines{R"(70 firing {alertname="High", i="b"})"}));
}

TEST_F(EagerTest, SubqueriesWaitForTheTickAndSayWhy) {
  Make({MakeGroup("g", {Eager("High", "max_over_time(load[5m:1m]) > 5")})});
  Send({{"load", 59000, 1}});
  At(70000);
  Send({{"load", 70000, 9}});
  EXPECT_EQ(Alerts(), Lines{});
}

TEST_F(EagerTest, AReloadTurnsItOnAndOff) {
  Make({MakeGroup("g", {MakeRule("High", "load > 5", true)})});
  Send({{"load", 59000, 1}});
  At(70000);
  ASSERT_TRUE(SetRules({MakeGroup("g", {Eager("High", "load > 5")})}).ok());
  Send({{"load", 119000, 1}});
  At(126000);
  Send({{"load", 126000, 6}});
  EXPECT_EQ(Alerts(), (Lines{R"(126 firing {alertname="High"})"}));
  ASSERT_TRUE(SetRules({MakeGroup("g", {MakeRule("High", "load > 5", true)})}).ok());
  Send({{"load", 130000, 1}});
  At(186000);
  EXPECT_EQ(Alerts(), (Lines{R"(180 resolved {alertname="High"})"}));
  Send({{"load", 190000, 9}});
  EXPECT_EQ(Alerts(), Lines{});
}

TEST_F(EagerTest, ASeriesThatAppearsAndOneThatGoesAreSeen) {
  Make({MakeGroup("g", {Eager("New", "load > 5"), Eager("Gone", "absent(up{job=\"x\"})")})});
  Send({{"load{i=\"a\"}", 59000, 1}, {"up{job=\"x\"}", 59000, 1}});
  At(70000);
  Take();
  Send({{"load{i=\"new\"}", 70000, 8}});
  EXPECT_EQ(Alerts(), (Lines{R"(70 firing {alertname="New", i="new"})"}));
  Send({{"up{job=\"x\"}", 71000, StaleNaN()}});
  EXPECT_EQ(Alerts(), (Lines{R"(71 firing {alertname="Gone", job="x"})"}));
}

// --- what comes while the engine is busy ---

// Samples come in at the first yield from now on.
class EagerYieldTest : public EagerTest {
 protected:
  void SendInYield(std::vector<TestSample> samples) {
    pipeline_->SetYield([this, samples](int64_t after_ms) {
      if (!std::exchange(sent_, true)) {
        EXPECT_LT(after_ms, samples.front().t_ms);
        plugin::SampleBatch batch = BatchOf(samples);
        pipeline_->Apply(batch, "other", clock_.NowMs());
        lines_.push_back("sent");
      }
    });
    sent_ = false;
  }
  bool sent_ = false;
};

TEST_F(EagerYieldTest, ASampleThatComesDuringATickFiresAtOnce) {
  Make({MakeGroup("g", {MakeRule("r", "sum(other)"), Eager("High", "load > 5")})});
  Send({{"load", 59000, 1}, {"other", 59000, 1}});
  At(70000);
  Send({{"load", 119000, 1}, {"other", 119000, 1}});
  At(124000);
  Take();
  SendInYield({{"load", 124500, 6}});
  At(126000);
  EXPECT_EQ(Take(), (Lines{R"(124 firing {alertname="High"})", "sent", "120 r 1"}));
  EXPECT_EQ(Count("weir_eager_delayed_total"), 0u);
  Send({{"load", 179000, 6}});
  At(186000);
  EXPECT_EQ(Count("weir_eager_confirmed_total"), 1u);
}

TEST_F(EagerYieldTest, ARuleThatATickIsEvaluatingWaitsForItsEnd) {
  Make({MakeGroup("g", {Eager("High", "load > 5")})});
  Send({{"load", 59000, 1}});
  At(70000);
  Send({{"load", 119000, 1}});
  At(124000);
  SendInYield({{"load", 124500, 6}});
  At(126000);
  EXPECT_EQ(Take(), (Lines{"sent", R"(124 firing {alertname="High"})"}));
  EXPECT_EQ(Count("weir_eager_delayed_total"), 1u);
}

TEST_F(EagerYieldTest, ASeriesThatAppearsDuringATickIsSeenAfterIt) {
  Make({MakeGroup("g", {MakeRule("r", "sum(other)"), Eager("High", "load > 5")})});
  Send({{"load{i=\"a\"}", 59000, 1}, {"other", 59000, 1}});
  At(70000);
  Send({{"other", 119000, 1}});
  At(124000);
  Take();
  SendInYield({{"load{i=\"new\"}", 124500, 6}});
  At(126000);
  EXPECT_EQ(Take(), (Lines{"sent", "120 r 1", R"(124 firing {alertname="High", i="new"})"}));
  EXPECT_EQ(Count("weir_eager_delayed_total"), 1u);
}

TEST_F(EagerYieldTest, AnAlertOnWhatRulesWriteWaitsForTheEndOfTheTick) {
  Make({MakeGroup("g",
                  {MakeRule("twice", "other * 2"), MakeRule("r", "sum(other)"), Eager("High", "twice + load > 5")})});
  for (const int64_t t : {59000, 119000}) {
    Send({{"load", t, 1}, {"other", t, 1}});
    At(t + 6000 - 1);
  }
  Take();
  SendInYield({{"load", 124999, 60}});
  At(126000);
  EXPECT_EQ(Take(), (Lines{"sent", "120 twice 2", "120 r 1", R"(124 firing {alertname="High"})"}));
  EXPECT_EQ(Count("weir_eager_delayed_total"), 1u);
}

// So many series that they are armed in pieces.
TEST_F(EagerYieldTest, WhatComesWhileAnAlertIsArmedIsLookedAtThen) {
  constexpr int kSeries = 2000;
  Make({MakeGroup("g", {Eager("High", "load > 5"), Eager("Other", "other > 5")})});
  std::vector<TestSample> samples;
  for (int i = 0; i < kSeries; ++i) {
    samples.push_back({"load{i=\"" + std::to_string(i) + "\"}", 59000, 1});
  }
  Send(samples);
  Send({{"other", 59000, 1}});
  At(70000);
  Take();
  SendInYield({{"load{i=\"1\"}", 71000, 6}, {"load{i=\"1999\"}", 71000, 6}, {"other", 71000, 6}});
  clock_.Set(71000);
  Send({{"load{i=\"7\"}", 70500, 6}});
  EXPECT_EQ(Take(), (Lines{R"(70 firing {alertname="High", i="7"})", R"(71 firing {alertname="Other"})", "sent",
                           R"(71 firing {alertname="High", i="1"})", R"(71 firing {alertname="High", i="1999"})"}));
  // And again when all is quiet: it was armed.
  const uint64_t before = Evaluations("nothing");
  Send({{"load{i=\"2\"}", 72000, 4}, {"load{i=\"3\"}", 72000, 5}});
  EXPECT_EQ(Evaluations("nothing"), before);
  Send({{"load{i=\"2\"}", 73000, 6}});
  EXPECT_EQ(Take(), (Lines{R"(73 firing {alertname="High", i="2"})"}));
}

// The first sample that comes in has the alert evaluated when it has been armed, the second comes at any later yield.
TEST_F(EagerYieldTest, WhatComesAtAnyYieldIsSeenBeforeTheTick) {
  constexpr int kSeries = 2000;
  constexpr int kYields = 40;
  const auto load = [](int i) { return "load{i=\"" + std::to_string(i) + "\"}"; };
  for (int last = 2; last < kYields; ++last) {
    const int64_t begin = last * 10 * kMinute;
    clock_.Set(begin);
    Make({MakeGroup("g", {Eager("High", "load > 5")})});
    std::vector<TestSample> samples;
    for (int i = 0; i < kSeries; ++i) {
      samples.push_back({load(i), begin + 59000, 1});
    }
    Send(samples);
    At(begin + 70000);
    Take();
    int yields = 0;
    pipeline_->SetYield([&](int64_t) {
      ++yields;
      if (yields == 1 || yields == last) {
        plugin::SampleBatch batch = BatchOf({{load(yields), begin + 71000 + yields, 6}});
        pipeline_->Apply(batch, "other", clock_.NowMs());
      }
    });
    clock_.Set(begin + 71000);
    Send({{load(0), begin + 71000, 6}});
    At(begin + 75000);
    EXPECT_GE(yields, last);
    EXPECT_EQ(Alerts().size(), 3u) << last;
  }
}

TEST_F(EagerYieldTest, ATickForgetsNothingThatCameWhileAnAlertWaitedToBeArmed) {
  constexpr int kSeries = 2000;
  Make({MakeGroup("g", {MakeRule("r", "sum(other)"), Eager("High", "load > 5")})});
  std::vector<TestSample> samples = {{"other", 59000, 1}};
  for (int i = 0; i < kSeries; ++i) {
    samples.push_back({"load{i=\"" + std::to_string(i) + "\"}", 59000, 1});
  }
  Send(samples);
  At(70000);
  Send({{"other", 119000, 1}});
  At(124000);
  Take();
  SendInYield({{"load{i=\"2\"}", 124500, 6}});
  clock_.Set(126000);
  plugin::SampleBatch batch = BatchOf({{"load{i=\"1\"}", 119500, 6}});
  pipeline_->Apply(batch, "test", clock_.NowMs());
  At(127000);
  EXPECT_EQ(Alerts(), (Lines{R"(119 firing {alertname="High", i="1"})", R"(120 firing {alertname="High", i="1"})",
                             R"(124 firing {alertname="High", i="2"})"}));
}

// The same samples with every alert eager and with none, and as they come while rules are evaluated or armed: what ticks write and
// send is the same.
TEST(Eager, TicksAreAsWithout) {
  const char* const exprs[] = {"load > 5",
                               "rate(n_total[1m]) > 2",
                               "sum(rate(n_total[2m])) / sum(load) > 0.5",
                               "load > 3 and on (i) rate(n_total[1m]) > 1",
                               "avg_over_time(load[2m]) > 4",
                               "absent(load{i=\"1\"})",
                               "quantile(0.5, load) < 4"};
  class Recorder final : public rules::RuleOutput {
   public:
    void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) override {
      for (const plugin::ResultSample& s : results->samples) {
        lines.push_back(std::to_string(s.t) + s.labels->ToString() + FormatFloat(s.v, 'g', -1));
      }
    }
    void OnAlerts(plugin::AlertBatch) override { ++batches; }
    std::vector<std::string> lines;
    size_t batches = 0;
  };
  std::vector<std::string> without;
  for (const auto& [eager, yields] : {std::pair(false, false), {true, false}, {true, true}}) {
    FakeClock clock{0};
    MetricRegistry metrics;
    Recorder recorder;
    Pipeline pipeline(PipelineOptions{}, &clock, &metrics, static_cast<rules::RuleOutput*>(&recorder));
    RuleSettings settings;
    std::vector<rules::RuleDefinition> rules;
    for (const char* expr : exprs) {
      rules.push_back(eager ? Eager("A" + std::to_string(rules.size()), expr)
                            : MakeRule("A" + std::to_string(rules.size()), expr, true));
      rules.push_back(MakeRule("r:" + std::to_string(rules.size()), "sum(" + std::string(expr) + ")"));
    }
    settings.groups = {MakeGroup("g", std::move(rules), 15000)};
    ASSERT_TRUE(pipeline.SetRules(std::move(settings), 0).ok());
    uint64_t random = 7;
    const auto next = [&](uint64_t n) {
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      return (random >> 33) % n;
    };
    double n_total[3] = {0, 0, 0};
    int64_t sent = 0;
    const auto send = [&] {
      const int64_t t = 1000 * (sent / 3 + 1);
      const auto i = static_cast<size_t>(sent++ % 3);
      n_total[i] = next(50) == 0 ? 0 : n_total[i] + static_cast<double>(next(5));
      const std::string label = "{i=\"" + std::to_string(i) + "\"}";
      plugin::SampleBatch batch =
          BatchOf({{"load" + label, t, static_cast<double>(next(8))}, {"n_total" + label, t, n_total[i]}});
      pipeline.Apply(batch, "test", t);
    };
    size_t in_yields = 0;
    if (yields) {
      pipeline.SetYield([&](int64_t after_ms) {
        const int64_t t = 1000 * (sent / 3 + 1);
        if (t > after_ms && t <= std::min<int64_t>(clock.NowMs() + 1000, 600000)) {
          send();
          ++in_yields;
        }
      });
    }
    for (int64_t t = 1000; t <= 600000; t += 1000) {
      clock.Set(t);
      while (sent < 3 * t / 1000) {
        send();
      }
      pipeline.RunDue(t);
    }
    EXPECT_EQ(in_yields > 100, yields);
    EXPECT_GT(recorder.lines.size(), 500u);
    if (!eager) {
      without = recorder.lines;
      continue;
    }
    EXPECT_EQ(recorder.lines, without);
    EXPECT_GT(metrics.GetCounter("weir_eager_evaluations_total", "", {{"outcome", "fired"}}).value(), 20u);
  }
}

TEST(Overrides, AlertsWinOverGroupsAndUnknownNamesAreErrors) {
  std::vector<rules::GroupDefinition> groups = {MakeGroup(
      "nodes", {MakeRule("HostDown", "up == 0", true), MakeRule("HostSlow", "up == 0", true), MakeRule("r", "up")})};
  const auto override_of = [](const std::string& group, const std::string& alert, const std::string& mode) {
    config::Override made;
    made.group = group;
    made.alert = alert;
    made.mode = mode;
    made.where = "weir.yml:9:3";
    return made;
  };
  EXPECT_EQ(ApplyOverrides({override_of("", "HostSlow", "interval"), override_of("nodes", "", "eager")}, &groups),
            std::vector<std::string>());
  EXPECT_TRUE(groups[0].rules[0]->eager);
  EXPECT_FALSE(groups[0].rules[1]->eager);
  EXPECT_FALSE(groups[0].rules[2]->eager);
  EXPECT_EQ(ApplyOverrides(
                {override_of("node", "", "eager"), override_of("", "HostDwon", "eager"), override_of("", "r", "eager")},
                &groups),
            (std::vector<std::string>{R"(weir.yml:9:3: no rule file has a group "node"; did you mean "nodes"?)",
                                      R"(weir.yml:9:3: no rule file has an alert "HostDwon"; did you mean "HostDown"?)",
                                      R"(weir.yml:9:3: no rule file has an alert "r")"}));
}

TEST(Overrides, PrecisionIsOfAllRulesOfAGroupAndAnAlertMayDiffer) {
  std::vector<rules::GroupDefinition> groups = {
      MakeGroup("slo", {MakeRule("Burns", "up == 0", true), MakeRule("Other", "up == 0", true), MakeRule("r", "up")})};
  config::Override group;
  group.group = "slo";
  group.precision = "bounded";
  group.max_error = 0.01;
  config::Override alert;
  alert.alert = "Burns";
  alert.precision = "exact";
  EXPECT_EQ(ApplyOverrides({alert, group}, &groups), std::vector<std::string>());
  EXPECT_EQ(groups[0].rules[0]->max_error, 0);
  EXPECT_EQ(groups[0].rules[1]->max_error, 0.01);
  EXPECT_EQ(groups[0].rules[2]->max_error, 0.01);
}

TEST(Overrides, TheQuickstartHasAnEagerAlertWithTriggerValues) {
  const Result<Settings> settings = LoadSettings("configs/quickstart.yml");
  ASSERT_TRUE(settings.ok()) << settings.status().message();
  CheckOutcome outcome;
  const std::string text = ExplainFile("configs/quickstart.yml", {.rule = "GpuXidFatal"}, &outcome);
  EXPECT_NE(text.find("eager         at once when a sample crosses its trigger value"), std::string::npos) << text;
}

TEST(Overrides, ExplainSaysWhatIsNotBounded) {
  const std::string path = ::testing::TempDir() + "eager_overrides.yml";
  const std::string rules = ::testing::TempDir() + "eager_overrides.rules.yml";
  ASSERT_TRUE(WriteFileAtomically(rules,
                                  "groups: [{name: g, rules: [{alert: A, expr: \"stddev(x) > 1\"}, "
                                  "{alert: B, expr: \"max_over_time(x[5m:1m]) > 1\"}]}]\n")
                  .ok());
  ASSERT_TRUE(
      WriteFileAtomically(path, "rule_files: [eager_overrides.rules.yml]\noverrides: [{group: g, mode: eager}]\n")
          .ok());
  CheckOutcome outcome;
  const std::string text = ExplainFile(path, {}, &outcome);
  EXPECT_EQ(outcome.errors, std::vector<std::string>());
  EXPECT_NE(text.find("no trigger values: what stddev becomes"), std::string::npos) << text;
  EXPECT_NE(text.find("no, at ticks only: the steps of a subquery"), std::string::npos) << text;
  ASSERT_TRUE(
      WriteFileAtomically(path, "rule_files: [eager_overrides.rules.yml]\noverrides: [{alert: AA, mode: eager}]\n")
          .ok());
  EXPECT_EQ(LoadSettings(path).status().message(),
            path + ":2:13: no rule file has an alert \"AA\"; did you mean \"A\"?");
}

}  // namespace
}  // namespace weir::runtime
