#pragma once
// The time parameter of Prometheus's API: seconds with decimals, or RFC 3339. A pure function.

#include "core/base/status.h"

#include <cstdint>
#include <string>

namespace weir::api {

// UNITS: milliseconds since the epoch. ERRORS: kInvalid `cannot parse "…" to a valid timestamp`.
Result<int64_t> ParseTime(const std::string& text);

}  // namespace weir::api
