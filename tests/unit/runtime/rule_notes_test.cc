#include "core/runtime/rule_notes.h"

#include <gtest/gtest.h>

#include "core/promql/parser.h"

namespace weir::runtime {
namespace {

// RETURNS: the notes as `offset: text` lines, at 2026-01-01T00:00:00Z.
std::string Notes(const std::string& expr, bool by_name = true) {
  const promql::ParseOutcome parsed = promql::ParseExpr(expr, promql::ParserOptions::All());
  EXPECT_TRUE(parsed.expr) << expr;
  std::string out;
  for (const RuleNote& note : RuleNotes(*parsed.expr, 1767225600000, 300000, by_name)) {
    out += std::to_string(note.offset) + ": " + note.text + "\n";
  }
  return out;
}

TEST(RuleNotes, ReadsPastTheEvaluationTime) {
  const std::string by_the_tick = "evaluates over what has arrived by the tick";
  EXPECT_EQ(Notes("a + b offset -1m"), "4: reads 1m past its evaluation time: " + by_the_tick + "\n");
  EXPECT_EQ(Notes("max_over_time(b[5m] offset -90s)"),
            "14: reads 1m30s past its evaluation time: " + by_the_tick + "\n");
  EXPECT_EQ(Notes("b smoothed offset 1m"),
            "0: smoothed reads up to 4m past its evaluation time: " + by_the_tick + "\n");
  EXPECT_EQ(Notes("increase(b_total[1m] smoothed)"),
            "9: smoothed reads up to 5m past its evaluation time: " + by_the_tick + "\n");
  EXPECT_EQ(Notes("max_over_time((a offset -3m)[5m:1m] offset 2m)"),
            "15: reads 1m past its evaluation time: " + by_the_tick +
                "; the subquery is evaluated anew at every tick, all its steps\n");
  EXPECT_EQ(Notes("max_over_time((a offset -3m)[5m:1m] offset 3m) + b smoothed offset 5m"), "");
}

TEST(RuleNotes, FixedTimes) {
  EXPECT_EQ(
      Notes("a @ 1767225601 offset -1d"),
      "0: reads the fixed time 2026-01-01T00:00:01Z, which is still to come: until then it evaluates over what has "
      "arrived by the tick, from then on its value stays\n");
  EXPECT_EQ(
      Notes("rate(a_total[5m] @ 1767225600)"),
      "5: reads the fixed time 2026-01-01T00:00:00Z: its value never changes, and of samples from before weir began "
      "to keep them it knows nothing\n");
  EXPECT_EQ(Notes("a @ end() + max_over_time(a[5m] @ start())"), "");
}

TEST(RuleNotes, RatesOfWhatDoesNotLookLikeACounter) {
  const std::string info =
      "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"temp\"\n";
  EXPECT_EQ(Notes("sum(rate(temp[5m])) + increase(temp[5m])"), "9: " + info);
  EXPECT_EQ(Notes("rate(temp[5m:1m])"), "5: " + info);
  EXPECT_EQ(Notes("rate({\"temp\"}[5m])"), "5: " + info);
  EXPECT_EQ(Notes("rate(a_total[5m]) + rate(a_count[5m]) + irate(temp[5m]) + rate({a=\"b\"}[5m])"), "");
  EXPECT_EQ(Notes("rate((temp * 2)[5m:1m])"), "");
  EXPECT_EQ(Notes("histogram_quantile(0.9, sum(rate(temp[5m])))"), "");  // native histograms have no such names
  EXPECT_EQ(Notes("rate(temp[5m])", false), "");
}

}  // namespace
}  // namespace weir::runtime
