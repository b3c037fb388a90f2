#include "core/promqltest/script.h"

#include <gtest/gtest.h>

#include "core/model/sample.h"

namespace weir::promqltest {
namespace {

Script MustParse(std::string_view text) {
  Result<Script> script = ParseScript(text, "s.test");
  EXPECT_TRUE(script.ok()) << script.status().message();
  return script.ok() ? *script : Script();
}

TEST(ParseScript, ReadsLoadsWithGapsAndStaleMarkers) {
  Script script = MustParse("load 10s\n  m{a=\"b\"} 1+2x2 _ stale 0x1\n");
  ASSERT_EQ(script.commands.size(), 1u);
  ASSERT_EQ(script.commands[0].load.size(), 1u);
  const LoadedSeries& s = script.commands[0].load[0];
  EXPECT_EQ(s.labels, Labels({{"__name__", "m"}, {"a", "b"}}));
  ASSERT_EQ(s.samples.size(), 6u);
  EXPECT_EQ(s.samples[2].t, 20000);
  EXPECT_EQ(s.samples[2].v, 5);
  EXPECT_EQ(s.samples[3].t, 40000);
  EXPECT_TRUE(IsStaleNaN(s.samples[3].v));
  EXPECT_EQ(s.samples[5].t, 60000);
}

TEST(ParseScript, KeepsHistogramsApartFromFloats) {
  Script script = MustParse("load 1m\n  h 1 {{schema:0 sum:1 count:1}} 3\n");
  const LoadedSeries& s = script.commands[0].load[0];
  EXPECT_EQ(s.samples.size(), 2u);
  ASSERT_EQ(s.histograms.size(), 1u);
  EXPECT_EQ(s.histograms[0].t, 60000);
  EXPECT_EQ(s.histograms[0].histogram->ToTestExpression(), "{{count:1 sum:1}}");
}

TEST(ParseScript, CustomBucketLoadsAddTheNativeSeries) {
  Script script = MustParse(
      "load_with_nhcb 1m\n  h_bucket{le=\"1\",x=\"y\"} 1 2\n  h_bucket{le=\"+Inf\",x=\"y\"} 1 5\n"
      "  h_sum{x=\"y\"} 3 8.5\n  h_bucket{le=\"no number\",x=\"z\"} 1\n  requests_count 7\n");
  const std::vector<LoadedSeries>& load = script.commands[0].load;
  ASSERT_EQ(load.size(), 7u);
  EXPECT_EQ(load[5].labels, Labels({{"__name__", "h"}, {"x", "y"}}));
  ASSERT_EQ(load[5].histograms.size(), 2u);
  EXPECT_EQ(load[5].histograms[1].t, 60000);
  EXPECT_EQ(load[5].histograms[1].histogram->ToTestExpression(),
            "{{schema:-53 count:5 sum:8.5 custom_values:[1] buckets:[2 3]}}");
  EXPECT_EQ(load[6].histograms[0].histogram->ToTestExpression(), "{{schema:-53 count:7 custom_values:[] buckets:[7]}}");
  EXPECT_EQ(ParseScript("load_with_nhcb 1m\n  h_bucket{le=\"1\"} 2\n  h_bucket{le=\"+Inf\"} 1\n", "s.test")
                .status()
                .message(),
            "s.test:3: count is not cumulative: 1 < 2");
}

TEST(ParseScript, StartTimesAreRelativeToTheirSample) {
  Script script = MustParse("load 1m\n  c_total{}@st -30s _ -10s\n  c_total{} 1 2 3\n");
  ASSERT_EQ(script.commands[0].load.size(), 1u);
  const LoadedSeries& s = script.commands[0].load[0];
  EXPECT_EQ(s.samples[0].start, -30000);
  EXPECT_EQ(s.samples[1].start, 0);
  EXPECT_EQ(s.samples[2].start, 110000);
}

TEST(ParseScript, ReadsEvalsOfBothKinds) {
  Script script = MustParse(
      "eval instant at 1m30s sum(m)\n  {} 4\n\n"
      "eval range from 0 to 2m step 30s m\n  m 1 _ 2 NaN 3\n\n"
      "eval instant at 90 1 + 1\n  2\n\n"
      "eval instant at 0 \"a\"\n  expect string \"a\"\n");
  ASSERT_EQ(script.commands.size(), 4u);
  EXPECT_EQ(script.commands[0].eval.Times(), std::vector<int64_t>{90000});
  EXPECT_EQ(script.commands[1].eval.Times(), (std::vector<int64_t>{0, 30000, 60000, 90000, 120000}));
  EXPECT_TRUE(script.commands[1].eval.series[0].values[1].omitted);
  EXPECT_EQ(script.commands[2].eval.start_ms, 90000);
  EXPECT_EQ(script.commands[2].eval.expr, "1 + 1");
  EXPECT_EQ(script.commands[2].eval.scalar, 2.0);
  EXPECT_EQ(script.commands[3].eval.text, "a");
}

TEST(ParseScript, ReadsEveryExpectation) {
  Script script = MustParse(
      "# sensitive\n"
      "eval instant at 0 m\n  expect ordered\n  expect no_warn\n  expect info msg: some text\n  expect warn regex: "
      "a.c\n\n"
      "eval instant at 0 m\n  expect fail msg:why\n\n"
      "eval_fail instant at 0 m\n  expected_fail_regexp wh.\n\n"
      "eval instant at 1m m[1m]\n  expect range vector from 10s to 1m step 10s\n  m 1 2\n");
  const EvalCase& first = script.commands[0].eval;
  EXPECT_TRUE(first.sensitive);
  EXPECT_TRUE(first.ordered);
  ASSERT_EQ(first.annotations.size(), 3u);
  EXPECT_TRUE(first.annotations[0].none);
  EXPECT_EQ(first.annotations[1].kind, AnnotationKind::kInfo);
  EXPECT_EQ(first.annotations[1].message, "some text");
  EXPECT_EQ(first.annotations[2].regex, "a.c");
  EXPECT_TRUE(script.commands[1].eval.fail);
  EXPECT_EQ(script.commands[1].eval.fail_message, "why");
  EXPECT_FALSE(script.commands[1].eval.sensitive);
  EXPECT_TRUE(script.commands[2].eval.fail);
  EXPECT_EQ(script.commands[2].eval.fail_regex, "wh.");
  EXPECT_TRUE(script.commands[3].eval.matrix);
  EXPECT_EQ(script.commands[3].eval.matrix_step_ms, 10000);
}

TEST(ParseScript, ACommentEndsABlock) {
  Script script = MustParse("eval instant at 0 m\n  # nothing\nclear\n");
  ASSERT_EQ(script.commands.size(), 2u);
  EXPECT_EQ(script.commands[1].kind, Command::Kind::kClear);
}

TEST(ParseScript, ErrorsNameFileAndLine) {
  const char* const bad[] = {"lod 1m\n",
                             "clear\nload x\n",
                             "eval instant at 1m\n",
                             "eval range from 0 to 1m m\n",
                             "eval range from 1m to 0 step 1m m\n",
                             "eval instant at 0 m\n  expect nothing\n",
                             "eval instant at 0 m\n  m{ 1\n",
                             "eval range from 0 to 100000d step 1ms m\n"};
  for (const char* text : bad) {
    Result<Script> script = ParseScript(text, "s.test");
    ASSERT_FALSE(script.ok()) << text;
    EXPECT_EQ(script.status().message().substr(0, 7), "s.test:") << script.status().message();
  }
}

}  // namespace
}  // namespace weir::promqltest
