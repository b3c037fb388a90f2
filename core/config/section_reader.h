#pragma once
// Reads one section of weir.yml by its rows, and what sections share: relabel rules, secrets, access to a peer.
// Problems are collected, never thrown; reading goes on with defaults so that one run reports all of them.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/config.h"
#include "core/config/rows.h"
#include "core/config/yaml.h"

namespace weir::config {

class SectionReader {
 public:
  // `directory`: where relative paths start, "" or ending in '/'.
  SectionReader(const yaml::Source& source, std::string directory, const Environment& environment)
      : source_(source), directory_(std::move(directory)), environment_(environment) {}

  // One section as read. Values of all rows are there, given or default.
  struct Values {
    plugin::OptionValues options;
    std::map<std::string, const yaml::Entry*, std::less<>> given;  // every entry, by key
    const yaml::Node* Nested(std::string_view key) const;          // null when absent or null
  };
  Values Read(const Section& section, const yaml::Node& node);

  // Options of a plug-in, for plugin::ParseOptions: secrets expanded, `NAME_file` read for secret rows,
  // paths resolved.
  std::vector<plugin::RawOption> RawOptions(std::span<const plugin::OptionRow> rows, std::string_view what,
                                            const yaml::Node& node);
  void AddErrors(const Status& status);  // one line, one error

  // RETURNS: the items of a list of maps; anything else is an error.
  std::vector<const yaml::Node*> Maps(const yaml::Node* list, std::string_view what);
  Relabeler ReadRelabel(const yaml::Node* list, std::string_view what);
  // basic_auth, authorization, bearer_token and tls_config of a section that has them.
  HttpAccess ReadAccess(const Values& section);

  void Error(const yaml::Node& node, const std::string& message) { ErrorAt(node.offset, message); }
  void ErrorAt(size_t offset, const std::string& message) {
    yaml::AddProblem(&errors, source_.Where(offset) + ": " + message);
  }
  // Where the value of a row stands: the value when given, else the section.
  const yaml::Node& At(const Values& values, std::string_view key, const yaml::Node& section) const;
  void NotApplied(const std::string& key, size_t offset);
  std::string Resolve(const std::string& path) const;
  // os.Expand of Go, as Prometheus expands external labels.
  std::string ExpandLabel(const std::string& text, const yaml::Node& node);

  const yaml::Source& source() const { return source_; }

  std::vector<std::string> errors;
  std::vector<std::string> warnings;
  std::map<std::string, std::string> not_applied;  // key -> where
  std::vector<std::string> secret_keys;            // of the plug-ins in use

 private:
  std::string Secret(const Values& section, std::string_view key, std::string_view what);
  std::string ReadSecretFile(const std::string& path, size_t offset, std::string_view what);
  // `${NAME}` only: any other $ may be part of a password.
  std::string ExpandSecret(const std::string& text, size_t offset);
  void ReadAuthorization(const yaml::Node& node, HttpAccess* access);
  plugin::RawOption Raw(const yaml::Entry& entry, plugin::OptionType type, std::string_view what);

  const yaml::Source& source_;
  const std::string directory_;
  const Environment& environment_;
};

}  // namespace weir::config
