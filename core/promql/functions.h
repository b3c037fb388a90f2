#pragma once
// The table of PromQL functions: name, argument types, result type, experimental or not, one sentence of help.
// The parser checks calls against it; the engine finds its implementation by `id`; docs are generated from it.

#include <cstdint>
#include <span>
#include <string_view>

#include "core/promql/ast.h"

namespace weir::promql {

enum class FunctionId : uint16_t {
#define WEIR_FUNCTION(id, ...) id,
#include "core/promql/functions.def"
#undef WEIR_FUNCTION
};

struct FunctionSignature {
  FunctionId id;
  std::string_view name;
  std::span<const ValueType> args;
  // As upstream: 0 = exactly args.size(); n > 0 = the last n arguments are optional; -1 = the last repeats, may be absent.
  int variadic = 0;
  ValueType result = ValueType::kVector;
  bool experimental = false;
  std::string_view help;
};

// RETURNS: the signature, or null for an unknown name.
const FunctionSignature* FindFunction(std::string_view name);
std::span<const FunctionSignature> AllFunctions();
const FunctionSignature& SignatureOf(FunctionId id);

}  // namespace weir::promql
