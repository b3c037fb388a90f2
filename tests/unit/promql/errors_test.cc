// What is refused, where, and with which words; and what is proposed instead.

#include <gtest/gtest.h>

#include "core/promql/parser.h"

namespace weir::promql {
namespace {

struct Row {
  const char* text;
  const char* error;
};

std::string FirstError(std::string_view text, const ParserOptions& options) {
  ParseOutcome outcome = ParseExpr(text, options);
  if (outcome.expr) {
    return "";
  }
  outcome.errors.front().fix.clear();
  return outcome.errors.front().ToString();
}

// With every feature on. The texts are Prometheus's.
const Row kRows[] = {
    {"", "1:1: parse error: no expression found in input"},
    {"1 +", "1:4: parse error: unexpected end of input"},
    {")", "1:2: parse error: unexpected right parenthesis ')'"},
    {"(", "1:2: parse error: unclosed left parenthesis"},
    {"foo(", "1:5: parse error: unclosed left parenthesis"},
    {"rate(", "1:6: parse error: unclosed left parenthesis"},
    {"foo bar", "1:5: parse error: unexpected identifier \"bar\""},
    {"(foo bar)", "1:6: parse error: unexpected identifier \"bar\""},
    {"rate(foo bar)", "1:10: parse error: unexpected identifier \"bar\""},
    {"sum(foo bar)", "1:9: parse error: unexpected identifier \"bar\" in aggregation"},
    {"sum foo", "1:5: parse error: unexpected identifier \"foo\""},
    {"sum()", "1:1: parse error: no arguments for aggregate expression provided"},
    {"sum(a, b)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 1, got 2"},
    {"topk(a)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1"},
    {"topk(1, 2, a)",
     "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 3"},
    {"sum by foo (a)", "1:8: parse error: unexpected identifier \"foo\" in grouping opts, expected \"(\""},
    {"sum by (a b) (a)", "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\""},
    {"sum by (5) (a)", "1:9: parse error: unexpected number \"5\" in grouping opts, expected label"},
    {"sum by (without) (a)", "1:9: parse error: unexpected <without> in grouping opts, expected label"},
    {"sum by (\"\") (a)", "1:9: parse error: invalid label name for grouping: \"\""},
    {"a + on b", "1:8: parse error: unexpected identifier \"b\" in grouping opts, expected \"(\""},
    {"a + on (x) group_left ) b", "1:24: parse error: unexpected right parenthesis ')'"},
    {"a + on (x) group_left (x) b", "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at once"},
    {"a + bool b", "1:3: parse error: bool modifier can only be used on comparison operators"},
    {"a == bool", "1:10: parse error: unexpected end of input"},
    {"1 == 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"},
    {"1 and 2", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"},
    {"a and 1", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"},
    {"a + on (x) 1", "1:1: parse error: vector matching only allowed between instant vectors"},
    {"1 + fill (2) a", "1:1: parse error: filling in missing series only allowed between instant vectors"},
    {"a and fill (2) b", "1:1: parse error: filling in missing series not allowed for set operators"},
    {"a and on (x) group_left b", "1:1: parse error: no grouping allowed for \"and\" operation"},
    {"a + fill (b) c", "1:11: parse error: unexpected identifier \"b\""},
    {"\"a\" + 1", "1:1: parse error: binary expression must contain only scalar and instant vector types"},
    {"a + b[5m]", "1:5: parse error: binary expression must contain only scalar and instant vector types"},
    {"-\"a\"",
     "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\""},
    {"-a[5m]",
     "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"range "
     "vector\""},
    {"a[5m][5m]", "1:6: parse error: ranges only allowed for vector selectors"},
    {"a[5m][5m:]", "1:1: parse error: subquery is only allowed on instant vector, got matrix instead"},
    {"1[5m]", "1:2: parse error: ranges only allowed for vector selectors"},
    {"1[5m:]", "1:1: parse error: subquery is only allowed on instant vector, got scalar instead"},
    {"a[]",
     "1:3: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()"},
    {"a[:]", "1:4: parse error: unexpected colon before duration in duration expression"},
    {"a[:5m]", "1:4: parse error: unexpected colon before duration in duration expression"},
    {"a[5m:", "1:6: parse error: unclosed left bracket"},
    {"a[5m", "1:5: parse error: unclosed left bracket"},
    {"a[5m:1m:1m]", "1:8: parse error: unexpected colon ':'"},
    {"a[5m bar", "1:6: parse error: unexpected character: 'b', expected ':'"},
    {"a[foo]", "1:3: parse error: unexpected character in duration expression: 'f'"},
    {"a[0]", "1:3: parse error: duration must be greater than 0"},
    {"a[0s]", "1:3: parse error: duration must be greater than 0"},
    {"a[-5m]", "1:3: parse error: duration must be greater than 0"},
    {"a[5m:0s]", "1:6: parse error: duration must be greater than 0"},
    {"a[1 / 0]", "1:5: parse error: division by zero"},
    {"a[1 % 0]", "1:5: parse error: modulo by zero"},
    {"a[300y]", "1:3: parse error: duration out of range"},
    {"a[9999999999999]", "1:3: parse error: duration out of range"},
    {"a[5mx]", "1:3: parse error: bad number or duration syntax: \"5mx\""},
    {"a[5m5m]", "1:3: parse error: not a valid duration string: \"5m5m\""},
    {"a[1m1h]", "1:3: parse error: not a valid duration string: \"1m1h\""},
    {"a[5hs]", "1:3: parse error: unknown unit \"hs\" in duration \"5hs\""},
    {"a[1e3m]", "1:3: parse error: unknown unit \"e\" in duration \"1e3m\""},
    {"a[step)]", "1:8: parse error: unexpected right parenthesis ')'"},
    {"a offset", "1:9: parse error: unexpected end of input in offset, expected number, duration, step(), or range()"},
    {"a offset foo",
     "1:10: parse error: unexpected identifier \"foo\" in offset, expected number, duration, step(), or range()"},
    {"a offset 5m offset 5m", "1:1: parse error: offset may not be set multiple times"},
    {"a offset (5m", "1:13: parse error: unclosed left parenthesis"},
    {"(a) offset 5m",
     "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a "
     "subquery"},
    {"sum(a) offset 5m",
     "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a "
     "subquery"},
    {"1 offset 5m",
     "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a "
     "subquery"},
    {"a @", "1:4: parse error: unexpected end of input in @, expected timestamp"},
    {"a @ foo", "1:5: parse error: unexpected identifier \"foo\" in @, expected timestamp"},
    {"a @ start", "1:10: parse error: unexpected end of input in @, expected timestamp"},
    {"a @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"},
    {"a @ start() @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"},
    {"(a) @ 2",
     "1:1: parse error: @ modifier must be preceded by an instant vector selector or range vector selector or a "
     "subquery"},
    {"a @ 1e30", "1:1: parse error: timestamp out of bounds for @ modifier: 1000000000000000019884624838656.000000"},
    {"a @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"},
    {"a @ NaN", "1:1: parse error: timestamp out of bounds for @ modifier: NaN"},
    {"a @ 5 [5m]", "1:7: parse error: no @ modifiers allowed before range"},
    {"a offset 5m [5m]", "1:13: parse error: no offset modifiers allowed before range"},
    {"a{", "1:3: parse error: unexpected end of input inside braces"},
    {"a{b", "1:4: parse error: unexpected end of input inside braces"},
    {"a{b}", "1:4: parse error: unexpected \"}\" in label matching, expected label matching operator"},
    {"a{b=}", "1:5: parse error: unexpected \"}\" in label matching, expected string"},
    {"a{b=c}", "1:5: parse error: unexpected identifier \"c\" in label matching, expected string"},
    {"a{b=\"c\"", "1:8: parse error: unexpected end of input inside braces"},
    {"a{b=\"c\" d=\"e\"}", "1:9: parse error: unexpected identifier \"d\" in label matching, expected \",\" or \"}\""},
    {"a{,}", "1:3: parse error: unexpected \",\" in label matching, expected identifier or \"}\""},
    {"a{b==\"c\"}", "1:5: parse error: unexpected \"=\" in label matching, expected string"},
    {"a{b!\"c\"}", "1:4: parse error: unexpected character after '!' inside braces: '\"'"},
    {"a{b=\"c\"}}", "1:9: parse error: unexpected character: '}'"},
    {"a{{b=\"c\"}", "1:3: parse error: unexpected left brace '{'"},
    {"a{1=\"c\"}", "1:3: parse error: unexpected character inside braces: '1'"},
    {"a{b=~\"[\"}", "1:3: parse error: error parsing regexp: missing closing ]: `[`"},
    {"a{b=~\"(x\"}", "1:3: parse error: error parsing regexp: missing closing ): `(x`"},
    {"a{b!~\"*\"}", "1:3: parse error: error parsing regexp: missing argument to repetition operator: `*`"},
    {"{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
    {"{a=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
    {"{a!=\"b\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
    {"{a=~\".*\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
    {"a{__name__=\"b\"}", "1:1: parse error: metric name must not be set twice: \"a\" or \"b\""},
    {"a{\"b\"}", "1:1: parse error: metric name must not be set twice: \"a\" or \"b\""},
    {"\"a", "1:1: parse error: unterminated quoted string"},
    {"\"a\\q\"", "1:1: parse error: unknown escape sequence U+0071 'q'"},
    {"\"\\x4\"", "1:1: parse error: illegal character U+0022 '\"' in escape sequence"},
    {"\"\\u00\"", "1:1: parse error: illegal character U+0022 '\"' in escape sequence"},
    {"\"\\ud800\"", "1:1: parse error: escape sequence is an invalid Unicode code point"},
    {"\"\\400\"", "1:1: parse error: escape sequence is an invalid Unicode code point"},
    {"'a", "1:1: parse error: unterminated quoted string"},
    {"`a", "1:1: parse error: unterminated raw string"},
    {"1x", "1:1: parse error: bad number or duration syntax: \"1\""},
    {"0x", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"0x\": invalid syntax"},
    {"1_", "1:1: parse error: bad number or duration syntax: \"1_\""},
    {"1__0", "1:1: parse error: bad number or duration syntax: \"1__\""},
    {"1.2.3", "1:1: parse error: bad number or duration syntax: \"1.2.\""},
    {"1e", "1:1: parse error: bad number or duration syntax: \"1e\""},
    {"1ee3", "1:1: parse error: bad number or duration syntax: \"1ee\""},
    {"1e400", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e400\": value out of range"},
    {"5m3", "1:1: parse error: bad number or duration syntax: \"5m3\""},
    {"99999y", "1:1: parse error: duration out of range"},
    {"a = b", "1:3: parse error: unexpected \"=\""},
    {"a =~ b", "1:3: parse error: unexpected character after '=': '~'"},
    {"a ! b", "1:3: parse error: unexpected character after '!': ' '"},
    {"!a", "1:1: parse error: unexpected character after '!': 'a'"},
    {"a & b", "1:3: parse error: unexpected character: '&'"},
    {"a && b", "1:3: parse error: unexpected character: '&'"},
    {"a | b", "1:3: parse error: unexpected character: '|'"},
    {"a $ b", "1:3: parse error: unexpected character: '$'"},
    {"a ; b", "1:3: parse error: unexpected character: ';'"},
    {"a ~ b", "1:3: parse error: unexpected character: '~'"},
    {"a %% b", "1:4: parse error: unexpected <op:%>"},
    {"a ** b", "1:4: parse error: unexpected <op:*>"},
    {"foo(a)", "1:1: parse error: unknown function with name \"foo\""},
    {"rat(a[5m])", "1:1: parse error: unknown function with name \"rat\""},
    {"rate()", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 0"},
    {"rate(a)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector"},
    {"rate(a[5m], 1)", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 2"},
    {"rate(a[5m],)", "1:11: parse error: trailing commas not allowed in function call args"},
    {"rate(a[5m],,)", "1:11: parse error: trailing commas not allowed in function call args"},
    {"rate(,)", "1:6: parse error: unexpected \",\""},
    {"rate(\"a\")", "1:6: parse error: expected type range vector in call to function \"rate\", got string"},
    {"sum(a[5m])", "1:5: parse error: expected type instant vector in aggregation expression, got range vector"},
    {"sum(\"a\")", "1:5: parse error: expected type instant vector in aggregation expression, got string"},
    {"topk(\"x\", a)", "1:6: parse error: expected type scalar in aggregation parameter, got string"},
    {"count_values(1, a)", "1:14: parse error: expected type string in aggregation parameter, got scalar"},
    {"round()", "1:1: parse error: expected at least 1 argument(s) in call to \"round\", got 0"},
    {"round(a, 1, 2)", "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3"},
    {"round(a, a)", "1:10: parse error: expected type scalar in call to function \"round\", got instant vector"},
    {"label_replace(a, \"b\")", "1:1: parse error: expected 5 argument(s) in call to \"label_replace\", got 2"},
    {"label_join(a, \"b\")", "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 2"},
    {"label_join(a, \"b\", 1)",
     "1:20: parse error: expected type string in call to function \"label_join\", got scalar"},
    {"histogram_quantiles(a, \"q\")",
     "1:1: parse error: expected at least 3 argument(s) in call to \"histogram_quantiles\", got 2"},
    {"histogram_quantiles(a, \"q\", 1,2,3,4,5,6,7,8,9,10,11)",
     "1:1: parse error: expected at most 12 argument(s) in call to \"histogram_quantiles\", got 13"},
    {"time(1)", "1:1: parse error: expected 0 argument(s) in call to \"time\", got 1"},
    {"vector(a)", "1:8: parse error: expected type scalar in call to function \"vector\", got instant vector"},
    {"scalar(1)", "1:8: parse error: expected type instant vector in call to function \"scalar\", got scalar"},
    {"absent(1)", "1:8: parse error: expected type instant vector in call to function \"absent\", got scalar"},
    {"info(a, b)", "1:9: parse error: expected label selectors only, got vector selector instead"},
    {"info(a, 1)", "1:1: parse error: expected type instant vector in call to function \"info\", got scalar"},
    {"info(a, ({b=\"c\"}))", "1:9: parse error: expected label selectors only"},
    {"a by (b)", "1:3: parse error: unexpected <by>"},
    {"rate(a[5m]) by (b)", "1:13: parse error: unexpected <by>"},
    {"a smoothed anchored", "1:1: parse error: anchored and smoothed modifiers cannot be used together"},
    {"sum(a) smoothed", "1:1: parse error: smoothed modifier not implemented"},
    {"a[5m:] anchored", "1:1: parse error: anchored modifier is not supported for subqueries"},
    {"by (a)", "1:4: parse error: unexpected \"(\""},
    {"a group_left b", "1:3: parse error: unexpected <group_left>"},
    {"a\n  + )", "2:6: parse error: unexpected right parenthesis ')'"},
    {"# only a comment", "1:1: parse error: no expression found in input"},
    {"a[5m] - 1", "1:1: parse error: binary expression must contain only scalar and instant vector types"},
    {"a > 1 < bool", "1:13: parse error: unexpected end of input"},
    {"step(1)", "1:1: parse error: expected 0 argument(s) in call to \"step\", got 1"},
    {"max_of(1)", "1:1: parse error: expected 2 argument(s) in call to \"max_of\", got 1"},
    {"start(1)", "1:1: parse error: expected 0 argument(s) in call to \"start\", got 1"},
};

// With no feature on; "" parses.
const Row kFeatureRows[] = {
    {"mad_over_time(a[5m])", "1:1: parse error: function \"mad_over_time\" is not enabled"},
    {"limitk(1, a)",
     "1:1: parse error: limitk() is experimental and must be enabled with "
     "--enable-feature=promql-experimental-functions"},
    {"limit_ratio(0.5, a)",
     "1:1: parse error: limit_ratio() is experimental and must be enabled with "
     "--enable-feature=promql-experimental-functions"},
    {"start()", "1:1: parse error: function \"start\" is not enabled"},
    {"min_of(1, 2)", "1:1: parse error: function \"min_of\" is not enabled"},
    {"sort_by_label(a, \"b\")", "1:1: parse error: function \"sort_by_label\" is not enabled"},
    {"info(a)", "1:1: parse error: function \"info\" is not enabled"},
    {"a smoothed", "1:1: parse error: smoothed modifier is experimental and not enabled"},
    {"a[5m] anchored", "1:1: parse error: anchored modifier is experimental and not enabled"},
    {"a + fill (1) b", "1:1: parse error: binop fill modifiers are experimental and not enabled"},
    {"first_over_time(a[5m])", ""},
    {"a[5m + 1m]", ""},
};

// Durations are folded when they are read, with step() and range() from the options.
const Row kFoldedRows[] = {
    {"a[5m - 5m]", "1:3: parse error: duration must be greater than 0"},
    {"a[5m - 6m]", "1:3: parse error: duration must be greater than 0"},
    {"a[step()]", "1:3: parse error: duration must be greater than 0"},
    {"a[5m:range()]", "1:6: parse error: duration must be greater than 0"},
    {"a[0.0001]", "1:3: parse error: duration must be greater than 0"},
    {"a[1 / (2 - 2)]", "1:3: parse error: division by zero"},
    {"a[1 % step()]", "1:3: parse error: modulo by zero"},
    {"a[2 ^ 40 * 1d]", "1:3: parse error: duration is out of range"},
    {"a[10 ^ 400]", "1:3: parse error: duration is NaN or infinite"},
    {"a offset NaN", "1:10: parse error: duration is NaN or infinite"},
    {"a offset (NaN * 2)", "1:10: parse error: duration is NaN or infinite"},
    {"a offset (1 / step())", "1:10: parse error: division by zero"},
    {"a offset (0 / range())", "1:10: parse error: division by zero"},
};

TEST(Errors, SayWhatPrometheusSays) {
  for (const Row& row : kRows) {
    EXPECT_EQ(FirstError(row.text, ParserOptions::All()), row.error) << row.text;
  }
}

TEST(Errors, FeaturesHaveToBeEnabled) {
  for (const Row& row : kFeatureRows) {
    EXPECT_EQ(FirstError(row.text, {}), row.error) << row.text;
    EXPECT_EQ(FirstError(row.text, ParserOptions::All()), "") << row.text;
  }
}

TEST(Errors, DurationsThatFoldToNothing) {
  for (const Row& row : kFoldedRows) {
    EXPECT_EQ(FirstError(row.text, {}), row.error) << row.text;
  }
  ParserOptions range_query;
  range_query.step_ms = 30000;
  range_query.range_ms = 600000;
  EXPECT_EQ(FirstError("a[step()]", range_query), "");
  EXPECT_EQ(FirstError("a[5m:range() / 10]", range_query), "");
}

TEST(Errors, CountLinesAndColumnsInBytes) {
  const ParseOutcome outcome = ParseExpr("up +\n  \"\xc3\xa9\" $");
  ASSERT_FALSE(outcome.expr);
  const ParseError& error = outcome.errors.front();
  EXPECT_EQ(error.line, 2);
  EXPECT_EQ(error.column, 8);
  EXPECT_EQ(error.pos.start, 12);
  EXPECT_EQ(error.message, "unexpected character: '$'");
}

TEST(Errors, AllTypeErrorsAreListed) {
  const ParseOutcome outcome = ParseExpr("rate(a) + sum(b[5m])");
  ASSERT_EQ(outcome.errors.size(), 2u);
  EXPECT_EQ(outcome.errors[0].column, 6);
  EXPECT_EQ(outcome.errors[1].column, 15);
}

TEST(Errors, CharactersAreQuotedAsInGo) {
  EXPECT_EQ(FirstError("a \x01", {}), "1:3: parse error: unexpected character: '\\x01'");
  EXPECT_EQ(FirstError("\xc3\xa9", {}), "1:1: parse error: unexpected character: '\xc3\xa9'");
  EXPECT_EQ(FirstError("\xff", {}), "1:1: parse error: unexpected character: '\xef\xbf\xbd'");
  EXPECT_EQ(FirstError("a{'", {}), "1:3: parse error: unterminated quoted string");
  EXPECT_EQ(FirstError("a \"b", {}), "1:3: parse error: unterminated quoted string");
  EXPECT_EQ(FirstError("\"\xff\"", {}), "1:1: parse error: invalid UTF-8 rune");
}

TEST(Errors, LongTokensAreCut) {
  EXPECT_EQ(FirstError("a \"0123456789abc\"", {}), "1:3: parse error: unexpected string \"\\\"012345678\"...");
}

// --- repairs ---

struct Slip {
  const char* text;
  const char* fix;
};

const Slip kSlips[] = {
    {"avg_over_time(busy[1h]) by (gpu)", "avg by (gpu) (avg_over_time(busy[1h]))"},
    {"histogram_quantile(0.9, rate(b[5m])) by (a, c)", "histogram_quantile(0.9, sum by (le, a, c) (rate(b[5m])))"},
    {"histogram_quantile(0.9, rate(b[5m])) by (le, a)", "histogram_quantile(0.9, sum by (le, a) (rate(b[5m])))"},
    {"histogram_quantile(0.9, sum by (le) (rate(b[5m]))) by (job)",
     "histogram_quantile(0.9, sum by (le, job) (rate(b[5m])))"},
    {"histogram_quantile(0.9, rate(b[5m])) without (pod)", "histogram_quantile(0.9, sum without (pod) (rate(b[5m])))"},
    {"rate(a[5m]) by (job)", "sum by (job) (rate(a[5m]))"},
    {"rate(a[5m]) without (\"my.label\")", "sum without (\"my.label\") (rate(a[5m]))"},
    {"1 + rate(x[5m]) by (a)", "1 + sum by (a) (rate(x[5m]))"},
    {"sum(rate(x[5m]) by (a))", "sum(sum by (a) (rate(x[5m])))"},
    {"(a / b) by (x)", "sum by (x) (a / b)"},
    {"foo by (a)", "sum by (a) (foo)"},
    {"rate(a[5m]) by (", ""},
    {"ratee(x[5m])", "rate(x[5m])"},
    {"increse(x[5m])", "increase(x[5m])"},
    {"smu(x)", "sum(x)"},
    {"Rate(x[5m])", "rate(x[5m])"},
    {"avg_ovr_time(x[5m])", "avg_over_time(x[5m])"},
    {"zzzzzz(x)", ""},
    {"1 == 2", "1 == bool 2"},
    {"1 > bool 2 < 3", "1 > bool 2 < bool 3"},
    {"rate(x{a=\"b\"})", "rate(x{a=\"b\"}[5m])"},
    {"rate(x offset 5m)", "rate(x[5m] offset 5m)"},
    {"rate(sum(x))", "rate(sum(x)[5m:])"},
    {"rate(a + b)", "rate((a + b)[5m:])"},
    {"sum(x_total[5m])", "sum(rate(x_total[5m]))"},
    {"sum(x[5m])", "sum(avg_over_time(x[5m]))"},
    {"x[5m] > 3", "avg_over_time(x[5m]) > 3"},
    {"rate(sum(x)[5m])", "rate(sum(x)[5m:])"},
    {"foo = 5", "foo == 5"},
    {"foo => 5", "foo >= 5"},
    {"foo =< 5", "foo <= 5"},
    {"foo <> 5", "foo != 5"},
    {"foo && bar", "foo and bar"},
    {"foo & bar", "foo and bar"},
    {"foo||bar", "foo or bar"},
    {"foo | bar", "foo or bar"},
    {"!foo", "absent(foo)"},
    {"foo !bar", "foo unless bar"},
    {"foo{a=b}", "foo{a=\"b\"}"},
    {"foo{a==\"b\"}", "foo{a=\"b\"}"},
    {"count(x) by job", "count(x) by (job)"},
    {"rate(x[5m)", "rate(x[5m])"},
    {"sum(foo", "sum(foo)"},
    {"sum(foo))", "sum(foo)"},
    {"rate(x[5m],)", "rate(x[5m])"},
    {"sum(x[5m]) by (a) && foo = 4", "sum(avg_over_time(x[5m])) by (a) and foo == 4"},
    {"topk(1)", ""},
};

TEST(Repairs, ProposeWhatWasMeant) {
  for (const Slip& slip : kSlips) {
    const ParseOutcome outcome = ParseExpr(slip.text);
    ASSERT_FALSE(outcome.expr) << slip.text;
    EXPECT_EQ(outcome.errors.front().fix, slip.fix) << slip.text;
  }
}

TEST(Repairs, StandBehindTheMessage) {
  const ParseOutcome outcome = ParseExpr("foo = 5");
  ASSERT_FALSE(outcome.expr);
  EXPECT_EQ(outcome.errors.front().ToString(), "1:5: parse error: unexpected \"=\"; did you mean: foo == 5");
}

TEST(Repairs, AreNotTriedOnLongTexts) {
  const ParseOutcome outcome = ParseExpr("foo = 5 #" + std::string(20000, 'x'));
  ASSERT_FALSE(outcome.expr);
  EXPECT_EQ(outcome.errors.front().fix, "");
}

// --- limits ---

std::string Repeat(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    out.append(text);
  }
  return out;
}

TEST(Limits, NestingIsBounded) {
  EXPECT_EQ(FirstError(Repeat("(", 200) + "a" + Repeat(")", 200), {}), "");
  EXPECT_EQ(FirstError(Repeat("(", 5000) + "a" + Repeat(")", 5000), {}),
            "1:251: parse error: expression is nested more than 250 levels deep");
  EXPECT_EQ(FirstError(Repeat("abs(", 5000), {}),
            "1:1001: parse error: expression is nested more than 250 levels deep");
  EXPECT_EQ(FirstError(Repeat("-", 5000) + "a", {}),
            "1:251: parse error: expression is nested more than 250 levels deep");
  EXPECT_EQ(FirstError("1" + Repeat("^1", 5000), {}),
            "1:501: parse error: expression is nested more than 250 levels deep");
  EXPECT_EQ(FirstError("a[" + Repeat("(", 5000), {}),
            "1:252: parse error: expression is nested more than 250 levels deep");
}

TEST(Limits, ChainsAreBounded) {
  EXPECT_EQ(FirstError("a" + Repeat(" or a", 490), {}), "");
  EXPECT_EQ(FirstError("a" + Repeat("+a", 5000), {}),
            "1:1000: parse error: expression has more than 500 operators in one chain");
  EXPECT_EQ(FirstError("a" + Repeat("[1m:]", 5000), {}),
            "1:1: parse error: expression has more than 500 selectors in one chain");
  EXPECT_EQ(FirstError("a[1" + Repeat("+1", 200) + "]", {}), "");
  EXPECT_EQ(FirstError("a[1" + Repeat("+1", 5000) + "]", {}),
            "1:504: parse error: duration has more than 250 operators");
}

TEST(Limits, LengthIsBounded) {
  EXPECT_EQ(FirstError("a #" + std::string(1 << 20, 'x'), {}),
            "1:1: parse error: expression is longer than 1048576 bytes: 1048579");
}

}  // namespace
}  // namespace weir::promql
