// The notation of series in test files.

#include <gtest/gtest.h>

#include "core/model/duration.h"
#include "core/promql/parser.h"

namespace weir::promql {
namespace {

// RETURNS: `labels | v v v`, or the error.
std::string Describe(std::string_view text) {
  const Result<SeriesDescription> series = ParseSeriesDescription(text);
  if (!series.ok()) {
    return std::string(series.status().message());
  }
  std::string out = series->labels.ToString() + (series->start_times ? " @st" : " |");
  for (const SequenceValue& value : series->values) {
    out.append(" ");
    if (value.omitted) {
      out.append("_");
    } else if (value.histogram) {
      out.append(value.histogram->ToTestExpression()).append(value.hint_named ? "!" : "");
    } else {
      out.append(IsStaleNaN(value.value) ? "stale" : FormatFloat(value.value, 'g'));
    }
  }
  return out;
}

struct Row {
  const char* text;
  const char* described;
};

const Row kRows[] = {
    {"up", "up |"},
    {"up 1", "up | 1"},
    {"  up{b=\"2\", a='1',}  1   2 ", "up{a=\"1\", b=\"2\"} | 1 2"},
    {"{\"http.requests\", \"x.y\"=\"z\"} 1", "{\"http.requests\", \"x.y\"=\"z\"} | 1"},
    {"{__name__=\"up\"} 1", "up | 1"},
    {"sum:rate5m -1 +2 1.5 1e3 -1e-3", "sum:rate5m | -1 2 1.5 1000 -0.001"},
    {"up Inf -Inf +Inf NaN stale _", "up | +Inf -Inf +Inf NaN stale _"},
    {"up 1x3", "up | 1 1 1 1"},
    {"up 0x3", "up | 0 0 0 0"},
    {"up 1x0 _x2", "up | 1 _ _"},
    {"up 1+2x3", "up | 1 3 5 7"},
    {"up 1-2x3 -1-1x1", "up | 1 -1 -3 -5 -1 -2"},
    {"up 0+0.1x3", "up | 0 0.1 0.2 0.30000000000000004"},
    {"up 010", "up | 8"},
    {"up{a=\"b\"}@st _ -30s 0s", "up{a=\"b\"} @st _ -30000 0"},
    {"up@st -1m+10sx2 _x2 -1h30mx1", "up @st -60000 -50000 -40000 _ _ -5.4e+06 -5.4e+06"},
    {"up@st -1m-10sx1 0", "up @st -60000 -70000 0"},
    // refused
    {"up 1 foo", "1:6: parse error: unexpected identifier \"foo\" in series values, expected number or \"stale\""},
    {"up{a=\"b\"}1", "1:10: parse error: unexpected number \"1\" in series values"},
    {"up 1x1.5",
     "1:6: parse error: invalid repetition in series values: strconv.ParseUint: parsing \"1.5\": invalid syntax"},
    {"up 5m", "1:4: parse error: bad number syntax: \"5\""},
    {"up 1 $", "1:6: parse error: unexpected character in series sequence: '$'"},
    {"up 1x2000000", "1:13: parse error: a series may not have more than 1000000 values"},
    {"up{a=b} 1", "1:6: parse error: unexpected identifier \"b\" in label set, expected string"},
    {"up{a} 1", "1:5: parse error: unexpected \"}\" in label set, expected \"=\""},
    {"up{,} 1", "1:4: parse error: unexpected \",\" in label set, expected identifier or \"}\""},
    // histograms, as upstream takes and refuses them; `!`: the hint was named
    {"up 1+2", "1:7: parse error: unexpected end of input in series values"},
    {"up 1x", "1:6: parse error: unexpected end of input in series values"},
    {"up 1+-2x3", "1:6: parse error: unexpected <op:-> in series values"},
    {"up {{}}", "up | {{}}"},
    {"up {{ }}", "up | {{}}"},
    {"up {{schema:0 sum:5 count:4 buckets:[1 2 1] offset:-1}}x1",
     "up | {{count:4 sum:5 offset:-1 buckets:[1 2 1]}} {{count:4 sum:5 offset:-1 buckets:[1 2 1]}}"},
    {"up {{sum:1}}+{{count:2}}x2 _", "up | {{sum:1}} {{count:2 sum:1}} {{count:4 sum:1}} _"},
    {"up {{sum:NaN counter_reset_hint:gauge }}-{{}}x1",
     "up | {{sum:NaN counter_reset_hint:gauge}} {{sum:NaN counter_reset_hint:gauge}}"},
    {"up {{sum:1}}+{{sum:1 counter_reset_hint:not_reset}}x1", "up | {{sum:1}}! {{sum:2}}!"},
    {"up {{SUM:-Inf z_bucket:3 z_bucket_w:0.5 n_offset:-1 n_buckets:[1 -2]}}",
     "up | {{sum:-Inf z_bucket:3 z_bucket_w:0.5 n_offset:-1 n_buckets:[1 -2]}}"},
    {"up {{schema:-53 custom_values:[1 2] buckets:[1 1 1]}}-{{schema:-53 custom_values:[1 5] buckets:[0 1 1]}}x1",
     "up | {{schema:-53 custom_values:[1 2] buckets:[1 1 1]}} {{schema:-53 custom_values:[1] buckets:[1]}}"},
    {"up {{schema:0 sum:1 buckets:[1 1]}}+{{schema:1 sum:1 buckets:[1 1 1]}}x1",
     "up | {{sum:1 buckets:[1 1]}} {{sum:2 buckets:[2 3]}}"},
    {"up {{buckets:[1 x]}}", "up | {{buckets:[1]}}"},
    {"up {{buckets:[1-2 3]}}", "up | {{buckets:[1 3]}}"},
    {"up {{schema:4294967297}}", "up | {{schema:1}}"},
    {"up {{sum:1}", "1:11: parse error: histogram description incomplete unexpected: '}'"},
    {"up {{summ:1}}", "1:6: parse error: bad histogram descriptor found: \"summ\""},
    {"up {{sum}}", "1:6: parse error: missing `:` for histogram descriptor"},
    {"up {{sum:1 sum:2}}", "1:1: parse error: duplicate key \"sum\" in histogram"},
    {"up {{schema:1.5}}",
     "1:13: parse error: invalid repetition in series values: strconv.ParseUint: parsing \"1.5\": invalid syntax"},
    {"up {{schema: 1}}", "1:13: parse error: unexpected \" \" in series values"},
    {"up {{ sum:1}}", "1:7: parse error: unexpected \"<Item 57370>\" \"sum\" in series values"},
    {"up {{sum:+1}}", "1:10: parse error: histogram description incomplete unexpected: '+'"},
    {"up {{sum:1 5}}",
     "1:12: parse error: unexpected number \"5\" in histogram description, expected histogram description key, e.g. "
     "buckets:[5 10 7]"},
    {"up {{sum:gauge}}", "1:10: parse error: unexpected \"<Item 57448>\" \"gauge\" in series values"},
    {"up {{buckets:[]}}", "1:15: parse error: unexpected \"]\" in series values"},
    {"up {{sum:1 buckets:[]}}",
     "1:21: parse error: unexpected \"]\" in histogram description, expected histogram description key, e.g. "
     "buckets:[5 10 7]"},
    {"up {{buckets:[1,2]}}", "1:16: parse error: invalid character in buckets description: ','"},
    {"up {{z_bucket_w:-1}}", "1:17: parse error: unexpected <op:-> in series values"},
    {"up {{counter_reset_hint:1}}", "1:25: parse error: unexpected number \"1\" in series values"},
    {"up {{counter_reset_hint:foo}}", "1:25: parse error: bad histogram descriptor found: \"foo\""},
    {"up {{schema:1}}+{{schema:0}}x2",
     "1:30: parse error: error combining histograms: cannot merge from schema 0 to 1"},
    {"up {{schema:-53}}+{{schema:0}}x2",
     "1:32: parse error: cannot apply this operation on histograms with a mix of exponential and custom bucket "
     "schemas"},
    {"up {{sum:1}}+5x2", "1:14: parse error: unexpected number \"5\" in series values"},
    {"up {{sum:1}}+{{sum:1}}", "1:23: parse error: unexpected end of input in series values"},
    {"up {{sum:1}}x", "1:14: parse error: unexpected end of input in series values"},
    {"up {{sum:1}}5", "1:13: parse error: unexpected number \"5\""},
    {"up@st 1.5", "invalid ST item \"1.5\": not a valid duration string: \"1\""},
    {"up@st -1m+10s", "invalid ST item \"-1m+10s\": expected 'x<count>' after step duration"},
    {"up@st _x0", "invalid ST item \"_x0\": invalid repeat count"},
    {"up@st 1sx9999999", "invalid ST item \"1sx9999999\": invalid repeat count"},
};

TEST(Series, AreExpanded) {
  for (const Row& row : kRows) {
    EXPECT_EQ(Describe(row.text), row.described) << row.text;
  }
}

TEST(Series, MetricsAlone) {
  EXPECT_EQ(ParseMetric("up{b=\"2\",a=\"1\"}")->ToString(), "up{a=\"1\", b=\"2\"}");
  EXPECT_EQ(ParseMetric("{\"a b\"}")->Get("__name__"), "a b");
  EXPECT_TRUE(ParseMetric("")->empty());
  EXPECT_EQ(ParseMetric("up 1").status().message(), "1:4: parse error: unexpected number \"1\"");
  EXPECT_EQ(ParseMetric("up{a=~\"b\"}").status().message(),
            "1:5: parse error: unexpected <op:=~> in label set, expected \"=\"");
}

}  // namespace
}  // namespace weir::promql
