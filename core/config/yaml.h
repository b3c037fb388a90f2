#pragma once
// YAML as the config room reads it: a small tree in which every value knows its byte offset, and sources that turn
// offsets into file:line:col, also for YAML that stands inside a block scalar of other YAML (ConfigMaps). yaml-cpp
// does the parsing (yaml.cc, included nowhere else). Values are texts as written; who reads one decides its type.
// Cost: start and reload only.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::config::yaml {

inline constexpr uint64_t kNodesMax = 5'000'000;  // of one document, aliases counted as often as they are used

inline constexpr size_t kProblemsMax = 1000;  // reported for one file; a last line says that there are more

// Adds one problem of a file to those reported, within kProblemsMax.
void AddProblem(std::vector<std::string>* problems, std::string text);

enum class Kind : unsigned char { kNull, kScalar, kList, kMap };

struct Node;
using NodePtr = std::shared_ptr<const Node>;

struct Entry {
  std::string key;
  uint32_t key_offset = 0;
  NodePtr value;
};

struct Node {
  Kind kind = Kind::kNull;
  bool plain = true;           // a scalar without quotes or block marks
  uint32_t offset = 0;         // in the source's text; of a scalar, where its quote, block mark or first byte stands
  std::string text;            // kScalar
  std::vector<Entry> entries;  // kMap, in file order
  std::vector<NodePtr> items;  // kList
  uint64_t weight = 1;         // nodes below and including this one

  // RETURNS: the entry or null.
  const Entry* Find(std::string_view key) const;
};

// RETURNS: "a list", "a map", "nothing" or `"the text"`: what was found instead.
std::string Describe(const Node& node);

struct Place {
  int line = 1;    // 1-based
  int column = 1;  // 1-based, in bytes
};

// A text that YAML is parsed from, and where its bytes stand in the file.
class Source {
 public:
  Source(std::string file, std::string_view text);
  // The text of a scalar of `outer` as a source of its own; its places are places of the outer file.
  Source(const Source& outer, const Node& scalar);

  const std::string& file() const { return file_->name; }
  std::string_view text() const { return text_; }
  Place PlaceOf(size_t offset) const;
  // RETURNS: `file:line:col`.
  std::string Where(size_t offset) const;
  std::string Where(const Node& node) const { return Where(node.offset); }
  // For every byte of the scalar's text, and one past its end: the offset in the file where it stands.
  // RETURNS: nothing for a way of writing that cannot be followed; the scalar's own place serves then.
  std::optional<std::vector<uint32_t>> FileOffsets(const Node& scalar) const;
  // RETURNS: where byte `offset` of a scalar's text stands.
  std::string WhereIn(const Node& scalar, size_t offset) const;
  Place PlaceOfFileOffset(size_t offset) const;

 private:
  struct File {
    std::string name;
    std::vector<uint32_t> line_starts;
  };
  size_t ToFile(size_t offset) const;

  std::shared_ptr<const File> file_;
  std::string text_;
  std::vector<uint32_t> to_file_;  // empty: this is the file itself
};

struct Documents {
  std::vector<NodePtr> roots;
  std::string error;  // `file:line:col: what is wrong`, "" when all is well
};

Documents Parse(const Source& source);

// RETURNS: whether a key of this name holds a secret, by its form: password, token, credentials, ….
bool NamesSecret(std::string_view key);

// RETURNS: the tree as YAML, with what stands under keys that name secrets (and passwords inside URLs) as <secret>.
// `secret_keys` adds names to those recognised by form (password, credentials, token, …).
std::string PrintRedacted(const Node& root, const std::vector<std::string>& secret_keys);

}  // namespace weir::config::yaml
