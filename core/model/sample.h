#pragma once
// Samples and the stale marker. A stale marker is one NaN bit pattern; it is compared by bits only and must
// never pass through arithmetic.

#include <bit>
#include <cstdint>
#include <limits>

namespace weir {

inline constexpr uint64_t kStaleNaNBits = 0x7ff0000000000002ULL;
inline constexpr uint64_t kNormalNaNBits = 0x7ff8000000000001ULL;

inline double StaleNaN() { return std::bit_cast<double>(kStaleNaNBits); }
inline double NormalNaN() { return std::bit_cast<double>(kNormalNaNBits); }
inline bool IsStaleNaN(double v) { return std::bit_cast<uint64_t>(v) == kStaleNaNBits; }

// One float sample. UNITS: t in milliseconds since the epoch.
struct Sample {
  int64_t t = 0;
  double v = 0;
};

}  // namespace weir
