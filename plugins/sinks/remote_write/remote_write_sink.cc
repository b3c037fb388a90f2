// remote_write sink: recorded samples to a remote-write endpoint (Prometheus, Mimir, VictoriaMetrics, Thanos).

#include "plugins/sinks/remote_write/remote_write_sink.h"

#include "core/plugin/http_client_options.h"

namespace weir::plugin {
namespace {

constexpr OptionRow kOwnRows[] = {
    {.name = "url",
     .type = OptionType::kString,
     .help = "Where to write to, e.g. http://mimir:8080/api/v1/push.",
     .required = true},
    {.name = "name", .type = OptionType::kString, .help = "Name in metrics; the URL when empty."},
    {.name = "headers", .type = OptionType::kMap, .help = "Headers to add to every request."},
    {.name = "timeout", .type = OptionType::kDuration, .fallback = "30s", .help = "How long one request may take."},
    {.name = "protobuf_message",
     .type = OptionType::kEnum,
     .fallback = "prometheus.WriteRequest",
     .help =
         "The message that is sent: that of remote write 1.0 or of 2.0. A receiver that refuses 2.0 gets 1.0 instead.",
     .choices = "prometheus.WriteRequest|io.prometheus.write.v2.Request"},
    {.name = "send_native_histograms",
     .type = OptionType::kBool,
     .fallback = "true",
     .help = "Whether recorded native histograms are sent; otherwise only floats are."},
    {.name = "max_samples_per_send",
     .type = OptionType::kInt,
     .fallback = "2000",
     .help = "Samples of one request at most."},
    {.name = "queue_samples_max",
     .type = OptionType::kInt,
     .fallback = "500000",
     .help = "Samples that wait at most; beyond, the oldest are dropped."},
    {.name = "min_backoff",
     .type = OptionType::kDuration,
     .fallback = "30ms",
     .help = "First pause before a retry; doubles."},
    {.name = "max_backoff", .type = OptionType::kDuration, .fallback = "5s", .help = "Longest pause before a retry."},
};
constexpr auto kOptions = JoinRows(kOwnRows, kHttpClientRows);

std::unique_ptr<Sink> Make(const OptionValues& options) {
  remote_write::RemoteWriteSinkConfig config;
  config.url = options.String("url");
  config.name = options.String("name");
  const auto& headers = options.Map("headers");
  config.headers.assign(headers.begin(), headers.end());
  config.http = HttpClientOptionsFrom(options);
  config.timeout_ms = options.Int("timeout");
  config.message = options.String("protobuf_message") == remote_write::kRequestV2Name
                       ? remote_write::Message::kRequestV2
                       : remote_write::Message::kWriteRequest;
  config.send_native_histograms = options.Bool("send_native_histograms");
  config.max_samples_per_send = static_cast<uint64_t>(options.Int("max_samples_per_send"));
  config.queue_samples_max = static_cast<uint64_t>(options.Int("queue_samples_max"));
  config.min_backoff_ms = options.Int("min_backoff");
  config.max_backoff_ms = options.Int("max_backoff");
  return MakeRemoteWriteSink(std::move(config));
}

Status Validate(const OptionValues& options) {
  WEIR_RETURN_IF_ERROR(CheckAtLeast(options, {{"max_samples_per_send", 1}, {"queue_samples_max", 1}}));
  return CheckHttpClientOptions(options);
}

}  // namespace

extern const Plugin remote_write_sink;
const Plugin remote_write_sink = {
    .kind = PluginKind::kSink,
    .name = "remote_write",
    .help = "Writes recorded samples to a Prometheus remote-write endpoint, version 1.0 or 2.0.",
    .options = kOptions,
    .make_sink = Make,
    .validate = Validate,
};

}  // namespace weir::plugin
