#pragma once
// What one run of the process is made of: rules, plug-in instances, limits; loaded from weir.yml and its rule files,
// complete and checked as far as it can be without planning. Loading reads files and nothing else.

#include "core/base/status.h"
#include "core/model/relabel.h"
#include "core/plugin/plugin.h"
#include "core/runtime/engine_queue.h"
#include "core/runtime/pipeline.h"

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace weir::runtime {

struct SourceSpec {
  std::string name;  // of the plug-in, `#2` and so on behind it when there are several
  const plugin::Plugin* plugin = nullptr;
  plugin::OptionValues options;
};

struct SinkSpec {
  std::string name;
  const plugin::Plugin* plugin = nullptr;
  plugin::OptionValues options;
  Relabeler sample_relabel;  // applied with external labels on, before the sink sees a sample
  Relabeler alert_relabel;   // of this sink alone, after Settings::alert_relabel
};

struct Settings {
  PipelineOptions pipeline;
  RuleSettings rules;
  Relabeler alert_relabel;  // of every alert, after external labels
  std::vector<SourceSpec> sources;
  std::vector<SinkSpec> sinks;
  bool type_and_unit_labels = false;  // see SourceHost
  QueueLimits queue;
  std::string listen = "127.0.0.1:9797";
  uint64_t body_bytes_max = 32ULL << 20;
  uint64_t bodies_bytes_max = 256ULL << 20;  // of all that are being read
  std::string state_dir;                     // "": none
  int64_t drain_ms = 10000;                  // how long queues may take to empty at the end
  std::string plugins_key;                   // changes whenever sinks may have to be made anew
  std::string fixed_key;                     // changes when something did that only a restart applies
  std::string shown_config;                  // YAML without secrets
  std::vector<std::string> notices;          // for the log: keys that do not apply, …
};

// What the command line may set over the file.
struct SettingsOverrides {
  std::string listen;
  std::vector<std::string> features;  // on besides the file's
};

// ERRORS: kInvalid, one line per problem, `file:line:col: …`.
Result<Settings> LoadSettings(const std::string& config_path, const SettingsOverrides& overrides = {});
// The settings of a process that has nothing but the rules of this file; every feature of the language is on.
Result<Settings> RuleFileSettings(const std::string& rule_file);

}  // namespace weir::runtime
