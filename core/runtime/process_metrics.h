#pragma once
// What the kernel says of the process, under the names that every Prometheus client uses. Read when metrics are exposed.

#include <cstdint>

#include "core/base/metrics.h"

namespace weir::runtime {

void AddProcessMetrics(MetricRegistry& registry, int64_t start_ms);

}  // namespace weir::runtime
