#include "plugins/sources/kafka/payload_decoder.h"

#include <gtest/gtest.h>

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
