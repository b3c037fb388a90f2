#pragma once
// Go's literals: strings in quotes or backquotes, characters, numbers. Strict as strconv is.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::tmpl {

// RETURNS: the value of a string or raw-string literal, quotes included in `literal`.
std::optional<std::string> UnquoteString(std::string_view literal);
// RETURNS: the rune of a character literal 'x'.
std::optional<char32_t> UnquoteChar(std::string_view literal);
// strconv.ParseInt / ParseUint with base 0: 0x, 0o, 0b, leading 0 is octal, underscores between digits.
std::optional<int64_t> ParseGoInt(std::string_view text);
std::optional<uint64_t> ParseGoUint(std::string_view text);
// strconv.ParseFloat: decimal, hexadecimal, inf, infinity, nan in any case. `literal` also allows underscores.
std::optional<double> ParseGoFloat(std::string_view text, bool literal);

}  // namespace weir::tmpl
