#pragma once
// Where scripts may send requests. Addresses that serve machine credentials (link-local, cloud metadata) are refused
// unless they are named, in whatever notation they are written. Names are checked, not what they resolve to.

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace weir::lua {

class EgressPolicy {
 public:
  EgressPolicy() = default;  // everything but machine-credential addresses
  // `allowed`: "host" or "host:port"; empty allows every other host. ERRORS: kInvalid, names the entry.
  static Result<EgressPolicy> Create(const std::vector<std::string>& allowed);
  // ERRORS: kInvalid, with the reason, when a request to `url` must not be made.
  Status Check(std::string_view url) const;

 private:
  struct Entry {
    std::string host;
    int port = 0;  // 0: any
  };
  std::vector<Entry> allowed_;
};

}  // namespace weir::lua
