#pragma once
// weir.yml: a superset of prometheus.yml. What weir applies is parsed into Config with every default filled in; keys
// of Prometheus that do not apply are accepted and listed; any other key is an error with its place and the nearest
// known key. Every option is a row (core/plugin/options.h) from which checks and docs/CONFIGURATION.md are made.
// Secrets are read here (`*_file`, `${ENV}`) and never printed: `redacted_yaml` is what may be shown. Called when
// weir starts or reloads.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/http_client.h"
#include "core/config/rule_file.h"
#include "core/model/labels.h"
#include "core/model/relabel.h"
#include "core/plugin/plugin.h"
#include "core/promql/parser.h"

namespace weir::config {

// How to talk to a peer: basic_auth, authorization, bearer_token, tls_config of Prometheus, secrets filled in.
struct HttpAccess {
  HttpClientOptions client;
  std::vector<std::pair<std::string, std::string>> headers;  // `authorization` of a type other than Bearer
};

struct Alertmanager {
  std::string url;  // http://host:9093/prefix/api/v2/alerts
  int64_t timeout_ms = 10000;
  HttpAccess access;
  Relabeler alert_relabel;  // of this Alertmanager's configuration, after Alerting::relabel
};

struct Alerting {
  Relabeler relabel;
  std::vector<Alertmanager> alertmanagers;  // one for every static target that relabelling kept
};

struct RemoteWrite {
  std::string url;
  std::string name;  // "" when not given
  int64_t timeout_ms = 30000;
  std::vector<std::pair<std::string, std::string>> headers;
  HttpAccess access;
  Relabeler relabel;
  std::string protobuf_message = "prometheus.WriteRequest";
  bool send_native_histograms = false;
  // queue_config
  int64_t capacity = 10000;  // UNITS: samples held
  int64_t samples_per_send = 2000;
  int64_t send_deadline_ms = 5000;
  int64_t min_backoff_ms = 30;
  int64_t max_backoff_ms = 5000;
  bool retry_on_429 = false;
  int64_t sample_age_max_ms = 0;  // 0: samples are sent however old
  std::string where;              // file:line:col, for messages
};

enum class Phase : unsigned char { kAligned, kPrometheus };

struct Evaluation {
  Phase phase = Phase::kAligned;
  std::optional<int64_t> lateness_ms;  // unset: adaptive
  std::string
      rule_file_prefix;  // directory whose files are hashed in place of the loaded ones; "" = the paths as loaded
  int64_t lookback_ms = 300000;
  int64_t resend_delay_ms = 60000;
};

struct Limits {
  int64_t series = 2000000;
  std::optional<int64_t> memory_bytes;  // 0: no limit; unset: by the container's
  int64_t rule_memory_bytes = 0;        // 0: no limit
  int64_t body_bytes = 32LL << 20;
  int64_t series_labels = 128;
  int64_t label_name_bytes = 1024;
  int64_t label_value_bytes = 65536;
  int64_t queue_batches = 1024;
  int64_t future_ms = 600000;  // a sample this far ahead of the clock is refused
};

// One entry of `sources:` or `sinks:`, its options checked against the plug-in's rows.
struct PluginInstance {
  const plugin::Plugin* plugin = nullptr;
  plugin::OptionValues options;
  int64_t series_max = 0;  // of a source: series it may bring; 0: any number
};

// Settings by group, alert or recorded series, outside the rule files so that those stay valid for other tools.
struct Override {
  std::string group;  // exactly one of group, alert and record is set
  std::string alert;
  std::string record;
  std::string mode;                     // "", "interval" or "eager"
  std::string precision;                // "", "exact" or "bounded"
  double max_error = 0;                 // of "bounded"
  std::string no_data;                  // "" or a policy
  std::optional<int64_t> importance;    // what has less gives way first when memory is short
  std::optional<int64_t> memory_bytes;  // that the state of one rule may take; 0: any
  std::string where;
};

struct NotApplied {
  std::string key;    // "storage", "remote_write.sigv4"
  std::string where;  // file:line:col of its first use
};

struct Config {
  std::string path;
  // global
  int64_t scrape_interval_ms = 60000;
  int64_t evaluation_interval_ms = 60000;
  int64_t rule_query_offset_ms = 0;
  Labels external_labels;
  // rule_files, resolved against the directory of the file
  std::vector<std::string> rule_patterns;
  Alerting alerting;
  std::vector<RemoteWrite> remote_write;
  // weir's own keys
  std::string listen = "127.0.0.1:9797";
  std::string external_url;  // never ends in '/'
  int64_t shards = 1;
  Evaluation evaluation;
  std::vector<std::string> features;  // Prometheus's feature-flag names
  promql::ParserOptions parser;       // what the features mean to the parser
  bool delayed_name_removal = false;
  bool use_start_timestamps = false;
  bool type_and_unit_labels = false;
  std::vector<PluginInstance> sources;  // without the key: the remote_write receiver
  std::vector<PluginInstance> sinks;
  std::string state_dir;  // resolved; "" = nothing is kept on disk
  int64_t tape_after_ms = 3600000;
  Limits limits;
  std::vector<Override> overrides;

  std::vector<NotApplied> not_applied;  // sorted by key, each once
  std::vector<std::string> warnings;    // an empty environment variable, …
  std::string redacted_yaml;            // as loaded, secrets as <secret>
};

struct ConfigOutcome {
  Config config;                    // complete only when errors is empty
  std::vector<std::string> errors;  // `file:line:col: what is wrong, what was found, what is near`
  bool ok() const { return errors.empty(); }
};

// RETURNS: the value of an environment variable, nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment ProcessEnvironment();

// `plugins` are those of the build (plugin::Plugins()); sources and sinks are looked up there.
ConfigOutcome LoadConfig(const std::string& path, std::span<const plugin::Plugin* const> plugins,
                         const Environment& environment = ProcessEnvironment());
// `features`: on besides those that the file names (--enable-feature).
ConfigOutcome ParseConfig(const std::string& path, std::string_view text,
                          std::span<const plugin::Plugin* const> plugins,
                          const Environment& environment = ProcessEnvironment(),
                          const std::vector<std::string>& features = {});

// All rule files of a configuration, patterns expanded, sorted as Prometheus loads them, each file once.
struct RuleFilesOutcome {
  std::vector<RuleFile> files;
  std::vector<std::string> errors;
  std::vector<std::string> warnings;  // patterns that match no file
  bool ok() const { return errors.empty(); }
};
RuleFilesOutcome LoadRuleFiles(const Config& config);

// RETURNS: docs/CONFIGURATION.md, from the option rows of weir and of `plugins`.
std::string GenerateConfigurationMarkdown(std::span<const plugin::Plugin* const> plugins);

}  // namespace weir::config
