#include "core/promqltest/runner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/model/sample.h"
#include "core/promqltest/classify.h"

namespace weir::promqltest {
namespace {

// Answers every request with what the test put in, and remembers how it was asked.
class FixedEvaluator final : public Evaluator {
 public:
  Outcome answer;
  std::vector<size_t> group_sizes;
  std::vector<size_t> samples_seen;

  std::vector<Outcome> Evaluate(const Storage& storage, std::span<const EvalRequest> requests) override {
    group_sizes.push_back(requests.size());
    size_t samples = 0;
    for (const auto& [labels, series] : storage) {
      samples += series.samples.size();
    }
    samples_seen.push_back(samples);
    return std::vector<Outcome>(requests.size(), answer);
  }
};

Outcome OneElement(double v) {
  Outcome outcome;
  TickResult& tick = outcome.ticks.emplace_back();
  tick.vector.push_back({Labels({{"a", "b"}}), v});
  return outcome;
}

Counts RunWith(const Outcome& answer, std::string_view text, const Outcome* exact_answer = nullptr) {
  FixedEvaluator evaluator;
  evaluator.answer = answer;
  FixedEvaluator exact;
  exact.answer = exact_answer == nullptr ? answer : *exact_answer;
  ScriptRunner runner(&evaluator, exact_answer == nullptr ? nullptr : &exact);
  Status status = runner.Run(text, "s.test");
  EXPECT_TRUE(status.ok()) << status.message();
  runner.Finish();
  return runner.counts();
}

TEST(AlmostEqual, FollowsUpstream) {
  double inf = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(AlmostEqual(1, 1 + 1e-7, 1e-6));
  EXPECT_FALSE(AlmostEqual(1, 1 + 1e-5, 1e-6));
  EXPECT_TRUE(AlmostEqual(NormalNaN(), std::nan(""), 1e-6));
  EXPECT_FALSE(AlmostEqual(StaleNaN(), NormalNaN(), 1e-6));
  EXPECT_TRUE(AlmostEqual(StaleNaN(), StaleNaN(), 1e-6));
  EXPECT_TRUE(AlmostEqual(inf, inf, 1e-6));
  EXPECT_FALSE(AlmostEqual(inf, -inf, 1e-6));
  EXPECT_FALSE(AlmostEqual(0, 1e-12, 1e-6));
}

TEST(ScriptRunner, JudgesValuesLabelsAndCounts) {
  EXPECT_EQ(RunWith(OneElement(2), "eval instant at 0 m\n  {a=\"b\"} 2\n").passed, 1u);
  EXPECT_EQ(RunWith(OneElement(2), "eval instant at 0 m\n  {a=\"b\"} 3\n").failed, 1u);
  EXPECT_EQ(RunWith(OneElement(2), "eval instant at 0 m\n  {a=\"c\"} 2\n").failed, 1u);
  EXPECT_EQ(RunWith(OneElement(2), "eval instant at 0 m\n").failed, 1u);
  EXPECT_EQ(RunWith(OneElement(2), "eval instant at 0 m\n  2\n").failed, 1u);
  EXPECT_EQ(RunWith(OneElement(2), "eval instant at 0 m\n  {a=\"b\"} 2\n  {a=\"c\"} 2\n").failed, 1u);
}

TEST(ScriptRunner, SensitiveEvalsHaveALooserTolerance) {
  Counts counts = RunWith(OneElement(2.00001),
                          "# sensitive\neval instant at 0 m\n  {a=\"b\"} 2\n\neval instant at 0 m\n  {a=\"b\"} 2\n");
  EXPECT_EQ(counts.passed, 1u);
  EXPECT_EQ(counts.failed, 1u);
  EXPECT_EQ(counts.sensitive_loose, 1u);
}

TEST(ScriptRunner, MoreThanOneSensitiveMissInFiveHundredIsAFailure) {
  const std::string miss = "# sensitive\neval instant at 0 m\n  {a=\"b\"} 2\n\n";
  const Counts one = RunWith(OneElement(3), miss);
  EXPECT_EQ(one.failed, 0u);
  EXPECT_EQ(one.sensitive_missed, 1u);
  const Counts three = RunWith(OneElement(3), miss + miss + miss);
  EXPECT_EQ(three.failed, 2u);
  EXPECT_EQ(three.sensitive_missed, 3u);
}

TEST(ScriptRunner, WhatEqualsTheExactResultPasses) {
  const std::string eval = "eval instant at 0 m\n  {a=\"b\"} 2\n";
  const Outcome same = OneElement(3);
  const Counts exact = RunWith(OneElement(3), eval, &same);
  EXPECT_EQ(exact.passed, 1u);
  EXPECT_EQ(exact.exact, 1u);
  const Outcome other = OneElement(4);
  EXPECT_EQ(RunWith(OneElement(3), eval, &other).failed, 1u);
}

TEST(ScriptRunner, RangeResultsAreComparedTickByTick) {
  Outcome outcome = OneElement(1);
  outcome.ticks.emplace_back();
  outcome.ticks.push_back(outcome.ticks[0]);
  EXPECT_EQ(RunWith(outcome, "eval range from 0 to 2m step 1m m\n  {a=\"b\"} 1 _ 1\n").passed, 1u);
  EXPECT_EQ(RunWith(outcome, "eval range from 0 to 2m step 1m m\n  {a=\"b\"} 1 1 1\n").failed, 1u);
  EXPECT_EQ(RunWith(outcome, "eval range from 0 to 2m step 1m m\n  {a=\"b\"} 1\n").failed, 1u);
}

TEST(ScriptRunner, OrderMattersOnlyWhereExpected) {
  Outcome outcome = OneElement(1);
  outcome.ticks[0].vector.push_back({Labels({{"a", "c"}}), 2});
  std::string lines = "  {a=\"c\"} 2\n  {a=\"b\"} 1\n";
  EXPECT_EQ(RunWith(outcome, "eval instant at 0 m\n" + lines).passed, 1u);
  EXPECT_EQ(RunWith(outcome, "eval instant at 0 m\n  expect ordered\n" + lines).failed, 1u);
  EXPECT_EQ(RunWith(outcome, "eval instant at 0 sort(m)\n  expect ordered\n" + lines).failed, 1u);
  outcome.ticks[0].vector[1].v = 1;
  lines = "  {a=\"c\"} 1\n  {a=\"b\"} 1\n";
  EXPECT_EQ(RunWith(outcome, "eval instant at 0 sort(m)\n  expect ordered\n" + lines).passed, 1u)
      << "a tie has no order";
  EXPECT_EQ(RunWith(outcome, "eval instant at 0 m\n  expect ordered\n" + lines).failed, 1u);
}

TEST(ScriptRunner, FailuresMustFailWithTheirMessage) {
  Outcome error;
  error.kind = Outcome::Kind::kError;
  error.message = "too bad";
  EXPECT_EQ(RunWith(error, "eval instant at 0 m\n  expect fail msg: too bad\n").passed, 1u);
  EXPECT_EQ(RunWith(error, "eval instant at 0 m\n  expect fail regex: b.d$\n").passed, 1u);
  EXPECT_EQ(RunWith(error, "eval instant at 0 m\n  expect fail msg: other\n").failed, 1u);
  EXPECT_EQ(RunWith(error, "eval instant at 0 m\n").failed, 1u);
  EXPECT_EQ(RunWith(OneElement(1), "eval instant at 0 m\n  expect fail\n").failed, 1u);
  EXPECT_EQ(RunWith(OneElement(1), "eval instant at 0 m +\n  expect fail\n").passed, 1u)
      << "what does not parse has failed";
}

TEST(ScriptRunner, AnnotationsAreCheckedWhereThereAreAny) {
  Outcome outcome = OneElement(1);
  std::string script = "eval instant at 0 m\n  expect warn msg: careful\n  {a=\"b\"} 1\n";
  EXPECT_EQ(RunWith(outcome, script).failed, 1u) << "expected, but not told";
  outcome.warnings = {"careful"};
  EXPECT_EQ(RunWith(outcome, script).passed, 1u);
  outcome.warnings = {"other"};
  EXPECT_EQ(RunWith(outcome, script).failed, 1u);
  EXPECT_EQ(RunWith(outcome, "eval instant at 0 m\n  expect no_warn\n  {a=\"b\"} 1\n").failed, 1u);
}

TEST(ScriptRunner, GroupsEvalsByTheSamplesTheySee) {
  FixedEvaluator evaluator;
  evaluator.answer = OneElement(1);
  ScriptRunner runner(&evaluator);
  std::string eval = "eval instant at 0 m\n  {a=\"b\"} 1\n\n";
  Status status = runner.Run(
      "load 1m\n  m 1 2\n\n" + eval + eval + "load 2m\n  m _ 3\n  n 1\n\n" + eval + "clear\n" + eval, "s.test");
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(evaluator.group_sizes, (std::vector<size_t>{2, 1, 1}));
  EXPECT_EQ(evaluator.samples_seen, (std::vector<size_t>{2, 4, 0}));
  EXPECT_EQ(runner.counts().passed, 4u);
}

TEST(Classify, FindsWhatAStreamCannotKnow) {
  Result<Script> script = ParseScript(
      "load 1m\n  h {{schema:0 count:1 sum:1}}\n  m 1\n\n"
      "eval instant at 1m m offset -30s\n\neval instant at 1m m @ 90\n\neval instant at 1m m @ 60\n\n"
      "eval range from 0 to 1m step 1m m @ end()\n\neval instant at 1m m smoothed\n\n"
      "eval instant at 10m sum_over_time(m[5m:1m] @ 700 offset 2m)\n\neval instant at 1m count(h)\n\n"
      "eval range from 0 to 1m step 1m m + step()\n",
      "s.test");
  ASSERT_TRUE(script.ok()) << script.status().message();
  Storage storage;
  for (const LoadedSeries& s : script->commands[0].load) {
    storage[s.labels] = s;
  }
  auto request = [&](size_t i) {
    const EvalCase& eval = script->commands[i].eval;
    return EvalRequest{&eval, promql::ParseExpr(eval.expr, promql::ParserOptions::All()).expr};
  };
  EXPECT_TRUE(ReadsAhead(request(1)));
  EXPECT_TRUE(ReadsAhead(request(2)));
  EXPECT_FALSE(ReadsAhead(request(3)));
  EXPECT_TRUE(ReadsAhead(request(4)));
  EXPECT_TRUE(ReadsAhead(request(5)));
  EXPECT_FALSE(ReadsAhead(request(6)));
  EXPECT_TRUE(ReadsHistograms(request(7), storage));
  EXPECT_FALSE(ReadsHistograms(request(3), storage));
  EXPECT_TRUE(UsesQueryBounds(request(8)));
  EXPECT_FALSE(UsesQueryBounds(request(3)));
}

}  // namespace
}  // namespace weir::promqltest
