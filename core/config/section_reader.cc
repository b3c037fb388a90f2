#include "core/config/section_reader.h"

#include <algorithm>

#include "core/base/files.h"

namespace weir::config {
namespace {

using plugin::OptionRow;
using plugin::OptionType;
using plugin::RawOption;
using yaml::Entry;
using yaml::Kind;
using yaml::Node;

std::string Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    return "";
  }
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

const OptionRow* FindRow(std::span<const OptionRow> rows, std::string_view name) {
  const auto at = std::find_if(rows.begin(), rows.end(), [&](const OptionRow& row) { return row.name == name; });
  return at == rows.end() ? nullptr : &*at;
}

bool IsWord(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

// What follows a `$` as Go's os.Expand reads it: NAME, {NAME}, or one special character.
struct ShellName {
  std::string name;  // "" with a size: bad syntax, which is left out
  size_t size = 0;   // 0: no name, the $ stays
};

ShellName ReadShellName(std::string_view text) {
  static constexpr std::string_view kSpecial = "*#$@!?-0123456789";
  if (text.empty()) {
    return {};
  }
  if (text.front() == '{') {
    const size_t close = text.find('}');
    if (close == std::string_view::npos) {
      return {"", 1};
    }
    return {std::string(text.substr(1, close - 1)), close + 1};
  }
  if (kSpecial.find(text.front()) != std::string_view::npos) {
    return {std::string(text.substr(0, 1)), 1};
  }
  size_t size = 0;
  while (size < text.size() && IsWord(text[size])) {
    ++size;
  }
  return {std::string(text.substr(0, size)), size};
}

std::vector<std::string_view> KnownKeys(const Section& section) {
  std::vector<std::string_view> names;
  for (const OptionRow& row : section.rows) {
    names.push_back(row.name);
  }
  for (const NestedRow& row : section.nested) {
    names.push_back(row.name);
  }
  names.insert(names.end(), section.not_applied.begin(), section.not_applied.end());
  return names;
}

bool HasNested(const Section& section, std::string_view name) {
  return std::any_of(section.nested.begin(), section.nested.end(),
                     [&](const NestedRow& row) { return row.name == name; });
}

}  // namespace

const Node* SectionReader::Values::Nested(std::string_view key) const {
  const auto at = given.find(key);
  return at == given.end() || at->second->value->kind == Kind::kNull ? nullptr : at->second->value.get();
}

SectionReader::Values SectionReader::Read(const Section& section, const Node& node) {
  Values out;
  std::vector<RawOption> raw;
  const std::string what(section.name);
  if (node.kind != Kind::kMap && node.kind != Kind::kNull) {
    Error(node, "want a map for " + what + ", got " + Describe(node));
  }
  for (const Entry& entry : node.entries) {
    out.given.emplace(entry.key, &entry);
    if (const OptionRow* row = FindRow(section.rows, entry.key); row != nullptr) {
      raw.push_back(Raw(entry, row->type, what));
    } else if (std::find(section.not_applied.begin(), section.not_applied.end(), entry.key) !=
               section.not_applied.end()) {
      NotApplied(&section == &kTopSection ? entry.key : what + "." + entry.key, entry.key_offset);
    } else if (!HasNested(section, entry.key)) {
      const std::string near = plugin::NearestName(entry.key, KnownKeys(section));
      ErrorAt(entry.key_offset, "unknown key " + GoQuote(entry.key) + " in " + what +
                                    (near.empty() ? "" : "; did you mean " + GoQuote(near) + "?"));
    }
  }
  auto parsed = plugin::ParseOptions(section.rows, what, source_.Where(node), raw);
  if (!parsed.ok()) {
    AddErrors(parsed.status());
    // Go on with the defaults; required rows have none and are not asked for again.
    std::vector<OptionRow> rows(section.rows.begin(), section.rows.end());
    for (OptionRow& row : rows) {
      row.required = false;
    }
    parsed = plugin::ParseOptions(rows, what, source_.Where(node), {});
  }
  out.options = std::move(*parsed);
  return out;
}

RawOption SectionReader::Raw(const Entry& entry, OptionType type, std::string_view what) {
  RawOption raw;
  raw.name = entry.key;
  raw.where = source_.Where(entry.value->kind == Kind::kNull ? entry.key_offset : entry.value->offset);
  const Node& value = *entry.value;
  switch (value.kind) {
    case Kind::kNull:
      raw.shape = RawOption::Shape::kNull;
      break;
    case Kind::kScalar:
      raw.scalar = type == OptionType::kSecret ? ExpandSecret(value.text, value.offset)
                   : type == OptionType::kPath ? Resolve(value.text)
                                               : value.text;
      break;
    case Kind::kList:
      raw.shape = RawOption::Shape::kList;
      for (const yaml::NodePtr& item : value.items) {
        if (item->kind == Kind::kScalar) {
          raw.list.push_back(item->text);
        } else {
          Error(*item, "want a text in the list " + GoQuote(entry.key) + " of " + std::string(what) + ", got " +
                           Describe(*item));
        }
      }
      break;
    case Kind::kMap:
      raw.shape = RawOption::Shape::kMap;
      for (const Entry& item : value.entries) {
        if (item.value->kind == Kind::kScalar || item.value->kind == Kind::kNull) {
          const std::string& text = item.value->text;
          raw.map[item.key] = yaml::NamesSecret(item.key) ? ExpandSecret(text, item.value->offset) : text;
        } else {
          Error(*item.value, "want a text for " + GoQuote(item.key) + " in " + GoQuote(entry.key) + " of " +
                                 std::string(what) + ", got " + Describe(*item.value));
        }
      }
      break;
  }
  return raw;
}

std::vector<RawOption> SectionReader::RawOptions(std::span<const OptionRow> rows, std::string_view what,
                                                 const Node& node) {
  std::vector<RawOption> out;
  for (const Entry& entry : node.entries) {
    const OptionRow* row = FindRow(rows, entry.key);
    const bool is_file = row == nullptr && entry.key.ends_with("_file") && entry.value->kind == Kind::kScalar;
    const OptionRow* secret =
        is_file ? FindRow(rows, std::string_view(entry.key).substr(0, entry.key.size() - 5)) : nullptr;
    if (secret != nullptr && secret->type == OptionType::kSecret) {
      RawOption raw;
      raw.name = std::string(secret->name);
      raw.where = source_.Where(entry.value->offset);
      raw.scalar = ReadSecretFile(entry.value->text, entry.value->offset, entry.key);
      out.push_back(std::move(raw));
      continue;
    }
    out.push_back(Raw(entry, row == nullptr ? OptionType::kString : row->type, what));
  }
  return out;
}

void SectionReader::AddErrors(const Status& status) {
  std::string_view text = status.message();
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    yaml::AddProblem(&errors, std::string(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::vector<const Node*> SectionReader::Maps(const Node* list, std::string_view what) {
  std::vector<const Node*> out;
  if (list == nullptr) {
    return out;
  }
  if (list->kind != Kind::kList) {
    Error(*list, "want a list for " + std::string(what) + ", got " + Describe(*list));
    return out;
  }
  for (const yaml::NodePtr& item : list->items) {
    if (item->kind == Kind::kMap) {
      out.push_back(item.get());
    } else {
      Error(*item, "want a map in " + std::string(what) + ", got " + Describe(*item));
    }
  }
  return out;
}

Relabeler SectionReader::ReadRelabel(const Node* list, std::string_view what) {
  std::vector<RelabelConfig> configs;
  const size_t errors_before = errors.size();
  for (const Node* item : Maps(list, what)) {
    const Values values = Read(kRelabelSection, *item);
    RelabelConfig config;
    config.source_labels = values.options.List("source_labels");
    config.separator = values.options.String("separator");
    config.target_label = values.options.String("target_label");
    config.regex = values.options.String("regex");
    config.replacement = values.options.String("replacement");
    if (values.options.Int("modulus") < 0) {
      Error(At(values, "modulus", *item),
            "want a modulus of 0 or more, got " + std::to_string(values.options.Int("modulus")));
      continue;
    }
    config.modulus = static_cast<uint64_t>(values.options.Int("modulus"));
    const auto action = ParseRelabelAction(values.options.String("action"));
    if (!action.ok()) {
      Error(At(values, "action", *item), std::string(action.status().message()));
      continue;
    }
    config.action = *action;
    if (const auto checked = Relabeler::Create({config}); !checked.ok()) {
      Error(*item, std::string(what) + ": " + std::string(checked.status().message()));
      continue;
    }
    configs.push_back(std::move(config));
  }
  auto made = Relabeler::Create(configs);
  return errors.size() == errors_before && made.ok() ? std::move(*made) : Relabeler();
}

HttpAccess SectionReader::ReadAccess(const Values& section) {
  HttpAccess access;
  access.client.bearer_token = Secret(section, "bearer_token", "the section");
  int ways = access.client.bearer_token.empty() ? 0 : 1;
  const Node* last = nullptr;
  if (const Node* node = section.Nested("basic_auth"); node != nullptr) {
    const Values values = Read(kBasicAuthSection, *node);
    access.client.basic_user = Secret(values, "username", "basic_auth");
    access.client.basic_password = Secret(values, "password", "basic_auth");
    ++ways;
    last = node;
  }
  if (const Node* node = section.Nested("authorization"); node != nullptr) {
    ReadAuthorization(*node, &access);
    ++ways;
    last = node;
  }
  if (ways > 1 && last != nullptr) {
    Error(*last, "at most one of basic_auth, authorization and bearer_token may be given");
  }
  if (const Node* node = section.Nested("tls_config"); node != nullptr) {
    const Values values = Read(kTlsSection, *node);
    const auto path = [&](std::string_view key) {
      const std::string& given = values.options.String(key);
      return given.empty() ? given : Resolve(given);
    };
    access.client.ca_file = path("ca_file");
    access.client.cert_file = path("cert_file");
    access.client.key_file = path("key_file");
    access.client.server_name = values.options.String("server_name");
    access.client.insecure_skip_verify = values.options.Bool("insecure_skip_verify");
    if (access.client.cert_file.empty() != access.client.key_file.empty()) {
      Error(*node, "tls_config: cert_file and key_file go together");
    }
  }
  return access;
}

void SectionReader::ReadAuthorization(const Node& node, HttpAccess* access) {
  const Values values = Read(kAuthorizationSection, node);
  const std::string type = Trimmed(values.options.String("type"));
  const std::string credentials = Secret(values, "credentials", "authorization");
  std::string lower = type;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (lower == "basic") {
    Error(At(values, "type", node), "authorization type cannot be \"basic\"; use basic_auth");
  } else if (lower == "bearer") {
    access->client.bearer_token = credentials;
  } else {
    access->headers.emplace_back("Authorization", type + " " + credentials);
  }
}

std::string SectionReader::Secret(const Values& section, std::string_view key, std::string_view what) {
  const std::string& direct = section.options.String(key);
  const std::string file_key = std::string(key) + "_file";
  const std::string& file = section.options.String(file_key);
  if (file.empty()) {
    return direct;
  }
  const Entry& entry = *section.given.find(file_key)->second;
  if (!direct.empty()) {
    Error(*entry.value, "at most one of " + GoQuote(key) + " and " + GoQuote(file_key) + " of " + std::string(what) +
                            " may be given");
  }
  return ReadSecretFile(file, entry.value->offset, file_key);
}

std::string SectionReader::ReadSecretFile(const std::string& path, size_t offset, std::string_view what) {
  static constexpr uint64_t kSecretBytesMax = 1 << 20;
  const Result<std::string> text = ReadFile(Resolve(path), kSecretBytesMax);
  if (!text.ok()) {
    ErrorAt(offset, std::string(what) + ": " + std::string(text.status().message()));
    return "";
  }
  return Trimmed(*text);
}

std::string SectionReader::ExpandSecret(const std::string& text, size_t offset) {
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    const size_t open = text.find("${", at);
    size_t end = open == std::string::npos ? open : open + 2;
    while (end < text.size() && IsWord(text[end])) {
      ++end;
    }
    if (open == std::string::npos || end >= text.size() || text[end] != '}' || end == open + 2) {
      const size_t stop = open == std::string::npos ? text.size() : open + 2;
      out.append(text, at, stop - at);
      at = stop;
      continue;
    }
    out.append(text, at, open - at);
    const std::string name = text.substr(open + 2, end - open - 2);
    const auto value = environment_(name);
    if (!value.has_value()) {
      ErrorAt(offset, "environment variable " + GoQuote(name) + " is not set");
    }
    out.append(value.value_or(""));
    at = end + 1;
  }
  return out;
}

std::string SectionReader::ExpandLabel(const std::string& text, const Node& node) {
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    if (text[at] != '$') {
      out.push_back(text[at++]);
      continue;
    }
    const ShellName found = ReadShellName(std::string_view(text).substr(at + 1));
    at += 1 + found.size;
    if (found.size == 0 || found.name == "$") {
      out.push_back('$');
    } else if (!found.name.empty()) {
      const std::string value = environment_(found.name).value_or("");
      if (value.empty()) {
        warnings.push_back(source_.Where(node) + ": environment variable " + GoQuote(found.name) + " is empty");
      }
      out.append(value);
    }
  }
  return out;
}

const Node& SectionReader::At(const Values& values, std::string_view key, const Node& section) const {
  const auto at = values.given.find(key);
  return at == values.given.end() ? section : *at->second->value;
}

void SectionReader::NotApplied(const std::string& key, size_t offset) {
  not_applied.try_emplace(key, source_.Where(offset));
}

std::string SectionReader::Resolve(const std::string& path) const {
  return path.empty() || path.front() == '/' ? path : directory_ + path;
}

}  // namespace weir::config
