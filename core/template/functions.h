#pragma once
// The tables of functions that templates can call: one row a function, in the file of its kind. Private to this room.

#include <span>
#include <string_view>

#include "core/template/template.h"
#include "core/template/value.h"

namespace weir::tmpl {

// What a function may read of the expansion it is called in.
struct CallContext {
  int64_t ts_ms;
  const QueryFn* query;
  const DataValue* data;
};

using Context = const CallContext&;
using Arguments = std::span<const Value>;

struct Function {
  std::string_view name;
  // One letter an argument: s string, a anything, Q what query returns, S one element of it; `*` at the end: the last
  // letter stands for any number of arguments.
  std::string_view parameters;
  // Arguments are of the declared kinds. ERRORS: the text that follows `error calling NAME: `. and, or are null: they
  // do not evaluate all their arguments.
  Result<Value> (*call)(Context context, Arguments arguments);
};

// The rows of one file, sorted by name.
std::span<const Function> NumberFunctions();
std::span<const Function> SampleFunctions();
std::span<const Function> TextFunctions();
std::span<const Function> GoFunctions();

// RETURNS: the row, or null.
const Function* FindFunction(std::string_view name);

}  // namespace weir::tmpl
