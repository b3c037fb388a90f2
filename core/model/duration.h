#pragma once
// Prometheus durations (`1h30m`) and the Go number formats that Prometheus prints.

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace weir {

// Parses `1y2w3d4h5m6s7ms`: units descending, each at most once; "0" is allowed. UNITS: milliseconds.
Result<int64_t> ParseDurationMs(std::string_view text);
// RETURNS: the form model.Duration.String() prints: `1h30m`, `0s`, `1w` only when exactly divisible.
std::string FormatDurationMs(int64_t ms);

// strconv.FormatFloat(v, format, precision, 64) for format 'f', 'e', 'g'; precision -1 is the shortest text
// that reads back as v. NaN, +Inf and -Inf print as Go prints them.
std::string FormatFloat(double v, char format, int precision = -1);

// The value text of Prometheus's JSON API: 'f' shortest, 'e' when abs < 1e-6 or >= 1e21.
std::string FormatSampleValue(double v);
// RETURNS: RFC 3339 with nanoseconds trimmed, e.g. 2024-01-02T03:04:05.123Z.
std::string FormatRfc3339(int64_t ms);

}  // namespace weir
