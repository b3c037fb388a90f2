// The engine's own promises beyond values: sharing, structure changes, expiry, one-off queries, refusals. Values are compared
// with the naive evaluator (tests/differential) and with upstream's scripts.

#include "core/engine/engine.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "core/promql/parser.h"

namespace weir::engine {
namespace {

promql::ExprPtr Parse(const std::string& text) {
  auto outcome = promql::ParseExpr(text, promql::ParserOptions::All());
  EXPECT_TRUE(outcome.expr) << text;
  return outcome.expr;
}

class EngineTest : public ::testing::Test {
 protected:
  PlanId Plan(const std::string& text, int64_t interval_ms = 60000) {
    Grid grid;
    grid.interval_ms = interval_ms;
    auto plan = engine_.AddPlan(*Parse(text), grid);
    EXPECT_TRUE(plan.ok()) << plan.status().message();
    return plan.ok() ? *plan : 0;
  }
  SeriesId Series(const Labels& labels) { return engine_.Intern(engine_.labels().InternSet(labels)); }
  // RETURNS: label set text -> value of what is present.
  std::map<std::string, double> Read(const Evaluation& e) {
    std::map<std::string, double> out;
    EXPECT_TRUE(e.status.ok()) << e.status.message();
    for (size_t i = 0; i < e.vector.size(); ++i) {
      if (e.vector.present(i)) {
        out[engine_.labels().ToLabels(e.vector.labels(i)).ToString()] = e.vector.value(i);
      }
    }
    return out;
  }

  Engine engine_{Options{}};
};

using Values = std::map<std::string, double>;

TEST_F(EngineTest, SharesCommonSubexpressions) {
  Plan("sum by (job) (rate(x_total[5m]))");
  size_t before = engine_.Stats().nodes;
  Plan("sum by (job) (rate(x_total[5m])) > 1");
  EXPECT_EQ(engine_.Stats().nodes, before + 2);  // the comparison and its number
}

// A sum needs no label sets of what it adds up; they are made when an expression shows them, also of series that came before.
TEST_F(EngineTest, LabelSetsWithoutNamesAreMadeForWhoAsks) {
  const PlanId sum = Plan("round(sum by (job) (rate(x_total[5m])))");
  const auto add = [&](const std::string& pod) {
    const SeriesId id = Series({{"__name__", "x_total"}, {"job", "a"}, {"pod", pod}});
    for (int64_t t = 0; t <= 600000; t += 15000) {
      engine_.Append(id, t, static_cast<double>(t) / 1000);
    }
  };
  add("1");
  add("2");
  const size_t before = engine_.labels().sets();
  EXPECT_EQ(Read(engine_.Evaluate(sum, 600000)), (Values{{R"({job="a"})", 2}}));
  EXPECT_EQ(engine_.labels().sets(), before + 1);
  const PlanId each = Plan("round(rate(x_total[5m]))");  // shares the rate
  EXPECT_EQ(Read(engine_.Evaluate(each, 600000)), (Values{{R"({job="a", pod="1"})", 1}, {R"({job="a", pod="2"})", 1}}));
  EXPECT_EQ(engine_.labels().sets(), before + 3);
  add("3");
  EXPECT_EQ(Read(engine_.Evaluate(sum, 600000)), (Values{{R"({job="a"})", 3}}));
  EXPECT_EQ(Read(engine_.Evaluate(each, 600000)),
            (Values{{R"({job="a", pod="1"})", 1}, {R"({job="a", pod="2"})", 1}, {R"({job="a", pod="3"})", 1}}));
}

TEST_F(EngineTest, ARateHasNoNameToGroupBy) {
  const PlanId sum = Plan("sum by (__name__) (rate(x_total[5m]))");
  const SeriesId id = Series({{"__name__", "x_total"}, {"pod", "1"}});
  engine_.Append(id, 1000, 1);
  engine_.Append(id, 300000, 301);
  EXPECT_EQ(Read(engine_.Evaluate(sum, 300000)).count("{}"), 1U);
}

TEST_F(EngineTest, RecordedSamplesAreSeenInTheSameTick) {
  PlanId reader = Plan("out * 2");
  SeriesId out = Series({{"__name__", "out"}});
  engine_.Append(out, 60000, 1);
  EXPECT_EQ(Read(engine_.Evaluate(reader, 120000)), (Values{{"{}", 2}}));
  engine_.Append(out, 120000, 5);
  EXPECT_EQ(Read(engine_.Evaluate(reader, 120000)), (Values{{"{}", 10}}));
}

TEST_F(EngineTest, SubqueryStepAtTheTickSeesWhatWasRecordedInIt) {
  PlanId plan = Plan("sum_over_time(out[3m:1m])");
  SeriesId out = Series({{"__name__", "out"}});
  for (int64_t t = 60000; t <= 600000; t += 60000) {
    engine_.Evaluate(plan, t);  // an earlier rule of the group reads first
    engine_.Append(out, t, 1);
    EXPECT_EQ(Read(engine_.Evaluate(plan, t)), (Values{{"{}", std::min<double>(3, static_cast<double>(t / 60000))}}));
    engine_.Release(t);
  }
}

TEST_F(EngineTest, UnchangedSelectorKeepsItsWindowAcrossReload) {
  PlanId old_plan = Plan("increase(x_total[5m])");
  SeriesId x = Series({{"__name__", "x_total"}});
  for (int64_t t = 0; t <= 300000; t += 15000) {
    engine_.Append(x, t, static_cast<double>(t) / 1000);
  }
  double before = Read(engine_.Evaluate(old_plan, 300000))["{}"];
  PlanId new_plan = Plan("increase(x_total[5m])");
  engine_.RemovePlan(old_plan);
  EXPECT_EQ(Read(engine_.Evaluate(new_plan, 300000))["{}"], before);
}

TEST_F(EngineTest, SeriesThatNoPlanReadsKeepNoWindow) {
  Plan("a");
  SeriesId b = Series({{"__name__", "b"}});
  EXPECT_FALSE(engine_.IsRead(b));
  for (int64_t t = 0; t < 1000; ++t) {
    engine_.Append(b, t, 1);
  }
  EXPECT_EQ(engine_.Stats().samples_kept, 0U);
}

TEST_F(EngineTest, DuplicatesAndDisorderAreRefusedByOutcome) {
  Plan("a");
  SeriesId a = Series({{"__name__", "a"}});
  EXPECT_EQ(engine_.Append(a, 1000, 1), AppendOutcome::kOk);
  EXPECT_EQ(engine_.Append(a, 1000, 1), AppendOutcome::kDuplicateSame);
  EXPECT_EQ(engine_.Append(a, 1000, 2), AppendOutcome::kDuplicateConflict);
  EXPECT_EQ(engine_.Append(a, 999, 1), AppendOutcome::kOutOfOrder);
}

TEST_F(EngineTest, RunTimeErrorIsReportedAndGoesAwayWithItsCause) {
  PlanId plan = Plan("a / on (x) b");
  SeriesId a = Series({{"__name__", "a"}, {"x", "1"}});
  SeriesId b1 = Series({{"__name__", "b"}, {"x", "1"}, {"y", "1"}});
  SeriesId b2 = Series({{"__name__", "b"}, {"x", "1"}, {"y", "2"}});
  engine_.Append(a, 60000, 6);
  engine_.Append(b1, 60000, 2);
  engine_.Append(b2, 60000, 3);
  Evaluation e = engine_.Evaluate(plan, 60000);
  ASSERT_FALSE(e.status.ok());
  EXPECT_NE(e.status.message().find("found duplicate series for the match group {x=\"1\"}"), std::string::npos)
      << e.status.message();
  engine_.Append(b2, 90000, StaleNaN());
  EXPECT_EQ(Read(engine_.Evaluate(plan, 120000)), (Values{{"{x=\"1\"}", 3}}));
}

TEST_F(EngineTest, OneOffQueryReadsWhatRulesKeepAndRefusesTheRest) {
  Plan("rate(x_total[5m])");
  SeriesId x = Series({{"__name__", "x_total"}});
  for (int64_t t = 0; t <= 300000; t += 15000) {
    engine_.Append(x, t, static_cast<double>(t) / 1000);
  }
  EXPECT_EQ(Read(engine_.EvaluateOnce(*Parse("x_total + 1"), 300000)), (Values{{"{}", 301}}));
  EXPECT_EQ(Read(engine_.EvaluateOnce(*Parse("rate(x_total[5m])"), 300000)).size(), 1U);
  EXPECT_EQ(engine_.EvaluateOnce(*Parse("rate(x_total[1h])"), 300000).status.code(), Code::kUnsupported);
  EXPECT_EQ(engine_.EvaluateOnce(*Parse("quantile_over_time(0.5, x_total[5m])"), 300000).status.code(),
            Code::kUnsupported);
}

TEST_F(EngineTest, ChurnGivesSeriesAndLabelsBack) {
  PlanId plan = Plan("sum by (job) (rate(pod_total[5m]))");
  size_t settled = 0;
  for (int generation = 0; generation < 60; ++generation) {
    int64_t base = generation * 600000;
    for (int pod = 0; pod < 200; ++pod) {
      SeriesId id = Series({{"__name__", "pod_total"},
                            {"job", "a"},
                            {"pod", "pod-" + std::to_string(generation) + "-" + std::to_string(pod)}});
      for (int64_t t = base; t < base + 300000; t += 15000) {
        engine_.Append(id, t, static_cast<double>(t - base));
      }
    }
    Values values = Read(engine_.Evaluate(plan, base + 300000));
    ASSERT_EQ(values.size(), 1U);
    EXPECT_NEAR((values["{job=\"a\"}"]), 200 * 1000, 1e-6);
    engine_.Release(base + 300000);
    engine_.Expire(base + 300000);
    if (generation == 20) {
      settled = engine_.Stats().label_bytes + engine_.Stats().window_bytes;
    }
  }
  EXPECT_LE(engine_.Stats().series, 600U);
  EXPECT_LE(engine_.Stats().label_bytes + engine_.Stats().window_bytes, settled * 3 / 2);
}

// What reaches past the tick is evaluated over what has arrived by then; what comes later finds nothing spoilt.
TEST_F(EngineTest, ReadsPastTheTickSeeWhatHasArrived) {
  struct Case {
    const char* expr;
    double early;  // at 300 s, samples up to 330 s having arrived
    double later;  // at 360 s, samples up to 480 s having arrived
  };
  // x_total is 1 a second, every 10 s.
  const Case cases[] = {
      {"x_total offset -1m", 330, 420},
      {"x_total offset -15s", 310, 370},
      {"count_over_time(x_total[1m] offset -1m)", 3, 6},
      {"sum_over_time(x_total[1m] offset -1m)", 310 + 320 + 330, 6 * 395},
      {"max_over_time(x_total[1m] offset -1m)", 330, 420},
      {"increase(x_total[1m] offset -1m)", 35, 60},  // half a step past the newest sample
      {"quantile_over_time(0, x_total[1m] offset -1m)", 310, 370},
      {"x_total smoothed offset 5s", 295, 355},
      {"x_total smoothed offset -35s", 330, 395},
      {"rate(x_total[15s] smoothed)", 1, 1},
      {"increase(x_total[65s] smoothed offset -20s)", 65, 65},
      {"x_total @ 450", 330, 450},
      {"max_over_time(x_total[1m] @ 450)", 0, 450},
      {"x_total @ 320", 320, 320},
  };
  for (const bool dense : {false, true}) {
    for (const Case& c : cases) {
      const std::string text = c.expr;
      SCOPED_TRACE(text + (dense ? " beside a window that keeps panes" : ""));
      Engine engine{Options{}};
      Grid grid;
      grid.interval_ms = 60000;
      const PlanId plan = *engine.AddPlan(*Parse(text), grid);
      if (dense) {
        ASSERT_TRUE(engine.AddPlan(*Parse("avg_over_time(x_total[3h])"), grid).ok());
      }
      const Labels labels{{"__name__", "x_total"}};
      const SeriesId x = engine.Intern(engine.labels().InternSet(labels));
      const auto value_at = [&](int64_t t_s, int64_t arrived_s) {
        for (int64_t t = engine.LastTime(x) == INT64_MIN ? -9000 : engine.LastTime(x) / 1000 + 10; t <= arrived_s;
             t += 10) {
          engine.Append(x, t * 1000, static_cast<double>(t));
        }
        const Evaluation e = engine.Evaluate(plan, t_s * 1000);
        EXPECT_TRUE(e.status.ok()) << e.status.message();
        const double v = e.vector.size() > 0 && e.vector.present(0) ? e.vector.value(0) : 0;
        engine.Release(t_s * 1000);
        return v;
      };
      EXPECT_NEAR(value_at(300, 330), c.early, 1e-9);
      EXPECT_NEAR(value_at(360, 480), c.later, 1e-9);
    }
  }
}

TEST_F(EngineTest, ASubqueryThatReadsTheTickIsReplayedAtEachTick) {
  PlanId constant = Plan("sum_over_time((x @ start())[3m:1m])");
  PlanId since = Plan("sum_over_time((x - x @ start())[3m:1m])");
  PlanId plain = Plan("sum_over_time(x[3m:1m])");
  SeriesId x = Series({{"__name__", "x"}, {"a", "b"}});
  for (int minute = 1; minute <= 20; ++minute) {
    engine_.Append(x, minute * 60000 - 1000, minute * minute);
    engine_.Append(x, minute * 60000, minute * minute + 1);
    const int64_t t = minute * 60000;
    double steps = 0;
    double sum = 0;
    for (int m = std::max(1, minute - 2); m <= minute; ++m) {
      steps += 1;
      sum += m * m + 1;
    }
    const double now = minute * minute + 1;
    // Prometheus's steps before the first sample still have the value at the tick.
    EXPECT_EQ(Read(engine_.Evaluate(constant, t)), (Values{{"{a=\"b\"}", 3 * now}})) << minute;
    EXPECT_EQ(Read(engine_.Evaluate(since, t)), (Values{{"{a=\"b\"}", sum - steps * now}})) << minute;
    EXPECT_EQ(Read(engine_.Evaluate(plain, t)), (Values{{"{a=\"b\"}", sum}})) << minute;
    engine_.Release(t);
  }
}

TEST_F(EngineTest, AStepThatReadsAheadSeesWhatHasArrivedByTheTick) {
  PlanId ahead = Plan("sum_over_time((x offset -1m)[3m:1m])");
  SeriesId x = Series({{"__name__", "x"}});
  for (int minute = 1; minute <= 10; ++minute) {
    engine_.Append(x, minute * 60000, minute);
    const auto got = Read(engine_.Evaluate(ahead, minute * 60000));
    engine_.Release(minute * 60000);
    if (minute >= 3) {  // steps at −2m, −1m and now read one minute later each; the newest reads what there is
      EXPECT_EQ(got, (Values{{"{}", (minute - 1) + minute + minute}})) << minute;
    }
  }
}

}  // namespace
}  // namespace weir::engine
