#pragma once
// Text as JSON. A pure function, thread-safe.

#include <string>
#include <string_view>

namespace weir {

// Appends `text` as a JSON string, quotes included. What is not UTF-8 becomes U+FFFD byte by byte, as Go's encoder does.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace weir
