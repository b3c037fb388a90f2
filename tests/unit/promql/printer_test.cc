// What Prometheus prints for an expression: one row an expression, as written and as printed.

#include <gtest/gtest.h>

#include "core/promql/parser.h"

namespace weir::promql {
namespace {

struct Row {
  const char* text;
  const char* printed;
};

const Row kRows[] = {
    {"up", "up"},
    {"  up  # a comment", "up"},
    {"UP{Job = 'a' , job2=~`b.*`}", "UP{Job=\"a\",job2=~\"b.*\"}"},
    {"up{b=\"2\",a=\"1\",}", "up{a=\"1\",b=\"2\"}"},
    {"{__name__=\"up\"}", "{__name__=\"up\"}"},
    {"{\"http.requests\", \"code.class\"=~\"5..\"}", "{\"code.class\"=~\"5..\",__name__=\"http.requests\"}"},
    {"up{\"le\"=\"0.5\"}", "up{le=\"0.5\"}"},
    {"up{a=\"quote\\\"and\\\\slash\\n\"}", "up{a=\"quote\\\"and\\\\slash\\n\"}"},
    {"sum:rate5m", "sum:rate5m"},
    {"rate(up[5m])", "rate(up[5m])"},
    {"rate(up[300])", "rate(up[5m])"},
    {"rate(up[1h60m])", "rate(up[2h])"},
    {"up[0.5]", "up[500ms]"},
    {"up[1y]", "up[1y]"},
    {"up[90d]", "up[90d]"},
    {"up[14d]", "up[2w]"},
    {"up[1w1d]", "up[8d]"},
    {"up offset 1h", "up offset 1h"},
    {"up offset -1h", "up offset -1h"},
    {"up offset 0s", "up"},
    {"up[5m] offset 1h30m @ 100", "up[5m] @ 100.000 offset 1h30m"},
    {"up @ 1.5 offset 5m", "up @ 1.500 offset 5m"},
    {"up @ -7", "up @ -7.000"},
    {"up @ start()", "up @ start()"},
    {"up @ end() offset 1m", "up @ end() offset 1m"},
    {"up[10m:]", "up[10m:]"},
    {"up[10m:1m] @ 3 offset 1m", "up[10m:1m] @ 3.000 offset 1m"},
    {"rate(up[5m])[10m:30s] offset -5m", "rate(up[5m])[10m:30s] offset -5m"},
    {"SUM(up)", "sum(up)"},
    {"sum(up) by (job)", "sum by (job) (up)"},
    {"sum(up) without (job, \"my.label\")", "sum without (job, \"my.label\") (up)"},
    {"sum without () (up)", "sum without () (up)"},
    {"sum by () (up)", "sum(up)"},
    {"topk by (a) (5, up)", "topk by (a) (5, up)"},
    {"count_values(\"version\", build)", "count_values(\"version\", build)"},
    {"quantile(0.9, up)", "quantile(0.9, up)"},
    {"a + b * c ^ d", "a + b * c ^ d"},
    {"(a + b) * c", "(a + b) * c"},
    {"-a ^ 2", "-a ^ 2"},
    {"-(a)", "-(a)"},
    {"- - a", "--a"},
    {"+a", "+a"},
    {"-5", "-5"},
    {"- 5m", "-5m"},
    {"--5", "5"},
    {"a == bool b", "a == bool b"},
    {"A UNLESS B", "A unless B"},
    {"a and on (x, y) b", "a and on (x, y) b"},
    {"a or ignoring (x) b", "a or ignoring (x) b"},
    {"a / on (x) group_left b", "a / on (x) group_left () b"},
    {"a / on (x) group_right (y, z) b", "a / on (x) group_right (y, z) b"},
    {"a * ignoring (x) group_left () b", "a * ignoring (x) group_left () b"},
    {"a * ignoring () b", "a * b"},
    {"a atan2 b", "a atan2 b"},
    {"h </ 5", "h </ 5"},
    {"h >/ 5", "h >/ 5"},
    {"a + fill (1) b", "a + fill (1) b"},
    {"a + on (x) group_left (y) fill_left (-2) b", "a + on (x) group_left (y) fill_left (-2) b"},
    {"a + fill_right (3) fill_left (4) b", "a + fill_left (4) fill_right (3) b"},
    {"a + fill_left (3) fill_right (3) b", "a + fill (3) b"},
    {"1", "1"},
    {"1.50", "1.5"},
    {"1e3", "1000"},
    {"1e-7", "0.0000001"},
    {"010", "8"},
    {"0x1F", "31"},
    {"1_000", "1000"},
    {".5", "0.5"},
    {"Inf", "+Inf"},
    {"-Inf", "-Inf"},
    {"NaN", "NaN"},
    {"5m", "5m"},
    {"1h30m", "1h30m"},
    {"90s", "1m30s"},
    {"\"a'b\"", "\"a'b\""},
    {"'a\"b'", "\"a\\\"b\""},
    {"`a\\b`", "\"a\\\\b\""},
    {"\"\\x41\\u00e9\\101\"",
     "\"A\xc3"
     "\xa9"
     "A\""},
    {"absent(up{a=\"b\"})", "absent(up{a=\"b\"})"},
    {"time()", "time()"},
    {"day_of_week()", "day_of_week()"},
    {"round(up, 0.5)", "round(up, 0.5)"},
    {"label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")", "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")"},
    {"label_join(up, \"a\", \"-\")", "label_join(up, \"a\", \"-\")"},
    {"histogram_quantile(0.9, sum by (le) (rate(b[5m])))", "histogram_quantile(0.9, sum by (le) (rate(b[5m])))"},
    {"histogram_quantiles(h, \"q\", 0.5, 0.9)", "histogram_quantiles(h, \"q\", 0.5, 0.9)"},
    {"info(up, {version=\"1\"})", "info(up, {version=\"1\"})"},
    {"info(up)", "info(up)"},
    {"start()", "start()"},
    {"end() - start()", "end() - start()"},
    {"step() + range()", "step() + range()"},
    {"max_of(1, min_of(2, 3))", "max_of(1, min_of(2, 3))"},
    {"up[5m + 30s]", "up[5m + 30s]"},
    {"up[(5m)]", "up[5m]"},
    {"up[2 * (1m + 30s)]", "up[2 * (1m + 30s)]"},
    {"up[((1m + 1m))]", "up[(1m + 1m)]"},
    {"up[1m * 2 ^ 2 % 7 / 1]", "up[1m * 2 ^ 2 % 7 / 1]"},
    {"up[max_of(5m, step() + 1)]", "up[max_of(5m, step() + 1)]"},
    {"up[min_of(1h, 30m):max_of(1m, 2m)]", "up[min_of(1h, 30m):max_of(1m, 2m)]"},
    {"up offset (1m + 1m)", "up offset (1m + 1m)"},
    {"up offset -(1m + 1m)", "up offset -(1m + 1m)"},
    {"up offset min_of(1m, 2m)", "up offset min_of(1m, 2m)"},
    {"up offset step()", "up offset step()"},
    {"up offset -step()", "up offset -step()"},
    {"up offset 5m + 1", "up offset 5m + 1"},
    {"up offset -2 ^ 2", "up offset -2s ^ 2"},
    {"up offset --5m", "up offset 5m"},
    {"up offset (1m + 1m) + 1m", "up offset (1m + 1m) + 1m"},
    {"up offset (1m+1m) [5m]", "up[5m] offset (1m + 1m)"},
    {"rate(up[5m] anchored)", "rate(up[5m] anchored)"},
    {"rate(up[5m] smoothed offset 5m)", "rate(up[5m] smoothed offset 5m)"},
    {"up smoothed", "up smoothed"},
    {"up @ 5 smoothed offset 3m", "up @ 5.000 smoothed offset 3m"},
    {"start", "start"},
    {"end + step", "end + step"},
    {"min_of", "min_of"},
    {"offset", "offset"},
    {"by", "by"},
    {"sum", "sum"},
    {"sum{a=\"b\"}", "sum{a=\"b\"}"},
    {"without{a=\"b\"}", "without{a=\"b\"}"},
    {"sum by (sum, by, on, bool, group_left, start) (up)", "sum by (sum, by, on, bool, group_left, start) (up)"},
    {"fill + fill_left", "fill + fill_left"},
    {"inf", "+Inf"},
    {"infinity", "infinity"},
    {"((up))", "((up))"},
    {"up[5m:5m] ", "up[5m:5m]"},
    {"up{a!=\"b\",a!~\"c\"}", "up{a!=\"b\",a!~\"c\"}"},
    {"{a=\"b\"}", "{a=\"b\"}"},
    {"{__name__=~\"a|b\"}", "{__name__=~\"a|b\"}"},
};

TEST(Printer, PrintsAsPrometheusDoes) {
  for (const Row& row : kRows) {
    const ParseOutcome outcome = ParseExpr(row.text, ParserOptions::All());
    ASSERT_TRUE(outcome.expr) << row.text << ": " << outcome.errors.front().ToString();
    EXPECT_EQ(Print(*outcome.expr), row.printed) << row.text;
  }
}

TEST(Printer, WhatIsPrintedParsesAndPrintsTheSame) {
  for (const Row& row : kRows) {
    const ParseOutcome again = ParseExpr(row.printed, ParserOptions::All());
    ASSERT_TRUE(again.expr) << row.printed << ": " << again.errors.front().ToString();
    EXPECT_EQ(Print(*again.expr), row.printed) << row.text;
  }
}

// Prometheus prints `-2 ^ 2` and `offset 5m + 1` here, which say something else when they are read again.
TEST(Printer, KeepsParenthesesThatMatterInDurations) {
  const ParseOutcome outcome = ParseExpr("up[(-2) ^ 2]");
  ASSERT_TRUE(outcome.expr);
  EXPECT_EQ(Print(*outcome.expr), "up[(-2) ^ 2]");
  EXPECT_EQ(As<MatrixSelector>(*outcome.expr).range_ms, 4000);
  const ParseOutcome offset = ParseExpr("up offset (5m) + 1");
  ASSERT_TRUE(offset.expr);
  EXPECT_EQ(Print(*offset.expr), "up offset (5m) + 1");
  EXPECT_EQ(As<VectorSelector>(*offset.expr).time.offset_ms, 301000);
}

// Prometheus prints `info(up, )`.
TEST(Printer, KeepsTheBracesOfAnEmptySelector) {
  const ParseOutcome outcome = ParseExpr("info(up, { })", ParserOptions::All());
  ASSERT_TRUE(outcome.expr);
  EXPECT_EQ(Print(*outcome.expr), "info(up, {})");
}

TEST(Printer, NamesTypesAndOperators) {
  EXPECT_EQ(ValueTypeText(ValueType::kVector), "instant vector");
  EXPECT_EQ(ValueTypeText(ValueType::kMatrix), "range vector");
  EXPECT_EQ(ValueTypeText(ValueType::kNone), "none");
  EXPECT_EQ(AggregateOpText(AggregateOp::kCountValues), "count_values");
  EXPECT_EQ(AggregateOpText(AggregateOp::kLimitRatio), "limit_ratio");
  EXPECT_EQ(BinaryOpText(BinaryOp::kTrimLower), ">/");
  EXPECT_EQ(BinaryOpText(BinaryOp::kUnless), "unless");
}

}  // namespace
}  // namespace weir::promql
