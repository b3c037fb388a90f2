#include "plugins/sources/kafka/payload_decoder.h"

#include <gtest/gtest.h>
#include <snappy.h>

#include <string>

#include "tests/support/remote_write_encoder.h"

namespace weir::kafka {
namespace {

using testing::RemoteWriteEncoder;

constexpr const char* kJson = R"({"timestamp":"2024-01-02T03:04:05Z","value":"1","name":"a","labels":{}})";

// RETURNS: a body whose message has exactly `bytes` bytes, so that its block begins with that byte.
std::string BodyOfSize(size_t bytes) {
  for (size_t pad = 0; pad < 200; ++pad) {
    RemoteWriteEncoder encoder;
    encoder.Add({{"__name__", "a"}, {"pad", std::string(pad, 'x')}}, {{1000, 1}});
    if (encoder.Plain().size() == bytes) {
      return encoder.Compressed();
    }
  }
  ADD_FAILURE() << "no body of " << bytes << " bytes";
  return "";
}

TEST(PayloadDecoder, AutoTellsBothFormsApart) {
  Result<PayloadDecoder> decoder = PayloadDecoder::Create("auto", "w.yml:1:1");
  ASSERT_TRUE(decoder.ok());
  plugin::SampleBatch batch;
  for (std::string json : {std::string(kJson), "[" + std::string(kJson) + "]", "[ " + std::string(kJson) + "]",
                           "[\n" + std::string(kJson) + "]", "{ " + std::string(kJson).substr(1)}) {
    EXPECT_TRUE(decoder->Decode(json, &batch).ok()) << json;
    EXPECT_EQ(batch.samples.size(), 1u) << json;
  }
  // Sizes around 91 ('[') and 123 ('{'), where the first byte alone would mislead.
  for (size_t bytes : {60u, 90u, 91u, 92u, 122u, 123u, 124u, 150u}) {
    EXPECT_TRUE(decoder->Decode(BodyOfSize(bytes), &batch).ok()) << bytes;
    EXPECT_EQ(batch.samples.size(), 1u) << bytes;
  }
  EXPECT_EQ(BodyOfSize(91)[0], '[');
  EXPECT_EQ(BodyOfSize(123)[0], '{');
}

// A 2.0 request: symbols, then one series `a` with a sample and a type.
TEST(PayloadDecoder, AutoKnowsRemoteWrite2) {
  using namespace std::string_literals;
  const std::string message = "\x22\x00"s + "\x22\x08__name__" + "\x22\x01" + "a" + "\x2a\x0d" + "\x0a\x02\x01\x02" +
                              "\x12\x03\x10\xe8\x07" + "\x2a\x02\x08\x02";
  std::string block;
  snappy::Compress(message.data(), message.size(), &block);
  for (const bool type_and_unit_labels : {false, true}) {
    for (const std::string& payload : {message, block}) {
      plugin::SampleBatch batch;
      ASSERT_TRUE(PayloadDecoder::Create("auto", "w.yml:1:1", type_and_unit_labels)->Decode(payload, &batch).ok());
      ASSERT_EQ(batch.series.size(), 1u);
      EXPECT_EQ(plugin::LabelsText(batch.series[0].labels), type_and_unit_labels ? "a{__type__=\"gauge\"}" : "a");
      EXPECT_EQ(batch.samples[0].t, 1000);
    }
  }
}

TEST(PayloadDecoder, AutoRefusesWhatIsNeither) {
  Result<PayloadDecoder> decoder = PayloadDecoder::Create("auto", "w.yml:1:1");
  plugin::SampleBatch batch;
  for (const char* bad : {"{", "{}", "{ }", "{ \"timestamp\":1}", "hello", "\xff\xff\xff"}) {
    EXPECT_EQ(decoder->Decode(bad, &batch).code(), Code::kInvalid) << bad;
  }
}

TEST(PayloadDecoder, AFixedPayloadIsNotGuessed) {
  plugin::SampleBatch batch;
  EXPECT_FALSE(PayloadDecoder::Create("remote_write", "w.yml:1:1")->Decode(kJson, &batch).ok());
  EXPECT_FALSE(PayloadDecoder::Create("json", "w.yml:1:1")->Decode(BodyOfSize(60), &batch).ok());
}

}  // namespace
}  // namespace weir::kafka
