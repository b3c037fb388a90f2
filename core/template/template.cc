#include "core/template/template.h"

#include <utility>

#include "core/model/duration.h"
#include "core/template/ast.h"
#include "core/template/functions.h"
#include "core/template/value.h"

namespace weir::tmpl {
namespace {

// Prometheus puts the same definitions in front of every text.
constexpr std::string_view kDefinitions =
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}";

constexpr int kEvalDepthMax =
    1000;  // C++ frames of one expansion: templates within templates times nesting within each

enum class Flow : unsigned char { kNext, kBreak, kContinue };

std::shared_ptr<const LabelMap> ToMap(const Labels& labels) {
  auto map = std::make_shared<LabelMap>();
  for (const LabelView& label : labels) {
    map->emplace(label.name, label.value);
  }
  return map;
}

// One expansion. After the first failure `status_` is set and every method returns at once; values are none then.
class Execution {
 public:
  Execution(const Tree& tree, const DataValue& data, int64_t ts_ms, const QueryFn& query)
      : tree_(tree), context_{ts_ms, &query, &data}, template_name_(tree.name) {}

  Result<std::string> Run(const Value& root) {
    const auto found = tree_.templates.find(tree_.name);
    variables_.emplace_back("$", root);
    Walk(root, *found->second);
    if (!status_.ok()) {
      return status_;
    }
    return std::move(out_);
  }

 private:
  bool failed() const { return !status_.ok(); }

  Value Fail(const std::string& message, Code code = Code::kInvalid) {
    if (status_.ok()) {
      status_ = Status(code, "template: " + PositionText(tree_, at_->pos) + ": executing " + GoQuote(template_name_) +
                                 " at <" + at_->ToString() + ">: " + message);
    }
    return {};
  }

  bool Step(const Node& node) {
    if (++steps_ > kStepsMax) {
      at_ = &node;
      Fail("more than " + std::to_string(kStepsMax) + " steps", Code::kLimit);
    } else if (depth_ > kEvalDepthMax) {
      at_ = &node;
      Fail("nested too deep", Code::kLimit);
    }
    return !failed();
  }

  void Write(std::string_view text) {
    if (out_.size() + text.size() > kOutputBytesMax) {
      Fail("output of more than " + std::to_string(kOutputBytesMax) + " bytes", Code::kLimit);
      return;
    }
    out_ += text;
  }

  // --- variables ---
  void SetVariable(const std::string& name, Value value) {
    for (size_t i = variables_.size(); i-- > 0;) {
      if (variables_[i].first == name) {
        variables_[i].second = std::move(value);
        return;
      }
    }
    Fail("undefined variable: " + name);
  }
  Value Variable(const std::string& name) {
    for (size_t i = variables_.size(); i-- > 0;) {
      if (variables_[i].first == name) {
        return variables_[i].second;
      }
    }
    return Fail("undefined variable: " + name);
  }

  // --- what stands in a text ---
  Flow Walk(const Value& dot, const Node& node) {
    ++depth_;
    const Flow flow = Step(node) ? WalkNode(dot, node) : Flow::kNext;
    --depth_;
    return flow;
  }

  Flow WalkNode(const Value& dot, const Node& node) {
    at_ = &node;
    switch (node.kind) {
      case NodeKind::kText:
        Write(node.text);
        return Flow::kNext;
      case NodeKind::kAction: {
        const Value value = Pipe(dot, *node.pipe);
        if (!failed() && node.pipe->declared.empty()) {
          at_ = &node;
          Write(PrintValue(value));
        }
        return Flow::kNext;
      }
      case NodeKind::kList:
        for (const auto& child : node.children) {
          const Flow flow = Walk(dot, *child);
          if (failed() || flow != Flow::kNext) {
            return flow;
          }
        }
        return Flow::kNext;
      case NodeKind::kIf:
      case NodeKind::kWith:
        return WalkIfOrWith(dot, node);
      case NodeKind::kRange:
        WalkRange(dot, node);
        return Flow::kNext;
      case NodeKind::kTemplate:
        WalkTemplate(dot, node);
        return Flow::kNext;
      case NodeKind::kBreak:
        return Flow::kBreak;
      case NodeKind::kContinue:
        return Flow::kContinue;
      default:
        break;
    }
    Fail("unknown node");
    return Flow::kNext;
  }

  Flow WalkIfOrWith(const Value& dot, const Node& node) {
    const size_t mark = variables_.size();
    const Value value = Pipe(dot, *node.pipe);
    Flow flow = Flow::kNext;
    if (!failed() && value.IsTrue()) {
      flow = Walk(node.kind == NodeKind::kWith ? value : dot, *node.list);
    } else if (!failed() && node.else_list) {
      flow = Walk(dot, *node.else_list);
    }
    variables_.resize(mark);
    return flow;
  }

  // RETURNS: false when the loop ends here.
  bool Iterate(const Node& node, const Value& index, const Value& element) {
    const auto& declared = node.pipe->declared;
    const size_t mark = variables_.size();
    if (!declared.empty()) {
      const Value& first = declared.size() > 1 ? index : element;
      if (node.pipe->is_assign) {
        SetVariable(declared[0], first);
      } else {
        variables_[mark - declared.size()].second = first;
      }
    }
    if (declared.size() > 1) {
      if (node.pipe->is_assign) {
        SetVariable(declared[1], element);
      } else {
        variables_[mark - 1].second = element;
      }
    }
    const Flow flow = failed() ? Flow::kBreak : Walk(element, *node.list);
    variables_.resize(mark);
    return !failed() && flow != Flow::kBreak;
  }

  void WalkRange(const Value& dot, const Node& node) {
    const size_t mark = variables_.size();
    const Value value = Pipe(dot, *node.pipe);
    if (!failed() && !RangeOver(node, value) && !failed() && node.else_list) {
      Walk(dot, *node.else_list);
    }
    variables_.resize(mark);
  }

  // RETURNS: whether there was anything to iterate over.
  bool RangeOver(const Node& node, const Value& value) {
    switch (value.kind) {
      case Kind::kNone:
        return false;
      case Kind::kLabelMap:
        for (const auto& [key, text] : *value.labels) {
          if (!Iterate(node, Value::String(key), Value::String(text))) {
            break;
          }
        }
        return !value.labels->empty();
      case Kind::kArgMap:
        for (const auto& [key, element] : *value.args) {
          if (!Iterate(node, Value::String(key), element)) {
            break;
          }
        }
        return !value.args->empty();
      case Kind::kSamples:
        for (size_t i = 0; i < value.samples->size(); ++i) {
          if (!Iterate(node, Value::Int(static_cast<int64_t>(i)), Value::Sample((*value.samples)[i]))) {
            break;
          }
        }
        return !value.samples->empty();
      default:
        break;
    }
    if (!value.IsNumberLike() && value.kind != Kind::kUint) {
      Fail("range can't iterate over " + PrintValue(value));
      return false;
    }
    if (node.pipe->declared.size() > 1) {
      Fail("can't use " + PrintValue(value) + " to iterate over more than one variable");
      return false;
    }
    for (int64_t i = 0; i < value.integer; ++i) {
      if (!Iterate(node, Value::Int(i), Value::Int(i))) {
        break;
      }
    }
    return value.integer > 0;
  }

  void WalkTemplate(const Value& dot, const Node& node) {
    const auto found = tree_.templates.find(node.text);
    if (found == tree_.templates.end()) {
      Fail("template " + GoQuote(node.text) + " not defined");
      return;
    }
    if (template_depth_ >= kTemplateDepthMax) {
      Fail("exceeded maximum template depth (" + std::to_string(kTemplateDepthMax) + ")", Code::kLimit);
      return;
    }
    const size_t mark = variables_.size();
    const Value argument = node.pipe ? Pipe(dot, *node.pipe) : Value();
    variables_.resize(mark);
    if (failed()) {
      return;
    }
    std::vector<std::pair<std::string, Value>> outer = {{"$", argument}};
    outer.swap(variables_);
    std::string name = std::exchange(template_name_, node.text);
    ++template_depth_;
    Walk(argument, *found->second);
    --template_depth_;
    template_name_ = std::move(name);
    outer.swap(variables_);
  }

  // --- what stands in an action ---
  Value Pipe(const Value& dot, const Node& pipe) {
    at_ = &pipe;
    Value value;
    for (size_t i = 0; i < pipe.children.size(); ++i) {
      ++depth_;
      value = Step(*pipe.children[i]) ? Command(dot, *pipe.children[i], i > 0 ? &value : nullptr) : Value();
      --depth_;
      if (failed()) {
        return {};
      }
    }
    for (const std::string& name : pipe.declared) {
      if (pipe.is_assign) {
        SetVariable(name, value);
      } else {
        variables_.emplace_back(name, value);
      }
    }
    return value;
  }

  // `final` is the result of the command before it in the pipeline, or null.
  Value Command(const Value& dot, const Node& command, const Value* final) {
    const Node& first = *command.children[0];
    const Operands operands{std::span(command.children).subspan(1), final};
    switch (first.kind) {
      case NodeKind::kField:
        at_ = &first;
        return FieldChain(dot, dot, first, first.ident, operands);
      case NodeKind::kChain:
        return Chain(dot, first, operands);
      case NodeKind::kIdentifier:
        return CallFunction(dot, first, command, operands);
      case NodeKind::kPipe:
        return NotAFunction(first, operands) ? Value() : Pipe(dot, first);
      case NodeKind::kVariable:
        return VariableChain(dot, first, operands);
      default:
        break;
    }
    at_ = &first;
    if (NotAFunction(first, operands)) {
      return {};
    }
    if (first.kind == NodeKind::kNil) {
      return Fail("nil is not a command");
    }
    return Constant(dot, first);
  }

  struct Operands {
    std::span<const std::unique_ptr<Node>> nodes;
    const Value* final;
    bool any() const { return !nodes.empty() || final != nullptr; }
  };

  bool NotAFunction(const Node& node, const Operands& operands) {
    if (operands.any()) {
      Fail("can't give argument to non-function " + node.ToString());
    }
    return operands.any();
  }

  Value Constant(const Value& dot, const Node& node) {
    switch (node.kind) {
      case NodeKind::kDot:
        return dot;
      case NodeKind::kBool:
        return Value::Bool(node.truth);
      case NodeKind::kString:
        return Value::String(node.unquoted);
      case NodeKind::kNumber:
        break;
      default:
        return Fail("can't handle " + node.ToString());
    }
    const bool hexadecimal = node.text.size() > 2 && node.text[0] == '0' && (node.text[1] | 0x20) == 'x' &&
                             node.text.find_first_of("pP") == std::string::npos;
    if (node.is_float && !hexadecimal && !node.is_char && node.text.find_first_of(".eEpP") != std::string::npos) {
      return Value::Float(node.real);
    }
    if (node.is_int) {
      return Value::Int(node.integer);
    }
    return node.is_uint_only ? Fail(node.text + " overflows int") : Value::Float(node.real);
  }

  Value VariableChain(const Value& dot, const Node& node, const Operands& operands) {
    at_ = &node;
    const Value value = Variable(node.ident[0]);
    if (failed()) {
      return {};
    }
    if (node.ident.size() == 1) {
      return NotAFunction(node, operands) ? Value() : value;
    }
    return FieldChain(dot, value, node, std::span(node.ident).subspan(1), operands);
  }

  Value Chain(const Value& dot, const Node& node, const Operands& operands) {
    at_ = &node;
    if (node.children[0]->kind == NodeKind::kNil) {
      return Fail("indirection through explicit nil in " + node.ToString());
    }
    const Value receiver = Argument(dot, 'a', *node.children[0]);
    return failed() ? Value() : FieldChain(dot, receiver, node, node.ident, operands);
  }

  Value FieldChain(const Value& dot, Value receiver, const Node& node, std::span<const std::string> names,
                   const Operands& operands) {
    for (size_t i = 0; i + 1 < names.size() && !failed(); ++i) {
      receiver = Field(dot, receiver, node, names[i], {});
    }
    return failed() ? Value() : Field(dot, receiver, node, names.back(), operands);
  }

  Value Field(const Value& dot, const Value& receiver, const Node& node, const std::string& name,
              const Operands& operands) {
    size_t wanted = 0;
    std::string_view types;
    if (FindMethod(receiver, name, &wanted, &types)) {
      return Method(dot, receiver, node, name, types, operands);
    }
    at_ = &node;
    if (receiver.kind == Kind::kNone) {
      return Fail("nil pointer evaluating interface {}." + name);
    }
    if (receiver.kind == Kind::kLabelMap || receiver.kind == Kind::kArgMap) {
      if (operands.any()) {
        return Fail(name + " is not a method but has arguments");
      }
      if (receiver.kind == Kind::kLabelMap) {
        const auto found = receiver.labels->find(name);
        return Value::String(found == receiver.labels->end() ? "" : found->second);
      }
      const auto found = receiver.args->find(name);
      return found == receiver.args->end() ? Value() : found->second;
    }
    Value value;
    if (!StructField(receiver, name, &value)) {
      return Fail("can't evaluate field " + name + " in type " + receiver.TypeName());
    }
    return operands.any() ? Fail(name + " has arguments but cannot be invoked as function") : value;
  }

  static bool StructField(const Value& receiver, std::string_view name, Value* value) {
    if (receiver.kind == Kind::kSample) {
      *value = name == "Labels" ? Value::Map(receiver.sample->labels) : Value::Float(receiver.sample->value);
      return name == "Labels" || name == "Value";
    }
    if (receiver.kind != Kind::kData) {
      return false;
    }
    const DataValue& data = *receiver.data;
    if (name == "Labels") {
      *value = Value::Map(data.labels);
    } else if (name == "ExternalLabels") {
      *value = Value::Map(data.external_labels);
    } else if (name == "ExternalURL") {
      *value = Value::String(data.external_url);
    } else {
      *value = Value::Float(data.value);
      return name == "Value";
    }
    return true;
  }

  Value Method(const Value& dot, const Value& receiver, const Node& node, const std::string& name,
               std::string_view types, const Operands& operands) {
    std::vector<Value> values;
    if (!Arguments(dot, node, name, types, operands, &values)) {
      return {};
    }
    at_ = &node;
    auto result = CallMethod(receiver, name, values);
    return result.ok() ? std::move(*result)
                       : Fail("error calling " + name + ": " + std::string(result.status().message()));
  }

  // Evaluates the operands of a call against its parameters.
  bool Arguments(const Value& dot, const Node& node, const std::string& name, std::string_view parameters,
                 const Operands& operands, std::vector<Value>* values) {
    const bool variadic = !parameters.empty() && parameters.back() == '*';
    const size_t fixed = variadic ? parameters.size() - 2 : parameters.size();
    const size_t given = operands.nodes.size() + (operands.final != nullptr ? 1 : 0);
    at_ = &node;
    if (given < fixed || (!variadic && given != fixed)) {
      Fail("wrong number of args for " + name + ": want " + (variadic ? "at least " : "") + std::to_string(fixed) +
           " got " + std::to_string(given));
      return false;
    }
    values->reserve(given);
    const auto type = [&] { return parameters[std::min(values->size(), variadic ? fixed : parameters.size() - 1)]; };
    for (const auto& operand : operands.nodes) {
      values->push_back(Argument(dot, type(), *operand));
      if (failed()) {
        return false;
      }
    }
    if (operands.final != nullptr) {
      values->push_back(Check(*operands.final, type()));
    }
    return !failed();
  }

  Value CallFunction(const Value& dot, const Node& node, const Node& command, const Operands& operands) {
    at_ = &node;
    const Function* function = FindFunction(node.text);
    if (function->call == nullptr) {
      return AndOr(dot, node, operands);
    }
    std::vector<Value> values;
    if (!Arguments(dot, node, node.text, function->parameters, operands, &values)) {
      return {};
    }
    auto result = function->call(context_, values);
    if (!result.ok()) {
      at_ = &command;
      return Fail("error calling " + node.text + ": " + std::string(result.status().message()), result.status().code());
    }
    return std::move(*result);
  }

  // Stops at the first operand that decides.
  Value AndOr(const Value& dot, const Node& node, const Operands& operands) {
    if (!operands.any()) {
      return Fail("wrong number of args for " + node.text + ": want at least 1 got 0");
    }
    Value value;
    for (const auto& operand : operands.nodes) {
      value = Argument(dot, 'a', *operand);
      if (failed() || value.IsTrue() == (node.text == "or")) {
        return value;
      }
    }
    return operands.final != nullptr ? *operands.final : value;
  }

  static std::string_view ParameterName(char type) {
    switch (type) {
      case 's':
        return "string";
      case 'i':
        return "int";
      case 'd':
        return "time.Duration";
      case 't':
        return "time.Time";
      case 'Q':
        return "template.queryResult";
      case 'S':
        return "*template.sample";
      default:
        return "interface {}";
    }
  }

  // RETURNS: the value when it fits the parameter.
  Value Check(const Value& value, char type) {
    const std::string wanted(ParameterName(type));
    if (value.kind == Kind::kNone) {
      const bool nil_fits = type == 'a' || type == 'Q' || type == 'S';
      return nil_fits ? Value() : Fail("invalid value; expected " + wanted);
    }
    const bool fits = type == 'a' || (type == 's' && value.kind == Kind::kString) ||
                      (type == 'i' && value.kind == Kind::kInt) || (type == 'd' && value.kind == Kind::kDuration) ||
                      (type == 't' && value.kind == Kind::kTime) || (type == 'Q' && value.kind == Kind::kSamples) ||
                      (type == 'S' && value.kind == Kind::kSample);
    return fits ? value : Fail("wrong type for value; expected " + wanted + "; got " + value.TypeName());
  }

  Value Argument(const Value& dot, char type, const Node& node) {
    ++depth_;
    Value value = Step(node) ? ArgumentNode(dot, type, node) : Value();
    --depth_;
    return value;
  }

  Value ArgumentNode(const Value& dot, char type, const Node& node) {
    at_ = &node;
    Value value;
    switch (node.kind) {
      case NodeKind::kDot:
        return Check(dot, type);
      case NodeKind::kNil:
        return type == 'a' || type == 'Q' || type == 'S'
                   ? Value()
                   : Fail("cannot assign nil to " + std::string(ParameterName(type)));
      case NodeKind::kField:
        value = FieldChain(dot, dot, node, node.ident, {});
        break;
      case NodeKind::kVariable:
        value = VariableChain(dot, node, {});
        break;
      case NodeKind::kPipe:
        value = Pipe(dot, node);
        break;
      case NodeKind::kIdentifier:
        value = CallFunction(dot, node, node, {});
        break;
      case NodeKind::kChain:
        value = Chain(dot, node, {});
        break;
      default:
        return ConstantArgument(dot, type, node);
    }
    return failed() ? Value() : Check(value, type);
  }

  Value ConstantArgument(const Value& dot, char type, const Node& node) {
    switch (type) {
      case 'a':
        return Constant(dot, node);
      case 's':
        return node.kind == NodeKind::kString ? Constant(dot, node) : Fail("expected string; found " + node.ToString());
      case 'i':
      case 'd':
        if (node.kind != NodeKind::kNumber || !node.is_int) {
          return Fail("expected integer; found " + node.ToString());
        }
        return Value::Of(type == 'i' ? Kind::kInt : Kind::kDuration, node.integer);
      default:
        return Fail("can't handle " + node.ToString() + " for arg of type " + std::string(ParameterName(type)));
    }
  }

  const Tree& tree_;
  CallContext context_;
  std::string template_name_;
  std::vector<std::pair<std::string, Value>> variables_;
  std::string out_;
  Status status_;
  const Node* at_ = nullptr;
  size_t steps_ = 0;
  int depth_ = 0;
  int template_depth_ = 0;
};

}  // namespace

struct Template::Impl {
  Tree tree;
};

Result<Template> Template::Parse(std::string name, std::string_view text) {
  auto tree = ParseTree(name, std::string(kDefinitions) + std::string(text));
  if (!tree.ok()) {
    return tree.status().WithPrefix("error parsing template " + name + ": ");
  }
  Template result;
  result.impl_ = std::make_shared<const Impl>(Impl{std::move(*tree)});
  return result;
}

const std::string& Template::name() const { return impl_->tree.name; }

Result<std::string> Template::Expand(const TemplateData& data, int64_t ts_ms, const QueryFn& query) const {
  auto value = std::make_shared<DataValue>();
  value->labels = ToMap(data.labels);
  value->external_labels = ToMap(data.external_labels);
  value->external_url = data.external_url;
  value->value = data.value;
  Value root;
  root.kind = Kind::kData;
  root.data = value;
  auto text = Execution(impl_->tree, *value, ts_ms, query).Run(root);
  if (!text.ok()) {
    return text.status().WithPrefix("error executing template " + name() + ": ");
  }
  return text;
}

Status TestParse(std::string name, std::string_view text) {
  return ParseTree(std::move(name), std::string(kDefinitions) + std::string(text)).status();
}

std::string ExpansionErrorText(const Status& status) {
  return "<error expanding template: " + std::string(status.message()) + ">";
}

}  // namespace weir::tmpl
