#include <algorithm>
#include <charconv>
#include <optional>
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

// How many float samples and histograms of something.
struct Amount {
  uint64_t samples = 0;
  uint64_t histograms = 0;
  bool operator==(const Amount&) const = default;
};

uint64_t CountFrom(std::string_view header) {
  uint64_t count = 0;
  const auto end = std::from_chars(header.data(), header.data() + header.size(), count);
  return end.ec == std::errc() && end.ptr == header.data() + header.size() ? count : 0;
}

// RETURNS: what a 2.0 receiver says it has written; nothing when it does not say: then it is none. A header of several that is
// missing means 0.
std::optional<Amount> WrittenFrom(const HttpClientResponse& response) {
  const std::string_view samples = response.Header("x-prometheus-remote-write-samples-written");
  const std::string_view histograms = response.Header("x-prometheus-remote-write-histograms-written");
  const std::string_view exemplars = response.Header("x-prometheus-remote-write-exemplars-written");
  if (samples.empty() && histograms.empty() && exemplars.empty()) {
    return std::nullopt;
  }
  return Amount{CountFrom(samples), CountFrom(histograms)};
}

bool MayRetry(int status) { return status == 0 || status == 429 || status / 100 == 5; }

class RemoteWriteSender final : public plugin::Sink {
 public:
  explicit RemoteWriteSender(RemoteWriteSinkConfig config)
      : config_(std::move(config)),
        queue_(config_.queue_samples_max),
        client_(config_.http),
        message_(config_.message) {}
  ~RemoteWriteSender() override { Drain(0); }

  Status Start(plugin::SinkHost& host) override {
    WEIR_RETURN_IF_ERROR(CheckConfig());
    WEIR_RETURN_IF_ERROR(HttpClientStatus());
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

  // A counter for float samples and one for histograms.
  struct AmountCounter {
    AmountCounter(MetricRegistry& r, const std::string& suffix, const std::string& help, const MetricLabels& labels)
        : samples(r.GetCounter("prometheus_remote_storage_samples_" + suffix, "Samples " + help, labels)),
          histograms(
              r.GetCounter("prometheus_remote_storage_histograms_" + suffix, "Native histograms " + help, labels)) {}
    void Add(const Amount& amount) {
      samples.Add(amount.samples);
      histograms.Add(amount.histograms);
    }
    Counter& samples;
    Counter& histograms;
  };

  struct Metrics {
    Metrics(MetricRegistry& r, const RemoteWriteSinkConfig& config)
        : labels{{"remote_name", config.name}, {"url", RedactedUrl(config.url)}},
          sent(r, "total", "sent to remote storage, with repetitions.", labels),
          failed(r, "failed_total", "that remote storage refused for good.", labels),
          retried(r, "retried_total", "that were sent again after an error that may pass.", labels),
          dropped_relabel(Dropped(r, "dropped_series")),
          dropped_histograms(Dropped(r, "native_histograms_off")),
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
    AmountCounter sent;
    AmountCounter failed;
    AmountCounter retried;
    Counter& dropped_relabel;
    Counter& dropped_histograms;
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
      bool fell_back = false;
      do {
        Outgoing out = Encode(items, !fell_back);
        // Whoever does not take 2.0 gets the same samples once more as 1.0, and everything else from then on.
        fell_back = out.amount != Amount{} && !Send(std::move(out));
      } while (fell_back);
      metrics_->pending.Set(static_cast<double>(queue_.size()));
    }
    queue_.Finish();
  }

  // One request.
  struct Outgoing {
    std::string block;
    Amount amount;
    int64_t newest_ms = INT64_MIN;
  };

  Outgoing Encode(const std::vector<Item>& items, bool count_drops) {
    Outgoing out;
    uint64_t relabelled_away = 0;
    uint64_t histograms_off = 0;
    for (const Item& item : items) {
      const ResultSample& sample = item.results->samples[item.index];
      if (sample.h != nullptr && !config_.send_native_histograms) {
        ++histograms_off;
        continue;
      }
      if (external_labels_.empty() && relabeler_.empty()) {
        Add(*sample.labels, sample, &out);
        continue;
      }
      Labels labels = *sample.labels;
      for (const LabelView& external : external_labels_) {
        if (!labels.Has(external.name)) {
          labels.Set(external.name, external.value);
        }
      }
      const std::optional<Labels> kept = relabeler_.Process(std::move(labels));
      if (!kept || kept->empty()) {
        ++relabelled_away;
        continue;
      }
      Add(*kept, sample, &out);
    }
    out.block = message_ == Message::kRequestV2 ? builder_v2_.TakeSnappy() : builder_.TakeSnappy();
    if (count_drops) {
      metrics_->dropped_relabel.Add(relabelled_away);
      metrics_->dropped_histograms.Add(histograms_off);
      NoteHistogramsOff(histograms_off);
    }
    return out;
  }

  void Add(const Labels& labels, const ResultSample& sample, Outgoing* out) {
    const bool v2 = message_ == Message::kRequestV2;
    if (sample.h != nullptr) {
      ++out->amount.histograms;
      v2 ? builder_v2_.Add(labels, sample.t, *sample.h, sample.start_ms) : builder_.Add(labels, sample.t, *sample.h);
    } else {
      ++out->amount.samples;
      const Sample plain{sample.t, sample.v};
      v2 ? builder_v2_.Add(labels, plain, sample.start_ms) : builder_.Add(labels, plain);
    }
    out->newest_ms = std::max(out->newest_ms, sample.t);
  }

  HttpClientRequest MakeRequest(std::string block) const {
    const bool v2 = message_ == Message::kRequestV2;
    HttpClientRequest request;
    request.url = config_.url;
    request.headers = config_.headers;
    request.headers.emplace_back(
        "Content-Type", v2 ? "application/x-protobuf;proto=" + std::string(kRequestV2Name) : "application/x-protobuf");
    request.headers.emplace_back("Content-Encoding", "snappy");
    request.headers.emplace_back("X-Prometheus-Remote-Write-Version", v2 ? "2.0.0" : "0.1.0");
    request.timeout_ms = config_.timeout_ms;
    request.body = std::move(block);
    return request;
  }

  // Until it is stored, refused for good, or the sink is stopped. RETURNS: false when the receiver does not know 2.0: nothing of
  // it was stored and message_ is 1.0 from now on.
  bool Send(Outgoing out) {
    const bool v2 = message_ == Message::kRequestV2;
    const HttpClientRequest request = MakeRequest(std::move(out.block));
    int64_t backoff_ms = config_.min_backoff_ms;
    while (true) {
      const int64_t start_ns = clock_->MonotonicNs();
      const HttpClientResponse response = client_.Do(request);
      metrics_->duration.Observe(static_cast<double>(clock_->MonotonicNs() - start_ns) / 1e9);
      metrics_->sent.Add(out.amount);
      metrics_->bytes.Add(request.body.size());
      const std::optional<Amount> written = v2 ? WrittenFrom(response) : std::nullopt;
      const bool stored = response.status / 100 == 2;
      // A receiver of 1.0 that looks at no header finds nothing it knows in the message, and says that all is well.
      if (v2 && (response.status == 415 || (stored && !written))) {
        FallBack(response);
        return false;
      }
      if (stored && (!written || *written == out.amount)) {
        NoteStored(out.newest_ms);
        return true;
      }
      if (stored || !MayRetry(response.status)) {
        NoteRefused(response, out.amount, written.value_or(Amount{}));
        return true;
      }
      NoteFailing(response);
      if (!queue_.Pause(std::max(backoff_ms, RetryAfterMs(response.retry_after)))) {
        metrics_->dropped_shutdown.Add(out.amount.samples + out.amount.histograms);
        return true;
      }
      metrics_->retried.Add(out.amount);
      backoff_ms = std::min(std::max<int64_t>(backoff_ms * 2, 1), config_.max_backoff_ms);
    }
  }

  void FallBack(const HttpClientResponse& response) {
    message_ = Message::kWriteRequest;
    LogWarn("remote write: the receiver does not take version 2.0, version 1.0 is sent from now on",
            {{"url", RedactedUrl(config_.url)},
             {"status", std::to_string(response.status)},
             {"error", response.body.substr(0, kErrorTextBytesMax)}});
  }

  // What is not written is lost. `written` is never more than what a sound receiver got.
  void NoteRefused(const HttpClientResponse& response, const Amount& sent, const Amount& written) {
    const Amount failed{sent.samples - std::min(sent.samples, written.samples),
                        sent.histograms - std::min(sent.histograms, written.histograms)};
    metrics_->failed.Add(failed);
    LogError("remote write: samples refused", {{"url", RedactedUrl(config_.url)},
                                               {"status", std::to_string(response.status)},
                                               {"samples", std::to_string(failed.samples)},
                                               {"histograms", std::to_string(failed.histograms)},
                                               {"error", response.body.substr(0, kErrorTextBytesMax)}});
  }

  // Once.
  void NoteHistogramsOff(uint64_t count) {
    if (count > 0 && !histograms_off_logged_) {
      histograms_off_logged_ = true;
      LogWarn("remote write: native histograms are not sent, send_native_histograms is false",
              {{"url", RedactedUrl(config_.url)}, {"histograms", std::to_string(count)}});
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
  Message message_;  // own thread, as the next
  WriteRequestBuilder builder_;
  RequestV2Builder builder_v2_;
  bool histograms_off_logged_ = false;
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
