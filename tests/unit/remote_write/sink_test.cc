#include "plugins/sinks/remote_write/remote_write_sink.h"

#include <gtest/gtest.h>

#include "plugins/codecs/remote_write/write_request.h"
#include "tests/unit/remote_write/batch_text.h"
#include "tests/unit/remote_write/fake_peer.h"

namespace weir::plugin {
extern const Plugin remote_write_sink;
}

namespace weir::remote_write {
namespace {

using plugin::SampleResults;

constexpr int64_t kLongMs = 3600000;

std::shared_ptr<const SampleResults> Results(std::vector<std::pair<Labels, Sample>> samples) {
  auto results = std::make_shared<SampleResults>();
  for (const auto& [labels, sample] : samples) {
    results->samples.push_back({std::make_shared<const Labels>(labels), sample.t, sample.v});
  }
  return results;
}

std::shared_ptr<const SampleResults> Numbered(int first, int count) {
  std::vector<std::pair<Labels, Sample>> samples;
  for (int i = first; i < first + count; ++i) {
    samples.push_back({Labels{{"__name__", "m"}, {"i", std::to_string(i)}}, {1000 + i, 1.0 * i}});
  }
  return Results(std::move(samples));
}

// RETURNS: `m{i="1"} 1 @1001` for every sample of a request.
std::vector<std::string> Decoded(const HttpRequest& request) {
  plugin::SampleBatch batch;
  WEIR_ASSERT(DecodeSnappy(request.body, DecodeOptions{}, &batch).ok());
  std::vector<std::string> out;
  for (const auto& series : batch.series) {
    std::vector<std::pair<std::string_view, std::string_view>> views;
    WEIR_ASSERT(plugin::DecodeLabels(series.labels, &views).ok());
    std::vector<Label> labels;
    for (const auto& [name, value] : views) {
      labels.push_back({std::string(name), std::string(value)});
    }
    const Sample& sample = batch.samples[series.first];
    out.push_back(Labels(labels).ToString() + " " + std::to_string(static_cast<int>(sample.v)) + " @" +
                  std::to_string(sample.t));
  }
  return out;
}

class RemoteWriteSinkTest : public testing::Test {
 protected:
  RemoteWriteSinkTest() : peer_("/api/v1/push") {
    config_.url = peer_.Url("/api/v1/push");
    config_.name = "r";
    config_.min_backoff_ms = 1;
  }

  void Start() {
    sink_ = MakeRemoteWriteSink(config_);
    const Status status = sink_->Start(host_);
    ASSERT_TRUE(status.ok()) << status.message();
  }

  FakePeer peer_;
  FakeSinkHost host_;
  RemoteWriteSinkConfig config_;
  std::unique_ptr<plugin::Sink> sink_;
};

TEST_F(RemoteWriteSinkTest, SendsWhatReceiversExpect) {
  config_.headers = {{"X-Scope-OrgID", "team"}};
  config_.http.bearer_token = "t0ken";
  Start();
  sink_->OnSamples(Results({{Labels{{"__name__", "up"}, {"job", "a"}}, {1000, 7}}}));
  sink_->Drain(kLongMs);
  const std::vector<HttpRequest> requests = peer_.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].Header("content-type"), "application/x-protobuf");
  EXPECT_EQ(requests[0].Header("content-encoding"), "snappy");
  EXPECT_EQ(requests[0].Header("x-prometheus-remote-write-version"), "0.1.0");
  EXPECT_EQ(requests[0].Header("x-scope-orgid"), "team");
  EXPECT_EQ(requests[0].Header("authorization"), "Bearer t0ken");
  EXPECT_EQ(requests[0].Header("user-agent"), "weir");
  EXPECT_EQ(Decoded(requests[0]), (std::vector<std::string>{"up{job=\"a\"} 7 @1000"}));
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_total"), "1");
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_queue_highest_sent_timestamp_seconds"), "1");
  EXPECT_EQ(host_.metrics_.Expose().find("t0ken"), std::string::npos);
}

// A histogram and a float, both of start time 500.
std::shared_ptr<const SampleResults> WithHistogram() {
  FloatHistogram h;
  h.count = 5;
  h.sum = 7;
  h.positive_spans = {{1, 2}};
  h.positive_buckets = {2, 3};
  auto results = std::make_shared<SampleResults>();
  const auto labels = std::make_shared<const Labels>(Labels{{"__name__", "h"}});
  results->samples.push_back({labels, 1000, 0, std::make_shared<const FloatHistogram>(h), 500});
  results->samples.push_back({std::make_shared<const Labels>(Labels{{"__name__", "m"}}), 1000, 2, nullptr, 500});
  return results;
}

// RETURNS: the lines of a request; the version is what its headers say.
std::vector<std::string> Lines(const HttpRequest& request) {
  DecodeOptions options;
  options.message = request.Header("content-type").find("v2") == std::string_view::npos ? Message::kWriteRequest
                                                                                        : Message::kRequestV2;
  plugin::SampleBatch batch;
  WEIR_ASSERT(DecodeSnappy(request.body, options, &batch).ok());
  return BatchLines(batch);
}

TEST_F(RemoteWriteSinkTest, Version2) {
  config_.message = Message::kRequestV2;
  peer_.AnswerWritten(204, 1, 1);
  Start();
  sink_->OnSamples(WithHistogram());
  sink_->Drain(kLongMs);
  const std::vector<HttpRequest> requests = peer_.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].Header("content-type"), "application/x-protobuf;proto=io.prometheus.write.v2.Request");
  EXPECT_EQ(requests[0].Header("content-encoding"), "snappy");
  EXPECT_EQ(requests[0].Header("x-prometheus-remote-write-version"), "2.0.0");
  EXPECT_EQ(Lines(requests[0]), (std::vector<std::string>{"h {{count:5 sum:7 offset:1 buckets:[2 3]}} @1000 start 500",
                                                          "m 2 @1000 start 500"}));
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_total"), "1");
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_histograms_total"), "1");
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_failed_total"), "0");
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_queue_highest_sent_timestamp_seconds"), "1");
}

TEST_F(RemoteWriteSinkTest, Version1CarriesHistogramsToo) {
  Start();
  sink_->OnSamples(WithHistogram());
  sink_->Drain(kLongMs);
  EXPECT_EQ(Lines(peer_.Wait(1)[0]),
            (std::vector<std::string>{"h {{count:5 sum:7 offset:1 buckets:[2 3]}} @1000", "m 2 @1000"}));
}

TEST_F(RemoteWriteSinkTest, HistogramsCanBeLeftOut) {
  config_.send_native_histograms = false;
  Start();
  sink_->OnSamples(WithHistogram());
  sink_->Drain(kLongMs);
  EXPECT_EQ(Lines(peer_.Wait(1)[0]), (std::vector<std::string>{"m 2 @1000"}));
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_dropped_total", "native_histograms_off"), "1");
}

// 415, and 2xx from a receiver that does not say what it wrote.
TEST_F(RemoteWriteSinkTest, ReceiversOfVersion1GetItFromThenOn) {
  for (const int status : {415, 204}) {
    FakePeer peer("/api/v1/push");
    config_.url = peer.Url("/api/v1/push");
    config_.message = Message::kRequestV2;
    config_.max_samples_per_send = 2;
    peer.Answer(status);
    Start();
    sink_->OnSamples(WithHistogram());
    sink_->OnSamples(Numbered(0, 1));
    sink_->Drain(kLongMs);
    const std::vector<HttpRequest> requests = peer.requests();
    ASSERT_EQ(requests.size(), 3u) << status;
    EXPECT_EQ(requests[0].Header("x-prometheus-remote-write-version"), "2.0.0");
    EXPECT_EQ(requests[1].Header("x-prometheus-remote-write-version"), "0.1.0");
    EXPECT_EQ(requests[1].Header("content-type"), "application/x-protobuf");
    EXPECT_EQ(Lines(requests[1]),
              (std::vector<std::string>{"h {{count:5 sum:7 offset:1 buckets:[2 3]}} @1000", "m 2 @1000"}));
    EXPECT_EQ(requests[2].Header("x-prometheus-remote-write-version"), "0.1.0");
  }
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_failed_total"), "0");
}

TEST_F(RemoteWriteSinkTest, Version2CountsWhatWasNotWritten) {
  config_.message = Message::kRequestV2;
  config_.max_samples_per_send = 2;
  peer_.AnswerWritten(400, 1, 0);
  peer_.AnswerWritten(500, 0, 0);  // repeated
  peer_.AnswerWritten(204, 0, 1);  // says it is well and is not
  peer_.Answer(400);               // nothing written
  Start();
  sink_->OnSamples(WithHistogram());
  sink_->OnSamples(WithHistogram());
  sink_->OnSamples(WithHistogram());
  sink_->Drain(kLongMs);
  EXPECT_EQ(peer_.requests().size(), 4u);
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_failed_total"), "2");
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_histograms_failed_total"), "2");
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_histograms_retried_total"), "1");
}

TEST_F(RemoteWriteSinkTest, ExternalLabelsThenRelabelling) {
  host_.external_ = Labels{{"cluster", "c1"}, {"job", "never"}};
  RelabelConfig drop;
  drop.source_labels = {"__name__"};
  drop.regex = "secret";
  drop.action = RelabelAction::kDrop;
  RelabelConfig rename;
  rename.source_labels = {"cluster"};
  rename.target_label = "region";
  config_.write_relabel_configs = {drop, rename};
  Start();
  sink_->OnSamples(
      Results({{Labels{{"__name__", "up"}, {"job", "a"}}, {1, 1}}, {Labels{{"__name__", "secret"}}, {1, 2}}}));
  sink_->Drain(kLongMs);
  EXPECT_EQ(Decoded(peer_.Wait(1)[0]), (std::vector<std::string>{"up{cluster=\"c1\", job=\"a\", region=\"c1\"} 1 @1"}));
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_dropped_total", "dropped_series"), "1");
}

TEST_F(RemoteWriteSinkTest, BatchesHaveAtMostMaxSamples) {
  config_.max_samples_per_send = 4;
  Start();
  sink_->OnSamples(Numbered(0, 10));
  sink_->Drain(kLongMs);
  const std::vector<HttpRequest> requests = peer_.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(Decoded(requests[0]).size(), 4u);
  EXPECT_EQ(Decoded(requests[2]), (std::vector<std::string>{"m{i=\"8\"} 8 @1008", "m{i=\"9\"} 9 @1009"}));
}

TEST_F(RemoteWriteSinkTest, WhatMayPassIsRepeatedInOrder) {
  for (const int status : {500, 429, 503}) {
    peer_.Answer(status);
  }
  Start();
  sink_->OnSamples(Numbered(0, 2));
  sink_->OnSamples(Numbered(2, 1));
  const std::vector<HttpRequest> requests = peer_.Wait(4);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(requests[i].body, requests[0].body);
  }
  sink_->Drain(kLongMs);
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_failed_total"), "0");
  EXPECT_NE(host_.Metric("prometheus_remote_storage_samples_retried_total"), "0");
}

TEST_F(RemoteWriteSinkTest, RetryAfterIsHonoured) {
  peer_.Answer(503, "3600");  // would be retried within milliseconds otherwise
  Start();
  sink_->OnSamples(Numbered(0, 1));
  peer_.Wait(1);
  sink_->Drain(50);  // gives up while it still waits
  EXPECT_EQ(peer_.requests().size(), 1u);
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_dropped_total", "shutdown"), "1");
}

TEST_F(RemoteWriteSinkTest, RefusalsAreDroppedAndCounted) {
  peer_.Answer(400);
  Start();
  sink_->OnSamples(Numbered(0, 3));
  peer_.Wait(1);
  sink_->OnSamples(Numbered(3, 1));
  sink_->Drain(kLongMs);
  EXPECT_EQ(peer_.requests().size(), 2u);
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_failed_total"), "3");
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_retried_total"), "0");
}

TEST_F(RemoteWriteSinkTest, AFullQueueDropsTheOldest) {
  config_.queue_samples_max = 3;
  config_.max_samples_per_send = 1;
  peer_.Hold();
  Start();
  sink_->OnSamples(Numbered(0, 1));
  peer_.Wait(1);  // the first is on its way, the queue is empty
  sink_->OnSamples(Numbered(1, 2));
  sink_->OnSamples(Numbered(3, 3));
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_dropped_total", "queue_full"), "2");
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_pending"), "3");
  peer_.LetGo();
  sink_->Drain(kLongMs);
  std::vector<std::string> got;
  for (const HttpRequest& request : peer_.requests()) {
    got.push_back(Decoded(request)[0]);
  }
  EXPECT_EQ(got, (std::vector<std::string>{"m{i=\"0\"} 0 @1000", "m{i=\"3\"} 3 @1003", "m{i=\"4\"} 4 @1004",
                                           "m{i=\"5\"} 5 @1005"}));
}

TEST_F(RemoteWriteSinkTest, DrainEndsThoughThePeerNeverAnswers) {
  peer_.Hold();
  Start();
  sink_->OnSamples(Numbered(0, 1));
  peer_.Wait(1);
  sink_->OnSamples(Numbered(1, 5));
  sink_->Drain(0);
  EXPECT_EQ(host_.Metric("prometheus_remote_storage_samples_dropped_total", "shutdown"), "6");
  peer_.LetGo();
}

TEST_F(RemoteWriteSinkTest, ConfigurationsThatCannotWorkAreNamed) {
  config_.url = "ftp://user:pass@x/y";
  EXPECT_EQ(MakeRemoteWriteSink(config_)->Start(host_).message(),
            "remote_write: url: want http:// or https://, got \"ftp://x/y\"");
  config_.url = "http://x/y";
  config_.headers = {{"Content-Type", "x"}};
  EXPECT_EQ(MakeRemoteWriteSink(config_)->Start(host_).code(), Code::kInvalid);
  config_.headers.clear();
  RelabelConfig bad;
  bad.regex = "(";
  config_.write_relabel_configs = {bad};
  EXPECT_EQ(MakeRemoteWriteSink(config_)->Start(host_).code(), Code::kInvalid);
}

TEST_F(RemoteWriteSinkTest, MadeFromOptions) {
  const plugin::Plugin& row = plugin::remote_write_sink;
  const Result<plugin::OptionValues> options =
      plugin::ParseOptions(row.options, "sink remote_write", "t:1:1", {{"url", "t:2:1", config_.url}});
  ASSERT_TRUE(options.ok()) << options.status().message();
  ASSERT_TRUE(row.validate(*options).ok());
  sink_ = row.make_sink(*options);
  ASSERT_TRUE(sink_->Start(host_).ok());
  sink_->OnSamples(Numbered(0, 1));
  sink_->Drain(kLongMs);
  EXPECT_EQ(peer_.requests().size(), 1u);
  const Result<plugin::OptionValues> both = plugin::ParseOptions(
      row.options, "sink remote_write", "t:1:1",
      {{"url", "t:2:1", config_.url}, {"bearer_token", "t:3:1", "a"}, {"bearer_token_file", "t:4:1", "b"}});
  EXPECT_EQ(row.validate(*both).message(),
            "t:1:1: options \"bearer_token\" and \"bearer_token_file\" exclude each other");
}

}  // namespace
}  // namespace weir::remote_write
