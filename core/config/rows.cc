#include "core/config/rows.h"

namespace weir::config {
namespace {

using plugin::OptionRow;
using enum plugin::OptionType;

constexpr OptionRow kTopRows[] = {
    {.name = "rule_files",
     .type = kStringList,
     .help = "Rule files: paths, or patterns with `*` in the last part; relative ones start at this file's directory."},
    {.name = "listen",
     .type = kString,
     .fallback = "127.0.0.1:9797",
     .help = "Address of the HTTP server: remote write, API, metrics."},
    {.name = "external_url",
     .type = kString,
     .help = "URL under which people reach weir, for links in alerts; without it `http://` and the listen address."},
    {.name = "shards",
     .type = kInt,
     .fallback = "1",
     .help = "Threads that own series, take in samples and share the work of ticks: at most one a core, fewer where "
             "others need "
             "cores. Results do not depend on it."},
    {.name = "features", .type = kStringList, .help = "Prometheus feature flags to turn on, by their names there."},
};
constexpr NestedRow kTopNested[] = {
    {"global", "defaults and external labels"},
    {"alerting", "where alerts go: Alertmanagers, and relabelling of alerts"},
    {"remote_write", "list: where recorded series go"},
    {"evaluation", "when ticks run"},
    {"sources", "list of `name: options`, where samples come from; without the key: `remote_write: {}`"},
    {"sinks", "list of `name: options`, where results go beside `remote_write` and `alerting`"},
    {"state", "what is kept on disk"},
    {"limits", "bounds of what is taken in"},
    {"overrides", "list of settings by group or alert"},
};
constexpr std::string_view kTopNotApplied[] = {
    "runtime", "scrape_config_files", "scrape_configs", "storage", "tracing", "remote_read", "otlp"};

constexpr OptionRow kGlobalRows[] = {
    {.name = "scrape_interval",
     .type = kDuration,
     .fallback = "1m",
     .help = "Read for checks; weir takes samples as they arrive."},
    {.name = "evaluation_interval",
     .type = kDuration,
     .fallback = "1m",
     .help = "Time between the ticks of groups that set no interval, and the step of subqueries that set none."},
    {.name = "rule_query_offset",
     .type = kDuration,
     .fallback = "0s",
     .help = "How far ticks look back; groups may set their own query_offset."},
};
constexpr NestedRow kGlobalNested[] = {
    {"external_labels",
     "map of labels added to what leaves weir, where they are missing; `${NAME}` takes an environment variable"},
};
constexpr std::string_view kGlobalNotApplied[] = {"scrape_timeout",
                                                  "scrape_protocols",
                                                  "query_log_file",
                                                  "scrape_failure_log_file",
                                                  "body_size_limit",
                                                  "sample_limit",
                                                  "label_limit",
                                                  "label_name_length_limit",
                                                  "label_value_length_limit",
                                                  "target_limit",
                                                  "keep_dropped_targets",
                                                  "metric_name_validation_scheme",
                                                  "metric_name_escaping_scheme",
                                                  "convert_classic_histograms_to_nhcb",
                                                  "always_scrape_classic_histograms",
                                                  "scrape_native_histograms",
                                                  "extra_scrape_metrics"};

constexpr NestedRow kAlertingNested[] = {
    {"alert_relabel_configs", "list of relabel rules for every alert, after external labels"},
    {"alertmanagers", "list: Alertmanagers, each target with its own queue"},
};

// Of every peer that is reached by HTTP.
constexpr OptionRow kBearerToken = {
    .name = "bearer_token", .type = kSecret, .help = "Sent as `Authorization: Bearer`."};
constexpr OptionRow kBearerTokenFile = {
    .name = "bearer_token_file", .type = kString, .help = "File that holds the bearer token."};
constexpr NestedRow kBasicAuth = {"basic_auth", "user and password"};
constexpr NestedRow kAuthorization = {"authorization", "value of the Authorization header"};
constexpr NestedRow kTls = {"tls_config", "certificates"};

constexpr OptionRow kAlertmanagerRows[] = {
    {.name = "scheme", .type = kEnum, .fallback = "http", .help = "Protocol.", .choices = "http|https"},
    {.name = "path_prefix", .type = kString, .help = "Put in front of `/api/v2/alerts`."},
    {.name = "timeout", .type = kDuration, .fallback = "10s", .help = "Longest wait for an answer."},
    {.name = "api_version", .type = kEnum, .fallback = "v2", .help = "Version of the API.", .choices = "v2"},
    kBearerToken,
    kBearerTokenFile,
};
constexpr NestedRow kAlertmanagerNested[] = {
    {"static_configs", "list of targets"},
    {"relabel_configs", "list of relabel rules for the targets"},
    {"alert_relabel_configs", "list of relabel rules for the alerts that go to these targets"},
    kBasicAuth,
    kAuthorization,
    kTls,
};
constexpr std::string_view kAlertmanagerNotApplied[] = {"oauth2",
                                                        "proxy_url",
                                                        "no_proxy",
                                                        "proxy_from_environment",
                                                        "proxy_connect_header",
                                                        "follow_redirects",
                                                        "enable_http2",
                                                        "http_headers",
                                                        "sigv4",
                                                        "azure_sd_configs",
                                                        "consul_sd_configs",
                                                        "digitalocean_sd_configs",
                                                        "docker_sd_configs",
                                                        "dockerswarm_sd_configs",
                                                        "dns_sd_configs",
                                                        "ec2_sd_configs",
                                                        "eureka_sd_configs",
                                                        "file_sd_configs",
                                                        "gce_sd_configs",
                                                        "hetzner_sd_configs",
                                                        "http_sd_configs",
                                                        "ionos_sd_configs",
                                                        "kubernetes_sd_configs",
                                                        "kuma_sd_configs",
                                                        "lightsail_sd_configs",
                                                        "linode_sd_configs",
                                                        "marathon_sd_configs",
                                                        "nerve_sd_configs",
                                                        "nomad_sd_configs",
                                                        "openstack_sd_configs",
                                                        "ovhcloud_sd_configs",
                                                        "puppetdb_sd_configs",
                                                        "scaleway_sd_configs",
                                                        "serverset_sd_configs",
                                                        "stackit_sd_configs",
                                                        "triton_sd_configs",
                                                        "uyuni_sd_configs",
                                                        "vultr_sd_configs",
                                                        "aws_sd_configs",
                                                        "outscale_sd_configs"};

constexpr OptionRow kStaticConfigRows[] = {
    {.name = "targets", .type = kStringList, .help = "Addresses, `host:port`."},
};
constexpr NestedRow kStaticConfigNested[] = {{"labels", "map of labels of the targets, for relabel_configs"}};

constexpr OptionRow kRemoteWriteRows[] = {
    {.name = "url", .type = kString, .help = "Where to send.", .required = true},
    {.name = "name", .type = kString, .help = "Name in metrics and logs; names differ."},
    {.name = "remote_timeout", .type = kDuration, .fallback = "30s", .help = "Longest wait for an answer."},
    {.name = "headers", .type = kMap, .help = "Headers added to every request."},
    kBearerToken,
    kBearerTokenFile,
    {.name = "protobuf_message",
     .type = kEnum,
     .fallback = "prometheus.WriteRequest",
     .help = "The message that is sent: that of remote write 1.0 or of 2.0.",
     .choices = "prometheus.WriteRequest|io.prometheus.write.v2.Request"},
    {.name = "send_native_histograms",
     .type = kBool,
     .fallback = "false",
     .help = "Whether recorded native histograms are sent; otherwise only floats are."},
};
constexpr NestedRow kRemoteWriteNested[] = {
    {"write_relabel_configs", "list of relabel rules for the samples"},
    {"queue_config", "the queue in front of the network"},
    kBasicAuth,
    kAuthorization,
    kTls,
};
constexpr std::string_view kRemoteWriteNotApplied[] = {"send_exemplars",
                                                       "round_robin_dns",
                                                       "metadata_config",
                                                       "oauth2",
                                                       "sigv4",
                                                       "azuread",
                                                       "google_iam",
                                                       "proxy_url",
                                                       "no_proxy",
                                                       "proxy_from_environment",
                                                       "proxy_connect_header",
                                                       "follow_redirects",
                                                       "enable_http2",
                                                       "http_headers"};

constexpr OptionRow kQueueRows[] = {
    {.name = "capacity",
     .type = kInt,
     .fallback = "10000",
     .help = "Samples held; the oldest go first when it is full."},
    {.name = "max_samples_per_send", .type = kInt, .fallback = "2000", .help = "Samples in one request."},
    {.name = "batch_send_deadline",
     .type = kDuration,
     .fallback = "5s",
     .help = "Longest time a sample waits for a full request."},
    {.name = "min_backoff", .type = kDuration, .fallback = "30ms", .help = "First wait after a failed request."},
    {.name = "max_backoff", .type = kDuration, .fallback = "5s", .help = "Longest wait between attempts."},
    {.name = "retry_on_http_429",
     .type = kBool,
     .fallback = "false",
     .help = "Whether 429 means try again; otherwise the samples are dropped."},
    {.name = "sample_age_limit",
     .type = kDuration,
     .fallback = "0s",
     .help = "Older samples are not sent; 0s sends all."},
};
constexpr std::string_view kQueueNotApplied[] = {"max_shards", "min_shards"};

constexpr OptionRow kRelabelRows[] = {
    {.name = "source_labels", .type = kStringList, .help = "Labels whose values are joined."},
    {.name = "separator", .type = kString, .fallback = ";", .help = "Stands between joined values."},
    {.name = "target_label", .type = kString, .help = "Label that is written."},
    {.name = "regex", .type = kString, .fallback = "(.*)", .help = "RE2 expression, anchored at both ends."},
    {.name = "modulus", .type = kInt, .fallback = "0", .help = "Modulus of hashmod."},
    {.name = "replacement",
     .type = kString,
     .fallback = "$1",
     .help = "New value; `$1` and `${name}` are groups of the regex."},
    {.name = "action",
     .type = kString,
     .fallback = "replace",
     .help =
         "replace, keep, drop, hashmod, labelmap, labeldrop, labelkeep, lowercase, uppercase, keepequal or dropequal."},
};

constexpr OptionRow kBasicAuthRows[] = {
    {.name = "username", .type = kString, .help = "User."},
    {.name = "username_file", .type = kString, .help = "File that holds the user."},
    {.name = "password", .type = kSecret, .help = "Password; `${NAME}` takes an environment variable."},
    {.name = "password_file", .type = kString, .help = "File that holds the password."},
};
constexpr std::string_view kReferences[] = {"username_ref", "password_ref"};

constexpr OptionRow kAuthorizationRows[] = {
    {.name = "type", .type = kString, .fallback = "Bearer", .help = "First word of the header."},
    {.name = "credentials",
     .type = kSecret,
     .help = "The rest of the header; `${NAME}` takes an environment variable."},
    {.name = "credentials_file", .type = kString, .help = "File that holds the rest of the header."},
};
constexpr std::string_view kCredentialsReference[] = {"credentials_ref"};

constexpr OptionRow kTlsRows[] = {
    {.name = "ca_file", .type = kString, .help = "Certificates (PEM) to trust in place of the system's."},
    {.name = "cert_file", .type = kString, .help = "Client certificate (PEM)."},
    {.name = "key_file", .type = kString, .help = "Key of the client certificate (PEM)."},
    {.name = "server_name", .type = kString, .help = "Name that the peer's certificate must carry."},
    {.name = "insecure_skip_verify", .type = kBool, .fallback = "false", .help = "Take any certificate."},
};
constexpr std::string_view kTlsNotApplied[] = {"ca",       "cert",    "key",         "ca_ref",
                                               "cert_ref", "key_ref", "min_version", "max_version"};

constexpr OptionRow kEvaluationRows[] = {
    {.name = "phase",
     .type = kEnum,
     .fallback = "aligned",
     .help = "When ticks fall: at multiples of the interval, or in the slots in which Prometheus would run the group.",
     .choices = "aligned|prometheus"},
    {.name = "lateness",
     .type = kString,
     .fallback = "auto",
     .help = "How long a tick waits for slow sources: a duration, or `auto` to follow them."},
    {.name = "rule_file_prefix",
     .type = kString,
     .help = "Directory that stands for this file's in the paths that Prometheus's slots are computed from."},
    {.name = "lookback",
     .type = kDuration,
     .fallback = "5m",
     .help = "How long a sample is current (Prometheus: --query.lookback-delta)."},
    {.name = "resend_delay",
     .type = kDuration,
     .fallback = "1m",
     .help = "Least time between two sendings of an alert (Prometheus: --rules.alert.resend-delay)."},
};

constexpr OptionRow kStateRows[] = {
    {.name = "dir",
     .type = kString,
     .help =
         "Directory for working files, made if it is not there and used by one process alone; relative ones start at "
         "this file's directory. With it long windows keep their rows in files instead of memory."},
    {.name = "tape_after",
     .type = kDuration,
     .fallback = "1h",
     .help = "With `dir`: windows that reach back further than this are kept in files, where their function allows it "
             "(`weir explain` tells)."},
};

constexpr OptionRow kLimitsRows[] = {
    {.name = "series",
     .type = kInt,
     .fallback = "2000000",
     .help = "Series known at a time; samples of further ones are refused."},
    {.name = "memory",
     .type = kString,
     .fallback = "auto",
     .help =
         "Resident memory of the process, a size; 0: no limit; `auto`: nine tenths of the container's (cgroup) limit, "
         "none where "
         "that has none. From 90 % of it on samples of new series are refused, from 92 % on the least important groups "
         "are "
         "evaluated less often, from 95 % on the least important rules stop; all come back when there is room."},
    {.name = "rule_memory",
     .type = kSize,
     .fallback = "0",
     .help = "What the state of one rule may take, unless an override says otherwise; a rule that takes more is "
             "stopped; 0: any."},
    {.name = "body_bytes", .type = kSize, .fallback = "32MiB", .help = "Largest request body."},
    {.name = "series_labels",
     .type = kInt,
     .fallback = "128",
     .help = "Labels of one series; series with more are refused."},
    {.name = "label_name_bytes", .type = kSize, .fallback = "1KiB", .help = "Longest label name."},
    {.name = "label_value_bytes", .type = kSize, .fallback = "64KiB", .help = "Longest label value."},
    {.name = "queue_batches",
     .type = kInt,
     .fallback = "1024",
     .help = "Batches that wait for the engine; senders are asked to come back when it is full."},
    {.name = "future",
     .type = kDuration,
     .fallback = "10m",
     .help = "Samples that are further ahead of the clock are refused."},
};

constexpr OptionRow kOverrideRows[] = {
    {.name = "group", .type = kString, .help = "The group it is for; give one of this, `alert` and `record`."},
    {.name = "alert", .type = kString, .help = "The alert it is for."},
    {.name = "record", .type = kString, .help = "The recorded series it is for."},
    {.name = "importance",
     .type = kInt,
     .help = "0 to 1000: when memory is short, rules with less give way first. Without it 100 for alerts and 50 for "
             "recording "
             "rules; a recording rule counts at least as much as the rules that read it."},
    {.name = "memory",
     .type = kSize,
     .help = "What the state of the rule may take (each rule of a group by itself): its windows, whoever else reads "
             "them, what it "
             "computes from them, its results. Beyond, the rule is stopped, and tried again from time to time. 0: "
             "any."},
    {.name = "mode",
     .type = kEnum,
     .help = "Evaluate alerts at ticks alone, or also as soon as a sample arrives that can make them fire: the next "
             "tick confirms "
             "or withdraws. An eager alert keeps every sample of its windows; `weir explain` tells what that costs and "
             "what "
             "crosses. An override for an alert wins over one for its group.",
     .choices = "interval|eager"},
    {.name = "precision",
     .type = kEnum,
     .help = "Exact results, or a bounded error in less memory for windows of rate(), increase() and count_over_time() "
             "that "
             "reach back more than an hour, with and without `state.dir`; other windows stay exact. `weir explain` and "
             "`/api/v1/rules` tell which windows are bounded. An override for an alert wins over one for its group.",
     .choices = "exact|bounded"},
    {.name = "max_error",
     .type = kFloat,
     .fallback = "0.0078125",
     .help = "With `precision: bounded`: how far such a window may be off at most, as a share of what is exact; from "
             "0.0001 to "
             "0.25. A ratio of two such windows may be off by about twice that."},
    {.name = "no_data",
     .type = kEnum,
     .help = "What absent series mean. Checked; has no effect yet.",
     .choices = "prometheus|keep|alert"},
};

constexpr OptionRow kSourceRows[] = {
    {.name = "max_series",
     .type = kInt,
     .fallback = "0",
     .help = "Series that this source may bring. Beyond, its new series are refused; 0: any number, within "
             "`limits.series`."},
};

constexpr FeatureRow kFeatures[] = {
    {"promql-experimental-functions", true, "experimental functions and aggregations parse"},
    {"promql-extended-range-selectors", true, "`anchored` and `smoothed` parse"},
    {"promql-binop-fill-modifiers", true, "`fill`, `fill_left` and `fill_right` parse"},
    {"promql-duration-expr", true, "always on"},
    {"promql-delayed-name-removal", true, "metric names are dropped at the end of an expression"},
    {"use-start-timestamps", true, "rates use start timestamps"},
    {"concurrent-rule-eval", false, "results do not depend on it"},
    {"type-and-unit-labels", true, "series of remote write 2.0 get the labels `__type__` and `__unit__`"},
    {"auto-gomaxprocs", false, ""},
    {"auto-gomemlimit", false, ""},
    {"auto-reload-config", false, ""},
    {"agent", false, ""},
    {"created-timestamp-zero-ingestion", false, ""},
    {"delayed-compaction", false, ""},
    {"exemplar-storage", false, ""},
    {"expand-external-labels", false, "always on"},
    {"extra-scrape-metrics", false, ""},
    {"fast-startup", false, ""},
    {"memory-snapshot-on-shutdown", false, ""},
    {"metadata-wal-records", false, ""},
    {"native-histograms", false, ""},
    {"old-ui", false, ""},
    {"otlp-deltatocumulative", false, ""},
    {"otlp-native-delta-ingestion", false, ""},
    {"otlp-write-receiver", false, ""},
    {"promql-at-modifier", false, "always on"},
    {"promql-negative-offset", false, "always on"},
    {"promql-per-step-stats", false, ""},
    {"remote-write-receiver", false, "always on"},
    {"st-storage", false, ""},
    {"st-synthesis", false, ""},
    {"utf8-names", false, "always on"},
    {"xor2-encoding", false, ""},
};

}  // namespace

constexpr Section kTopSection = {"weir.yml", "The top level of the file.", kTopRows, kTopNested, kTopNotApplied};
constexpr Section kGlobalSection = {"global", "As in Prometheus.", kGlobalRows, kGlobalNested, kGlobalNotApplied};
constexpr Section kAlertingSection = {"alerting", "As in Prometheus.", {}, kAlertingNested, {}};
constexpr Section kAlertmanagerSection = {
    "alerting.alertmanagers",
    "Alerts are posted to every target, as Prometheus does. Targets are static; service discovery is not applied.",
    kAlertmanagerRows, kAlertmanagerNested, kAlertmanagerNotApplied};
constexpr Section kStaticConfigSection = {
    "static_configs", "Targets of an Alertmanager configuration.", kStaticConfigRows, kStaticConfigNested, {}};
constexpr Section kRemoteWriteSection = {"remote_write",
                                         "Recorded series and ALERTS go out by remote write 1.0 or 2.0.",
                                         kRemoteWriteRows, kRemoteWriteNested, kRemoteWriteNotApplied};
constexpr Section kQueueSection = {"queue_config", "Of a remote_write.", kQueueRows, {}, kQueueNotApplied};
constexpr Section kRelabelSection = {
    "relabel rule", "Of alert_relabel_configs, relabel_configs and write_relabel_configs.", kRelabelRows, {}, {}};
constexpr Section kBasicAuthSection = {"basic_auth", "User and password for a peer.", kBasicAuthRows, {}, kReferences};
constexpr Section kAuthorizationSection = {
    "authorization", "The Authorization header for a peer.", kAuthorizationRows, {}, kCredentialsReference};
constexpr Section kTlsSection = {"tls_config", "TLS to a peer.", kTlsRows, {}, kTlsNotApplied};
constexpr Section kEvaluationSection = {"evaluation", "When groups are evaluated.", kEvaluationRows, {}, {}};
constexpr Section kStateSection = {"state", "What is kept on disk.", kStateRows, {}, {}};
constexpr Section kLimitsSection = {
    "limits", "Reaching one refuses the sample or asks its sender to wait, and is counted.", kLimitsRows, {}, {}};
constexpr Section kOverrideSection = {
    "overrides", "Settings by group or alert; rule files stay as Prometheus has them.", kOverrideRows, {}, {}};

std::span<const plugin::OptionRow> SourceRows() { return kSourceRows; }

std::span<const Section* const> Sections() {
  static constexpr const Section* kAll[] = {
      &kTopSection,      &kGlobalSection,   &kEvaluationSection,   &kLimitsSection,        &kStateSection,
      &kOverrideSection, &kAlertingSection, &kAlertmanagerSection, &kStaticConfigSection,  &kRemoteWriteSection,
      &kQueueSection,    &kRelabelSection,  &kBasicAuthSection,    &kAuthorizationSection, &kTlsSection};
  return kAll;
}

std::span<const FeatureRow> Features() { return kFeatures; }

}  // namespace weir::config
