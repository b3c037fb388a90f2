#pragma once
// What a script can reach of the world, as an interface: the sink gives the real one, tests a fake one. Called on the
// receiver's thread only.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/http_client.h"
#include "core/base/log.h"

namespace weir::lua {

class Services {
 public:
  virtual ~Services() = default;
  virtual const Clock& clock() = 0;
  // Blocks until there is an answer or the time is over. The address was already checked (egress.h).
  virtual HttpClientResponse Http(const HttpClientRequest& request) = 0;
  virtual void Log(LogLevel level, std::string_view message,
                   const std::vector<std::pair<std::string, std::string>>& fields) = 0;
  // Writes one line for people. `text` holds no control characters; `style` is "", "red", "green", "yellow" or "dim".
  virtual void Console(std::string_view text, std::string_view style) = 0;
};

}  // namespace weir::lua
