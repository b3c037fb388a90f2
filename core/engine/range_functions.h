#pragma once
// The table of range functions: a new one is a kernel, a row and a data test (docs/ARCHITECTURE.md).

#include <cstdint>
#include <string_view>

#include "core/base/status.h"
#include "core/promql/functions.h"
#include "core/window/bounded_rows.h"
#include "core/window/profile.h"
#include "core/window/rich_kernels.h"

namespace weir::engine {

// How each range function reads its window, and what it therefore needs kept.
struct RangeRow {
  promql::FunctionId id;
  window::Kernel kernel;
  window::RangeFunction rich;
  window::Thinning thinning = window::Thinning::kEdges;
  uint8_t aggregates = 0;
  bool resets = false;
  bool changes = false;
  uint32_t last_kept = 1;
  bool keeps_name = false;
  bool newest = false;                                       // it looks at its last_kept newest samples alone
  window::TapeKind tape = window::TapeKind::kNone;           // that has all it looks at
  window::BoundedKind bounded = window::BoundedKind::kNone;  // what its error hangs on, where it has a bound
  std::string_view unbounded = "no bound is known for what the function looks at";
  window::Kernel anchored = nullptr;
  window::Kernel smoothed = nullptr;
};

// RETURNS: null for what is no range function.
const RangeRow* FindRangeRow(promql::FunctionId id);
// ERRORS: kInvalid for factors of double_exponential_smoothing() outside (0, 1).
Status CheckSmoothing(const double* factors);

}  // namespace weir::engine
