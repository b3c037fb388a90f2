#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <memory>
#include <string>

#include "core/plugin/plugin.h"

namespace weir::plugin {

extern const Plugin json_codec;

namespace {

// RETURNS: `name{labels} value@time` a line, in order.
std::string Text(const SampleBatch& batch) {
  std::string out;
  for (const auto& series : batch.series) {
    std::vector<std::pair<std::string_view, std::string_view>> pairs;
    EXPECT_TRUE(DecodeLabels(series.labels, &pairs).ok());
    uint64_t hash[2];
    HashLabels(series.labels, hash);
    EXPECT_EQ(hash[0], series.hash[0]);
    EXPECT_EQ(hash[1], series.hash[1]);
    for (uint32_t i = 0; i < series.count; ++i) {
      const Sample& sample = batch.samples[series.first + i];
      for (const auto& [name, value] : pairs) {
        out += std::string(name) + "=" + std::string(value) + " ";
      }
      out += (std::isnan(sample.v) ? "NaN" : std::to_string(sample.v)) + "@" + std::to_string(sample.t) + "\n";
    }
  }
  return out;
}

struct Decoded {
  Status status;
  SampleBatch batch;
  std::string text;
};

Decoded Decode(std::string_view payload) {
  Decoded out;
  SampleBatch batch;
  out.status = json_codec.make_codec({})->Decode(payload, &batch);
  out.batch = std::move(batch);  // as a source does: views must survive the move
  out.text = Text(out.batch);
  return out;
}

TEST(JsonCodec, ReadsTheAdaptersRecord) {
  Decoded d = Decode(
      R"({"timestamp":"2024-01-02T03:04:05Z","value":"9876543210","name":"up","labels":{"__name__":"up","job":"a","instance":"b"}})");
  EXPECT_TRUE(d.status.ok());
  EXPECT_EQ(d.text, "__name__=up instance=b job=a 9876543210.000000@1704164645000\n");
}

TEST(JsonCodec, MovedShortBatchKeepsItsLabels) {
  EXPECT_EQ(Decode(R"({"timestamp":1,"value":1,"name":"a"})").text, "__name__=a 1.000000@1000\n");
}

TEST(JsonCodec, ReadsEveryFormOfTime) {
  auto time = [](std::string_view literal) {
    Decoded d = Decode("{\"value\":1,\"name\":\"a\",\"timestamp\":" + std::string(literal) + "}");
    return d.batch.samples.empty() ? -1 : d.batch.samples[0].t;
  };
  EXPECT_EQ(time("1704164645"), 1704164645000);
  EXPECT_EQ(time("1704164645.25"), 1704164645250);
  EXPECT_EQ(time("1704164645250"), 1704164645250);
  EXPECT_EQ(time("\"1704164645250\""), 1704164645250);
  EXPECT_EQ(time("\"2024-01-02T03:04:05.1239Z\""), 1704164645123);
  EXPECT_EQ(time("\"2024-01-02T05:04:05+02:00\""), 1704164645000);
  EXPECT_EQ(time("\"2024-01-01T22:34:05-04:30\""), 1704164645000);
  EXPECT_EQ(time("\"1969-12-31T23:59:59.5Z\""), -500);
  for (const char* bad :
       {"\"2024-13-02T03:04:05Z\"", "\"2024-02-30T03:04:05Z\"", "\"2024-01-02T24:04:05Z\"", "\"2024-01-02T03:04:05\"",
        "\"2024-01-02T03:04:05.Z\"", "\"yesterday\"", "\"\"", "1e300", "null", "[]"}) {
    Decoded d = Decode("{\"value\":1,\"name\":\"a\",\"timestamp\":" + std::string(bad) + "}");
    EXPECT_EQ(d.batch.bad_records, 1u) << bad;
    EXPECT_FALSE(d.status.ok()) << bad;
    EXPECT_NE(d.status.message().find("timestamp"), std::string_view::npos) << bad;
  }
}

TEST(JsonCodec, ReadsEveryFormOfValue) {
  auto value = [](std::string_view literal) {
    Decoded d = Decode("{\"timestamp\":1,\"name\":\"a\",\"value\":" + std::string(literal) + "}");
    EXPECT_EQ(d.batch.samples.size(), 1u) << literal;
    return d.batch.samples.empty() ? -1 : d.batch.samples[0].v;
  };
  EXPECT_EQ(value("0.1"), 0.1);
  EXPECT_EQ(value("-3"), -3);
  EXPECT_EQ(value("18446744073709551615"), 18446744073709551615.0);
  EXPECT_EQ(value("\"1e-300\""), 1e-300);
  EXPECT_EQ(value("\"+Inf\""), INFINITY);
  EXPECT_EQ(value("\"Inf\""), INFINITY);
  EXPECT_EQ(value("\"-Inf\""), -INFINITY);
  EXPECT_EQ(std::bit_cast<uint64_t>(value("\"NaN\"")), kNormalNaNBits) << "never a stale marker";
  for (const char* bad : {"\"1x\"", "\"\"", "\"+-1\"", "\"0x10\"", "true", "null", "{}", "\"1e999\""}) {
    Decoded d = Decode("{\"timestamp\":1,\"name\":\"a\",\"value\":" + std::string(bad) + "}");
    EXPECT_EQ(d.batch.bad_records, 1u) << bad;
  }
}

TEST(JsonCodec, ABadLineCostsOnlyItself) {
  Decoded d = Decode(
      "{\"timestamp\":1,\"value\":\"1\",\"name\":\"a\"}\n"
      "{\"timestamp\":1,\"value\":\"1\",\"name\":\n"
      "\n"
      "{\"timestamp\":2,\"value\":\"x\",\"name\":\"a\"}\r\n"
      "{\"timestamp\":3,\"value\":\"3\",\"name\":\"a\"}\n");
  EXPECT_TRUE(d.status.ok());
  EXPECT_EQ(d.text, "__name__=a 1.000000@1000\n__name__=a 3.000000@3000\n");
  EXPECT_EQ(d.batch.series.size(), 1u) << "neighbouring samples of a series share an entry";
  EXPECT_EQ(d.batch.bad_records, 2u);
  EXPECT_EQ(d.batch.first_error.substr(0, 19), "record 2: not JSON:");
}

TEST(JsonCodec, ReadsArraysAndSkipsBadElements) {
  Decoded d =
      Decode(R"([{"timestamp":1,"value":1,"name":"a"}, 7, {"timestamp":1,"value":2,"name":"b","labels":{"x":"y"}},
                        {"timestamp":1,"value":3,"labels":{"__name__":"c"}}, {"timestamp":1,"value":3,"labels":{"x":"y"}},
                        {"timestamp":1,"value":3,"name":"d","labels":{"x":1}}, {"timestamp":1,"value":3,"name":"e","labels":{"x":"1","x":"2"}},
                        {"timestamp":1,"value":4,"name":"f","labels":{"empty":""}}, {"timestamp":1,"value":4,"name":"g","labels":null}])");
  EXPECT_TRUE(d.status.ok());
  EXPECT_EQ(
      d.text,
      "__name__=a 1.000000@1000\n__name__=b x=y 2.000000@1000\n__name__=c 3.000000@1000\n__name__=f 4.000000@1000\n"
      "__name__=g 4.000000@1000\n");
  EXPECT_EQ(d.batch.bad_records, 4u);
  EXPECT_EQ(d.batch.first_error, "record 2: want an object");
}

TEST(JsonCodec, NothingUsableIsAnError) {
  for (const char* bad : {"", "   ", "not json", "[{\"timestamp\":1", "{}", "\"text\"", "\n\n[}\n"}) {
    Decoded d = Decode(bad);
    EXPECT_EQ(d.status.code(), Code::kInvalid) << bad;
    EXPECT_TRUE(d.batch.samples.empty()) << bad;
  }
  EXPECT_TRUE(Decode("[]").status.ok()) << "an empty array is empty, not wrong";
}

TEST(JsonCodec, UnescapesAndKeepsUtf8) {
  EXPECT_EQ(Decode(R"({"timestamp":1,"value":1,"name":"a","labels":{"k":"tab\tquote\" ä €"}})").text,
            "__name__=a k=tab\tquote\" ä € 1.000000@1000\n");
}

}  // namespace
}  // namespace weir::plugin
