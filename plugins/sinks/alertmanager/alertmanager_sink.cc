// alertmanager sink: alerts to one or more Alertmanagers, API v2.

#include "plugins/sinks/alertmanager/alertmanager_sink.h"

#include "core/plugin/http_client_options.h"

namespace weir::plugin {
namespace {

constexpr OptionRow kOwnRows[] = {
    {.name = "urls",
     .type = OptionType::kStringList,
     .help = "Each Alertmanager, e.g. http://127.0.0.1:9093; a path prefix may follow.",
     .required = true},
    {.name = "name", .type = OptionType::kString, .fallback = "alertmanager", .help = "Name in metrics."},
    {.name = "headers", .type = OptionType::kMap, .help = "Headers to add to every request."},
    {.name = "timeout", .type = OptionType::kDuration, .fallback = "10s", .help = "How long one request may take."},
    {.name = "queue_alerts_max",
     .type = OptionType::kInt,
     .fallback = "10000",
     .help = "Alerts that wait at most for each Alertmanager; beyond, the oldest are dropped."},
    {.name = "batch_alerts_max", .type = OptionType::kInt, .fallback = "256", .help = "Alerts of one request at most."},
};
constexpr auto kOptions = JoinRows(kOwnRows, kHttpClientRows);

std::unique_ptr<Sink> Make(const OptionValues& options) {
  alertmanager::AlertmanagerSinkConfig config;
  config.name = options.String("name");
  config.urls = options.List("urls");
  const auto& headers = options.Map("headers");
  config.headers.assign(headers.begin(), headers.end());
  config.http = HttpClientOptionsFrom(options);
  config.timeout_ms = options.Int("timeout");
  config.queue_alerts_max = static_cast<uint64_t>(options.Int("queue_alerts_max"));
  config.batch_alerts_max = static_cast<uint64_t>(options.Int("batch_alerts_max"));
  return MakeAlertmanagerSink(std::move(config));
}

Status Validate(const OptionValues& options) {
  WEIR_RETURN_IF_ERROR(CheckAtLeast(options, {{"queue_alerts_max", 1}, {"batch_alerts_max", 1}}));
  return CheckHttpClientOptions(options);
}

}  // namespace

extern const Plugin alertmanager_sink;
const Plugin alertmanager_sink = {
    .kind = PluginKind::kSink,
    .name = "alertmanager",
    .help = "Sends alerts to Alertmanagers.",
    .options = kOptions,
    .make_sink = Make,
    .validate = Validate,
};

}  // namespace weir::plugin
