#include "core/config/config.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "core/base/files.h"
#include "core/config/section_reader.h"
#include "core/model/duration.h"

namespace weir::config {
namespace {

using plugin::Plugin;
using plugin::PluginKind;
using yaml::Entry;
using yaml::Kind;
using yaml::Node;
using Values = SectionReader::Values;

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

std::string WithoutTrailingSlash(std::string text) {
  while (!text.empty() && text.back() == '/') {
    text.pop_back();
  }
  return text;
}

bool IsUtf8Name(std::string_view name) { return !name.empty() && IsValidUtf8(name); }

bool IsHttpUrl(std::string_view url) {
  const size_t start = url.starts_with("http://") ? 7 : url.starts_with("https://") ? 8 : std::string_view::npos;
  return start != std::string_view::npos && url.size() > start && url[start] != '/' &&
         url.find_first_of(" \t\n") == std::string_view::npos;
}

bool IsListenAddress(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == address.size() || address.size() - colon > 6) {
    return false;
  }
  int port = 0;
  for (const char c : address.substr(colon + 1)) {
    if (c < '0' || c > '9') {
      return false;
    }
    port = port * 10 + (c - '0');
  }
  return port <= 65535;
}

class ConfigReader {
 public:
  ConfigReader(SectionReader& reader, std::span<const Plugin* const> plugins, Config* config)
      : reader_(reader), plugins_(plugins), config_(*config) {}

  void ReadTop(const Node& root) {
    const Values top = reader_.Read(kTopSection, root);
    ReadGlobal(Section(top, "global"));
    ReadRulePatterns(top);
    ReadAlerting(Section(top, "alerting"));
    ReadRemoteWrites(top.Nested("remote_write"));
    ReadOwn(top, root);
    config_.sources = ReadPlugins(PluginKind::kSource, "source", top.Nested("sources"));
    if (!top.given.contains("sources")) {
      AddDefaultSource(root);
    }
    config_.sinks = ReadPlugins(PluginKind::kSink, "sink", top.Nested("sinks"));
    ReadOverrides(top.Nested("overrides"));
  }

 private:
  // RETURNS: the section's node; an empty one when it is not given.
  static const Node& Section(const Values& top, std::string_view key) {
    static const Node empty;
    const Node* node = top.Nested(key);
    return node == nullptr ? empty : *node;
  }

  void ReadGlobal(const Node& node) {
    const Values values = reader_.Read(kGlobalSection, node);
    static constexpr int64_t kDefaultMs = 60000;
    const auto interval = [&](std::string_view key) {
      return values.options.Int(key) == 0 ? kDefaultMs : values.options.Int(key);
    };
    config_.scrape_interval_ms = interval("scrape_interval");
    config_.evaluation_interval_ms = interval("evaluation_interval");
    config_.rule_query_offset_ms = values.options.Int("rule_query_offset");
    const Node* labels = values.Nested("external_labels");
    if (labels == nullptr) {
      return;
    }
    if (labels->kind != Kind::kMap) {
      reader_.Error(*labels, "want a map for external_labels, got " + Describe(*labels));
      return;
    }
    for (const Entry& entry : labels->entries) {
      if (!IsUtf8Name(entry.key) || entry.key == kMetricName) {
        reader_.ErrorAt(entry.key_offset, GoQuote(entry.key) + " is not a valid label name");
      } else if (entry.value->kind == Kind::kList || entry.value->kind == Kind::kMap) {
        reader_.Error(*entry.value,
                      "want a text for external label " + GoQuote(entry.key) + ", got " + Describe(*entry.value));
      } else {
        config_.external_labels.Set(entry.key, reader_.ExpandLabel(entry.value->text, *entry.value));
      }
    }
  }

  void ReadRulePatterns(const Values& top) {
    const auto at = top.given.find("rule_files");
    const std::vector<std::string>& patterns = top.options.List("rule_files");
    for (size_t i = 0; i < patterns.size(); ++i) {
      const size_t star = patterns[i].find('*');
      if (patterns[i].empty() || (star != std::string::npos && patterns[i].find('/', star) != std::string::npos)) {
        const Node& list = *at->second->value;
        reader_.Error(list.kind == Kind::kList ? *list.items[i] : list,
                      "invalid rule file path " + GoQuote(patterns[i]) + "; a * may stand in the last part only");
        continue;
      }
      config_.rule_patterns.push_back(reader_.Resolve(patterns[i]));
    }
  }

  // --- alerting -------------------------------------------------------------------------------------------------

  void ReadAlerting(const Node& node) {
    const Values values = reader_.Read(kAlertingSection, node);
    config_.alerting.relabel = reader_.ReadRelabel(values.Nested("alert_relabel_configs"), "alert_relabel_configs");
    for (const Node* item : reader_.Maps(values.Nested("alertmanagers"), "alertmanagers")) {
      ReadAlertmanager(*item);
    }
  }

  void ReadAlertmanager(const Node& node) {
    const Values values = reader_.Read(kAlertmanagerSection, node);
    Alertmanager made;
    made.timeout_ms = values.options.Int("timeout");
    made.access = reader_.ReadAccess(values);
    made.alert_relabel = reader_.ReadRelabel(values.Nested("alert_relabel_configs"), "alert_relabel_configs");
    const Relabeler target_relabel = reader_.ReadRelabel(values.Nested("relabel_configs"), "relabel_configs");
    std::string prefix = values.options.String("path_prefix");
    if (!prefix.empty() && prefix.front() != '/') {
      prefix.insert(0, "/");
    }
    const std::string path = WithoutTrailingSlash(prefix) + "/api/v2/alerts";
    for (const Node* group : reader_.Maps(values.Nested("static_configs"), "static_configs")) {
      const Values targets = reader_.Read(kStaticConfigSection, *group);
      for (const std::string& target : targets.options.List("targets")) {
        if (target.empty() || target.find('/') != std::string::npos) {
          reader_.Error(reader_.At(targets, "targets", *group),
                        GoQuote(target) + " is not a valid target; want host:port");
          continue;
        }
        std::vector<Label> labels = {
            {"__address__", target}, {"__scheme__", values.options.String("scheme")}, {"__alerts_path__", path}};
        AddTargetLabels(targets, &labels);
        const auto kept = target_relabel.Process(Labels(std::move(labels)));
        if (kept.has_value()) {
          made.url = std::string(kept->Get("__scheme__"))
                         .append("://")
                         .append(kept->Get("__address__"))
                         .append(kept->Get("__alerts_path__"));
          config_.alerting.alertmanagers.push_back(made);
        }
      }
    }
  }

  void AddTargetLabels(const Values& targets, std::vector<Label>* labels) {
    const Node* given = targets.Nested("labels");
    if (given == nullptr) {
      return;
    }
    if (given->kind != Kind::kMap) {
      reader_.Error(*given, "want a map for labels, got " + Describe(*given));
    }
    for (const Entry& entry : given->entries) {
      labels->push_back({entry.key, entry.value->text});
    }
  }

  // --- remote_write ---------------------------------------------------------------------------------------------

  void ReadRemoteWrites(const Node* list) {
    std::set<std::string> names;
    for (const Node* node : reader_.Maps(list, "remote_write")) {
      RemoteWrite made = ReadRemoteWrite(*node);
      if (!made.name.empty() && !names.insert(made.name).second) {
        reader_.Error(*node, "two remote_write have the name " + GoQuote(made.name));
      }
      config_.remote_write.push_back(std::move(made));
    }
  }

  RemoteWrite ReadRemoteWrite(const Node& node) {
    const Values values = reader_.Read(kRemoteWriteSection, node);
    RemoteWrite made;
    made.where = reader_.source().Where(node);
    made.url = values.options.String("url");
    if (values.options.IsSet("url") && !IsHttpUrl(made.url)) {
      reader_.Error(reader_.At(values, "url", node),
                    "want a URL like http://host:9090/api/v1/write, got " + GoQuote(made.url));
    }
    made.name = values.options.String("name");
    made.timeout_ms = values.options.Int("remote_timeout");
    made.protobuf_message = values.options.String("protobuf_message");
    made.send_native_histograms = values.options.Bool("send_native_histograms");
    for (const auto& [name, value] : values.options.Map("headers")) {
      CheckHeader(values, node, name);
      made.headers.emplace_back(name, value);
    }
    made.access = reader_.ReadAccess(values);
    made.relabel = reader_.ReadRelabel(values.Nested("write_relabel_configs"), "write_relabel_configs");
    if (const Node* queue = values.Nested("queue_config"); queue != nullptr) {
      ReadQueue(*queue, &made);
    }
    return made;
  }

  // Headers that the sender sets itself.
  void CheckHeader(const Values& values, const Node& node, const std::string& name) {
    static constexpr std::string_view kOwn[] = {
        "authorization", "host",       "content-encoding", "content-length",    "content-type",
        "user-agent",    "connection", "keep-alive",       "transfer-encoding", "x-prometheus-remote-write-version"};
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (std::find(std::begin(kOwn), std::end(kOwn), lower) != std::end(kOwn)) {
      reader_.Error(reader_.At(values, "headers", node),
                    GoQuote(name) + " is set by weir and cannot be given" +
                        (lower == "authorization" ? "; use basic_auth, authorization or bearer_token" : ""));
    }
  }

  void ReadQueue(const Node& node, RemoteWrite* made) {
    const Values values = reader_.Read(kQueueSection, node);
    made->capacity = values.options.Int("capacity");
    made->samples_per_send = values.options.Int("max_samples_per_send");
    for (const std::string_view key : {"capacity", "max_samples_per_send"}) {
      if (values.options.Int(key) < 1) {
        reader_.Error(reader_.At(values, key, node),
                      "want 1 or more for " + GoQuote(key) + ", got " + std::to_string(values.options.Int(key)));
      }
    }
    made->send_deadline_ms = values.options.Int("batch_send_deadline");
    made->min_backoff_ms = values.options.Int("min_backoff");
    made->max_backoff_ms = values.options.Int("max_backoff");
    made->retry_on_429 = values.options.Bool("retry_on_http_429");
    made->sample_age_max_ms = values.options.Int("sample_age_limit");
    if (made->min_backoff_ms > made->max_backoff_ms) {
      reader_.Error(reader_.At(values, "min_backoff", node), "min_backoff is longer than max_backoff");
    }
  }

  // --- weir's own keys ------------------------------------------------------------------------------------------

  void ReadOwn(const Values& top, const Node& root) {
    config_.listen = top.options.String("listen");
    if (!IsListenAddress(config_.listen)) {
      reader_.Error(reader_.At(top, "listen", root), "want host:port for \"listen\", got " + GoQuote(config_.listen));
    }
    config_.external_url = WithoutTrailingSlash(top.options.String("external_url"));
    if (!config_.external_url.empty() && !IsHttpUrl(config_.external_url)) {
      reader_.Error(reader_.At(top, "external_url", root),
                    "want a URL like http://host:9797, got " + GoQuote(config_.external_url));
    }
    static constexpr int64_t kShardsMax = 64;
    config_.shards = top.options.Int("shards");
    if (config_.shards < 1 || config_.shards > kShardsMax) {
      reader_.Error(reader_.At(top, "shards", root), "want 1 to " + std::to_string(kShardsMax) +
                                                         " for \"shards\", got " + std::to_string(config_.shards));
    }
    ReadFeatures(top, root);
    ReadEvaluation(Section(top, "evaluation"));
    const Values state = reader_.Read(kStateSection, Section(top, "state"));
    config_.state_dir = WithoutTrailingSlash(reader_.Resolve(state.options.String("dir")));
    config_.tape_after_ms = state.options.Int("tape_after");
    ReadLimits(Section(top, "limits"));
  }

  void ReadFeatures(const Values& top, const Node& root) {
    std::vector<std::string_view> known;
    for (const FeatureRow& row : Features()) {
      known.push_back(row.name);
    }
    const auto find = [](const std::string& name) {
      return std::find_if(Features().begin(), Features().end(), [&](const FeatureRow& r) { return r.name == name; });
    };
    const auto unknown = [&](const std::string& name) {
      const std::string near = plugin::NearestName(name, known);
      return "unknown feature " + GoQuote(name) + (near.empty() ? "" : "; did you mean " + GoQuote(near) + "?");
    };
    for (const std::string& name : config_.features) {
      if (find(name) == Features().end()) {
        reader_.errors.push_back("--enable-feature: " + unknown(name));
      }
    }
    for (const std::string& name : top.options.List("features")) {
      const auto row = find(name);
      const Node& at = reader_.At(top, "features", root);
      if (row == Features().end()) {
        reader_.Error(at, unknown(name));
      } else if (!row->applied) {
        reader_.NotApplied("features." + name, at.offset);
      }
      config_.features.push_back(name);
    }
    const auto on = [&](std::string_view name) {
      return std::find(config_.features.begin(), config_.features.end(), name) != config_.features.end();
    };
    config_.parser.experimental_functions = on("promql-experimental-functions");
    config_.parser.extended_range_selectors = on("promql-extended-range-selectors");
    config_.parser.binop_fill_modifiers = on("promql-binop-fill-modifiers");
    config_.delayed_name_removal = on("promql-delayed-name-removal");
    config_.use_start_timestamps = on("use-start-timestamps");
    config_.type_and_unit_labels = on("type-and-unit-labels");
  }

  void ReadEvaluation(const Node& node) {
    const Values values = reader_.Read(kEvaluationSection, node);
    Evaluation& evaluation = config_.evaluation;
    evaluation.phase = values.options.String("phase") == "prometheus" ? Phase::kPrometheus : Phase::kAligned;
    const std::string& lateness = values.options.String("lateness");
    if (lateness != "auto") {
      const auto parsed = ParseDurationMs(lateness);
      if (!parsed.ok()) {
        reader_.Error(reader_.At(values, "lateness", node),
                      "want auto or a duration like 500ms for \"lateness\", got " + GoQuote(lateness));
      } else {
        evaluation.lateness_ms = *parsed;
      }
    }
    evaluation.rule_file_prefix = values.options.String("rule_file_prefix");
    evaluation.lookback_ms = values.options.Int("lookback");
    if (evaluation.lookback_ms == 0) {
      reader_.Error(reader_.At(values, "lookback", node), "want a lookback longer than 0s");
    }
    evaluation.resend_delay_ms = values.options.Int("resend_delay");
  }

  void ReadLimits(const Node& node) {
    const Values values = reader_.Read(kLimitsSection, node);
    for (const plugin::OptionRow& row : kLimitsSection.rows) {
      const bool may_be_none = row.name == "memory" || row.name == "rule_memory";
      if (!may_be_none && values.options.Int(row.name) < 1) {
        reader_.Error(reader_.At(values, row.name, node), "want a limit above 0 for " + GoQuote(row.name));
      }
    }
    static constexpr int64_t kSeriesMax = 1000000000;  // series are numbered in 32 bits
    if (values.options.Int("series") > kSeriesMax) {
      reader_.Error(reader_.At(values, "series", node), "want at most " + std::to_string(kSeriesMax) + " series");
    }
    Limits& limits = config_.limits;
    limits.series = values.options.Int("series");
    if (const std::string& memory = values.options.String("memory"); memory != "auto") {
      const Result<int64_t> bytes = plugin::ParseSize(memory);
      if (!bytes.ok()) {
        reader_.Error(reader_.At(values, "memory", node),
                      "want auto or a size like 512MiB for \"memory\", got " + GoQuote(memory));
      }
      limits.memory_bytes = bytes.ok() ? *bytes : 0;
    }
    limits.rule_memory_bytes = values.options.Int("rule_memory");
    limits.body_bytes = values.options.Int("body_bytes");
    limits.series_labels = values.options.Int("series_labels");
    limits.label_name_bytes = values.options.Int("label_name_bytes");
    limits.label_value_bytes = values.options.Int("label_value_bytes");
    limits.queue_batches = values.options.Int("queue_batches");
    limits.future_ms = values.options.Int("future");
  }

  void ReadOverrides(const Node* list) {
    for (const Node* node : reader_.Maps(list, "overrides")) {
      const Values values = reader_.Read(kOverrideSection, *node);
      Override made;
      made.where = reader_.source().Where(*node);
      made.group = values.options.String("group");
      made.alert = values.options.String("alert");
      made.record = values.options.String("record");
      made.mode = values.options.String("mode");
      made.precision = values.options.String("precision");
      made.max_error = values.options.Float("max_error");
      made.no_data = values.options.String("no_data");
      constexpr double kErrorLeast = 0.0001;
      constexpr double kErrorMost = 0.25;
      if (!(made.max_error >= kErrorLeast && made.max_error <= kErrorMost)) {
        reader_.Error(reader_.At(values, "max_error", *node), "want a max_error from 0.0001 to 0.25");
      } else if (values.options.IsSet("max_error") && made.precision != "bounded") {
        reader_.Error(reader_.At(values, "max_error", *node), "max_error is for \"precision: bounded\"");
      }
      if ((made.group.empty() ? 0 : 1) + (made.alert.empty() ? 0 : 1) + (made.record.empty() ? 0 : 1) != 1) {
        reader_.Error(*node, "an override is for a \"group\", an \"alert\" or a \"record\": give exactly one of them");
      }
      if (!made.record.empty() && !made.mode.empty()) {
        reader_.Error(reader_.At(values, "mode", *node), "\"mode\" is for alerts");
      }
      static constexpr int64_t kImportanceMax = 1000;
      if (values.options.IsSet("importance")) {
        made.importance = values.options.Int("importance");
        if (*made.importance < 0 || *made.importance > kImportanceMax) {
          reader_.Error(reader_.At(values, "importance", *node), "want 0 to " + std::to_string(kImportanceMax) +
                                                                     " for \"importance\", got " +
                                                                     std::to_string(*made.importance));
        }
      }
      if (values.options.IsSet("memory")) {
        made.memory_bytes = values.options.Int("memory");
      }
      if (values.options.IsSet("no_data")) {
        reader_.NotApplied("overrides.no_data", node->offset);
      }
      config_.overrides.push_back(std::move(made));
    }
  }

  // --- plug-ins -------------------------------------------------------------------------------------------------

  const Plugin* FindPlugin(PluginKind kind, std::string_view name) const {
    const auto at = std::find_if(plugins_.begin(), plugins_.end(),
                                 [&](const Plugin* p) { return p->kind == kind && p->name == name; });
    return at == plugins_.end() ? nullptr : *at;
  }

  std::vector<PluginInstance> ReadPlugins(PluginKind kind, std::string_view word, const Node* list) {
    std::vector<PluginInstance> out;
    if (list == nullptr) {
      return out;
    }
    if (list->kind != Kind::kList) {
      reader_.Error(*list, "want a list of `name: options` for " + std::string(word) + "s, got " + Describe(*list));
      return out;
    }
    for (const yaml::NodePtr& item : list->items) {
      static const Node no_options;
      if (item->kind == Kind::kScalar) {
        ReadPlugin(kind, word, item->text, item->offset, no_options, &out);
      } else if (item->kind == Kind::kMap && item->entries.size() == 1) {
        const Entry& entry = item->entries[0];
        ReadPlugin(kind, word, entry.key, entry.key_offset, *entry.value, &out);
      } else {
        const std::string got =
            item->kind == Kind::kMap ? "a map of " + std::to_string(item->entries.size()) + " keys" : Describe(*item);
        reader_.Error(*item, "want one `name: options` in the list of " + std::string(word) + "s, got " + got);
      }
    }
    return out;
  }

  void ReadPlugin(PluginKind kind, std::string_view word, const std::string& name, size_t offset, const Node& node,
                  std::vector<PluginInstance>* out) {
    const Plugin* plugin = FindPlugin(kind, name);
    if (plugin == nullptr) {
      reader_.ErrorAt(offset, UnknownPlugin(kind, word, name));
      return;
    }
    const std::string what = std::string(word) + " " + name;
    if (node.kind != Kind::kMap && node.kind != Kind::kNull) {
      reader_.Error(node, "want a map of options for " + what + ", got " + Describe(node));
      return;
    }
    for (const plugin::OptionRow& row : plugin->options) {
      if (row.type == plugin::OptionType::kSecret) {
        reader_.secret_keys.emplace_back(row.name);
      }
    }
    std::vector<plugin::OptionRow> rows(plugin->options.begin(), plugin->options.end());
    if (kind == PluginKind::kSource) {
      rows.insert(rows.end(), SourceRows().begin(), SourceRows().end());
    }
    const auto raw = reader_.RawOptions(rows, what, node);
    auto options = plugin::ParseOptions(rows, what, reader_.source().Where(offset), raw);
    if (!options.ok()) {
      reader_.AddErrors(options.status());
      return;
    }
    const int64_t series_max = kind == PluginKind::kSource ? options->Int("max_series") : 0;
    static constexpr int64_t kSeriesMax = 1000000000;  // as limits.series
    if (series_max < 0 || series_max > kSeriesMax) {
      reader_.Error(
          node, "want 0 to " + std::to_string(kSeriesMax) + " for \"max_series\", got " + std::to_string(series_max));
    }
    if (plugin->validate != nullptr) {
      if (const Status status = plugin->validate(*options); !status.ok()) {
        reader_.AddErrors(status.message().starts_with(options->where)
                              ? status
                              : status.WithPrefix(options->where + ": " + what + ": "));
        return;
      }
    }
    out->push_back({plugin, std::move(*options), series_max});
  }

  std::string UnknownPlugin(PluginKind kind, std::string_view word, const std::string& name) const {
    std::vector<std::string_view> names;
    std::string all;
    for (const Plugin* plugin : plugins_) {
      if (plugin->kind == kind) {
        names.push_back(plugin->name);
        all.append(all.empty() ? "" : ", ").append(plugin->name);
      }
    }
    const std::string near = plugin::NearestName(name, names);
    return "unknown " + std::string(word) + " " + GoQuote(name) +
           (near.empty() ? "; this build has: " + (all.empty() ? "none" : all)
                         : "; did you mean " + GoQuote(near) + "?");
  }

  // A user's own prometheus.yml names no sources: it must still be possible to write to weir.
  void AddDefaultSource(const Node& root) {
    if (FindPlugin(PluginKind::kSource, "remote_write") != nullptr) {
      ReadPlugin(PluginKind::kSource, "source", "remote_write", root.offset, Node(), &config_.sources);
    }
  }

  SectionReader& reader_;
  std::span<const Plugin* const> plugins_;
  Config& config_;
};

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

ConfigOutcome ParseConfig(const std::string& path, std::string_view text, std::span<const Plugin* const> plugins,
                          const Environment& environment, const std::vector<std::string>& features) {
  ConfigOutcome out;
  out.config.path = path;
  out.config.features = features;
  const yaml::Source source(path, text);
  const yaml::Documents documents = yaml::Parse(source);
  if (!documents.error.empty()) {
    out.errors.push_back(documents.error);
    return out;
  }
  static const Node empty;
  const Node& root = documents.roots.empty() ? empty : *documents.roots[0];
  if (documents.roots.size() > 1) {
    out.errors.push_back(source.Where(*documents.roots[1]) + ": want one YAML document, got " +
                         std::to_string(documents.roots.size()));
  }
  SectionReader reader(source, DirectoryOf(path), environment);
  ConfigReader(reader, plugins, &out.config).ReadTop(root);
  out.errors.insert(out.errors.end(), reader.errors.begin(), reader.errors.end());
  out.config.warnings = std::move(reader.warnings);
  for (const auto& [key, where] : reader.not_applied) {
    out.config.not_applied.push_back({key, where});
  }
  out.config.redacted_yaml = yaml::PrintRedacted(root, reader.secret_keys);
  return out;
}

ConfigOutcome LoadConfig(const std::string& path, std::span<const Plugin* const> plugins,
                         const Environment& environment) {
  static constexpr uint64_t kConfigBytesMax = 16 << 20;
  const Result<std::string> text = ReadFile(path, kConfigBytesMax);
  if (!text.ok()) {
    ConfigOutcome out;
    out.config.path = path;
    out.errors.emplace_back(text.status().message());
    return out;
  }
  return ParseConfig(path, *text, plugins, environment);
}

RuleFilesOutcome LoadRuleFiles(const Config& config) {
  RuleFilesOutcome out;
  std::set<std::string> seen;
  for (const std::string& pattern : config.rule_patterns) {
    const std::vector<std::string> paths = ExpandPattern(pattern);
    if (paths.empty()) {
      out.warnings.push_back("rule_files: no file matches " + GoQuote(pattern));
    }
    for (const std::string& path : paths) {
      if (!seen.insert(path).second) {
        continue;
      }
      RuleFileOutcome loaded = LoadRuleFile(path, config.parser);
      out.errors.insert(out.errors.end(), loaded.errors.begin(), loaded.errors.end());
      out.files.push_back(std::move(loaded.file));
    }
  }
  return out;
}

}  // namespace weir::config
