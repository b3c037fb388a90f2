#include <gtest/gtest.h>

#include <array>
#include <set>

#include "core/plugin/plugin.h"

namespace weir::plugin {
namespace {

using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

TEST(LabelsCodec, RoundTripKeepsOrderAndDuplicates) {
  const std::vector<Label> labels = {{"z", "1"}, {"a", std::string(300, 'v')}, {"a", ""}, {"", "x"}};
  std::string encoded;
  EncodeLabels(labels, &encoded);
  Pairs decoded;
  ASSERT_TRUE(DecodeLabels(encoded, &decoded).ok());
  ASSERT_EQ(decoded.size(), labels.size());
  for (size_t i = 0; i < labels.size(); ++i) {
    EXPECT_EQ(decoded[i].first, labels[i].name);
    EXPECT_EQ(decoded[i].second, labels[i].value);
  }
}

TEST(LabelsCodec, EncodesAsRemoteWriteDoes) {
  std::string encoded;
  EncodeLabels(std::vector<Label>{{"a", "bc"}}, &encoded);
  EXPECT_EQ(encoded, std::string("\x0a\x07\x0a\x01"
                                 "a\x12\x02"
                                 "bc"));
}

TEST(LabelsCodec, FieldsInAnotherOrderAndUnknownFieldsAreRead) {
  const std::string encoded(
      "\x0a\x0a\x12\x02"
      "bc\x18\x05\x0a\x02"
      "aa",
      12);
  Pairs decoded;
  ASSERT_TRUE(DecodeLabels(encoded, &decoded).ok());
  ASSERT_EQ(decoded.size(), 1u);
  EXPECT_EQ(decoded[0].first, "aa");
  EXPECT_EQ(decoded[0].second, "bc");
}

TEST(LabelsCodec, EveryTruncationIsCorruptOrShorter) {
  std::string encoded;
  EncodeLabels(std::vector<Label>{{"first", "one"}, {"second", "two"}}, &encoded);
  const size_t first = 2 + 2 + 5 + 2 + 3;
  for (size_t n = 0; n < encoded.size(); ++n) {
    Pairs decoded;
    const Status status = DecodeLabels(std::string_view(encoded).substr(0, n), &decoded);
    EXPECT_EQ(status.ok(), n == 0 || n == first) << n;
    if (!status.ok()) {
      EXPECT_EQ(status.code(), Code::kCorrupt);
    }
  }
}

TEST(LabelsCodec, LengthsThatOverflowAreCorrupt) {
  Pairs decoded;
  EXPECT_FALSE(DecodeLabels("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &decoded).ok());
  EXPECT_FALSE(DecodeLabels("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", &decoded).ok());
  EXPECT_FALSE(DecodeLabels("\x12\x00", &decoded).ok());
}

TEST(LabelsCodec, HashIsStableInAProcessAndDiffersByContent) {
  std::set<std::array<uint64_t, 2>> seen;
  std::string text;
  for (int i = 0; i < 600; ++i) {
    std::array<uint64_t, 2> hash{}, again{};
    HashLabels(text, hash.data());
    HashLabels(text, again.data());
    EXPECT_EQ(hash, again);
    EXPECT_TRUE(seen.insert(hash).second) << i;
    text.push_back(static_cast<char>('a' + i % 26));
  }
}

TEST(SampleBatch, ClearForgetsEverything) {
  SampleBatch batch;
  batch.arena = "x";
  batch.series.emplace_back();
  batch.samples.push_back({1, 2});
  batch.start_times = {1};
  batch.histograms.push_back({1, 0, nullptr});
  batch.histogram_bytes = 9;
  batch.bad_records = 2;
  batch.first_error = "e";
  batch.Clear();
  EXPECT_TRUE(batch.arena.empty() && batch.series.empty() && batch.samples.empty() && batch.first_error.empty());
  EXPECT_TRUE(batch.start_times.empty() && batch.histograms.empty());
  EXPECT_EQ(batch.histogram_bytes + batch.bad_records, 0u);
}

}  // namespace
}  // namespace weir::plugin
