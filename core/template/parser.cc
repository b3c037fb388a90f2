#include <cmath>

#include "core/model/labels.h"
#include "core/template/ast.h"
#include "core/template/lexer.h"
#include "core/template/template.h"
#include "core/template/unquote.h"

namespace weir::tmpl {
namespace {

using NodePtr = std::unique_ptr<Node>;

NodePtr Make(NodeKind kind, size_t pos) { return std::make_unique<Node>(kind, pos); }

std::vector<std::string> SplitDots(std::string_view text) {
  std::vector<std::string> out;
  for (size_t from = 0; from <= text.size();) {
    const size_t dot = std::min(text.find('.', from), text.size());
    out.emplace_back(text.substr(from, dot - from));
    from = dot + 1;
  }
  return out;
}

// A recursive-descent parser that stops at the first error. After an error every method returns null quickly.
class Parser {
 public:
  Parser(std::string name, std::string text) {
    tree_.name = std::move(name);
    tree_.text = std::move(text);
  }

  Result<Tree> Run() {
    if (tree_.text.size() > kTemplateBytesMax) {
      return LimitError("template: " + tree_.name + ": text has " + std::to_string(tree_.text.size()) +
                        " bytes, at most " + std::to_string(kTemplateBytesMax) + " are allowed");
    }
    tokens_ = Lex(tree_.text);
    NodePtr root = Make(NodeKind::kList, 0);
    while (status_.ok() && Peek().kind != TokenKind::kEof) {
      if (Peek().kind == TokenKind::kLeftDelimiter) {
        const size_t mark = at_;
        ++at_;
        if (NextNonSpace().kind == TokenKind::kDefine) {
          ParseDefinition();
          continue;
        }
        at_ = mark;
      }
      NodePtr node = TextOrAction();
      if (node && (node->kind == NodeKind::kEnd || node->kind == NodeKind::kElse)) {
        Fail("unexpected " + node->ToString());
      } else if (node) {
        root->children.push_back(std::move(node));
      }
    }
    if (status_.ok()) {
      Add(tree_.name, std::move(root));
    }
    if (!status_.ok()) {
      return status_;
    }
    return std::move(tree_);
  }

 private:
  // --- tokens; the last one (EOF or an error) is never passed ---
  const Token& Peek() const { return tokens_[at_]; }
  const Token& Next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) {
      ++at_;
    }
    last_line_ = token.line;
    return token;
  }
  const Token& PeekNonSpace() {
    while (Peek().kind == TokenKind::kSpace) {
      ++at_;
    }
    return Peek();
  }
  const Token& NextNonSpace() {
    PeekNonSpace();
    return Next();
  }

  NodePtr Fail(const std::string& message) {
    if (status_.ok()) {
      status_ = InvalidError("template: " + tree_.name + ":" + std::to_string(last_line_) + ": " + message);
    }
    return nullptr;
  }
  NodePtr Unexpected(const Token& token, std::string_view context) {
    if (token.kind == TokenKind::kError) {
      std::string extra;
      if (action_line_ != 0 && action_line_ != token.line) {
        extra = " in action started at " + tree_.name + ":" + std::to_string(action_line_);
      }
      return Fail(token.text + extra);
    }
    return Fail("unexpected " + token.ToString() + " in " + std::string(context));
  }
  bool Expect(TokenKind kind, std::string_view context) {
    const Token& token = NextNonSpace();
    if (token.kind != kind) {
      Unexpected(token, context);
      return false;
    }
    return true;
  }

  // A definition that holds nothing but space never replaces one that says something.
  static bool IsEmpty(const Node& list) {
    for (const NodePtr& child : list.children) {
      if (child->kind != NodeKind::kText || child->text.find_first_not_of(" \t\r\n") != std::string::npos) {
        return false;
      }
    }
    return true;
  }
  void Add(const std::string& name, NodePtr list) {
    auto found = tree_.templates.find(name);
    if (found == tree_.templates.end()) {
      tree_.templates.emplace(name, std::move(list));
    } else if (IsEmpty(*found->second)) {
      found->second = std::move(list);
    } else if (!IsEmpty(*list)) {
      Fail("template: multiple definition of template " + GoQuote(name));
    }
  }

  // --- what stands in a text ---
  NodePtr TextOrAction() {
    const Token& token = NextNonSpace();
    if (token.kind == TokenKind::kText) {
      NodePtr node = Make(NodeKind::kText, token.pos);
      node->text = token.text;
      return node;
    }
    if (token.kind != TokenKind::kLeftDelimiter) {
      return Unexpected(token, "input");
    }
    action_line_ = token.line;
    NodePtr node = Action();
    action_line_ = 0;
    return node;
  }

  // Reads up to {{end}} or {{else}}, which is returned in `end`.
  NodePtr ItemList(NodePtr* end) {
    NodePtr list = Make(NodeKind::kList, PeekNonSpace().pos);
    while (status_.ok() && PeekNonSpace().kind != TokenKind::kEof) {
      NodePtr node = TextOrAction();
      if (!node) {
        return nullptr;
      }
      if (node->kind == NodeKind::kEnd || node->kind == NodeKind::kElse) {
        *end = std::move(node);
        return list;
      }
      list->children.push_back(std::move(node));
    }
    return Fail("unexpected EOF");
  }

  NodePtr Action() {
    if (++depth_ > kParseDepthMax) {
      return TooDeep();
    }
    NodePtr node = ActionBody();
    --depth_;
    return node;
  }

  NodePtr TooDeep() { return Fail("nested more than " + std::to_string(kParseDepthMax) + " levels deep"); }

  NodePtr ActionBody() {
    const size_t mark = (PeekNonSpace(), at_);
    const Token& token = NextNonSpace();
    switch (token.kind) {
      case TokenKind::kBlock:
        return Block();
      case TokenKind::kBreak:
        return Leave(NodeKind::kBreak, "{{break}}", token.pos);
      case TokenKind::kContinue:
        return Leave(NodeKind::kContinue, "{{continue}}", token.pos);
      case TokenKind::kElse:
        return Else();
      case TokenKind::kEnd: {
        const size_t pos = token.pos;
        return CloseAs(NodeKind::kEnd, "end", pos);
      }
      case TokenKind::kIf:
        return Control(NodeKind::kIf, "if", token.pos);
      case TokenKind::kRange:
        return Control(NodeKind::kRange, "range", token.pos);
      case TokenKind::kTemplate:
        return Call();
      case TokenKind::kWith:
        return Control(NodeKind::kWith, "with", token.pos);
      default:
        break;
    }
    at_ = mark;
    NodePtr node = Make(NodeKind::kAction, Peek().pos);
    node->pipe = Pipeline("command", TokenKind::kRightDelimiter);
    if (!node->pipe) {
      return nullptr;
    }
    return node;
  }

  NodePtr Leave(NodeKind kind, std::string_view context, size_t pos) {
    const Token& token = NextNonSpace();
    if (token.kind != TokenKind::kRightDelimiter) {
      return Unexpected(token, context);
    }
    if (range_depth_ == 0) {
      return Fail(std::string(context) + " outside {{range}}");
    }
    return Make(kind, pos);
  }

  // `{{else}}`; of `{{else if …}}` and `{{else with …}}` the keyword is left for Control.
  NodePtr Else() {
    const Token& token = PeekNonSpace();
    const size_t pos = token.pos;
    if (token.kind == TokenKind::kIf || token.kind == TokenKind::kWith) {
      return Make(NodeKind::kElse, pos);
    }
    return CloseAs(NodeKind::kElse, "else", pos);
  }

  // An action that holds nothing but its keyword.
  NodePtr CloseAs(NodeKind kind, std::string_view context, size_t pos) {
    if (!Expect(TokenKind::kRightDelimiter, context)) {
      return nullptr;
    }
    return Make(kind, pos);
  }

  NodePtr Control(NodeKind kind, std::string_view context, size_t pos) {
    const size_t variables = variables_.size();
    NodePtr node = ControlBody(kind, context, pos);
    variables_.resize(std::min(variables, variables_.size()));
    return node;
  }

  NodePtr ControlBody(NodeKind kind, std::string_view context, size_t pos) {
    NodePtr node = Make(kind, pos);
    node->pipe = Pipeline(context, TokenKind::kRightDelimiter);
    if (!node->pipe) {
      return nullptr;
    }
    range_depth_ += kind == NodeKind::kRange ? 1 : 0;
    NodePtr end;
    node->list = ItemList(&end);
    range_depth_ -= kind == NodeKind::kRange ? 1 : 0;
    if (!node->list) {
      return nullptr;
    }
    if (end->kind == NodeKind::kEnd) {
      return node;
    }
    const TokenKind again = kind == NodeKind::kIf     ? TokenKind::kIf
                            : kind == NodeKind::kWith ? TokenKind::kWith
                                                      : TokenKind::kEof;
    if (again != TokenKind::kEof && Peek().kind == again) {
      // `{{else if x}}` is `{{else}}{{if x}}` with one {{end}} for both.
      const size_t at = Next().pos;
      node->else_list = Make(NodeKind::kList, at);
      if (++depth_ > kParseDepthMax) {
        return TooDeep();
      }
      NodePtr inner = Control(kind, context, at);
      --depth_;
      if (!inner) {
        return nullptr;
      }
      node->else_list->children.push_back(std::move(inner));
      return node;
    }
    node->else_list = ItemList(&end);
    if (!node->else_list) {
      return nullptr;
    }
    if (end->kind != NodeKind::kEnd) {
      return Fail("expected end; found " + end->ToString());
    }
    return node;
  }

  bool TemplateName(std::string_view context, std::string* name, size_t* pos) {
    const Token& token = NextNonSpace();
    *pos = token.pos;
    if (token.kind != TokenKind::kString && token.kind != TokenKind::kRawString) {
      Unexpected(token, context);
      return false;
    }
    const auto text = UnquoteString(token.text);
    if (!text) {
      Fail("invalid syntax");
      return false;
    }
    *name = *text;
    return true;
  }

  NodePtr Call() {
    constexpr std::string_view kContext = "template clause";
    NodePtr node = Make(NodeKind::kTemplate, 0);
    if (!TemplateName(kContext, &node->text, &node->pos)) {
      return nullptr;
    }
    if (PeekNonSpace().kind == TokenKind::kRightDelimiter) {
      Next();
      return node;
    }
    node->pipe = Pipeline(kContext, TokenKind::kRightDelimiter);
    if (!node->pipe) {
      return nullptr;
    }
    return node;
  }

  // A body of its own: outer variables and loops do not reach in.
  NodePtr Separate(std::string_view context) {
    std::vector<std::string> variables = {"$"};
    variables_.swap(variables);
    const int ranges = std::exchange(range_depth_, 0);
    NodePtr end;
    NodePtr list = ItemList(&end);
    variables_.swap(variables);
    range_depth_ = ranges;
    if (list && end->kind != NodeKind::kEnd) {
      return Fail("unexpected " + end->ToString() + " in " + std::string(context));
    }
    return list;
  }

  NodePtr Block() {
    constexpr std::string_view kContext = "block clause";
    NodePtr node = Make(NodeKind::kTemplate, 0);
    if (!TemplateName(kContext, &node->text, &node->pos)) {
      return nullptr;
    }
    node->pipe = Pipeline(kContext, TokenKind::kRightDelimiter);
    NodePtr list = node->pipe ? Separate(kContext) : nullptr;
    if (!list) {
      return nullptr;
    }
    Add(node->text, std::move(list));
    return node;
  }

  void ParseDefinition() {
    constexpr std::string_view kContext = "define clause";
    std::string name;
    size_t pos = 0;
    if (!TemplateName(kContext, &name, &pos) || !Expect(TokenKind::kRightDelimiter, kContext)) {
      return;
    }
    if (NodePtr list = Separate(kContext)) {
      Add(name, std::move(list));
    }
  }

  // --- what stands in an action ---
  NodePtr Pipeline(std::string_view context, TokenKind end) {
    NodePtr pipe = Make(NodeKind::kPipe, PeekNonSpace().pos);
    if (!Declarations(context, pipe.get())) {
      return nullptr;
    }
    for (;;) {
      const size_t mark = (PeekNonSpace(), at_);
      const Token& token = NextNonSpace();
      if (token.kind == end) {
        return CheckPipeline(context, *pipe) ? std::move(pipe) : nullptr;
      }
      switch (token.kind) {
        case TokenKind::kBool:
        case TokenKind::kCharConstant:
        case TokenKind::kDot:
        case TokenKind::kField:
        case TokenKind::kIdentifier:
        case TokenKind::kNumber:
        case TokenKind::kNil:
        case TokenKind::kRawString:
        case TokenKind::kString:
        case TokenKind::kVariable:
        case TokenKind::kLeftParen:
          break;
        default:
          return Unexpected(token, context);
      }
      at_ = mark;
      NodePtr command = Command();
      if (!command) {
        return nullptr;
      }
      pipe->children.push_back(std::move(command));
    }
  }

  // `$x :=`, `$x =`, `$i, $v :=`. Leaves a variable that is only read where it stands.
  bool Declarations(std::string_view context, Node* pipe) {
    while (PeekNonSpace().kind == TokenKind::kVariable) {
      const size_t mark = at_;
      const std::string name = Next().text;
      const Token& after = PeekNonSpace();
      if (after.kind == TokenKind::kAssign || after.kind == TokenKind::kDeclare) {
        pipe->is_assign = after.kind == TokenKind::kAssign;
        Next();
        pipe->declared.push_back(name);
        variables_.push_back(name);
        return true;
      }
      if (after.kind != TokenKind::kChar || after.text != ",") {
        at_ = mark;
        return true;
      }
      Next();
      pipe->declared.push_back(name);
      variables_.push_back(name);
      if (context != "range" || pipe->declared.size() >= 2) {
        Fail("too many declarations in " + std::string(context));
        return false;
      }
      const TokenKind kind = PeekNonSpace().kind;
      if (kind != TokenKind::kVariable && kind != TokenKind::kRightDelimiter && kind != TokenKind::kRightParen) {
        Fail("range can only initialize variables");
        return false;
      }
    }
    return true;
  }

  bool CheckPipeline(std::string_view context, const Node& pipe) {
    if (pipe.children.empty()) {
      Fail("missing value for " + std::string(context));
      return false;
    }
    for (size_t i = 1; i < pipe.children.size(); ++i) {
      switch (pipe.children[i]->children[0]->kind) {
        case NodeKind::kBool:
        case NodeKind::kDot:
        case NodeKind::kNil:
        case NodeKind::kNumber:
        case NodeKind::kString:
          Fail("non executable command in pipeline stage " + std::to_string(i + 1));
          return false;
        default:
          break;
      }
    }
    return true;
  }

  NodePtr Command() {
    NodePtr command = Make(NodeKind::kCommand, PeekNonSpace().pos);
    for (;;) {
      PeekNonSpace();
      NodePtr operand = Operand();
      if (!status_.ok()) {
        return nullptr;
      }
      if (operand) {
        command->children.push_back(std::move(operand));
      }
      const Token& token = Peek();
      if (token.kind == TokenKind::kSpace) {
        Next();
        continue;
      }
      if (token.kind == TokenKind::kPipe) {
        Next();
      } else if (token.kind != TokenKind::kRightDelimiter && token.kind != TokenKind::kRightParen) {
        Next();
        return Unexpected(token, "operand");
      }
      break;
    }
    return command->children.empty() ? Fail("empty command") : std::move(command);
  }

  // A term and the `.names` right behind it.
  NodePtr Operand() {
    NodePtr node = Term();
    if (!node || Peek().kind != TokenKind::kField) {
      return node;
    }
    NodePtr chain = Make(NodeKind::kChain, Peek().pos);
    while (Peek().kind == TokenKind::kField) {
      chain->ident.push_back(Next().text.substr(1));
    }
    switch (node->kind) {
      case NodeKind::kField:
      case NodeKind::kVariable:
        node->pos = chain->pos;
        node->ident.insert(node->ident.end(), chain->ident.begin(), chain->ident.end());
        return node;
      case NodeKind::kBool:
      case NodeKind::kString:
      case NodeKind::kNumber:
      case NodeKind::kNil:
      case NodeKind::kDot:
        return Fail("unexpected . after term " + GoQuote(node->ToString()));
      default:
        break;
    }
    chain->children.push_back(std::move(node));
    return chain;
  }

  NodePtr Term() {
    const size_t mark = (PeekNonSpace(), at_);
    const Token& token = NextNonSpace();
    switch (token.kind) {
      case TokenKind::kIdentifier: {
        if (!IsFunction(token.text)) {
          return Fail("function " + GoQuote(token.text) + " not defined");
        }
        NodePtr node = Make(NodeKind::kIdentifier, token.pos);
        node->text = token.text;
        return node;
      }
      case TokenKind::kDot:
        return Make(NodeKind::kDot, token.pos);
      case TokenKind::kNil:
        return Make(NodeKind::kNil, token.pos);
      case TokenKind::kVariable:
        return Variable(token);
      case TokenKind::kField: {
        NodePtr node = Make(NodeKind::kField, token.pos);
        node->ident = SplitDots(std::string_view(token.text).substr(1));
        return node;
      }
      case TokenKind::kBool: {
        NodePtr node = Make(NodeKind::kBool, token.pos);
        node->truth = token.text == "true";
        return node;
      }
      case TokenKind::kCharConstant:
      case TokenKind::kNumber:
        return Number(token);
      case TokenKind::kLeftParen: {
        if (++depth_ > kParseDepthMax) {
          return TooDeep();
        }
        NodePtr pipe = Pipeline("parenthesized pipeline", TokenKind::kRightParen);
        --depth_;
        return pipe;
      }
      case TokenKind::kString:
      case TokenKind::kRawString: {
        auto text = UnquoteString(token.text);
        if (!text) {
          return Fail("invalid syntax");
        }
        NodePtr node = Make(NodeKind::kString, token.pos);
        node->text = token.text;
        node->unquoted = std::move(*text);
        return node;
      }
      default:
        break;
    }
    at_ = mark;
    return nullptr;
  }

  NodePtr Variable(const Token& token) {
    for (const std::string& known : variables_) {
      if (known == token.text) {
        NodePtr node = Make(NodeKind::kVariable, token.pos);
        node->ident = {token.text};
        return node;
      }
    }
    return Fail("undefined variable " + GoQuote(token.text));
  }

  NodePtr Number(const Token& token) {
    NodePtr node = Make(NodeKind::kNumber, token.pos);
    node->text = token.text;
    if (token.kind == TokenKind::kCharConstant) {
      const auto rune = UnquoteChar(token.text);
      if (!rune) {
        return Fail("malformed character constant: " + token.text);
      }
      node->is_int = node->is_float = node->is_char = true;
      node->integer = static_cast<int64_t>(*rune);
      node->real = static_cast<double>(*rune);
      return node;
    }
    if (const auto integer = ParseGoInt(token.text)) {
      node->is_int = node->is_float = true;
      node->integer = *integer;
      node->real = static_cast<double>(*integer);
      return node;
    }
    if (const auto natural = ParseGoUint(token.text)) {
      node->is_float = node->is_uint_only = true;
      node->real = static_cast<double>(*natural);
      return node;
    }
    const auto real = ParseGoFloat(token.text, true);
    if (!real) {
      return Fail("illegal number syntax: " + GoQuote(token.text));
    }
    if (token.text.find_first_of(".eEpP") == std::string::npos) {
      return Fail("integer overflow: " + GoQuote(token.text));
    }
    node->is_float = true;
    node->real = *real;
    if (std::abs(*real) < 9.2e18 && std::trunc(*real) == *real) {
      node->is_int = true;
      node->integer = static_cast<int64_t>(*real);
    }
    return node;
  }

  Tree tree_;
  Status status_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::vector<std::string> variables_ = {"$"};
  int range_depth_ = 0;
  int depth_ = 0;
  int last_line_ = 1;
  int action_line_ = 0;
};

std::string Dotted(const std::vector<std::string>& names, bool leading) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    out += (i > 0 || leading ? "." : "") + names[i];
  }
  return out;
}

std::string Parenthesized(const Node& node) {
  return node.kind == NodeKind::kPipe ? "(" + node.ToString() + ")" : node.ToString();
}

std::string PipeText(const Node& node) {
  std::string out;
  for (size_t i = 0; i < node.declared.size(); ++i) {
    out += (i > 0 ? ", " : "") + node.declared[i];
  }
  if (!node.declared.empty()) {
    out += node.is_assign ? " = " : " := ";
  }
  for (size_t i = 0; i < node.children.size(); ++i) {
    out += (i > 0 ? " | " : "") + node.children[i]->ToString();
  }
  return out;
}

std::string ControlText(const Node& node, std::string_view keyword) {
  std::string out = "{{" + std::string(keyword) + " " + node.pipe->ToString() + "}}" + node.list->ToString();
  if (node.else_list) {
    out += "{{else}}" + node.else_list->ToString();
  }
  return out + "{{end}}";
}

}  // namespace

std::string Node::ToString() const {
  switch (kind) {
    case NodeKind::kList: {
      std::string out;
      for (const NodePtr& child : children) {
        out += child->ToString();
      }
      return out;
    }
    case NodeKind::kText:
      return text;
    case NodeKind::kAction:
      return "{{" + pipe->ToString() + "}}";
    case NodeKind::kIf:
      return ControlText(*this, "if");
    case NodeKind::kRange:
      return ControlText(*this, "range");
    case NodeKind::kWith:
      return ControlText(*this, "with");
    case NodeKind::kTemplate:
      return "{{template " + GoQuote(text) + (pipe ? " " + pipe->ToString() : "") + "}}";
    case NodeKind::kBreak:
      return "{{break}}";
    case NodeKind::kContinue:
      return "{{continue}}";
    case NodeKind::kEnd:
      return "{{end}}";
    case NodeKind::kElse:
      return "{{else}}";
    case NodeKind::kPipe:
      return PipeText(*this);
    case NodeKind::kCommand: {
      std::string out;
      for (size_t i = 0; i < children.size(); ++i) {
        out += (i > 0 ? " " : "") + Parenthesized(*children[i]);
      }
      return out;
    }
    case NodeKind::kField:
      return Dotted(ident, true);
    case NodeKind::kVariable:
      return Dotted(ident, false);
    case NodeKind::kChain:
      return Parenthesized(*children[0]) + Dotted(ident, true);
    case NodeKind::kIdentifier:
    case NodeKind::kNumber:
    case NodeKind::kString:
      return text;
    case NodeKind::kDot:
      return ".";
    case NodeKind::kNil:
      return "nil";
    case NodeKind::kBool:
      return truth ? "true" : "false";
  }
  return "";
}

Result<Tree> ParseTree(std::string name, std::string text) { return Parser(std::move(name), std::move(text)).Run(); }

std::string PositionText(const Tree& tree, size_t pos) {
  const std::string_view before = std::string_view(tree.text).substr(0, pos);
  const size_t newline = before.rfind('\n');
  size_t lines = 1;
  for (const char c : before) {
    lines += c == '\n' ? 1 : 0;
  }
  const size_t column = newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
  return tree.name + ":" + std::to_string(lines) + ":" + std::to_string(column);
}

}  // namespace weir::tmpl
