#include <algorithm>
#include <charconv>
#include <thread>

#include "core/base/log.h"
#include "core/base/send_queue.h"
#include "plugins/codecs/remote_write/write_request.h"
#include "plugins/sinks/remote_write/remote_write_sink.h"

namespace weir::remote_write {
namespace {

using plugin::AlertBatch;
using plugin::ResultSample;
using plugin::SampleResults;

constexpr int64_t kRetryAfterMsMax = 300000;
constexpr size_t kErrorTextBytesMax = 256;
constexpr std::string_view kReservedHeaders[] = {
    "content-encoding", "content-type", "content-length",    "host",
    "user-agent",       "connection",   "transfer-encoding", "x-prometheus-remote-write-version"};

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// Seconds only; the form with a date is not used by receivers of remote write.
int64_t RetryAfterMs(const std::string& text) {
  int64_t seconds = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool ok = end.ec == std::errc() && end.ptr == text.data() + text.size() && seconds >= 0;
  return ok ? std::min(seconds, kRetryAfterMsMax / 1000) * 1000 : 0;
}

bool MayRetry(int status) { return status == 0 || status == 429 || status / 100 == 5; }

class RemoteWriteSender final : public plugin::Sink {
 public:
  explicit RemoteWriteSender(RemoteWriteSinkConfig config)
      : config_(std::move(config)), queue_(config_.queue_samples_max), client_(config_.http) {}
  ~RemoteWriteSender() override { Drain(0); }

  Status Start(plugin::SinkHost& host) override {
    WEIR_RETURN_IF_ERROR(CheckConfig());
    WEIR_ASSIGN_OR_RETURN(relabeler_, Relabeler::Create(config_.write_relabel_configs));
    external_labels_ = host.external_labels();
    clock_ = &host.clock();
    metrics_ = std::make_unique<Metrics>(host.metrics(), config_);
    thread_ = std::thread([this] { Run(); });
    return Status();
  }

  void OnSamples(const std::shared_ptr<const SampleResults>& results) override {
    if (!thread_.joinable() || results->samples.empty()) {
      return;
    }
    std::vector<Item> items;
    items.reserve(results->samples.size());
    for (uint32_t i = 0; i < results->samples.size(); ++i) {
      items.push_back({results, i});
    }
    const size_t dropped = queue_.Push(std::move(items));
    metrics_->dropped_overflow.Add(dropped);
    metrics_->pending.Set(static_cast<double>(queue_.size()));
    if (dropped > 0 && !overflow_logged_) {
      overflow_logged_ = true;
      LogWarn("remote write: queue is full, oldest samples are dropped",
              {{"url", RedactedUrl(config_.url)}, {"dropped", std::to_string(dropped)}});
    } else if (dropped == 0) {
      overflow_logged_ = false;
    }
  }

  void OnAlerts(const std::shared_ptr<const AlertBatch>&) override {}

  void Drain(int64_t timeout_ms) override {
    if (!thread_.joinable()) {
      return;
    }
    if (!queue_.Close(timeout_ms)) {
      const size_t left = queue_.Abort();
      client_.Cancel();
      metrics_->dropped_shutdown.Add(left);
      if (left > 0) {
        LogWarn("remote write: stopped before everything was sent",
                {{"url", RedactedUrl(config_.url)}, {"samples", std::to_string(left)}});
      }
    }
    thread_.join();
  }

 private:
  struct Item {
    std::shared_ptr<const SampleResults> results;
    uint32_t index = 0;
  };

  struct Metrics {
    Metrics(MetricRegistry& r, const RemoteWriteSinkConfig& config)
        : labels{{"remote_name", config.name}, {"url", RedactedUrl(config.url)}},
          samples(r.GetCounter("prometheus_remote_storage_samples_total",
                               "Samples sent to remote storage, with repetitions.", labels)),
          failed(r.GetCounter("prometheus_remote_storage_samples_failed_total",
                              "Samples that remote storage refused for good.", labels)),
          retried(r.GetCounter("prometheus_remote_storage_samples_retried_total",
                               "Samples that were sent again after an error that may pass.", labels)),
          dropped_relabel(Dropped(r, "dropped_series")),
          dropped_overflow(Dropped(r, "queue_full")),
          dropped_shutdown(Dropped(r, "shutdown")),
          bytes(r.GetCounter("prometheus_remote_storage_bytes_total", "Compressed bytes sent to remote storage.",
                             labels)),
          pending(r.GetGauge("prometheus_remote_storage_samples_pending", "Samples in the queue.", labels)),
          highest_sent(r.GetGauge("prometheus_remote_storage_queue_highest_sent_timestamp_seconds",
                                  "Newest time of a sample that was stored.", labels)),
          duration(r.GetHistogram("prometheus_remote_storage_sent_batch_duration_seconds", "Duration of send calls.",
                                  {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60}, labels)) {
      r.GetGauge("prometheus_remote_storage_shard_capacity", "Samples that the queue holds at most.", labels)
          .Set(static_cast<double>(config.queue_samples_max));
    }
    Counter& Dropped(MetricRegistry& r, const std::string& reason) {
      MetricLabels with_reason = labels;
      with_reason.emplace_back("reason", reason);
      return r.GetCounter("prometheus_remote_storage_samples_dropped_total", "Samples that were not sent, by reason.",
                          with_reason);
    }
    MetricLabels labels;
    Counter& samples;
    Counter& failed;
    Counter& retried;
    Counter& dropped_relabel;
    Counter& dropped_overflow;
    Counter& dropped_shutdown;
    Counter& bytes;
    Gauge& pending;
    Gauge& highest_sent;
    HistogramMetric& duration;
  };

  Status CheckConfig() const {
    if (config_.url.rfind("http://", 0) != 0 && config_.url.rfind("https://", 0) != 0) {
      return InvalidError("remote_write: url: want http:// or https://, got \"" + RedactedUrl(config_.url) + "\"");
    }
    for (const auto& [name, value] : config_.headers) {
      if (std::ranges::find(kReservedHeaders, Lower(name)) != std::end(kReservedHeaders)) {
        return InvalidError("remote_write: headers: \"" + name + "\" is set by remote write itself");
      }
    }
    if (config_.max_samples_per_send == 0 || config_.queue_samples_max == 0) {
      return InvalidError("remote_write: max_samples_per_send and the queue's capacity must be at least 1");
    }
    return Status();
  }

  void Run() {
    std::vector<Item> items;
    while (queue_.Pop(config_.max_samples_per_send, &items)) {
      size_t samples = 0;
      int64_t newest_ms = INT64_MIN;
      std::string block = Encode(items, &samples, &newest_ms);
      if (samples > 0) {
        Send(std::move(block), samples, newest_ms);
      }
      metrics_->pending.Set(static_cast<double>(queue_.size()));
    }
    queue_.Finish();
  }

  std::string Encode(const std::vector<Item>& items, size_t* samples, int64_t* newest_ms) {
    for (const Item& item : items) {
      const ResultSample& sample = item.results->samples[item.index];
      if (external_labels_.empty() && relabeler_.empty()) {
        builder_.Add(sample.labels->span(), {sample.t, sample.v});
      } else {
        Labels labels = *sample.labels;
        for (const Label& external : external_labels_) {
          if (!labels.Has(external.name)) {
            labels.Set(external.name, external.value);
          }
        }
        const std::optional<Labels> kept = relabeler_.Process(std::move(labels));
        if (!kept || kept->empty()) {
          metrics_->dropped_relabel.Add();
          continue;
        }
        builder_.Add(kept->span(), {sample.t, sample.v});
      }
      *newest_ms = std::max(*newest_ms, sample.t);
    }
    *samples = builder_.samples();
    return builder_.TakeSnappy();
  }

  // Until it is stored, refused for good, or the sink is stopped.
  void Send(std::string block, size_t samples, int64_t newest_ms) {
    HttpClientRequest request;
    request.url = config_.url;
    request.headers = config_.headers;
    request.headers.emplace_back("Content-Type", "application/x-protobuf");
    request.headers.emplace_back("Content-Encoding", "snappy");
    request.headers.emplace_back("X-Prometheus-Remote-Write-Version", "0.1.0");
    request.timeout_ms = config_.timeout_ms;
    request.body = std::move(block);
    int64_t backoff_ms = config_.min_backoff_ms;
    while (true) {
      const int64_t start_ns = clock_->MonotonicNs();
      const HttpClientResponse response = client_.Do(request);
      metrics_->duration.Observe(static_cast<double>(clock_->MonotonicNs() - start_ns) / 1e9);
      metrics_->samples.Add(samples);
      metrics_->bytes.Add(request.body.size());
      if (response.status / 100 == 2) {
        NoteStored(newest_ms);
        return;
      }
      if (!MayRetry(response.status)) {
        metrics_->failed.Add(samples);
        LogError("remote write: samples refused", {{"url", RedactedUrl(config_.url)},
                                                   {"status", std::to_string(response.status)},
                                                   {"samples", std::to_string(samples)},
                                                   {"error", response.body.substr(0, kErrorTextBytesMax)}});
        return;
      }
      NoteFailing(response);
      if (!queue_.Pause(std::max(backoff_ms, RetryAfterMs(response.retry_after)))) {
        metrics_->dropped_shutdown.Add(samples);
        return;
      }
      metrics_->retried.Add(samples);
      backoff_ms = std::min(std::max<int64_t>(backoff_ms * 2, 1), config_.max_backoff_ms);
    }
  }

  void NoteStored(int64_t newest_ms) {
    highest_sent_ms_ = std::max(highest_sent_ms_, newest_ms);
    metrics_->highest_sent.Set(static_cast<double>(highest_sent_ms_) / 1000);
    if (failing_) {
      failing_ = false;
      LogInfo("remote write: sending again", {{"url", RedactedUrl(config_.url)}});
    }
  }

  // Once per outage.
  void NoteFailing(const HttpClientResponse& response) {
    if (failing_) {
      return;
    }
    failing_ = true;
    LogWarn("remote write: will retry",
            {{"url", RedactedUrl(config_.url)},
             {"status", std::to_string(response.status)},
             {"error", response.error.empty() ? response.body.substr(0, kErrorTextBytesMax) : response.error}});
  }

  const RemoteWriteSinkConfig config_;
  SendQueue<Item> queue_;
  HttpClient client_;
  Relabeler relabeler_;
  Labels external_labels_;
  const Clock* clock_ = nullptr;
  std::unique_ptr<Metrics> metrics_;
  WriteRequestBuilder builder_;
  bool overflow_logged_ = false;  // engine's thread
  bool failing_ = false;          // own thread, as the next
  int64_t highest_sent_ms_ = INT64_MIN;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<plugin::Sink> MakeRemoteWriteSink(RemoteWriteSinkConfig config) {
  if (config.name.empty()) {
    config.name = RedactedUrl(config.url);
  }
  return std::make_unique<RemoteWriteSender>(std::move(config));
}

}  // namespace weir::remote_write
