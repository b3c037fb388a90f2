#include "core/config/yaml.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <sstream>
#include <unordered_map>

#include "core/model/labels.h"

namespace weir::config::yaml {
namespace {

// What the builder itself finds wrong; caught in Parse(), where yaml-cpp's own exceptions are.
struct BuildError {
  size_t offset;
  std::string message;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const Source& source) : source_(source) {}

  std::vector<NodePtr> roots;

  void OnDocumentStart(const YAML::Mark& mark) override {
    anchors_.clear();
    const auto at = static_cast<size_t>(std::max(mark.pos, 0));
    const std::string_view rest = source_.text().substr(std::min(at, source_.text().size()));
    if (documents_++ > 0 && !rest.empty() && !rest.starts_with("---")) {
      throw BuildError{at, "this does not belong to what stands above it; check the indentation"};
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto node = Make(Kind::kNull, mark);
    const std::string_view rest = source_.text().substr(node->offset);
    const bool written =
        rest.starts_with('~') || rest.starts_with("null") || rest.starts_with("Null") || rest.starts_with("NULL");
    if (!written && !open_.empty() && open_.back().key.has_value()) {
      node->offset = open_.back().key_offset;  // nothing stands behind the key: the mark is that of whatever comes next
    }
    Add(node, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto at = anchors_.find(anchor);
    if (at == anchors_.end()) {
      throw BuildError{Offset(mark), "an alias cannot stand inside the value it names"};
    }
    Place(at->second, Offset(mark));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    auto node = Make(Kind::kScalar, mark);
    node->text = value;
    node->offset = static_cast<uint32_t>(SkipProperties(node->offset));
    const std::string_view rest = source_.text().substr(node->offset);
    const bool quoted = rest.starts_with('"') || rest.starts_with('\'');
    if (quoted && !IsClosed(rest)) {  // at the end of a file the parser lets it pass
      throw BuildError{node->offset, "this quoted text is never closed"};
    }
    node->plain = tag != "!" && !quoted && !rest.starts_with('|') && !rest.starts_with('>');
    Add(node, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open_.push_back({Make(Kind::kList, mark), anchor, std::nullopt, 0});
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open_.push_back({Make(Kind::kMap, mark), anchor, std::nullopt, 0});
  }
  void OnMapEnd() override {
    Merge(open_.back().node.get());
    Close();
  }

 private:
  struct Open {
    std::shared_ptr<Node> node;
    YAML::anchor_t anchor;
    std::optional<std::string> key;  // of a map: the key whose value comes next
    uint32_t key_offset;
  };

  static size_t Offset(const YAML::Mark& mark) { return static_cast<size_t>(std::max(mark.pos, 0)); }

  std::shared_ptr<Node> Make(Kind kind, const YAML::Mark& mark) const {
    auto node = std::make_shared<Node>();
    node->kind = kind;
    node->offset = static_cast<uint32_t>(std::min(Offset(mark), source_.text().size()));
    return node;
  }

  static bool IsClosed(std::string_view quoted) {
    const char quote = quoted.front();
    for (size_t i = 1; i < quoted.size(); ++i) {
      if (quoted[i] == quote) {
        return true;  // also of a doubled single quote: what follows is looked at by the parser
      }
      i += quote == '"' && quoted[i] == '\\' ? 1 : 0;
    }
    return false;
  }

  // A scalar's mark stands at its !tag or &anchor, when it has one.
  size_t SkipProperties(size_t at) const {
    const std::string_view text = source_.text();
    while (at < text.size() && (text[at] == '!' || text[at] == '&')) {
      at = std::min(text.find_first_of(" \t\r\n", at), text.size());
      at = std::min(text.find_first_not_of(" \t\r\n", at), text.size());
    }
    return at;
  }

  void Add(const std::shared_ptr<Node>& node, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      anchors_[anchor] = node;
    }
    Place(node, node->offset);
  }

  void Close() {
    const Open done = std::move(open_.back());
    open_.pop_back();
    Add(done.node, done.anchor);
  }

  void Place(const NodePtr& node, size_t offset) {
    if (open_.empty()) {
      roots.push_back(node);
      return;
    }
    Open& parent = open_.back();
    parent.node->weight += node->weight;
    if (parent.node->weight > kNodesMax) {
      throw BuildError{offset, "more than " + std::to_string(kNodesMax) + " values, aliases expanded"};
    }
    if (parent.node->kind == Kind::kList) {
      parent.node->items.push_back(node);
    } else if (!parent.key.has_value()) {
      if (node->kind != Kind::kScalar) {
        throw BuildError{offset, "a key must be a text, got " + Describe(*node)};
      }
      CheckNewKey(*parent.node, node->text, offset);
      parent.key = node->text;
      parent.key_offset = static_cast<uint32_t>(offset);
    } else {
      parent.node->entries.push_back({std::move(*parent.key), parent.key_offset, node});
      parent.key.reset();
    }
  }

  void CheckNewKey(const Node& map, const std::string& key, size_t offset) {
    if (map.entries.size() < kSmallMap) {
      if (const Entry* first = map.Find(key); first != nullptr) {
        throw BuildError{offset, Twice(key, first->key_offset)};
      }
      return;
    }
    auto& seen = keys_[&map];
    for (size_t i = seen.size(); i < map.entries.size(); ++i) {
      seen.emplace(map.entries[i].key, map.entries[i].key_offset);
    }
    if (const auto at = seen.find(key); at != seen.end()) {
      throw BuildError{offset, Twice(key, at->second)};
    }
  }

  std::string Twice(const std::string& key, uint32_t first) const {
    return "key " + GoQuote(key) + " is given twice; first at " + source_.Where(first);
  }

  // `<<: *other` and `<<: [*a, *b]`: keys of the other maps that this one does not have.
  void Merge(Node* map) {
    keys_.erase(map);
    const auto at =
        std::find_if(map->entries.begin(), map->entries.end(), [](const Entry& e) { return e.key == "<<"; });
    if (at == map->entries.end()) {
      return;
    }
    const Entry merge = *at;
    map->entries.erase(at);
    std::vector<NodePtr> others = merge.value->items;
    if (merge.value->kind == Kind::kMap) {
      others = {merge.value};
    }
    for (const NodePtr& other : others) {
      if (other->kind != Kind::kMap) {
        throw BuildError{merge.key_offset, "<< wants a map or a list of maps, got " + Describe(*other)};
      }
      for (const Entry& entry : other->entries) {
        if (map->Find(entry.key) == nullptr) {
          map->entries.push_back(entry);
        }
      }
    }
  }

  static constexpr size_t kSmallMap = 64;  // below, a linear look for duplicates is cheaper

  const Source& source_;
  size_t documents_ = 0;
  std::vector<Open> open_;
  std::unordered_map<YAML::anchor_t, NodePtr> anchors_;
  std::unordered_map<const Node*, std::unordered_map<std::string, uint32_t>> keys_;
};

// RETURNS: the tab in the indentation of the line that `at` stands on, npos when there is none.
size_t FindTab(std::string_view text, size_t at) {
  const size_t newline = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
  const size_t word = text.find_first_not_of(' ', start);
  return word < text.size() && text[word] == '\t' && word < at ? word : std::string_view::npos;
}

// RETURNS: the offset of the first byte that YAML does not allow, npos when there is none.
size_t FindForbidden(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) {
      return i;
    }
  }
  return std::string_view::npos;
}

size_t FindInvalidUtf8(std::string_view text) {
  static constexpr size_t kRuneBytesMax = 4;
  size_t at = 0;
  while (at < text.size()) {
    size_t size = 1;
    while (size <= kRuneBytesMax && !IsValidUtf8(text.substr(at, size))) {
      ++size;
    }
    if (size > kRuneBytesMax) {
      break;
    }
    at += size;
  }
  return at;
}

}  // namespace

void AddProblem(std::vector<std::string>* problems, std::string text) {
  if (problems->size() < kProblemsMax) {
    problems->push_back(std::move(text));
  } else if (problems->size() == kProblemsMax) {
    problems->push_back("more than " + std::to_string(kProblemsMax) + " problems; the others are not shown");
  }
}

const Entry* Node::Find(std::string_view key) const {
  const auto at = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.key == key; });
  return at == entries.end() ? nullptr : &*at;
}

std::string Describe(const Node& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
    case Kind::kScalar:
      break;
  }
  static constexpr size_t kShownBytes = 120;
  return node.text.size() <= kShownBytes ? GoQuote(node.text) : GoQuote(node.text.substr(0, kShownBytes)) + "…";
}

Documents Parse(const Source& source) {
  Documents out;
  const std::string_view text = source.text();
  if (!IsValidUtf8(text)) {
    out.error = source.Where(FindInvalidUtf8(text)) + ": not UTF-8 text";
    return out;
  }
  if (const size_t at = FindForbidden(text); at != std::string_view::npos) {
    out.error = source.Where(at) + ": control character " + GoQuote(text.substr(at, 1)) + " is not allowed in YAML";
    return out;
  }
  TreeBuilder builder(source);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    out.roots = std::move(builder.roots);
  } catch (const BuildError& error) {
    out.error = source.Where(error.offset) + ": " + error.message;
  } catch (const YAML::Exception& error) {
    const size_t at =
        error.mark.is_null() ? 0 : std::min(static_cast<size_t>(std::max(error.mark.pos, 0)), text.size());
    if (const size_t tab = FindTab(text, at); tab != std::string_view::npos) {
      out.error = source.Where(tab) + ": not valid YAML: a tab in the indentation; YAML takes blanks only";
    } else {
      out.error = source.Where(at) + ": not valid YAML: " + error.msg;
    }
  } catch (const std::exception& error) {
    out.error = source.Where(size_t{0}) + ": not valid YAML: " + error.what();
  }
  return out;
}

}  // namespace weir::config::yaml
