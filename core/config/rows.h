#pragma once
// The option rows of weir.yml: every section with its rows, the keys that hold further sections, and the keys of
// Prometheus that are accepted without effect. Parsing, checks and docs/CONFIGURATION.md are made from these tables
// and nothing else.

#include <span>
#include <string_view>

#include "core/plugin/options.h"

namespace weir::config {

struct NestedRow {
  std::string_view name;
  std::string_view help;
};

struct Section {
  std::string_view name;  // as written in messages and headings: "remote_write", "queue_config"
  std::string_view help;  // one or two sentences
  std::span<const plugin::OptionRow> rows;
  std::span<const NestedRow> nested;
  std::span<const std::string_view> not_applied;
};

extern const Section kTopSection;
extern const Section kGlobalSection;
extern const Section kAlertingSection;
extern const Section kAlertmanagerSection;
extern const Section kStaticConfigSection;
extern const Section kRemoteWriteSection;
extern const Section kQueueSection;
extern const Section kRelabelSection;
extern const Section kBasicAuthSection;
extern const Section kAuthorizationSection;
extern const Section kTlsSection;
extern const Section kEvaluationSection;
extern const Section kStateSection;
extern const Section kLimitsSection;
extern const Section kOverrideSection;

// What every source takes beside its own options.
std::span<const plugin::OptionRow> SourceRows();

// Every section above, in the order of the document.
std::span<const Section* const> Sections();

// Prometheus's feature flags. `applied`: weir gives it the same meaning.
struct FeatureRow {
  std::string_view name;
  bool applied;
  std::string_view help;
};
std::span<const FeatureRow> Features();

}  // namespace weir::config
