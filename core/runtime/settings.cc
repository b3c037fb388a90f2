#include "core/runtime/settings.h"

#include "core/base/files.h"
#include "core/base/process_memory.h"
#include "core/config/config.h"
#include "core/runtime/overrides.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

namespace weir::runtime {
namespace {

// Builds the options of a plug-in that weir.yml configures by a key of Prometheus's, through the plug-in's own rows.
class Options {
 public:
  explicit Options(std::string where) : where_(std::move(where)) {}

  void Set(std::string name, std::string value) {
    if (!value.empty()) {
      plugin::RawOption option{std::move(name), where_, std::move(value), {}, {}, plugin::RawOption::Shape::kScalar};
      raw_.push_back(std::move(option));
    }
  }
  void SetMs(std::string name, int64_t ms) { Set(std::move(name), std::to_string(ms) + "ms"); }
  void SetList(std::string name, std::vector<std::string> values) {
    plugin::RawOption option{std::move(name), where_, {}, std::move(values), {}, plugin::RawOption::Shape::kList};
    raw_.push_back(std::move(option));
  }
  void SetMap(std::string name, const std::vector<std::pair<std::string, std::string>>& values) {
    if (!values.empty()) {
      plugin::RawOption option{std::move(name), where_, {}, {}, {}, plugin::RawOption::Shape::kMap};
      option.map.insert(values.begin(), values.end());
      raw_.push_back(std::move(option));
    }
  }
  void SetAccess(const config::HttpAccess& access, std::vector<std::pair<std::string, std::string>> headers) {
    Set("basic_user", access.client.basic_user);
    Set("basic_password", access.client.basic_password);
    Set("bearer_token", access.client.bearer_token);
    Set("ca_file", access.client.ca_file);
    Set("cert_file", access.client.cert_file);
    Set("key_file", access.client.key_file);
    Set("server_name", access.client.server_name);
    if (access.client.insecure_skip_verify) {
      Set("insecure_skip_verify", "true");
    }
    headers.insert(headers.end(), access.headers.begin(), access.headers.end());
    SetMap("headers", headers);
  }
  Result<plugin::OptionValues> Parse(const plugin::Plugin& plugin) const {
    return plugin::ParseOptions(plugin.options, "sink " + std::string(plugin.name), where_, raw_);
  }

 private:
  std::string where_;
  std::vector<plugin::RawOption> raw_;
};

Result<const plugin::Plugin*> NeedSink(std::string_view name, const std::string& where) {
  const plugin::Plugin* plugin = plugin::FindPlugin(plugin::PluginKind::kSink, name);
  if (plugin == nullptr) {
    return InvalidError(where + ": this build of weir has no sink \"" + std::string(name) + "\"");
  }
  return plugin;
}

// Prometheus holds queue_config.capacity samples for each of its shards; this is how many it may have.
constexpr int64_t kShardsMax = 50;

// RETURNS: the address that the sink adds the path of the API to.
std::string BaseUrl(std::string url) {
  constexpr std::string_view kApiPath = "/api/v2/alerts";
  if (url.ends_with(kApiPath)) {
    url.resize(url.size() - kApiPath.size());
  }
  return url;
}

Result<SinkSpec> RemoteWriteSink(const config::RemoteWrite& remote) {
  WEIR_ASSIGN_OR_RETURN(const plugin::Plugin* plugin, NeedSink("remote_write", remote.where));
  Options options(remote.where);
  options.Set("url", remote.url);
  options.Set("name", remote.name);
  options.SetMs("timeout", remote.timeout_ms);
  options.SetAccess(remote.access, remote.headers);
  options.Set("queue_samples_max", std::to_string(remote.capacity * kShardsMax));
  options.Set("max_samples_per_send", std::to_string(remote.samples_per_send));
  options.Set("protobuf_message", remote.protobuf_message);
  options.Set("send_native_histograms", remote.send_native_histograms ? "true" : "false");
  options.SetMs("min_backoff", remote.min_backoff_ms);
  options.SetMs("max_backoff", remote.max_backoff_ms);
  SinkSpec spec;
  spec.name = remote.name.empty() ? "remote_write" : "remote_write " + remote.name;
  spec.plugin = plugin;
  WEIR_ASSIGN_OR_RETURN(spec.options, options.Parse(*plugin));
  spec.sample_relabel = remote.relabel;
  return spec;
}

Result<SinkSpec> AlertmanagerSink(const config::Alertmanager& alertmanager, const std::string& where) {
  WEIR_ASSIGN_OR_RETURN(const plugin::Plugin* plugin, NeedSink("alertmanager", where));
  Options options(where);
  options.SetList("urls", {BaseUrl(alertmanager.url)});
  options.SetMs("timeout", alertmanager.timeout_ms);
  options.SetAccess(alertmanager.access, {});
  SinkSpec spec;
  spec.name = "alertmanager";
  spec.plugin = plugin;
  WEIR_ASSIGN_OR_RETURN(spec.options, options.Parse(*plugin));
  spec.alert_relabel = alertmanager.alert_relabel;
  return spec;
}

// The path that Prometheus would hash: the file under the prefix that the user names.
std::string HashedFile(const std::string& file, const std::string& prefix) {
  if (prefix.empty()) {
    return file;
  }
  const std::string name = std::filesystem::path(file).filename().string();
  return prefix.back() == '/' ? prefix + name : prefix + "/" + name;
}

rules::RuleDefinition DefineRule(const config::Rule& rule, const config::RuleGroup& group,
                                 const config::Config& config) {
  constexpr int kAlertImportance = 100;
  rules::RuleDefinition definition;
  definition.alerting = rule.alerting;
  definition.name = rule.name;
  definition.expr = rule.tree;
  definition.query = promql::Print(*rule.tree);
  definition.labels = config::MergeLabels(group.labels, rule.labels);
  definition.annotations = rule.annotations;
  definition.for_ms = rule.for_ms;
  definition.keep_firing_for_ms = rule.keep_firing_for_ms;
  definition.importance = rule.alerting ? kAlertImportance : definition.importance;
  definition.memory_max_bytes = static_cast<uint64_t>(config.limits.rule_memory_bytes);
  definition.where = rule.where;
  definition.where_in_expr = [places = rule.places](size_t offset) { return places.Where(offset); };
  return definition;
}

rules::GroupDefinition DefineGroup(const config::RuleGroup& group, const config::Config& config) {
  rules::GroupDefinition definition;
  definition.file = group.file;
  definition.name = group.name;
  const int64_t interval_ms = group.interval_ms > 0 ? group.interval_ms : config.evaluation_interval_ms;
  const auto phase = config.evaluation.phase == config::Phase::kPrometheus ? rules::PhaseKind::kPrometheus
                                                                           : rules::PhaseKind::kAligned;
  definition.slots =
      rules::MakeSlots(phase, HashedFile(group.file, config.evaluation.rule_file_prefix), group.name, interval_ms);
  definition.query_offset_ms = group.query_offset_ms.value_or(config.rule_query_offset_ms);
  definition.limit = group.limit;
  for (const config::Rule& rule : group.rules) {
    definition.rules.push_back(DefineRule(rule, group, config));
  }
  return definition;
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    text += (text.empty() ? "" : "\n") + line;
  }
  return text;
}

void SetPipeline(const config::Config& config, PipelineOptions* pipeline) {
  pipeline->engine.lookback_ms = config.evaluation.lookback_ms;
  pipeline->engine.default_step_ms = config.evaluation_interval_ms;
  pipeline->engine.delayed_name_removal = config.delayed_name_removal;
  pipeline->engine.use_start_timestamps = config.use_start_timestamps;
  pipeline->engine.type_and_unit_labels = config.type_and_unit_labels;
  pipeline->engine.shards = static_cast<uint32_t>(config.shards);
  pipeline->engine.series_max = static_cast<uint32_t>(config.limits.series);
  if (!config.state_dir.empty()) {
    pipeline->engine.tape_after_ms = config.tape_after_ms;
  }
  constexpr uint64_t kShareOfContainer = 9;  // in ten: the rest is for what a second brings, and for the kernel's own
  pipeline->memory_max_bytes = config.limits.memory_bytes.has_value()
                                   ? static_cast<uint64_t>(*config.limits.memory_bytes)
                                   : ContainerMemoryMax() / 10 * kShareOfContainer;
  pipeline->resident_bytes = ResidentBytes;
  pipeline->return_free_memory = ReturnFreeMemory;
  for (const config::PluginInstance& source : config.sources) {
    pipeline->engine.source_series_max.push_back(static_cast<uint32_t>(source.series_max));
  }
  pipeline->ingest.labels_max = static_cast<uint32_t>(config.limits.series_labels);
  pipeline->ingest.name_bytes_max = static_cast<uint32_t>(config.limits.label_name_bytes);
  pipeline->ingest.value_bytes_max = static_cast<uint32_t>(config.limits.label_value_bytes);
  // A label set as a whole may hold a few values of the greatest size.
  constexpr uint32_t kGreatValues = 4;
  pipeline->ingest.block_bytes_max =
      std::max(pipeline->ingest.block_bytes_max, kGreatValues * pipeline->ingest.value_bytes_max);
  pipeline->ingest.future_max_ms = config.limits.future_ms;
  if (config.evaluation.lateness_ms.has_value()) {
    pipeline->watermarks.lateness_auto = false;
    pipeline->watermarks.lateness_ms = *config.evaluation.lateness_ms;
  }
}

template <typename Spec>
void AddPlugins(const std::vector<config::PluginInstance>& instances, std::vector<Spec>* specs) {
  std::map<std::string_view, int> seen;
  for (const config::PluginInstance& instance : instances) {
    Spec spec;
    spec.name = std::string(instance.plugin->name);
    if (const int number = ++seen[instance.plugin->name]; number > 1) {
      spec.name += "#" + std::to_string(number);
    }
    spec.plugin = instance.plugin;
    spec.options = instance.options;
    specs->push_back(std::move(spec));
  }
}

// RETURNS: a text that is equal for equal options; kept in memory only, it holds secrets.
std::string KeyOf(const plugin::OptionValues& options) {
  std::string key;
  for (const auto& [name, value] : options.values) {
    key += name + '=' + value.text + '\0';
    for (const std::string& item : value.list) {
      key += item + '\0';
    }
    for (const auto& [item, text] : value.map) {
      key += item + ':' + text + '\0';
    }
  }
  return key;
}

std::string FixedKey(const Settings& settings) {
  std::string key =
      settings.listen + '\0' + std::to_string(settings.body_bytes_max) + '\0' + std::to_string(settings.queue.batches) +
      '\0' + std::to_string(settings.pipeline.engine.series_max) + '\0' +
      std::to_string(settings.pipeline.engine.lookback_ms) + '\0' + std::to_string(settings.pipeline.engine.shards) +
      '\0' + std::to_string(settings.pipeline.engine.tape_after_ms) + settings.state_dir + '\0' +
      (settings.type_and_unit_labels ? "type-and-unit-labels" : "");
  for (const SourceSpec& source : settings.sources) {
    key += '\0' + source.name + '\0' + KeyOf(source.options);
  }
  return key;
}

Status AddSinks(const config::Config& config, Settings* settings) {
  AddPlugins(config.sinks, &settings->sinks);
  for (const config::RemoteWrite& remote : config.remote_write) {
    WEIR_ASSIGN_OR_RETURN(SinkSpec spec, RemoteWriteSink(remote));
    settings->sinks.push_back(std::move(spec));
  }
  for (const config::Alertmanager& alertmanager : config.alerting.alertmanagers) {
    WEIR_ASSIGN_OR_RETURN(SinkSpec spec, AlertmanagerSink(alertmanager, config.path));
    settings->sinks.push_back(std::move(spec));
  }
  return {};
}

}  // namespace

Result<Settings> LoadSettings(const std::string& config_path, const SettingsOverrides& overrides) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, ReadFile(config_path));
  const config::ConfigOutcome outcome =
      config::ParseConfig(config_path, text, plugin::Plugins(), config::ProcessEnvironment(), overrides.features);
  if (!outcome.ok()) {
    return InvalidError(Joined(outcome.errors));
  }
  const config::Config& config = outcome.config;
  const config::RuleFilesOutcome files = config::LoadRuleFiles(config);
  if (!files.ok()) {
    return InvalidError(Joined(files.errors));
  }
  Settings settings;
  SetPipeline(config, &settings.pipeline);
  for (const config::RuleFile& file : files.files) {
    for (const config::RuleGroup& group : file.groups) {
      settings.rules.groups.push_back(DefineGroup(group, config));
    }
  }
  settings.state_dir = config.state_dir;
  if (const std::vector<std::string> errors = ApplyOverrides(config.overrides, &settings.rules.groups);
      !errors.empty()) {
    return InvalidError(Joined(errors));
  }
  settings.type_and_unit_labels = config.type_and_unit_labels;
  settings.listen = overrides.listen.empty() ? config.listen : overrides.listen;
  settings.rules.external_labels = config.external_labels;
  settings.rules.external_url = config.external_url.empty() ? "http://" + settings.listen : config.external_url;
  settings.rules.resend_delay_ms = config.evaluation.resend_delay_ms;
  settings.rules.parser = config.parser;
  settings.alert_relabel = config.alerting.relabel;
  AddPlugins(config.sources, &settings.sources);
  WEIR_RETURN_IF_ERROR(AddSinks(config, &settings));
  for (const SourceSpec& source : settings.sources) {
    settings.pipeline.sources.push_back(source.name);
  }
  settings.queue.batches = static_cast<size_t>(config.limits.queue_batches);
  if (settings.pipeline.memory_max_bytes > 0) {  // what waits must not be what memory is short of
    constexpr uint64_t kShareOfQueue = 16;       // and of bodies on their way there
    const uint64_t share = settings.pipeline.memory_max_bytes / kShareOfQueue;
    settings.queue.bytes = std::min<uint64_t>(settings.queue.bytes, share);
    settings.bodies_bytes_max = std::min(settings.bodies_bytes_max, share);
  }
  settings.body_bytes_max = static_cast<uint64_t>(config.limits.body_bytes);
  settings.plugins_key = text;
  settings.fixed_key = FixedKey(settings);
  settings.shown_config = config.redacted_yaml;
  for (const config::RemoteWrite& remote : config.remote_write) {
    if (remote.sample_age_max_ms > 0) {
      settings.notices.push_back(remote.where +
                                 ": \"sample_age_limit\" is not applied: results are sent when their tick runs");
    }
  }
  for (const config::NotApplied& key : config.not_applied) {
    settings.notices.push_back(key.where + ": \"" + key.key + "\" is a setting of Prometheus that weir does not apply");
  }
  settings.notices.insert(settings.notices.end(), config.warnings.begin(), config.warnings.end());
  settings.notices.insert(settings.notices.end(), files.warnings.begin(), files.warnings.end());
  return settings;
}

Result<Settings> RuleFileSettings(const std::string& rule_file) {
  config::Config config;
  config.parser = promql::ParserOptions::All();
  const config::RuleFileOutcome outcome = config::LoadRuleFile(rule_file, config.parser);
  if (!outcome.ok()) {
    return InvalidError(Joined(outcome.errors));
  }
  Settings settings;
  SetPipeline(config, &settings.pipeline);
  settings.rules.parser = config.parser;
  for (const config::RuleGroup& group : outcome.file.groups) {
    settings.rules.groups.push_back(DefineGroup(group, config));
  }
  return settings;
}

}  // namespace weir::runtime
