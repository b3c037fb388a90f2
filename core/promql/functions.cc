#include "core/promql/functions.h"

#include <algorithm>
#include <array>

namespace weir::promql {
namespace {

template <ValueType... kTypes>
constexpr std::array<ValueType, sizeof...(kTypes)> kArgTypes = {kTypes...};

using enum ValueType;

// The rows stand in FunctionId order, so a FunctionId is also an index.
constexpr FunctionSignature kFunctions[] = {
#define WEIR_ARGS(...) kArgTypes<__VA_ARGS__>
#define WEIR_FUNCTION(id, name, args, variadic, result, experimental, help) \
  {FunctionId::id, name, args, variadic, result, experimental, help},
#include "core/promql/functions.def"
#undef WEIR_FUNCTION
#undef WEIR_ARGS
};

constexpr bool SortedByName() {
  return std::is_sorted(std::begin(kFunctions), std::end(kFunctions),
                        [](const FunctionSignature& a, const FunctionSignature& b) { return a.name < b.name; });
}
static_assert(SortedByName(), "functions.def must be sorted by name: FindFunction searches it by bisection");

}  // namespace

const FunctionSignature* FindFunction(std::string_view name) {
  const auto* found = std::lower_bound(std::begin(kFunctions), std::end(kFunctions), name,
                                       [](const FunctionSignature& f, std::string_view n) { return f.name < n; });
  return found != std::end(kFunctions) && found->name == name ? found : nullptr;
}

std::span<const FunctionSignature> AllFunctions() { return kFunctions; }

const FunctionSignature& SignatureOf(FunctionId id) { return kFunctions[static_cast<size_t>(id)]; }

}  // namespace weir::promql
