#pragma once
// The values of literal tokens: numbers, durations, quoted strings. Pure functions; private to this room.

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace weir::promql {

// Integers first (0x hexadecimal, a leading 0 octal, `_` between digits), else floats (semantics 4.5).
// ERRORS: kInvalid with the text Prometheus shows.
Result<double> ParseNumber(std::string_view text);
// Parses `1h30m`. UNITS: seconds. ERRORS: kInvalid with the text Prometheus shows.
Result<double> ParseDurationSeconds(std::string_view text);
// RETURNS: the string a token that the lexer accepted stands for: quotes removed, Go escapes resolved.
std::string Unquote(std::string_view token);
// UNITS: seconds to whole milliseconds, as Prometheus does for literals: rounded to nanoseconds, then truncated.
int64_t SecondsToMs(double seconds);

}  // namespace weir::promql
