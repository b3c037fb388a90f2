#pragma once
// Prometheus relabelling, every action (replace, keep, drop, hashmod, labelmap, labeldrop, labelkeep, lowercase,
// uppercase, keepequal, dropequal). Rules are compiled once; Process is const and thread-safe.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/model/labels.h"

namespace re2 {
class RE2;
}

namespace weir {

enum class RelabelAction : unsigned char {
  kReplace,
  kKeep,
  kDrop,
  kHashMod,
  kLabelMap,
  kLabelDrop,
  kLabelKeep,
  kLowercase,
  kUppercase,
  kKeepEqual,
  kDropEqual
};

// One relabel rule as written in YAML; defaults are Prometheus's.
struct RelabelConfig {
  std::vector<std::string> source_labels;
  std::string separator = ";";
  std::string target_label;
  std::string regex = "(.*)";
  uint64_t modulus = 0;
  std::string replacement = "$1";
  RelabelAction action = RelabelAction::kReplace;
};

class Relabeler {
 public:
  Relabeler() = default;  // keeps everything as it is
  // Validates as Prometheus does; the message names the offending field and value.
  static Result<Relabeler> Create(const std::vector<RelabelConfig>& configs);
  // RETURNS: the relabelled set, or nothing when a rule dropped it.
  std::optional<Labels> Process(Labels labels) const;
  bool empty() const { return rules_.empty(); }

 private:
  struct Rule {
    RelabelConfig config;
    std::shared_ptr<const re2::RE2> regex;
  };
  std::vector<Rule> rules_;
};

Result<RelabelAction> ParseRelabelAction(std::string_view text);

}  // namespace weir
