#pragma once
// Alerts to Alertmanagers (API v2), made from an `alertmanagers` entry of prometheus.yml or from the sink's own options. Every
// Alertmanager has its own queue and thread, so that a dead one delays nobody. As in Prometheus a failed request is not
// repeated: firing alerts are sent again by the rules themselves.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/http_client.h"
#include "core/model/relabel.h"
#include "core/plugin/plugin.h"

namespace weir::alertmanager {

struct AlertmanagerSinkConfig {
  std::string name;               // label of prometheus_notifications_alertmanagers_discovered
  std::vector<std::string> urls;  // of each Alertmanager, with its path prefix: "http://127.0.0.1:9093"
  std::vector<std::pair<std::string, std::string>> headers;
  HttpClientOptions http;
  int64_t timeout_ms = 10000;
  std::vector<RelabelConfig> alert_relabel_configs;  // of this entry; the global ones were applied before
  uint64_t queue_alerts_max = 10000;
  uint64_t batch_alerts_max = 256;
};

// The sink's Start() gives kInvalid for a URL or relabel rule that cannot work.
std::unique_ptr<plugin::Sink> MakeAlertmanagerSink(AlertmanagerSinkConfig config);

}  // namespace weir::alertmanager
