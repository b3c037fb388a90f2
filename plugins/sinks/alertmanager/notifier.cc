#include <thread>

#include "core/base/log.h"
#include "core/base/send_queue.h"
#include "core/model/duration.h"
#include "core/model/json_text.h"
#include "plugins/sinks/alertmanager/alertmanager_sink.h"

namespace weir::alertmanager {
namespace {

using plugin::Alert;
using plugin::AlertBatch;
using plugin::SampleResults;

constexpr size_t kErrorTextBytesMax = 256;

void AppendJsonLabels(const Labels& labels, std::string* out) {
  out->push_back('{');
  bool first = true;
  for (const LabelView& label : labels) {
    if (!first) {
      out->push_back(',');
    }
    first = false;
    AppendJsonString(label.name, out);
    out->push_back(':');
    AppendJsonString(label.value, out);
  }
  out->push_back('}');
}

void AppendJsonAlert(const Alert& alert, const Labels& labels, std::string* out) {
  out->append("{\"labels\":");
  AppendJsonLabels(labels, out);
  out->append(",\"annotations\":");
  AppendJsonLabels(alert.annotations, out);
  out->append(",\"startsAt\":");
  AppendJsonString(FormatRfc3339(alert.starts_at_ms), out);
  out->append(",\"endsAt\":");
  AppendJsonString(FormatRfc3339(alert.ends_at_ms), out);
  out->append(",\"generatorURL\":");
  AppendJsonString(alert.generator_url, out);
  out->push_back('}');
}

struct Item {
  std::shared_ptr<const AlertBatch> batch;
  uint32_t index = 0;
};

// One Alertmanager: a queue, a thread, a connection.
class Peer {
 public:
  Peer(const AlertmanagerSinkConfig& config, std::string url, const Relabeler& relabeler, plugin::SinkHost& host)
      : config_(config),
        url_(std::move(url)),
        relabeler_(relabeler),
        clock_(host.clock()),
        labels_{{"alertmanager", RedactedUrl(url_)}},
        sent_(host.metrics().GetCounter("prometheus_notifications_sent_total", "Alerts sent.", labels_)),
        errors_(host.metrics().GetCounter("prometheus_notifications_errors_total", "Alerts in requests that failed.",
                                          labels_)),
        dropped_(host.metrics().GetCounter("prometheus_notifications_dropped_total",
                                           "Alerts dropped: the queue was full or a request failed.", labels_)),
        length_(host.metrics().GetGauge("prometheus_notifications_queue_length", "Alerts in the queue.", labels_)),
        latency_(host.metrics().GetHistogram("prometheus_notifications_latency_histogram_seconds",
                                             "Duration of requests.", {0.01, 0.1, 1, 10}, labels_)),
        queue_(config.queue_alerts_max),
        client_(config.http) {
    host.metrics()
        .GetGauge("prometheus_notifications_queue_capacity", "Alerts that the queue holds at most.", labels_)
        .Set(static_cast<double>(config.queue_alerts_max));
    thread_ = std::thread([this] { Run(); });
  }

  // REQUIRES: Stop() was called.
  ~Peer() = default;

  void Push(std::vector<Item> items) {
    const size_t dropped = queue_.Push(std::move(items));
    dropped_.Add(dropped);
    length_.Set(static_cast<double>(queue_.size()));
    if (dropped > 0 && !overflow_logged_) {  // once until there is room again, not for every part of a tick
      LogWarn("alertmanager: queue is full, oldest alerts are dropped",
              {{"alertmanager", RedactedUrl(url_)}, {"dropped", std::to_string(dropped)}});
    }
    overflow_logged_ = dropped > 0;
  }

  // RETURNS: whether all was sent, or tried, within `timeout_ms`.
  bool Close(int64_t timeout_ms) { return queue_.Close(timeout_ms); }

  void Stop() {
    dropped_.Add(queue_.Abort());
    client_.Cancel();
    thread_.join();
  }

 private:
  void Run() {
    std::vector<Item> items;
    while (queue_.Pop(config_.batch_alerts_max, &items)) {
      size_t alerts = 0;
      const std::string body = Encode(items, &alerts);
      if (alerts > 0) {
        Send(body, alerts);
      }
      length_.Set(static_cast<double>(queue_.size()));
    }
    queue_.Finish();
  }

  std::string Encode(const std::vector<Item>& items, size_t* alerts) const {
    std::string body = "[";
    for (const Item& item : items) {
      const Alert& alert = item.batch->alerts[item.index];
      const std::optional<Labels> labels = relabeler_.empty() ? alert.labels : relabeler_.Process(alert.labels);
      if (!labels || labels->empty()) {
        continue;
      }
      if (++*alerts > 1) {
        body.push_back(',');
      }
      AppendJsonAlert(alert, *labels, &body);
    }
    body.push_back(']');
    return body;
  }

  void Send(const std::string& body, size_t alerts) {
    HttpClientRequest request;
    request.url = url_;
    request.headers = config_.headers;
    request.headers.emplace_back("Content-Type", "application/json");
    request.timeout_ms = config_.timeout_ms;
    request.body = body;
    const int64_t start_ns = clock_.MonotonicNs();
    const HttpClientResponse response = client_.Do(request);
    latency_.Observe(static_cast<double>(clock_.MonotonicNs() - start_ns) / 1e9);
    sent_.Add(alerts);
    if (response.status / 100 == 2) {
      return;
    }
    errors_.Add(alerts);
    dropped_.Add(alerts);
    LogError("alertmanager: alerts were not taken",
             {{"alertmanager", RedactedUrl(url_)},
              {"alerts", std::to_string(alerts)},
              {"status", std::to_string(response.status)},
              {"error", response.error.empty() ? response.body.substr(0, kErrorTextBytesMax) : response.error}});
  }

  const AlertmanagerSinkConfig& config_;
  const std::string url_;
  const Relabeler& relabeler_;
  const Clock& clock_;
  const MetricLabels labels_;
  Counter& sent_;
  Counter& errors_;
  Counter& dropped_;
  Gauge& length_;
  HistogramMetric& latency_;
  SendQueue<Item> queue_;
  HttpClient client_;
  bool overflow_logged_ = false;  // the engine's thread
  std::thread thread_;
};

class AlertmanagerSender final : public plugin::Sink {
 public:
  explicit AlertmanagerSender(AlertmanagerSinkConfig config) : config_(std::move(config)) {}
  ~AlertmanagerSender() override { Drain(0); }

  Status Start(plugin::SinkHost& host) override {
    for (const std::string& url : config_.urls) {
      if (url.rfind("http://", 0) != 0 && url.rfind("https://", 0) != 0) {
        return InvalidError("alertmanager: url: want http:// or https://, got \"" + RedactedUrl(url) + "\"");
      }
    }
    if (config_.queue_alerts_max == 0 || config_.batch_alerts_max == 0) {
      return InvalidError("alertmanager: the queue and the batches must hold at least one alert");
    }
    WEIR_RETURN_IF_ERROR(HttpClientStatus());
    WEIR_ASSIGN_OR_RETURN(relabeler_, Relabeler::Create(config_.alert_relabel_configs));
    clock_ = &host.clock();
    discovered_ = &host.metrics().GetGauge("prometheus_notifications_alertmanagers_discovered",
                                           "Alertmanagers that alerts are sent to.", {{"config", config_.name}});
    discovered_->Set(static_cast<double>(config_.urls.size()));
    for (const std::string& url : config_.urls) {
      std::string base = url;
      while (!base.empty() && base.back() == '/') {
        base.pop_back();
      }
      peers_.push_back(std::make_unique<Peer>(config_, base + "/api/v2/alerts", relabeler_, host));
    }
    return Status();
  }

  bool TakesSamples() const override { return false; }
  void OnSamples(const std::shared_ptr<const SampleResults>&) override {}

  void OnAlerts(const std::shared_ptr<const AlertBatch>& alerts) override {
    if (alerts->alerts.empty()) {
      return;
    }
    for (const auto& peer : peers_) {
      std::vector<Item> items;
      items.reserve(alerts->alerts.size());
      for (uint32_t i = 0; i < alerts->alerts.size(); ++i) {
        items.push_back({alerts, i});
      }
      peer->Push(std::move(items));
    }
  }

  // All peers work at once; together they have `timeout_ms`.
  void Drain(int64_t timeout_ms) override {
    const int64_t start_ns = clock_ == nullptr ? 0 : clock_->MonotonicNs();
    for (const auto& peer : peers_) {
      const int64_t spent_ms = (clock_->MonotonicNs() - start_ns) / 1000000;
      peer->Close(std::max<int64_t>(0, timeout_ms - spent_ms));
    }
    for (const auto& peer : peers_) {
      peer->Stop();
    }
    peers_.clear();
    if (discovered_ != nullptr) {
      discovered_->Set(0);
      discovered_ = nullptr;
    }
  }

 private:
  const AlertmanagerSinkConfig config_;
  Relabeler relabeler_;
  const Clock* clock_ = nullptr;
  Gauge* discovered_ = nullptr;
  std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace

std::unique_ptr<plugin::Sink> MakeAlertmanagerSink(AlertmanagerSinkConfig config) {
  return std::make_unique<AlertmanagerSender>(std::move(config));
}

}  // namespace weir::alertmanager
