#pragma once
// The envelope of Prometheus's JSON API and the status codes of its error types (semantics 10.1). Pure functions.

#include "core/base/http_server.h"
#include "core/base/status.h"

#include <string>
#include <string_view>
#include <vector>

namespace weir::api {

enum class ErrorType : unsigned char { kBadData, kExecution, kTimeout, kNotFound, kInternal, kUnavailable };

// `data` is JSON.
HttpResponse Success(const std::string& data, const std::vector<std::string>& warnings = {},
                     const std::vector<std::string>& infos = {});
HttpResponse Failure(ErrorType type, std::string_view message);
HttpResponse PlainText(int status, std::string text);

}  // namespace weir::api
