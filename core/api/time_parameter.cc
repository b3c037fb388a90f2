#include "core/api/time_parameter.h"

#include <cmath>
#include <cstdlib>

#include <absl/time/time.h>

namespace weir::api {

Result<int64_t> ParseTime(const std::string& text) {
  constexpr double kSecondsMax = 9.0e15;  // far beyond any calendar; keeps the conversion defined
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  if (!text.empty() && *end == '\0' && std::isfinite(seconds) && std::fabs(seconds) < kSecondsMax / 1000) {
    return static_cast<int64_t>(std::llround(seconds * 1000));
  }
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return absl::ToUnixMillis(time);
  }
  return InvalidError("cannot parse \"" + text + "\" to a valid timestamp");
}

}  // namespace weir::api
