#pragma once
// The parsed form of a template, private to this room. One fat node type keeps the tree small to read; the comment at
// each field says which kinds use it. Positions are byte offsets into the whole text (definitions included) and name
// the place in messages; Node::ToString gives the text messages quote.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace weir::tmpl {

enum class NodeKind : unsigned char {
  kList,
  kText,
  kAction,
  kIf,
  kRange,
  kWith,
  kTemplate,
  kBreak,
  kContinue,
  kEnd,
  kElse,  // what stands in a text
  kPipe,
  kCommand,
  kField,
  kVariable,
  kChain,
  kIdentifier,
  kDot,
  kNil,
  kBool,
  kNumber,
  kString,  // what stands in an action
};

struct Node {
  NodeKind kind;
  size_t pos = 0;
  // kText: the text; kTemplate: the name; kIdentifier; kNumber, kString: as written
  std::string text;
  std::string unquoted;                         // kString
  std::vector<std::string> ident;               // kField, kChain: the names; kVariable: "$x", then names
  std::vector<std::unique_ptr<Node>> children;  // kList; kPipe: commands; kCommand: operands; kChain: the one operand
  std::vector<std::string> declared;            // kPipe: variables on its left
  bool is_assign = false;                       // kPipe: `=` and not `:=`
  std::unique_ptr<Node> pipe;                   // kAction, kIf, kRange, kWith, kTemplate (may be null)
  std::unique_ptr<Node> list, else_list;        // kIf, kRange, kWith; else_list may be null
  bool truth = false;                           // kBool
  bool is_int = false, is_float = false, is_char = false;  // kNumber: what it can be
  bool is_uint_only = false;                               // kNumber: above the range of int
  int64_t integer = 0;
  double real = 0;

  Node(NodeKind k, size_t p) : kind(k), pos(p) {}
  std::string ToString() const;
};

// All templates of one text: the main one and those of define and block.
struct Tree {
  std::string name;                                                     // the parse name
  std::string text;                                                     // with the definitions in front
  std::map<std::string, std::unique_ptr<Node>, std::less<>> templates;  // kList; the main one under `name`
};

// ERRORS: kInvalid, `template: NAME:LINE: …`; kLimit.
Result<Tree> ParseTree(std::string name, std::string text);

// RETURNS: `NAME:LINE:COL` of a byte position; columns count bytes from 0 in the line.
std::string PositionText(const Tree& tree, size_t pos);

// RETURNS: whether templates can call a function of this name (functions.cc).
bool IsFunction(std::string_view name);

}  // namespace weir::tmpl
