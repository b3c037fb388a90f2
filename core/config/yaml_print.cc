// Prints a tree as YAML that reads back, with secrets left out.

#include <algorithm>
#include <array>

#include "core/config/yaml.h"
#include "core/model/labels.h"

namespace weir::config::yaml {
namespace {

constexpr std::string_view kSecretMark = "<secret>";

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// `scheme://user:password@host`: the password goes.
std::string WithoutUrlPassword(const std::string& text) {
  std::string out = text;
  for (size_t scheme = out.find("://"); scheme != std::string::npos; scheme = out.find("://", scheme + 3)) {
    const size_t start = scheme + 3;
    const size_t end = std::min(out.find_first_of("/?# \t\n", start), out.size());
    const size_t at = out.rfind('@', end == 0 ? 0 : end - 1);
    const size_t colon = out.find(':', start);
    if (at != std::string::npos && at > start && colon < at) {
      out.replace(colon + 1, at - colon - 1, kSecretMark);
    }
  }
  return out;
}

bool IsSafePlain(std::string_view text) {
  static constexpr std::string_view kFirst = "!&*-?[]{},#|>@`\"'%:= \t";
  if (text.empty() || kFirst.find(text.front()) != std::string_view::npos || text.back() == ' ' || text.back() == ':') {
    return false;
  }
  return text.find(": ") == std::string_view::npos && text.find(" #") == std::string_view::npos &&
         text.find_first_of("\n\r\t,[]{}") == std::string_view::npos;
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out.append("\\\"");
        break;
      case '\\':
        out.append("\\\\");
        break;
      case '\n':
        out.append("\\n");
        break;
      case '\r':
        out.append("\\r");
        break;
      case '\t':
        out.append("\\t");
        break;
      default:
        out.push_back(c);
    }
  }
  return out.append("\"");
}

class Printer {
 public:
  explicit Printer(const std::vector<std::string>& secret_keys) : secret_keys_(secret_keys) {}

  std::string Take() { return std::move(out_); }

  // Writes a value behind `key:` or `-`, and ends the line.
  void Value(const Node& node, size_t indent, bool secret) {
    switch (node.kind) {
      case Kind::kNull:
        out_.append(" null\n");
        return;
      case Kind::kScalar:
        out_.append(" ").append(Scalar(node, secret)).append("\n");
        return;
      case Kind::kList:
        out_.append(node.items.empty() ? " []\n" : "\n");
        List(node, indent, secret);
        return;
      case Kind::kMap:
        out_.append(node.entries.empty() ? " {}\n" : "\n");
        Map(node, indent, secret);
        return;
    }
  }

  void Map(const Node& node, size_t indent, bool secret) {
    for (const Entry& entry : node.entries) {
      out_.append(indent, ' ').append(IsSafePlain(entry.key) ? entry.key : Quoted(entry.key)).append(":");
      const bool list = entry.value->kind == Kind::kList;
      Value(*entry.value, indent + (list ? 0 : 2), secret || IsSecret(entry.key));
    }
  }

 private:
  bool IsSecret(const std::string& key) const {
    return NamesSecret(key) || std::find(secret_keys_.begin(), secret_keys_.end(), key) != secret_keys_.end();
  }

  void List(const Node& node, size_t indent, bool secret) {
    for (const NodePtr& item : node.items) {
      out_.append(indent, ' ').append("-");
      if (item->kind == Kind::kMap && !item->entries.empty()) {
        // The first key stands behind the dash.
        const size_t from = out_.size();
        Map(*item, indent + 2, secret);
        out_.replace(from, indent + 2, " ");
      } else {
        Value(*item, indent + 2, secret);
      }
    }
  }

  static std::string Scalar(const Node& node, bool secret) {
    if (secret) {
      return std::string(kSecretMark);
    }
    const std::string text = WithoutUrlPassword(node.text);
    return node.plain && IsSafePlain(text) ? text : Quoted(text);
  }

  const std::vector<std::string>& secret_keys_;
  std::string out_;
};

}  // namespace

// Keys are matched by what they contain, so that an unknown plug-in's `api_token` is not shown either.
bool NamesSecret(std::string_view key) {
  const std::string lower = Lower(key);
  if (lower.ends_with("_file") || lower.ends_with("_files") || lower.ends_with("_ref") || lower.ends_with("_url")) {
    return false;
  }
  static constexpr std::array<std::string_view, 12> kParts = {
      "password", "secret",     "token",         "credential", "api_key",     "apikey",
      "api-key",  "access_key", "authorization", "cookie",     "private_key", "connection_string"};
  return lower == "key" || std::any_of(kParts.begin(), kParts.end(),
                                       [&](std::string_view part) { return lower.find(part) != std::string::npos; });
}

std::string PrintRedacted(const Node& root, const std::vector<std::string>& secret_keys) {
  Printer printer(secret_keys);
  if (root.kind == Kind::kMap) {
    printer.Map(root, 0, false);
  }
  return printer.Take();
}

}  // namespace weir::config::yaml
