#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <string>

#include "core/plugin/plugin.h"

namespace weir::plugin {

extern const Plugin openmetrics_codec;

namespace {

std::string Text(const SampleBatch& batch) {
  std::string out;
  for (const auto& series : batch.series) {
    std::vector<std::pair<std::string_view, std::string_view>> pairs;
    EXPECT_TRUE(DecodeLabels(series.labels, &pairs).ok());
    for (uint32_t i = 0; i < series.count; ++i) {
      for (const auto& [name, value] : pairs) {
        out += std::string(name) + "=" + std::string(value) + " ";
      }
      const Sample& sample = batch.samples[series.first + i];
      out += std::to_string(sample.v) + "@" + std::to_string(sample.t) + "\n";
    }
  }
  return out;
}

TEST(OpenMetricsCodec, ReadsARecording) {
  SampleBatch batch;
  Status status = openmetrics_codec.make_codec({})->Decode(
      "# HELP http_requests Requests.\n# TYPE http_requests counter\n"
      "http_requests_total{code=\"200\",path=\"/a\\\\b\\\"c\\n\"} 12 1704164645.25 # {trace_id=\"x\"} 1 1704164645\n"
      "http_requests_total{code=\"200\",path=\"/a\\\\b\\\"c\\n\"} 13.5 1704164646.25\n"
      "up 1 1704164645250\r\n"
      "  spaced { b = \"2\" , a=\"1\", } +Inf 5\n"
      "{\"utf.8 name\",\"label.x\"=\"v\"} -1e3 -2\n"
      "# EOF\n",
      &batch);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(batch.bad_records, 0u) << batch.first_error;
  EXPECT_EQ(Text(batch),
            "__name__=http_requests_total code=200 path=/a\\b\"c\n 12.000000@1704164645250\n"
            "__name__=http_requests_total code=200 path=/a\\b\"c\n 13.500000@1704164646250\n"
            "__name__=up 1.000000@1704164645250\n"
            "__name__=spaced a=1 b=2 inf@5000\n"
            "__name__=utf.8 name label.x=v -1000.000000@-2000\n");
}

TEST(OpenMetricsCodec, ABadLineIsNamedAndCostsOnlyItself) {
  struct Case {
    const char* line;
    const char* message;
  };
  for (const Case& c :
       {Case{"a 1", "the sample has no timestamp"}, Case{"a 1 # {x=\"y\"} 1", "the sample has no timestamp"},
        Case{"a x 1", "the value is not a number: \"x\""},
        Case{"a 1 soon", "the timestamp is neither seconds nor milliseconds: \"soon\""},
        Case{"a 1 1 1", "text after the timestamp: \"1\""}, Case{"a{b=\"c} 1 1", "a quoted text does not end"},
        Case{"a{b} 1 1", "want = after the label name \"b\""}, Case{"a{1b=\"c\"} 1 1", "not a label name: \"1b\""},
        Case{"a{b=\"c\" d=\"e\"} 1 1", "want , or } after a label"}, Case{"1a 1 1", "not a metric name: \"1a\""},
        Case{"{} 1 1", "there is no metric name"}, Case{"a{b=\"c\",b=\"d\"} 1 1", "label \"b\" is given twice"}}) {
    SampleBatch batch;
    Status status = openmetrics_codec.make_codec({})->Decode(std::string("ok 1 1\n") + c.line + "\nok 2 2\n", &batch);
    EXPECT_TRUE(status.ok());
    EXPECT_EQ(batch.samples.size(), 2u) << c.line;
    EXPECT_EQ(batch.bad_records, 1u) << c.line;
    EXPECT_EQ(batch.first_error, std::string("record 2: ") + c.message);
    EXPECT_EQ(openmetrics_codec.make_codec({})->Decode(c.line, &batch).code(), Code::kInvalid) << c.line;
  }
}

TEST(OpenMetricsCodec, NaNIsNoStaleMarker) {
  SampleBatch batch;
  ASSERT_TRUE(openmetrics_codec.make_codec({})->Decode("a NaN 1\n", &batch).ok());
  EXPECT_EQ(std::bit_cast<uint64_t>(batch.samples[0].v), kNormalNaNBits);
}

}  // namespace
}  // namespace weir::plugin
