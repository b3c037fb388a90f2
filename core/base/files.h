#pragma once
// Files, for configuration, rules and state: reading whole files within a limit, replacing one atomically, and expanding
// patterns. Blocking; slow paths only. Paths come from the user's configuration, never from the network.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace weir {

inline constexpr uint64_t kFileBytesMax = 64ULL << 20;

// ERRORS: kNotFound, kLimit beyond `bytes_max`, kUnavailable otherwise; each names the path.
Result<std::string> ReadFile(const std::string& path, uint64_t bytes_max = kFileBytesMax);
// Writes a neighbour file, flushes it to the disk and renames it over `path`: after a crash the old or the new content is
// there, never a part. New files can be read by their owner only.
Status WriteFileAtomically(const std::string& path, std::string_view content);
// RETURNS: the paths that match a shell pattern (`rules/*.yml`), sorted; a pattern without wildcards gives itself, if it
// exists.
std::vector<std::string> ExpandPattern(const std::string& pattern);

}  // namespace weir
