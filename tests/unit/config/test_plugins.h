#pragma once
// Plug-ins and an environment made for the configuration tests: rows of every type, a check beyond the rows. Never
// started.

#include <optional>
#include <span>
#include <string>

#include "core/config/config.h"

namespace weir::config {

inline Status CheckKafka(const plugin::OptionValues& options) {
  if (options.List("topics").empty()) {
    return InvalidError(options.where + ": option \"topics\": want at least one topic");
  }
  return {};
}

inline std::span<const plugin::Plugin* const> TestPlugins() {
  using plugin::OptionRow;
  using enum plugin::OptionType;
  static constexpr OptionRow kKafkaRows[] = {
      {.name = "brokers", .type = kStringList, .help = "Brokers, `host:port`.", .required = true},
      {.name = "topics", .type = kStringList, .help = "Topics."},
      {.name = "start",
       .type = kEnum,
       .fallback = "window",
       .help = "Where to begin.",
       .choices = "window|earliest|latest"},
      {.name = "rdkafka", .type = kMap, .help = "Settings of the library."},
      {.name = "sasl_password", .type = kSecret, .help = "Password."},
  };
  static constexpr OptionRow kFileRows[] = {
      {.name = "path", .type = kPath, .help = "File to write.", .required = true}};
  static const plugin::Plugin kKafka = {
      plugin::PluginKind::kSource, "kafka", "Reads a topic.", kKafkaRows, nullptr, nullptr, nullptr, CheckKafka};
  static const plugin::Plugin kRemoteWrite = {plugin::PluginKind::kSource, "remote_write", "Takes remote write.", {}};
  static const plugin::Plugin kFile = {plugin::PluginKind::kSink, "file", "Writes JSON lines.", kFileRows};
  static const plugin::Plugin* const kAll[] = {&kKafka, &kRemoteWrite, &kFile};
  return kAll;
}

inline Environment TestEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    if (name == "REGION") {
      return "eu";
    }
    if (name == "PASSWORD") {
      return "hunter2";
    }
    return std::nullopt;
  };
}

}  // namespace weir::config
