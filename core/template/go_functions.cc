// What every Go template has: comparison, index and slice, printing, escaping.

#include "core/template/functions.h"

#include "core/base/http_server.h"
#include "core/template/lexer.h"

namespace weir::tmpl {
namespace {

enum class Basic : unsigned char { kBool, kInt, kUint, kFloat, kString, kOther };

Basic BasicKind(const Value& value) {
  if (value.IsNumberLike()) {
    return Basic::kInt;
  }
  switch (value.kind) {
    case Kind::kBool:
      return Basic::kBool;
    case Kind::kUint:
      return Basic::kUint;
    case Kind::kFloat:
      return Basic::kFloat;
    case Kind::kString:
      return Basic::kString;
    default:
      return Basic::kOther;
  }
}

Status BadType() { return InvalidError("invalid type for comparison"); }
Status Incompatible(const Value& a, const Value& b) {
  return InvalidError("incompatible types for comparison: " + a.TypeName() + " and " + b.TypeName());
}

// An int and a byte compare as numbers; everything else must be of one kind.
bool MixedIntegers(Basic a, Basic b) {
  return (a == Basic::kInt && b == Basic::kUint) || (a == Basic::kUint && b == Basic::kInt);
}

Result<bool> Equal(const Value& a, const Value& b) {
  const Basic ka = BasicKind(a), kb = BasicKind(b);
  if (ka != kb && !MixedIntegers(ka, kb)) {
    if (a.kind != Kind::kNone && b.kind != Kind::kNone) {
      return Incompatible(a, b);
    }
    return false;
  }
  switch (ka) {
    case Basic::kBool:
      return a.truth == b.truth;
    case Basic::kInt:
    case Basic::kUint:
      return a.integer == b.integer;
    case Basic::kFloat:
      return a.real == b.real;
    case Basic::kString:
      return a.text == b.text;
    case Basic::kOther:
      break;
  }
  if (a.kind == Kind::kNone || b.kind == Kind::kNone) {
    return a.kind == b.kind;
  }
  if (a.kind != b.kind) {
    return InvalidError("non-comparable types " + PrintValue(a) + ": " + a.TypeName() + ", " + b.TypeName() + ": " +
                        PrintValue(b));
  }
  if (a.kind == Kind::kTime) {
    return a.integer == b.integer;
  }
  if (a.kind == Kind::kSample) {
    return a.sample == b.sample;
  }
  return InvalidError("non-comparable type " + PrintValue(a) + ": " + a.TypeName());
}

Result<bool> Less(const Value& a, const Value& b) {
  const Basic ka = BasicKind(a), kb = BasicKind(b);
  if (ka == Basic::kOther || kb == Basic::kOther) {
    return BadType();
  }
  if (ka != kb && !MixedIntegers(ka, kb)) {
    return Incompatible(a, b);
  }
  switch (ka) {
    case Basic::kInt:
    case Basic::kUint:
      return a.integer < b.integer;
    case Basic::kFloat:
      return a.real < b.real;
    case Basic::kString:
      return a.text < b.text;
    default:
      return BadType();
  }
}

Result<Value> BuiltinEq(Context, Arguments arguments) {
  if (arguments.size() < 2) {
    return InvalidError("missing argument for comparison");
  }
  for (const Value& other : arguments.subspan(1)) {
    WEIR_ASSIGN_OR_RETURN(const bool same, Equal(arguments[0], other));
    if (same) {
      return Value::Bool(true);
    }
  }
  return Value::Bool(false);
}
Result<Value> BuiltinNe(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const bool same, Equal(arguments[0], arguments[1]));
  return Value::Bool(!same);
}
Result<Value> BuiltinLt(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const bool less, Less(arguments[0], arguments[1]));
  return Value::Bool(less);
}
Result<Value> BuiltinLe(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const bool less, Less(arguments[0], arguments[1]));
  if (less) {
    return Value::Bool(true);
  }
  WEIR_ASSIGN_OR_RETURN(const bool same, Equal(arguments[0], arguments[1]));
  return Value::Bool(same);
}
// Go defines gt as not le and ge as not lt: both are true for NaN.
Result<Value> BuiltinGt(Context context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const Value at_most, BuiltinLe(context, arguments));
  return Value::Bool(!at_most.truth);
}
Result<Value> BuiltinGe(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const bool less, Less(arguments[0], arguments[1]));
  return Value::Bool(!less);
}
Result<Value> BuiltinNot(Context, Arguments arguments) { return Value::Bool(!arguments[0].IsTrue()); }

// len, index and slice look through pointers, also in their messages.
std::string PointedTypeName(const Value& value) {
  const std::string name = value.TypeName();
  return name[0] == '*' ? name.substr(1) : name;
}

Result<Value> Len(Context, Arguments arguments) {
  const Value& item = arguments[0];
  switch (item.kind) {
    case Kind::kString:
      return Value::Int(static_cast<int64_t>(item.text.size()));
    case Kind::kLabelMap:
      return Value::Int(static_cast<int64_t>(item.labels->size()));
    case Kind::kArgMap:
      return Value::Int(static_cast<int64_t>(item.args->size()));
    case Kind::kSamples:
      return Value::Int(static_cast<int64_t>(item.samples->size()));
    case Kind::kNone:
      return InvalidError("len of untyped nil");
    default:
      return InvalidError("len of type " + PointedTypeName(item));
  }
}

Result<int64_t> IndexArgument(const Value& index, size_t limit) {
  if (index.kind == Kind::kNone) {
    return InvalidError("cannot index slice/array with nil");
  }
  if (!index.IsNumberLike() && index.kind != Kind::kUint) {
    return InvalidError("cannot index slice/array with type " + index.TypeName());
  }
  if (index.integer < 0 || static_cast<uint64_t>(index.integer) > limit) {
    return InvalidError("index out of range: " + std::to_string(index.integer));
  }
  return index.integer;
}

Result<Value> IndexOne(const Value& item, const Value& index) {
  if (item.kind == Kind::kLabelMap || item.kind == Kind::kArgMap) {
    if (index.kind == Kind::kNone) {
      return InvalidError("value is nil; should be of type string");
    }
    if (index.kind != Kind::kString) {
      return InvalidError("value has type " + index.TypeName() + "; should be string");
    }
    if (item.kind == Kind::kLabelMap) {
      const auto found = item.labels->find(index.text);
      return Value::String(found == item.labels->end() ? "" : found->second);
    }
    const auto found = item.args->find(index.text);
    return found == item.args->end() ? Value() : found->second;
  }
  if (item.kind != Kind::kSamples && item.kind != Kind::kString) {
    return item.kind == Kind::kNone ? InvalidError("index of nil pointer")
                                    : InvalidError("can't index item of type " + PointedTypeName(item));
  }
  const size_t size = item.kind == Kind::kString ? item.text.size() : item.samples->size();
  WEIR_ASSIGN_OR_RETURN(const int64_t at, IndexArgument(index, size));
  if (static_cast<size_t>(at) >= size) {
    return InvalidError("index out of range: " + std::to_string(at));
  }
  return item.kind == Kind::kString ? Value::Uint(static_cast<unsigned char>(item.text[static_cast<size_t>(at)]))
                                    : Value::Sample((*item.samples)[static_cast<size_t>(at)]);
}

Result<Value> Index(Context, Arguments arguments) {
  if (arguments[0].kind == Kind::kNone) {
    return InvalidError("index of untyped nil");
  }
  Value item = arguments[0];
  for (const Value& index : arguments.subspan(1)) {
    WEIR_ASSIGN_OR_RETURN(item, IndexOne(item, index));
  }
  return item;
}

Result<Value> Slice(Context, Arguments arguments) {
  const Value& item = arguments[0];
  if (item.kind == Kind::kNone) {
    return InvalidError("slice of untyped nil");
  }
  if (arguments.size() > 4) {
    return InvalidError("too many slice indexes: " + std::to_string(arguments.size() - 1));
  }
  if (item.kind != Kind::kString && item.kind != Kind::kSamples) {
    return InvalidError("can't slice item of type " + PointedTypeName(item));
  }
  if (item.kind == Kind::kString && arguments.size() == 4) {
    return InvalidError("cannot 3-index slice a string");
  }
  const size_t size = item.kind == Kind::kString ? item.text.size() : item.samples->size();
  int64_t at[3] = {0, static_cast<int64_t>(size), static_cast<int64_t>(size)};
  for (size_t i = 1; i < arguments.size(); ++i) {
    WEIR_ASSIGN_OR_RETURN(at[i - 1], IndexArgument(arguments[i], size));
  }
  if (at[0] > at[1]) {
    return InvalidError("invalid slice index: " + std::to_string(at[0]) + " > " + std::to_string(at[1]));
  }
  if (at[1] > at[2]) {
    return InvalidError("invalid slice index: " + std::to_string(at[1]) + " > " + std::to_string(at[2]));
  }
  if (item.kind == Kind::kString) {
    return Value::String(item.text.substr(static_cast<size_t>(at[0]), static_cast<size_t>(at[1] - at[0])));
  }
  return Value::Samples(
      std::make_shared<const SampleList>(item.samples->begin() + at[0], item.samples->begin() + at[1]));
}

Result<Value> Text(Result<std::string> text) {
  if (!text.ok()) {
    return text.status();
  }
  return Value::String(std::move(*text));
}
Result<Value> Print(Context, Arguments arguments) { return Text(Sprint(arguments)); }
Result<Value> Println(Context, Arguments arguments) { return Text(Sprintln(arguments)); }
Result<Value> PrintF(Context, Arguments arguments) { return Text(Sprintf(arguments[0].text, arguments.subspan(1))); }

// The arguments as one text, each as {{ }} would print it.
Result<std::string> JoinedArguments(Arguments arguments) {
  std::vector<Value> printable(arguments.begin(), arguments.end());
  for (Value& value : printable) {
    if (value.kind == Kind::kNone || value.kind == Kind::kSample) {
      value = Value::String(PrintValue(value));
    }
  }
  return Sprint(printable);
}

// Applies `escape` to every rune of the arguments.
template <void (*escape)(char32_t, std::string*)>
Result<Value> Escape(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, JoinedArguments(arguments));
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    escape(ReadRune(text, &pos), &out);
  }
  return Value::String(std::move(out));
}

void HtmlRune(char32_t rune, std::string* out) {
  switch (rune) {
    case 0:
      AppendRune(out, 0xfffd);
      break;
    case '"':
      *out += "&#34;";
      break;
    case '\'':
      *out += "&#39;";
      break;
    case '&':
      *out += "&amp;";
      break;
    case '<':
      *out += "&lt;";
      break;
    case '>':
      *out += "&gt;";
      break;
    default:
      AppendRune(out, rune);
  }
}

void JsRune(char32_t rune, std::string* out) {
  if (rune == '\\' || rune == '\'' || rune == '"') {
    out->push_back('\\');
    AppendRune(out, rune);
  } else if (rune < 0x20 || rune == '<' || rune == '>' || rune == '&' || rune == '=' || rune == 0x7f ||
             rune == 0x2028 || rune == 0x2029) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    *out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) {
      out->push_back(kHex[(rune >> shift) & 15]);
    }
  } else {
    AppendRune(out, rune);
  }
}

Result<Value> UrlQuery(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, JoinedArguments(arguments));
  return Value::String(UrlQueryEscape(text));
}

Result<Value> Call(Context, Arguments arguments) {
  return InvalidError(arguments[0].kind == Kind::kNone ? "call of nil"
                                                       : "non-function of type " + arguments[0].TypeName());
}

constexpr Function kRows[] = {
    {"and", "aa*", nullptr},      {"call", "aa*", Call},
    {"eq", "aa*", BuiltinEq},     {"ge", "aa", BuiltinGe},
    {"gt", "aa", BuiltinGt},      {"html", "a*", Escape<HtmlRune>},
    {"index", "aa*", Index},      {"js", "a*", Escape<JsRune>},
    {"le", "aa", BuiltinLe},      {"len", "a", Len},
    {"lt", "aa", BuiltinLt},      {"ne", "aa", BuiltinNe},
    {"not", "a", BuiltinNot},     {"or", "aa*", nullptr},
    {"print", "a*", Print},       {"printf", "sa*", PrintF},
    {"println", "a*", Println},   {"slice", "aa*", Slice},
    {"urlquery", "a*", UrlQuery},
};

}  // namespace

std::span<const Function> GoFunctions() { return kRows; }

}  // namespace weir::tmpl
