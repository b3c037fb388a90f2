#pragma once
// Remote write 1.0 or 2.0 of recorded samples to one endpoint, made from a `remote_write` section of prometheus.yml or from the
// sink's own options. A receiver that does not take 2.0 gets 1.0 from then on. One thread, so that the samples of a series stay in order; a bounded queue that drops its oldest samples;
// retries with growing pauses for what may succeed later.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/http_client.h"
#include "core/model/relabel.h"
#include "core/plugin/plugin.h"
#include "plugins/codecs/remote_write/write_request.h"

namespace weir::remote_write {

struct RemoteWriteSinkConfig {
  std::string name;  // label remote_name of the metrics; "" is the URL's host part
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  HttpClientOptions http;
  int64_t timeout_ms = 30000;
  std::vector<RelabelConfig> write_relabel_configs;  // after external labels were added
  Message message = Message::kWriteRequest;
  bool send_native_histograms = true;
  uint64_t max_samples_per_send = 2000;
  uint64_t queue_samples_max = 500000;
  int64_t min_backoff_ms = 30;
  int64_t max_backoff_ms = 5000;
};

// The sink's Start() gives kInvalid for a URL, header or relabel rule that cannot work.
std::unique_ptr<plugin::Sink> MakeRemoteWriteSink(RemoteWriteSinkConfig config);

}  // namespace weir::remote_write
