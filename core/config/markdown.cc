// docs/CONFIGURATION.md, written from the rows that parsing uses.

#include "core/config/config.h"
#include "core/config/rows.h"

namespace weir::config {
namespace {

using plugin::OptionRow;
using plugin::OptionType;
using plugin::PluginKind;

std::string TypeText(const OptionRow& row) {
  switch (row.type) {
    case OptionType::kString:
      return "string";
    case OptionType::kBool:
      return "true or false";
    case OptionType::kInt:
      return "integer";
    case OptionType::kFloat:
      return "number";
    case OptionType::kDuration:
      return "duration";
    case OptionType::kSize:
      return "size";
    case OptionType::kStringList:
      return "list of strings";
    case OptionType::kMap:
      return "map of strings";
    case OptionType::kSecret:
      return "secret";
    case OptionType::kPath:
      return "path";
    case OptionType::kEnum:
      break;
  }
  std::string out;
  for (const char c : row.choices) {
    out.append(c == '|' ? "`, `" : std::string(1, c));
  }
  return "`" + out + "`";
}

// A cell of a table must not end it.
std::string Cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out.append(c == '|' ? "\\|" : std::string(1, c));
  }
  return out;
}

void AppendRows(std::span<const OptionRow> rows, std::string* out) {
  for (const OptionRow& row : rows) {
    const std::string fallback = row.required ? "required" : row.fallback.empty() ? "" : "`" + Cell(row.fallback) + "`";
    out->append("| `")
        .append(row.name)
        .append("` | ")
        .append(Cell(TypeText(row)))
        .append(" | ")
        .append(fallback)
        .append(" | ");
    out->append(Cell(row.help)).append(" |\n");
  }
}

constexpr std::string_view kTableHead = "| option | type | default | what it is |\n|---|---|---|---|\n";

void AppendSection(const Section& section, std::string* out) {
  out->append("\n## ").append(section.name).append("\n\n").append(section.help).append("\n\n");
  if (!section.rows.empty() || !section.nested.empty()) {
    out->append(kTableHead);
  }
  AppendRows(section.rows, out);
  for (const NestedRow& row : section.nested) {
    out->append("| `").append(row.name).append("` | section | | ").append(Cell(row.help)).append(" |\n");
  }
  if (!section.not_applied.empty()) {
    out->append("\nAccepted for Prometheus's sake, without effect, and listed at start: ");
    for (size_t i = 0; i < section.not_applied.size(); ++i) {
      out->append(i == 0 ? "`" : ", `").append(section.not_applied[i]).append("`");
    }
    out->append(".\n");
  }
}

void AppendPlugins(std::span<const plugin::Plugin* const> plugins, PluginKind kind, std::string_view heading,
                   std::string* out) {
  out->append("\n## ").append(heading).append("\n");
  for (const plugin::Plugin* plugin : plugins) {
    if (plugin->kind != kind) {
      continue;
    }
    out->append("\n### ").append(plugin->name).append("\n\n").append(plugin->help).append("\n");
    if (!plugin->options.empty()) {
      out->append("\n").append(kTableHead);
      AppendRows(plugin->options, out);
    }
  }
}

}  // namespace

std::string GenerateConfigurationMarkdown(std::span<const plugin::Plugin* const> plugins) {
  std::string out =
      "# Configuration\n\n"
      "Generated from the option rows of the program; do not edit.\n\n"
      "weir reads one YAML file that is a superset of `prometheus.yml`: what Prometheus and weir share means the same "
      "in both, so a\n"
      "Prometheus configuration starts weir as it is. An unknown key is an error. Durations are `1h30m`, sizes "
      "`32MiB`. A secret\n"
      "may be written as `${NAME}` to take an environment variable, or given as `…_file` to be read from a file; "
      "secrets are never\n"
      "printed.\n";
  for (const Section* section : Sections()) {
    AppendSection(*section, &out);
  }
  out.append("\n## features\n\n| feature | effect |\n|---|---|\n");
  for (const FeatureRow& row : Features()) {
    const std::string help(row.help.empty() ? std::string_view("accepted, without effect") : row.help);
    out.append("| `").append(row.name).append("` | ").append(Cell(help)).append(" |\n");
  }
  AppendPlugins(plugins, PluginKind::kSource, "sources", &out);
  out.append("\n### every source\n\nWhat each of them takes besides.\n\n").append(kTableHead);
  AppendRows(SourceRows(), &out);
  AppendPlugins(plugins, PluginKind::kCodec, "codecs", &out);
  AppendPlugins(plugins, PluginKind::kSink, "sinks", &out);
  return out;
}

}  // namespace weir::config
