#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <optional>

#include "core/base/http_client.h"
#include "core/plugin/plugin.h"
#include "tests/unit/remote_write/batch_text.h"
#include "tests/unit/remote_write/prompb.h"

namespace weir::plugin {

extern const Plugin remote_write_source;

namespace {

using prompb::LabelFields;
using prompb::SampleField;
using prompb::Snappy;

// Takes what handlers give it and answers as the test says.
class FakeHost final : public SourceHost {
 public:
  const Clock& clock() const override { return clock_; }
  MetricRegistry& metrics() override { return metrics_; }
  bool type_and_unit_labels() const override { return labels_of_metadata; }
  bool Submit(SampleBatch&& batch, std::string_view stream, std::function<void(const IngestOutcome&)> done) override {
    if (full) {
      return false;
    }
    samples += batch.samples.size();
    histograms += batch.histograms.size();
    first_labels = LabelsText(batch.series.at(0).labels);
    streams.emplace_back(stream);
    if (!use_outcome) {
      outcome.written = static_cast<uint32_t>(batch.samples.size() + batch.histograms.size());
      outcome.histograms = static_cast<uint32_t>(batch.histograms.size());
    }
    if (hold) {
      held.push_back(std::move(done));
    } else {
      done(outcome);
    }
    return true;
  }
  void AdvanceStream(std::string_view, int64_t) override {}
  void CloseStream(std::string_view stream) override { closed.emplace_back(stream); }
  void HandleHttp(std::string path, HttpHandler given) override { handlers[path] = std::move(given); }
  int64_t LongestWindowMs() const override { return 0; }
  void BeginCatchUp(std::string_view) override {}
  void CatchUpDone(std::string_view) override {}

  FakeClock clock_{1700000000000};
  MetricRegistry metrics_;
  std::map<std::string, HttpHandler> handlers;
  IngestOutcome outcome;
  bool full = false;
  bool hold = false;
  std::vector<std::function<void(const IngestOutcome&)>> held;
  size_t samples = 0;
  size_t histograms = 0;
  bool use_outcome = false;  // else everything is written
  bool labels_of_metadata = false;
  std::string first_labels;
  std::vector<std::string> streams;
  std::vector<std::string> closed;
};

class RemoteWriteSourceTest : public testing::Test {
 protected:
  RemoteWriteSourceTest() { Start({}); }

  void Start(std::vector<RawOption> raw) {
    const Result<OptionValues> options = ParseOptions(remote_write_source.options, "source remote_write", "t:1:1", raw);
    ASSERT_TRUE(options.ok()) << options.status().message();
    ASSERT_TRUE(remote_write_source.validate(*options).ok());
    source_ = remote_write_source.make_source(*options);
    ASSERT_TRUE(source_->Start(host_).ok());
  }

  static HttpRequest Request(std::string body) {
    HttpRequest request;
    request.method = "POST";
    request.path = "/api/v1/write";
    request.peer = "10.0.0.7:4711";
    request.headers = {
        {"content-type", "application/x-protobuf"}, {"content-encoding", "snappy"}, {"user-agent", "Prometheus/3.1.0"}};
    request.body = std::move(body);
    return request;
  }

  // A 2.0 request with recorded bytes.
  static HttpRequest V2(const std::string& recorded) {
    return With(Request(Snappy(Recorded(recorded))), "content-type",
                "application/x-protobuf;proto=io.prometheus.write.v2.Request");
  }

  // RETURNS: the three counts of what was written, "" when none is there.
  static std::string Written(const HttpResponse& response) {
    std::string out;
    for (const char* what : {"Samples", "Histograms", "Exemplars"}) {
      const std::string count = Header(response, "X-Prometheus-Remote-Write-" + std::string(what) + "-Written");
      out += (out.empty() || count.empty() ? "" : " ") + count;
    }
    return out;
  }

  static std::string Body() { return Snappy(prompb::Series(LabelFields({{"__name__", "up"}}) + SampleField(1, 1000))); }

  // RETURNS: the answer so far, if any.
  std::shared_ptr<std::optional<HttpResponse>> Post(HttpRequest request) {
    auto answer = std::make_shared<std::optional<HttpResponse>>();
    host_.handlers.at("/api/v1/write")(std::move(request),
                                       [answer](HttpResponse response) { *answer = std::move(response); });
    return answer;
  }

  static std::string Header(const HttpResponse& response, std::string_view name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) {
        return value;
      }
    }
    return "";
  }

  static HttpRequest With(HttpRequest request, const std::string& name, const std::string& value) {
    for (auto& header : request.headers) {
      if (header.first == name) {
        header.second = value;
      }
    }
    return request;
  }

  FakeHost host_;
  std::unique_ptr<Source> source_;
};

TEST_F(RemoteWriteSourceTest, StoredIs204WithoutBody) {
  const auto answer = Post(Request(Body()));
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->status, 204);
  EXPECT_EQ((*answer)->body, "");
  EXPECT_EQ(host_.samples, 1u);
  EXPECT_EQ(host_.streams, (std::vector<std::string>{"remote_write 10.0.0.7 Prometheus/3.1.0"}));
}

TEST_F(RemoteWriteSourceTest, WrongMethodIs405) {
  HttpRequest request = Request(Body());
  request.method = "GET";
  const auto answer = Post(std::move(request));
  EXPECT_EQ((*answer)->status, 405);
  EXPECT_EQ(Header(**answer, "Allow"), "POST");
}

TEST_F(RemoteWriteSourceTest, MediaTypes) {
  const std::pair<const char*, int> types[] = {
      {"application/x-protobuf", 204},
      {"", 204},
      {"Application/X-Protobuf; proto=prometheus.WriteRequest", 204},
      {"application/x-protobuf;proto=\"prometheus.WriteRequest\"", 204},
      {"application/x-protobuf;proto=io.prometheus.write.v2.Request", 204},
      {"application/x-protobuf; proto=io.prometheus.write.v3.Request", 415},
      {"application/json", 415},
  };
  for (const auto& [type, status] : types) {
    EXPECT_EQ((*Post(With(Request(Body()), "content-type", type)))->status, status) << type;
  }
  EXPECT_EQ((*Post(With(Request(Body()), "content-encoding", "gzip")))->status, 415);
  EXPECT_EQ((*Post(With(Request(Body()), "content-encoding", "")))->status, 204);
}

TEST_F(RemoteWriteSourceTest, DamagedBodiesAre400AndSayWhy) {
  const auto answer = Post(Request("\xff\xff"));
  EXPECT_EQ((*answer)->status, 400);
  EXPECT_EQ((*answer)->body, "remote write: body is not a snappy block\n");
  EXPECT_EQ((*Post(Request(Snappy("\x0a\x05"))))->status, 400);
  EXPECT_EQ(host_.samples, 0u);
}

TEST_F(RemoteWriteSourceTest, TooLargeIs413OrAfterDecoding400) {
  Start({{"body_bytes_max", "t:1:1", "100"}, {"decoded_bytes_max", "t:1:1", "1000"}});
  EXPECT_EQ((*Post(Request(std::string(101, 'x'))))->status, 413);
  EXPECT_EQ((*Post(Request(Snappy(std::string(1001, 'x')))))->status, 400);
}

TEST_F(RemoteWriteSourceTest, RejectedSamplesAre400WithTheFirstError) {
  host_.use_outcome = true;
  host_.outcome.rejected = 2;
  host_.outcome.written = 5;
  host_.outcome.first_error = "out of order sample: series up{}, t 1000";
  const auto answer = Post(Request(Body()));
  EXPECT_EQ((*answer)->status, 400);
  EXPECT_EQ((*answer)->body, "out of order sample: series up{}, t 1000 (2 rejected, 5 stored)\n");
}

TEST_F(RemoteWriteSourceTest, InvalidSeriesAreSkippedWith204) {
  host_.outcome.invalid_series = 1;
  EXPECT_EQ((*Post(Request(Body())))->status, 204);
}

TEST_F(RemoteWriteSourceTest, FullQueueAndOverloadAskForARetry) {
  host_.full = true;
  const auto full = Post(Request(Body()));
  EXPECT_EQ((*full)->status, 503);
  EXPECT_EQ(Header(**full, "Retry-After"), "1");
  host_.full = false;
  host_.outcome.overloaded = true;
  const auto overloaded = Post(Request(Body()));
  EXPECT_EQ((*overloaded)->status, 503);
  EXPECT_EQ(Header(**overloaded, "Retry-After"), "1");
}

TEST_F(RemoteWriteSourceTest, RequestsInFlightAreBounded) {
  Start({{"requests_in_flight_max", "t:1:1", "2"}});
  host_.hold = true;
  const auto first = Post(Request(Body()));
  const auto second = Post(Request(Body()));
  const auto third = Post(Request(Body()));
  EXPECT_FALSE(first->has_value());
  EXPECT_FALSE(second->has_value());
  ASSERT_TRUE(third->has_value());
  EXPECT_EQ((*third)->status, 503);
  host_.held[0](IngestOutcome{});
  EXPECT_EQ((*first)->status, 204);
  EXPECT_FALSE(Post(Request(Body()))->has_value());  // there is room again
}

TEST_F(RemoteWriteSourceTest, BytesInFlightAreBoundedAndGivenBack) {
  Start({{"bytes_in_flight_max", "t:1:1", "60"}});
  host_.hold = true;
  EXPECT_FALSE(Post(Request(Body()))->has_value());
  const auto second = Post(Request(Body()));
  ASSERT_TRUE(second->has_value());
  EXPECT_EQ((*second)->status, 503);
  Gauge& gauge = host_.metrics_.GetGauge("weir_remote_write_in_flight_bytes", "");
  EXPECT_GT(gauge.value(), 0);
  host_.held[0](IngestOutcome{});
  EXPECT_EQ(gauge.value(), 0);
}

TEST_F(RemoteWriteSourceTest, HistogramsOfVersion1AreTaken) {
  const auto answer = Post(Request(Snappy(Recorded("v1_histograms"))));
  EXPECT_EQ((*answer)->status, 204);
  EXPECT_EQ(host_.samples, 1u);
  EXPECT_EQ(host_.histograms, 5u);
  EXPECT_EQ(host_.metrics_.GetCounter("weir_remote_write_received_histograms_total", "").value(), 5u);
}

TEST_F(RemoteWriteSourceTest, InvalidHistogramsOfVersion1Are400AndCostThemselvesOnly) {
  const std::string labels = LabelFields({{"__name__", "h"}});
  const std::string bad = prompb::Bytes(4, "\x08\x05");
  const auto answer = Post(Request(Snappy(prompb::Series(labels + SampleField(1, 1000) + bad))));
  EXPECT_EQ((*answer)->status, 400);
  EXPECT_EQ(
      (*answer)->body,
      "invalid histogram: series h, t 0: 0 observations in the buckets but a count of 5 (1 rejected, 1 stored)\n");
  EXPECT_EQ(host_.samples, 1u);
  EXPECT_EQ(Written(**answer), "");
}

TEST_F(RemoteWriteSourceTest, Version2SaysWhatWasWritten) {
  const auto answer = Post(V2("v2_mixed"));
  EXPECT_EQ((*answer)->status, 204);
  EXPECT_EQ((*answer)->body, "");
  EXPECT_EQ(Written(**answer), "3 5 0");
  EXPECT_EQ(host_.samples, 3u);
  EXPECT_EQ(host_.histograms, 5u);
}

TEST_F(RemoteWriteSourceTest, Version2IsWrittenInPartWith400) {
  const auto answer = Post(V2("v2_refused"));
  EXPECT_EQ((*answer)->status, 400);
  EXPECT_EQ((*answer)->body, "series number 1: odd number of label references (3) (6 rejected, 3 stored)\n");
  EXPECT_EQ(Written(**answer), "2 1 0");
  EXPECT_EQ(host_.metrics_.GetCounter("weir_remote_write_refused_records_total", "").value(), 6u);
}

TEST_F(RemoteWriteSourceTest, Version2JoinsWhatTheEngineRefuses) {
  host_.use_outcome = true;
  host_.outcome.written = 4;
  host_.outcome.duplicates = 1;
  host_.outcome.histograms = 2;
  host_.outcome.rejected = 1;
  host_.outcome.first_error = "out of order sample: series up, t 1000";
  host_.outcome.invalid_series = 1;
  host_.outcome.first_invalid = "no metric name: series {job=\"a\"}";
  const auto answer = Post(V2("v2_mixed"));
  EXPECT_EQ((*answer)->status, 400);
  EXPECT_EQ((*answer)->body,
            "out of order sample: series up, t 1000\nno metric name: series {job=\"a\"} (2 rejected, 5 stored)\n");
  EXPECT_EQ(Written(**answer), "3 2 0");
}

TEST_F(RemoteWriteSourceTest, Version2WithNothingUsableIs400WithoutASubmit) {
  HttpRequest request = V2("v2_mixed");
  request.body = Snappy(prompb::Bytes(4, "") + prompb::Bytes(5, prompb::Bytes(1, "\x01")));
  const auto answer = Post(std::move(request));
  EXPECT_EQ((*answer)->status, 400);
  EXPECT_EQ(Written(**answer), "0 0 0");
  EXPECT_TRUE(host_.streams.empty());
}

TEST_F(RemoteWriteSourceTest, Version2HeadersComeWithFailures) {
  HttpRequest damaged = V2("v2_mixed");
  damaged.body = "x";
  EXPECT_EQ(Written(**Post(std::move(damaged))), "0 0 0");
  host_.full = true;
  const auto full = Post(V2("v2_mixed"));
  EXPECT_EQ((*full)->status, 503);
  EXPECT_EQ(Written(**full), "0 0 0");
}

TEST_F(RemoteWriteSourceTest, TypeAndUnitLabelsAreTheHostsChoice) {
  Post(V2("v2_mixed"));
  EXPECT_EQ(host_.first_labels, "requests_total{Zone=\"z\", job=\"a\"}");
  host_.labels_of_metadata = true;
  Post(V2("v2_mixed"));
  EXPECT_EQ(host_.first_labels, "requests_total{Zone=\"z\", __type__=\"counter\", __unit__=\"seconds\", job=\"a\"}");
}

TEST_F(RemoteWriteSourceTest, NothingIsSubmittedAfterStop) {
  source_->Stop();
  EXPECT_EQ((*Post(Request(Body())))->status, 503);
  EXPECT_EQ(host_.samples, 0u);
}

TEST_F(RemoteWriteSourceTest, QuietSendersAreClosed) {
  Post(Request(Body()));
  HttpRequest other = Request(Body());
  other.peer = "[fe80::1]:99";
  host_.clock_.Set(host_.clock_.NowMs() + 301000);
  Post(std::move(other));
  EXPECT_EQ(host_.streams.back(), "remote_write [fe80::1] Prometheus/3.1.0");
  EXPECT_EQ(host_.closed, (std::vector<std::string>{"remote_write 10.0.0.7 Prometheus/3.1.0"}));
}

TEST_F(RemoteWriteSourceTest, AnswersAreCountedByCode) {
  Post(Request(Body()));
  Post(Request("x"));
  EXPECT_EQ(host_.metrics_.GetCounter("weir_remote_write_requests_total", "", {{"code", "204"}}).value(), 1u);
  EXPECT_EQ(host_.metrics_.GetCounter("weir_remote_write_requests_total", "", {{"code", "400"}}).value(), 1u);
}

TEST_F(RemoteWriteSourceTest, OverARealConnection) {
  HttpServerOptions options;
  options.listen = "127.0.0.1:0";
  HttpServer server(options);
  server.Handle("/api/v1/write", host_.handlers.at("/api/v1/write"));
  ASSERT_TRUE(server.Start().ok());
  HttpClient client;
  HttpClientRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(server.port()) + "/api/v1/write";
  request.body = Body();
  request.headers = {{"Content-Type", "application/x-protobuf"}, {"Content-Encoding", "snappy"}};
  EXPECT_EQ(client.Do(request).status, 204);
  request.method = "PUT";
  EXPECT_EQ(client.Do(request).status, 405);
  EXPECT_EQ(host_.samples, 1u);
}

}  // namespace
}  // namespace weir::plugin
