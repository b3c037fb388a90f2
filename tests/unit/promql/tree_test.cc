// What the tree holds: values, modifiers, durations, matching, types, positions.

#include <gtest/gtest.h>

#include <cmath>

#include "core/promql/functions.h"
#include "core/promql/parser.h"

namespace weir::promql {
namespace {

ExprPtr Parse(std::string_view text) {
  ParseOutcome outcome = ParseExpr(text, ParserOptions::All());
  EXPECT_TRUE(outcome.expr) << text << ": " << (outcome.errors.empty() ? "" : outcome.errors.front().ToString());
  return outcome.expr;
}

double Number(std::string_view text) {
  const ExprPtr expr = Parse(text);
  return expr && expr->kind == ExprKind::kNumber ? As<NumberLiteral>(*expr).value : -12345;
}

TEST(Numbers, IntegersThenFloatsThenDurations) {
  EXPECT_EQ(Number("10"), 10);
  EXPECT_EQ(Number("010"), 8);
  EXPECT_EQ(Number("0_17"), 15);
  EXPECT_EQ(Number("08"), 8);
  EXPECT_EQ(Number("0x1F"), 31);
  EXPECT_EQ(Number("0X_1f"), 31);
  EXPECT_EQ(Number("1_000_000"), 1e6);
  EXPECT_EQ(Number("1_000.5"), 1000.5);
  EXPECT_EQ(Number(".5"), 0.5);
  EXPECT_EQ(Number("5."), 5);
  EXPECT_EQ(Number("1e-3"), 0.001);
  EXPECT_EQ(Number("1E+3"), 1000);
  EXPECT_EQ(Number("1e-400"), 0);
  EXPECT_EQ(Number("9223372036854775808"), 9223372036854775808.0);
  EXPECT_EQ(Number("0777777777777777777777777"), 777777777777777777777777.0);
  EXPECT_EQ(Number("-inf"), -INFINITY);
  EXPECT_TRUE(std::isnan(Number("nAn")));
  EXPECT_EQ(Number("1h30m"), 5400);
  EXPECT_EQ(Number("7ms"), 0.007);
  EXPECT_EQ(Number("-1y"), -31536000);
}

std::string Text(std::string_view literal) {
  const ExprPtr expr = Parse(literal);
  return expr && expr->kind == ExprKind::kString ? As<StringLiteral>(*expr).value : "?";
}

TEST(Strings, GoEscapes) {
  EXPECT_EQ(Text(R"("\a\b\f\n\r\t\v\\\"")"), "\a\b\f\n\r\t\v\\\"");
  EXPECT_EQ(Text(R"('\'"')"), "'\"");
  EXPECT_EQ(Text(R"("\x41\101\u00e9\U0001F600")"), "AA\xc3\xa9\xf0\x9f\x98\x80");
  EXPECT_EQ(Text(R"("\xff")"), "\xff");
  EXPECT_EQ(Text(R"("\u20ac")"), "\xe2\x82\xac");
  EXPECT_EQ(Text("`a\\n\n\"`"), "a\\n\n\"");
  EXPECT_EQ(Text("\"\""), "");
}

const VectorSelector& Selector(const ExprPtr& expr) {
  return expr->kind == ExprKind::kMatrixSelector ? *As<MatrixSelector>(*expr).selector : As<VectorSelector>(*expr);
}

TEST(Selectors, NameIsTheLastMatcher) {
  const ExprPtr expr = Parse("up{job=\"a\",x!~\"b.*\"}");
  const VectorSelector& selector = Selector(expr);
  EXPECT_EQ(selector.name, "up");
  ASSERT_EQ(selector.matchers.size(), 3u);
  EXPECT_EQ(selector.matchers[0].ToString(), "job=\"a\"");
  EXPECT_EQ(selector.matchers[1].ToString(), "x!~\"b.*\"");
  EXPECT_EQ(selector.matchers[2].ToString(), "__name__=\"up\"");
}

TEST(Selectors, QuotedNamesAreMatchers) {
  const ExprPtr expr = Parse("{\"http.requests\",\"code.class\"=\"5xx\"}");
  EXPECT_EQ(Selector(expr).name, "");
  ASSERT_EQ(Selector(expr).matchers.size(), 2u);
  EXPECT_EQ(Selector(expr).matchers[0].ToString(), "__name__=\"http.requests\"");
  EXPECT_EQ(Selector(expr).matchers[1].name(), "code.class");
}

TEST(Selectors, OffsetsAndTimes) {
  ExprPtr expr = Parse("up offset 1h30m @ 12.3456");
  EXPECT_EQ(Selector(expr).time.offset_ms, 5400000);
  EXPECT_EQ(Selector(expr).time.at, AtKind::kTime);
  EXPECT_EQ(Selector(expr).time.at_ms, 12346);
  expr = Parse("up[5m] @ -0.0005 offset -1.5");
  EXPECT_EQ(Selector(expr).time.offset_ms, -1500);
  EXPECT_EQ(Selector(expr).time.at_ms, -1);  // half away from zero
  EXPECT_EQ(As<MatrixSelector>(*expr).range_ms, 300000);
  EXPECT_EQ(Selector(Parse("up @ start()")).time.at, AtKind::kStart);
  EXPECT_EQ(Selector(Parse("up @ end()")).time.at, AtKind::kEnd);
  EXPECT_TRUE(Selector(Parse("up[5m] anchored")).anchored);
  EXPECT_TRUE(Selector(Parse("up smoothed")).smoothed);
}

TEST(Durations, FoldToMilliseconds) {
  const auto range = [](std::string_view text) { return As<MatrixSelector>(*Parse(text)).range_ms; };
  EXPECT_EQ(range("up[90]"), 90000);
  EXPECT_EQ(range("up[0.25]"), 250);
  EXPECT_EQ(range("up[5m + 30]"), 330000);
  EXPECT_EQ(range("up[1h - 2 * 10m]"), 2400000);
  EXPECT_EQ(range("up[2 ^ 3 ^ 2]"), 512000);
  EXPECT_EQ(range("up[100 % 7 + 1h / 4]"), 902000);
  EXPECT_EQ(range("up[max_of(1m, 2m) + min_of(1, 2)]"), 121000);
  EXPECT_EQ(range("up[--5m]"), 300000);
  EXPECT_EQ(range("up[10m - -(2m + step())]"), 720000);
  const ExprPtr subquery = Parse("up[2 * 5m:1m + 30s] offset (1m + 1m)");
  EXPECT_EQ(As<SubqueryExpr>(*subquery).range_ms, 600000);
  EXPECT_EQ(As<SubqueryExpr>(*subquery).step_ms, 90000);
  EXPECT_EQ(As<SubqueryExpr>(*subquery).time.offset_ms, 120000);
  EXPECT_EQ(As<SubqueryExpr>(*Parse("up[5m:]")).step_ms, 0);
}

TEST(Durations, CanBeEvaluatedAgain) {
  ParserOptions options;
  options.step_ms = 15000;
  const ParseOutcome outcome = ParseExpr("up[step() * 2 + range() / 2]", options);
  ASSERT_TRUE(outcome.expr);
  const auto& matrix = As<MatrixSelector>(*outcome.expr);
  EXPECT_EQ(matrix.range_ms, 30000);
  ASSERT_TRUE(matrix.range_expr);
  EXPECT_EQ(*EvalDuration(*matrix.range_expr, 60000, 600000), 420000);
  EXPECT_EQ(*EvalDuration(*matrix.range_expr, 0, 0), 0);
}

TEST(Durations, AfterOffsetOperatorsBelongOutside) {
  const ExprPtr expr = Parse("up offset 5m + 1");
  ASSERT_EQ(expr->kind, ExprKind::kBinary);
  EXPECT_EQ(Selector(As<BinaryExpr>(*expr).lhs).time.offset_ms, 300000);
  const ExprPtr power = Parse("up offset -2 ^ 2");
  ASSERT_EQ(power->kind, ExprKind::kBinary);
  EXPECT_EQ(Selector(As<BinaryExpr>(*power).lhs).time.offset_ms, -2000);
}

TEST(Operators, Precedence) {
  const auto shape = [](std::string_view text) {
    const ExprPtr expr = Parse(text);
    const auto& top = As<BinaryExpr>(*expr);
    return std::string(BinaryOpText(top.op)) + "|" + Print(*top.lhs) + "|" + Print(*top.rhs);
  };
  EXPECT_EQ(shape("a or b and c"), "or|a|b and c");
  EXPECT_EQ(shape("a and b unless c"), "unless|a and b|c");
  EXPECT_EQ(shape("a and b == c"), "and|a|b == c");
  EXPECT_EQ(shape("a + b > c - d"), ">|a + b|c - d");
  EXPECT_EQ(shape("a - b - c"), "-|a - b|c");
  EXPECT_EQ(shape("a + b atan2 c"), "+|a|b atan2 c");
  EXPECT_EQ(shape("a ^ b ^ c"), "^|a|b ^ c");
  EXPECT_EQ(shape("a ^ -b * c"), "*|a ^ -b|c");
  EXPECT_EQ(shape("-a * b"), "*|-a|b");
  EXPECT_EQ(shape("a </ 1 + 2"), "</|a|1 + 2");
  EXPECT_EQ(Parse("-a ^ b")->kind, ExprKind::kUnary);
  EXPECT_EQ(Parse("-a offset 5m")->kind, ExprKind::kUnary);
}

TEST(Operators, Matching) {
  const auto matching = [](std::string_view text) { return *As<BinaryExpr>(*Parse(text)).matching; };
  EXPECT_EQ(matching("a + b").cardinality, MatchCardinality::kOneToOne);
  EXPECT_EQ(matching("a and b").cardinality, MatchCardinality::kManyToMany);
  const VectorMatching left = matching("a / on (x, y) group_left (z) b");
  EXPECT_EQ(left.cardinality, MatchCardinality::kManyToOne);
  EXPECT_TRUE(left.on);
  EXPECT_EQ(left.labels, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(left.include, (std::vector<std::string>{"z"}));
  EXPECT_EQ(matching("a / ignoring (x) group_right b").cardinality, MatchCardinality::kOneToMany);
  const VectorMatching fill = matching("a + fill_right (-1h) b");
  EXPECT_FALSE(fill.fill_left);
  EXPECT_EQ(fill.fill_right, -3600);
  EXPECT_FALSE(As<BinaryExpr>(*Parse("a + 1")).matching);
  EXPECT_FALSE(As<BinaryExpr>(*Parse("a + on () 1")).matching);
  EXPECT_TRUE(As<BinaryExpr>(*Parse("a == bool b")).return_bool);
}

TEST(Calls, AreResolved) {
  const ExprPtr expr = Parse("clamp(a, 1, 2)");
  const auto& call = As<Call>(*expr);
  EXPECT_EQ(call.function->id, FunctionId::kClamp);
  EXPECT_EQ(call.args.size(), 3u);
  const ExprPtr quantile = Parse("quantile by (a) (0.5, b)");
  const auto& aggregate = As<AggregateExpr>(*quantile);
  EXPECT_EQ(aggregate.op, AggregateOp::kQuantile);
  EXPECT_EQ(Print(*aggregate.param), "0.5");
  EXPECT_EQ(Print(*aggregate.expr), "b");
  const ExprPtr info = Parse("info(a, {b=~\".*\"})");
  EXPECT_TRUE(As<VectorSelector>(*As<Call>(*info).args[1]).bypass_empty_matcher_check);
}

TEST(Types, AreDerived) {
  EXPECT_EQ(Parse("1 + 2 * 3")->type, ValueType::kScalar);
  EXPECT_EQ(Parse("1 + (a)")->type, ValueType::kVector);
  EXPECT_EQ(Parse("-(1)")->type, ValueType::kScalar);
  EXPECT_EQ(Parse("a[5m]")->type, ValueType::kMatrix);
  EXPECT_EQ(Parse("a[5m:]")->type, ValueType::kMatrix);
  EXPECT_EQ(Parse("\"a\"")->type, ValueType::kString);
  EXPECT_EQ(Parse("scalar(a) > bool 1")->type, ValueType::kScalar);
  EXPECT_EQ(Parse("sum(a)")->type, ValueType::kVector);
}

TEST(Positions, CoverTheText) {
  const std::string text = "  sum(rate(a{b=\"c\"}[5m] offset 1m)) by (x) / (b)";
  const ExprPtr expr = Parse(text);
  EXPECT_EQ(expr->pos.start, 2);
  EXPECT_EQ(expr->pos.end, static_cast<int>(text.size()));
  const auto& sum = As<AggregateExpr>(*As<BinaryExpr>(*expr).lhs);
  const Expr& matrix = *As<Call>(*sum.expr).args[0];
  const auto slice = [&](const Expr& e) {
    return text.substr(static_cast<size_t>(e.pos.start), static_cast<size_t>(e.pos.end - e.pos.start));
  };
  EXPECT_EQ(slice(sum), "sum(rate(a{b=\"c\"}[5m] offset 1m)) by (x)");
  EXPECT_EQ(slice(matrix), "a{b=\"c\"}[5m] offset 1m");
  EXPECT_EQ(slice(*As<MatrixSelector>(matrix).selector), "a{b=\"c\"}");
  EXPECT_EQ(slice(Unparen(*As<BinaryExpr>(*expr).rhs)), "b");
}

TEST(Functions, TableIsComplete) {
  EXPECT_EQ(AllFunctions().size(), 90u);
  for (const FunctionSignature& function : AllFunctions()) {
    EXPECT_EQ(FindFunction(function.name), &function);
    EXPECT_EQ(&SignatureOf(function.id), &function);
    EXPECT_FALSE(function.help.empty());
  }
  EXPECT_EQ(FindFunction("rates"), nullptr);
  EXPECT_EQ(FindFunction(""), nullptr);
}

TEST(ParseSelector, GivesMatchers) {
  const auto matchers = ParseSelector(" up{job=\"a\"} ");
  ASSERT_TRUE(matchers.ok());
  ASSERT_EQ(matchers->size(), 2u);
  EXPECT_EQ((*matchers)[1].ToString(), "__name__=\"up\"");
  EXPECT_EQ(ParseSelector("sum{a=\"b\"}")->size(), 2u);
  EXPECT_EQ(ParseSelector("{}")->size(), 0u);
  EXPECT_EQ(ParseSelector("up offset 5m").status().message(), "1:4: parse error: unexpected <offset>");
  EXPECT_EQ(ParseSelector("up[5m]").status().message(), "1:3: parse error: unexpected \"[\"");
  EXPECT_EQ(ParseSelector("5").status().message(), "1:1: parse error: unexpected number \"5\"");
  EXPECT_EQ(ParseSelector("").status().message(), "1:1: parse error: unexpected end of input");
  EXPECT_EQ(ParseSelector("up{a=~\"(\"}").status().message(),
            "1:4: parse error: error parsing regexp: missing closing ): `(`");
}

}  // namespace
}  // namespace weir::promql
