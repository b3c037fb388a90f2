#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "core/plugin/plugin.h"
#include "plugins/codecs/remote_write/write_request.h"
#include "tests/unit/remote_write/batch_text.h"
#include "tests/unit/remote_write/prompb.h"

namespace weir::remote_write {
namespace {

using plugin::SampleBatch;
using Lines = std::vector<std::string>;

constexpr const char* kInt =
    "{{schema:2 count:15 sum:18.4 z_bucket:2 z_bucket_w:0.001 counter_reset_hint:not_reset offset:-1 buckets:[1 3 0 0 "
    "0 2] "
    "n_buckets:[4 3]}}";
constexpr const char* kFloat =
    "{{schema:-1 count:6.75 sum:-3.5 z_bucket:0.25 z_bucket_w:0.5 counter_reset_hint:gauge offset:1 buckets:[1.5 2] "
    "n_offset:-2 n_buckets:[3]}}";

Lines DecodeV2(const std::string& message, SampleBatch* batch, bool type_and_unit_labels = false) {
  DecodeOptions options;
  options.message = Message::kRequestV2;
  options.type_and_unit_labels = type_and_unit_labels;
  const Status status = DecodePlain(message, options, batch);
  if (!status.ok()) {
    return {std::string(status.message())};
  }
  return BatchLines(*batch);
}

// A histogram of integers with two positive buckets of `first` and `second` observations.
std::string Histogram(uint64_t count, int64_t first, int64_t second, uint64_t span_length = 2) {
  const auto zigzag = [](int64_t v) {
    return prompb::Varint(static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63));
  };
  return "\x08" + prompb::Varint(count) + prompb::Bytes(11, "\x08\x02\x10" + prompb::Varint(span_length)) +
         prompb::Bytes(12, zigzag(first) + zigzag(second - first)) + "\x78" + prompb::Varint(1000);
}

std::string Symbols(const std::vector<std::string>& symbols) {
  std::string out;
  for (const std::string& symbol : symbols) {
    out += prompb::Bytes(4, symbol);
  }
  return out;
}

TEST(RemoteWriteHistograms, OfVersion1AsPrometheusWritesThem) {
  SampleBatch batch;
  ASSERT_TRUE(DecodePlain(Recorded("v1_histograms"), {}, &batch).ok());
  EXPECT_EQ(
      BatchLines(batch),
      (Lines{
          "int{job=\"a\"} " + std::string(kInt) + " @1700000000000",
          "int{job=\"a\"} stale histogram @1700000015000",
          "float{job=\"a\"} " + std::string(kFloat) + " @1700000000001",
          "plain{job=\"a\"} 1.5 @1700000000000",
          "custom{job=\"a\"} {{schema:-53 count:9 sum:12 custom_values:[0.5 1 2.5] buckets:[2 0 5 2]}} @1700000000002",
          "fine{job=\"a\"} {{schema:8 count:10 sum:11 offset:1 buckets:[3 7]}} @1700000000003",
      }));
  EXPECT_EQ(batch.bad_records, 0u);
  EXPECT_GT(batch.histogram_bytes, 5 * sizeof(FloatHistogram));
}

TEST(RemoteWriteHistograms, ThatAreNoneCostThemselvesOnly) {
  const std::string labels = prompb::LabelFields({{"__name__", "h"}});
  const std::string good = prompb::Bytes(4, Histogram(5, 2, 3));
  const std::pair<std::string, const char*> cases[] = {
      {Histogram(6, 2, 3), "invalid histogram: series h, t 1000: 5 observations in the buckets but a count of 6"},
      {Histogram(1, 2, -1), "negative"},
      {Histogram(5, 2, 3, 3), "number of buckets"},
      {Histogram(5, 2, 3, 0xffffffff), "number of buckets"},
      {Histogram(5, 2, 3) + "\x20" + prompb::Varint(106), "got schema 53"},
      {Histogram(5, 2, 3) + "\x20" + prompb::Varint(9), "got schema -5"},
  };
  for (const auto& [histogram, error] : cases) {
    SampleBatch batch;
    const std::string message = prompb::Series(labels + good + prompb::Bytes(4, histogram) + prompb::SampleField(1, 5));
    ASSERT_TRUE(DecodePlain(message, {}, &batch).ok());
    EXPECT_EQ(BatchLines(batch), (Lines{"h 1 @5", "h {{count:5 offset:1 buckets:[2 3]}} @1000"}));
    EXPECT_EQ(batch.bad_records, 1u);
    EXPECT_NE(batch.first_error.find(error), std::string::npos) << batch.first_error;
    ASSERT_TRUE(DecodePlain(prompb::Series(labels + prompb::Bytes(4, histogram)), {}, &batch).ok());
    EXPECT_TRUE(batch.series.empty());
    EXPECT_EQ(batch.bad_records, 1u);
  }
}

TEST(RemoteWriteHistograms, UnpackedFieldsAndAnyOrderAreTheSame) {
  const std::string labels = prompb::LabelFields({{"__name__", "h"}});
  // timestamp, deltas one by one around the span, count
  const std::string histogram =
      "\x78" + prompb::Varint(1000) + "\x60\x04" + prompb::Bytes(11, "\x10\x02\x08\x02") + "\x60\x02" + "\x08\x05";
  SampleBatch batch;
  ASSERT_TRUE(DecodePlain(prompb::Series(prompb::Bytes(4, histogram) + labels), {}, &batch).ok());
  EXPECT_EQ(BatchLines(batch), (Lines{"h {{count:5 offset:1 buckets:[2 3]}} @1000"}));
}

TEST(RemoteWriteHistograms, CannotMultiplyWithoutBound) {
  std::string series = prompb::LabelFields({{"__name__", "h"}});
  for (int i = 0; i < 100; ++i) {
    series += prompb::Bytes(4, "");
  }
  SampleBatch batch;
  DecodeOptions options;
  options.histogram_bytes_max = 100 * sizeof(FloatHistogram);
  EXPECT_EQ(DecodePlain(prompb::Series(series), options, &batch).code(), Code::kLimit);
  options.histogram_bytes_max *= 2;
  EXPECT_TRUE(DecodePlain(prompb::Series(series), options, &batch).ok());
  EXPECT_EQ(batch.histograms.size(), 100u);
}

TEST(RequestV2, AsPrometheusWritesIt) {
  SampleBatch batch;
  EXPECT_EQ(
      DecodeV2(Recorded("v2_mixed"), &batch),
      (Lines{
          "requests_total{Zone=\"z\", job=\"a\"} 7 @1700000000000 start 1699999940000",
          "requests_total{Zone=\"z\", job=\"a\"} 8 @1700000015000",
          "temperature{job=\"a\"} -0.5 @1700000000000",
          "latency{job=\"a\"} " + std::string(kInt) + " @1700000000000 start 1699999940000",
          "latency{job=\"a\"} stale histogram @1700000015000",
          "float{job=\"a\"} " + std::string(kFloat) + " @1700000000001",
          "custom{job=\"a\"} {{schema:-53 count:9 sum:12 custom_values:[0.5 1 2.5] buckets:[2 0 5 2]}} @1700000000002",
          "fine{job=\"a\"} {{schema:8 count:10 sum:11 offset:1 buckets:[3 7]}} @1700000000003",
      }));
  EXPECT_EQ(batch.bad_records, 0u);
}

TEST(RequestV2, LabelsHaveTheFormOfVersion1) {
  SampleBatch batch;
  DecodeV2(Recorded("v2_mixed"), &batch);
  EXPECT_EQ(batch.series[1].labels, prompb::LabelFields({{"__name__", "temperature"}, {"job", "a"}}));
}

TEST(RequestV2, TypeAndUnitLabels) {
  SampleBatch batch;
  const Lines lines = DecodeV2(Recorded("v2_mixed"), &batch, true);
  EXPECT_EQ(lines[0],
            "requests_total{Zone=\"z\", __type__=\"counter\", __unit__=\"seconds\", job=\"a\"} 7 @1700000000000 start "
            "1699999940000");
  EXPECT_EQ(lines[2], "temperature{job=\"a\"} -0.5 @1700000000000");
  EXPECT_EQ(lines[3].substr(0, 38), "latency{__type__=\"histogram\", job=\"a\"}");
  // Sorted as they stand, so that the resolver need not sort; labels of the sender give way.
  const std::string message =
      Symbols({"", "__name__", "m", "__type__", "x", "a", "b", "s"}) +
      prompb::Bytes(5, prompb::Bytes(1, "\x01\x02\x03\x04\x05\x06") + prompb::SampleField(1, 5) +
                           prompb::Bytes(5, std::string("\x08\x02\x20\x07", 4)));
  DecodeV2(message, &batch, true);
  EXPECT_EQ(batch.series[0].labels,
            prompb::LabelFields({{"__name__", "m"}, {"__type__", "gauge"}, {"__unit__", "s"}, {"a", "b"}}));
}

TEST(RequestV2, BadSeriesCostThemselvesOnly) {
  SampleBatch batch;
  EXPECT_EQ(DecodeV2(Recorded("v2_refused"), &batch), (Lines{
                                                          "good{job=\"a\"} 1 @1700000000000",
                                                          "latency{job=\"a\"} " + std::string(kInt) + " @1700000000001",
                                                          "last{job=\"a\"} 2 @1700000000000",
                                                      }));
  EXPECT_EQ(batch.bad_records, 6u);
  EXPECT_EQ(batch.first_error, "series number 1: odd number of label references (3)");
}

TEST(RequestV2, ErrorsSayWhatIsWrong) {
  const std::string sample = prompb::SampleField(1, 5);
  const std::string name = prompb::Bytes(1, "\x01\x02");
  const std::pair<std::string, const char*> cases[] = {
      {prompb::Bytes(1, "\x01") + sample, "series number 0: odd number of label references (1)"},
      {prompb::Bytes(1, "\x01\x07") + sample, "series number 0: label reference 7 is outside of the 3 symbols"},
      {name + sample + prompb::Bytes(5, "\x20\x03"), "series number 0: unit reference 3 is outside of the 3 symbols"},
      {name + sample + prompb::Bytes(5, "\x18\x03"), "series number 0: help reference 3 is outside of the 3 symbols"},
      {name, "no sample and no histogram: series m"},
      {name + prompb::Bytes(4, "exemplar"), "no sample and no histogram: series m"},
      {name + prompb::Bytes(3, Histogram(4, 2, 3)),
       "invalid histogram: series m, t 1000: 5 observations in the buckets but a count of 4"},
  };
  for (const auto& [series, error] : cases) {
    SampleBatch batch;
    EXPECT_EQ(DecodeV2(Symbols({"", "__name__", "m"}) + prompb::Bytes(5, series), &batch), Lines{});
    EXPECT_EQ(batch.bad_records, 1u);
    EXPECT_EQ(batch.first_error, error);
  }
}

TEST(RequestV2, SymbolsMayComeLastAndReferencesUnpacked) {
  SampleBatch batch;
  const std::string message =
      prompb::Bytes(5, prompb::SampleField(1, 5) + "\x08\x01" + "\x08\x02") + Symbols({"", "__name__", "m"});
  EXPECT_EQ(DecodeV2(message, &batch), Lines{"m 1 @5"});
}

TEST(RequestV2, EveryCutIsRefusedOrShorter) {
  const std::string message = Recorded("v2_mixed");
  for (size_t n = 0; n < message.size(); ++n) {
    SampleBatch batch;
    DecodeOptions options;
    options.message = Message::kRequestV2;
    const Status status = DecodePlain(std::string_view(message).substr(0, n), options, &batch);
    if (status.ok()) {
      BatchLines(batch);
    } else {
      EXPECT_EQ(status.code(), Code::kInvalid);
      EXPECT_TRUE(batch.series.empty() && batch.samples.empty() && batch.histograms.empty());
    }
  }
  SampleBatch batch;
  EXPECT_EQ(DecodeV2("\x2a\x05", &batch), Lines{"remote write 2.0: malformed field at byte 0 of the decoded request"});
  EXPECT_EQ(DecodeV2(prompb::Bytes(5, "\x0a\x01"), &batch),
            Lines{"remote write 2.0: malformed series at byte 0 of the decoded request"});
}

TEST(RequestV2, ReferencesCannotMultiplyLabelsWithoutBound) {
  const std::string message = Symbols({"", "__name__", std::string(1000, 'x')}) +
                              prompb::Bytes(5, prompb::Bytes(1, std::string(2000, '\x02')) + prompb::SampleField(1, 5));
  DecodeOptions options;
  options.message = Message::kRequestV2;
  options.label_bytes_max = 100000;
  SampleBatch batch;
  EXPECT_EQ(DecodePlain(message, options, &batch).message(),
            "remote write: more than 100000 bytes of labels in one request");
  EXPECT_LT(batch.arena.capacity(), 1000000u);
}

TEST(RequestV2, AutoTellsTheVersionsApart) {
  DecodeOptions options;
  options.message = Message::kAuto;
  SampleBatch batch;
  ASSERT_TRUE(DecodePlain(Recorded("v2_mixed"), options, &batch).ok());
  EXPECT_EQ(batch.series.size(), 6u);
  ASSERT_TRUE(DecodeSnappy(prompb::Snappy(Recorded("v1_histograms")), options, &batch).ok());
  EXPECT_EQ(batch.series.size(), 5u);
  // A message read as the other version has nothing in it: they share no field.
  options.message = Message::kWriteRequest;
  ASSERT_TRUE(DecodePlain(Recorded("v2_mixed"), options, &batch).ok());
  EXPECT_EQ(batch.series.size() + batch.bad_records, 0u);
  EXPECT_EQ(DecodeV2(Recorded("v1_histograms"), &batch), Lines{});
}

FloatHistogram RandomHistogram(std::mt19937_64& random) {
  const auto side = [&random](std::vector<BucketSpan>* spans, std::vector<double>* buckets) {
    for (uint64_t n = random() % 4; n > 0; --n) {
      spans->push_back({static_cast<int32_t>(random() % 5) + 1, static_cast<uint32_t>(random() % 4) + 1});
      for (uint32_t i = 0; i < spans->back().length; ++i) {
        buckets->push_back(static_cast<double>(random() % 1000) / 8);
      }
    }
  };
  FloatHistogram h;
  h.hint = static_cast<CounterResetHint>(random() % 4);
  h.schema = static_cast<int32_t>(random() % 13) - 4;
  h.count = static_cast<double>(random() % 100000);
  h.sum = std::bit_cast<double>(random());
  h.zero_threshold = 0.001;
  h.zero_count = 3;
  side(&h.positive_spans, &h.positive_buckets);
  side(&h.negative_spans, &h.negative_buckets);
  return h;
}

// Both versions carry the same histogram out and in again.
TEST(RequestBuilders, AreTheInverseOfDecoding) {
  std::mt19937_64 random(11);
  WriteRequestBuilder v1;
  RequestV2Builder v2;
  for (int round = 0; round < 3; ++round) {
    std::vector<FloatHistogram> histograms;
    Lines floats;
    for (int i = 0; i < 200; ++i) {
      const Labels labels{{"__name__", "m" + std::to_string(i % 7)}, {"i", std::to_string(i)}};
      const auto t = static_cast<int64_t>(random() >> 8);
      const int64_t start = i % 3 == 0 ? 0 : 77 + i;
      if (i % 2 == 0) {
        histograms.push_back(RandomHistogram(random));
        v1.Add(labels, t, histograms.back());
        v2.Add(labels, t, histograms.back(), start);
      } else {
        v1.Add(labels, Sample{t, 0.5 * i});
        v2.Add(labels, Sample{t, 0.5 * i}, start);
        floats.push_back(labels.ToString() + " " + FormatSampleValue(0.5 * i) + " @" + std::to_string(t) +
                         (start == 0 ? "" : " start " + std::to_string(start)));
      }
    }
    EXPECT_EQ(v1.samples(), 200u);
    EXPECT_EQ(v2.samples(), 200u);
    DecodeOptions options;
    options.message = Message::kAuto;
    SampleBatch one, two;
    ASSERT_TRUE(DecodeSnappy(v1.TakeSnappy(), options, &one).ok());
    ASSERT_TRUE(DecodeSnappy(v2.TakeSnappy(), options, &two).ok());
    Lines got;
    for (const std::string& line : BatchLines(two)) {
      if (line.find("{{") == std::string::npos && line.find("stale histogram") == std::string::npos) {
        got.push_back(line);
      }
    }
    EXPECT_EQ(got, floats);
    for (const SampleBatch* batch : {&one, &two}) {
      ASSERT_EQ(batch->histograms.size(), histograms.size()) << batch->first_error;
      for (size_t i = 0; i < histograms.size(); ++i) {
        EXPECT_TRUE(batch->histograms[i].h->Equals(histograms[i])) << histograms[i].ToTestExpression();
        EXPECT_EQ(batch->histograms[i].h->hint, histograms[i].hint);
      }
    }
  }
}

}  // namespace
}  // namespace weir::remote_write
