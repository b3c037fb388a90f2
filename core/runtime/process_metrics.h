#pragma once
// What the kernel says of the process, under the names that every Prometheus client uses. Read when metrics are exposed.

#include <cstdint>

#include "core/base/metrics.h"

namespace weir::runtime {

// RETURNS: resident memory of the process, 0 where the kernel does not say.
uint64_t ResidentBytes();

void AddProcessMetrics(MetricRegistry& registry, int64_t start_ms);

}  // namespace weir::runtime
