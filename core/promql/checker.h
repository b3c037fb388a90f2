#pragma once
// The type checker: what the grammar allows but no evaluation could make sense of. It runs over a tree that parsed
// without errors and reports in the order in which Prometheus does. Private to this room.

#include <map>
#include <string_view>
#include <vector>

#include "core/promql/ast.h"
#include "core/promql/token_reader.h"

namespace weir::promql {

// The matching clauses that were written on operators whose operands are not both vectors; the tree drops them.
using DroppedMatching = std::map<const Expr*, VectorMatching>;

struct CheckResult {
  std::vector<ParseError> errors;
  std::vector<Edit> edits;  // for the first error
};
CheckResult CheckTypes(std::string_view text, const Expr& root, const DroppedMatching& dropped);

}  // namespace weir::promql
