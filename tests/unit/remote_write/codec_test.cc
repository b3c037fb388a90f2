#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/model/labels.h"
#include "core/plugin/plugin.h"
#include "plugins/codecs/remote_write/write_request.h"
#include "tests/unit/remote_write/prompb.h"

namespace weir::plugin {

extern const Plugin remote_write_codec;

namespace {

using prompb::Bytes;
using prompb::LabelField;
using prompb::LabelFields;
using prompb::SampleField;
using prompb::Snappy;

std::unique_ptr<Codec> MakeCodec(std::string compression, std::string limit = "32MiB") {
  const Result<OptionValues> options = ParseOptions(
      remote_write_codec.options, "codec remote_write", "t:1:1",
      {{"compression", "t:2:1", std::move(compression)}, {"decoded_bytes_max", "t:3:1", std::move(limit)}});
  WEIR_ASSERT(options.ok());
  return remote_write_codec.make_codec(*options);
}

std::string LabelsText(std::string_view block) {
  std::vector<std::pair<std::string_view, std::string_view>> labels;
  WEIR_ASSERT(DecodeLabels(block, &labels).ok());
  std::string out;
  for (const auto& [name, value] : labels) {
    out += std::string(name) + "=" + std::string(value) + ";";
  }
  return out;
}

TEST(RemoteWriteCodec, ReadsSeriesAndSamples) {
  const std::string up = LabelFields({{"__name__", "up"}, {"job", "a"}});
  const std::string down = LabelFields({{"__name__", "down"}});
  const std::string message =
      prompb::Series(up + SampleField(1.5, 1700000000123) + SampleField(StaleNaN(), 1700000001123)) +
      prompb::Series(down + SampleField(-0.0, -5));
  SampleBatch batch;
  ASSERT_TRUE(MakeCodec("snappy")->Decode(Snappy(message), &batch).ok());
  ASSERT_EQ(batch.series.size(), 2u);
  ASSERT_EQ(batch.samples.size(), 3u);
  EXPECT_EQ(LabelsText(batch.series[0].labels), "__name__=up;job=a;");
  EXPECT_EQ(batch.series[0].labels, up);
  EXPECT_EQ(batch.series[0].first, 0u);
  EXPECT_EQ(batch.series[0].count, 2u);
  EXPECT_EQ(batch.series[1].labels, down);
  EXPECT_EQ(batch.series[1].first, 2u);
  EXPECT_EQ(batch.samples[0].t, 1700000000123);
  EXPECT_EQ(batch.samples[0].v, 1.5);
  EXPECT_TRUE(IsStaleNaN(batch.samples[1].v));
  EXPECT_EQ(batch.samples[2].t, -5);
  EXPECT_TRUE(std::signbit(batch.samples[2].v));
  uint64_t hash[2];
  HashLabels(up, hash);
  EXPECT_EQ(batch.series[0].hash[0], hash[0]);
  EXPECT_EQ(batch.series[0].hash[1], hash[1]);
}

TEST(RemoteWriteCodec, ViewsSurviveAMoveOfTheBatch) {
  SampleBatch batch;
  const std::string message = prompb::Series(LabelField("a", "b") + Bytes(2, ""));
  ASSERT_LE(message.size(), 15u);  // would fit inside a std::string
  ASSERT_TRUE(MakeCodec("none")->Decode(message, &batch).ok());
  const SampleBatch moved = std::move(batch);
  EXPECT_EQ(moved.series[0].labels.data(), moved.arena.data() + 2);
  EXPECT_EQ(moved.samples[0].t, 0);
  EXPECT_EQ(moved.samples[0].v, 0);
}

TEST(RemoteWriteCodec, NothingOfWhatABatchHeldBeforeIsLeft) {
  const std::string up = LabelFields({{"__name__", "up"}, {"job", "a"}});
  std::string large;
  for (int i = 0; i < 100; ++i) {
    large += prompb::Series(up + SampleField(i, 1000 * i));
  }
  const std::string small = prompb::Series(up + SampleField(7, 5));
  SampleBatch batch;
  ASSERT_TRUE(MakeCodec("snappy")->Decode(Snappy(large), &batch).ok());
  ASSERT_EQ(batch.samples.size(), 100u);
  batch.ClearButBytes();
  ASSERT_TRUE(MakeCodec("snappy")->Decode(Snappy(small), &batch).ok());
  EXPECT_EQ(batch.arena, small);
  ASSERT_EQ(batch.series.size(), 1u);
  ASSERT_EQ(batch.samples.size(), 1u);
  EXPECT_EQ(batch.samples[0].v, 7);
  EXPECT_EQ(batch.series[0].labels, up);
}

TEST(RemoteWriteCodec, FieldOrderDoesNotMatter) {
  const std::string a = LabelField("__name__", "up"), b = LabelField("job", "a");
  const std::string s1 = SampleField(1, 10), s2 = SampleField(2, 20);
  const std::string unknown = Bytes(9, "xyz");
  for (const std::string& fields :
       {a + b + s1 + s2, s1 + s2 + a + b, a + s1 + b + s2, s1 + a + s2 + b, a + unknown + b + s1 + s2}) {
    SampleBatch batch;
    ASSERT_TRUE(MakeCodec("snappy")->Decode(Snappy(prompb::Series(fields)), &batch).ok());
    ASSERT_EQ(batch.series.size(), 1u);
    EXPECT_EQ(batch.series[0].labels, a + b);
    uint64_t hash[2];
    HashLabels(a + b, hash);
    EXPECT_EQ(batch.series[0].hash[0], hash[0]);
    ASSERT_EQ(batch.samples.size(), 2u);
    EXPECT_EQ(batch.samples[1].v, 2);
  }
}

TEST(RemoteWriteCodec, MetadataAndExemplarsAreLeftOut) {
  const std::string labels = LabelFields({{"__name__", "h"}});
  const std::string message = Bytes(3, "metadata") + prompb::Series(labels + Bytes(3, "exemplar")) +
                              prompb::Series(labels + SampleField(1, 1) + Bytes(3, "exemplar"));
  SampleBatch batch;
  ASSERT_TRUE(MakeCodec("snappy")->Decode(Snappy(message), &batch).ok());
  EXPECT_EQ(batch.series.size(), 1u);
  EXPECT_EQ(batch.samples.size(), 1u);
  EXPECT_EQ(batch.bad_records, 0u);
}

TEST(RemoteWriteCodec, EmptyMessageIsFine) {
  SampleBatch batch;
  EXPECT_TRUE(MakeCodec("snappy")->Decode(Snappy(""), &batch).ok());
  EXPECT_TRUE(batch.series.empty());
}

TEST(RemoteWriteCodec, TimesOfEveryLengthAreReadTheSame) {
  std::string fields = LabelFields({{"__name__", "up"}});
  std::vector<int64_t> times;
  for (int bits = 0; bits < 64; ++bits) {
    const uint64_t t = uint64_t{1} << bits;
    for (const uint64_t near : {t - 1, t, t + 1}) {
      times.push_back(static_cast<int64_t>(near));
    }
  }
  for (uint64_t t = 1; t < 1ULL << 43; t = t * 5 + 3) {
    times.push_back(static_cast<int64_t>(t));
  }
  for (const int64_t t : times) {
    fields += SampleField(0.1 * static_cast<double>(t), t);
  }
  SampleBatch batch;
  ASSERT_TRUE(MakeCodec("none")->Decode(prompb::Series(fields), &batch).ok());
  ASSERT_EQ(batch.samples.size(), times.size());
  for (size_t i = 0; i < times.size(); ++i) {
    EXPECT_EQ(batch.samples[i].t, times[i]);
    EXPECT_EQ(batch.samples[i].v, 0.1 * static_cast<double>(times[i]));
  }
}

TEST(RemoteWriteCodec, EveryCutOfAMessageIsRefusedOrShorter) {
  const std::string one = prompb::Series(LabelFields({{"__name__", "up"}, {"job", "a"}}) + SampleField(1, 1000));
  const std::string message = one + one;
  for (size_t n = 0; n < message.size(); ++n) {
    SampleBatch batch;
    const Status status = MakeCodec("none")->Decode(std::string_view(message).substr(0, n), &batch);
    EXPECT_EQ(status.ok(), n == 0 || n == one.size()) << n;
    if (!status.ok()) {
      EXPECT_EQ(status.code(), Code::kInvalid);
      EXPECT_TRUE(batch.series.empty() && batch.samples.empty());
    }
  }
}

TEST(RemoteWriteCodec, DamagedBlocksAreRefused) {
  const std::string block = Snappy(prompb::Series(LabelFields({{"__name__", "up"}}) + SampleField(1, 1000)));
  const std::unique_ptr<Codec> codec = MakeCodec("snappy");
  SampleBatch batch;
  EXPECT_EQ(codec->Decode("", &batch).message(), "remote write: body is not a snappy block");
  EXPECT_EQ(codec->Decode(block.substr(0, block.size() - 1), &batch).code(), Code::kInvalid);
  EXPECT_EQ(codec->Decode(Snappy("\x0a\x7f"), &batch).message(),
            "remote write: malformed series at byte 0 of the decoded request");
  EXPECT_EQ(codec->Decode(Snappy(std::string("\x00\x00", 2)), &batch).code(), Code::kInvalid);
}

TEST(RemoteWriteCodec, BombsAreRefusedByTheirDeclaredLength) {
  SampleBatch batch;
  const std::string bomb = prompb::Varint(1ULL << 31) + "x";
  const Status status = MakeCodec("snappy", "1MiB")->Decode(bomb, &batch);
  EXPECT_EQ(status.code(), Code::kLimit);
  EXPECT_EQ(status.message(),
            "remote write: decoded request of 2147483648 bytes is larger than the limit of 1048576 bytes");
  EXPECT_EQ(batch.arena.capacity() < 1 << 20, true);
  EXPECT_EQ(MakeCodec("none", "1MiB")->Decode(std::string((1 << 20) + 1, 'x'), &batch).code(), Code::kLimit);
}

TEST(RemoteWriteCodec, EmptySamplesCannotMultiplyWithoutBound) {
  std::string fields;
  for (int i = 0; i < 101; ++i) {
    fields += Bytes(2, "");
  }
  SampleBatch batch;
  remote_write::DecodeOptions limits;
  limits.samples_max = 100;
  EXPECT_EQ(remote_write::DecodePlain(prompb::Series(fields), limits, &batch).code(), Code::kLimit);
  limits.samples_max = 101;
  EXPECT_TRUE(remote_write::DecodePlain(prompb::Series(fields), limits, &batch).ok());
}

TEST(RemoteWriteCodec, AutoLooksAtThePayload) {
  const std::string message = prompb::Series(LabelFields({{"__name__", "up"}}) + SampleField(1, 1000));
  const std::unique_ptr<Codec> codec = MakeCodec("auto");
  SampleBatch batch;
  ASSERT_TRUE(codec->Decode(message, &batch).ok());
  EXPECT_EQ(batch.samples.size(), 1u);
  ASSERT_TRUE(codec->Decode(Snappy(message), &batch).ok());
  EXPECT_EQ(batch.samples.size(), 1u);
  EXPECT_NE(codec->Decode("\x28\xb5\x2f\xfdzz", &batch).message().find("zstd"), std::string::npos);
}

TEST(RemoteWriteCodec, BuilderAndCodecAreInverse) {
  std::mt19937_64 random(7);
  remote_write::WriteRequestBuilder builder;
  std::vector<Labels> labels;
  std::vector<Sample> samples;
  for (int i = 0; i < 300; ++i) {
    std::vector<Label> set = {{"__name__", "m" + std::to_string(random() % 9)}};
    for (uint64_t n = random() % 12; n > 0; --n) {
      set.push_back({"l" + std::to_string(n), std::string(random() % 200 + 1, 'v')});
    }
    labels.emplace_back(set);
    samples.push_back({static_cast<int64_t>(random() >> (random() % 60)), std::bit_cast<double>(random())});
    builder.Add(labels.back(), samples.back());
  }
  EXPECT_EQ(builder.samples(), 300u);
  SampleBatch batch;
  ASSERT_TRUE(MakeCodec("snappy")->Decode(builder.TakeSnappy(), &batch).ok());
  EXPECT_EQ(builder.samples(), 0u);
  ASSERT_EQ(batch.series.size(), 300u);
  for (size_t i = 0; i < 300; ++i) {
    std::string block;
    EncodeLabels(labels[i], &block);
    EXPECT_EQ(batch.series[i].labels, block);
    EXPECT_EQ(batch.samples[i].t, samples[i].t);
    EXPECT_EQ(std::bit_cast<uint64_t>(batch.samples[i].v), std::bit_cast<uint64_t>(samples[i].v));
  }
}

}  // namespace
}  // namespace weir::plugin
