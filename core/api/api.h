#pragma once
// The HTTP interface: rules, alerts, instant queries and status in the shapes of Prometheus's API (semantics 10.1),
// metrics, health and reload. Handlers run on HTTP threads; what needs the engine is posted to its thread and answered
// from there.

#include "core/base/http_server.h"
#include "core/base/metrics.h"
#include "core/runtime/runtime.h"

#include <string>
#include <vector>

namespace weir::api {

struct BuildInfo {
  std::string version;
  std::string revision;  // commit
  std::string compiler;
};

struct ApiOptions {
  BuildInfo build;
  std::vector<std::pair<std::string, std::string>> flags;  // of the command line, as /status/flags shows them
};

// Routes every path of the interface. REQUIRES: before runtime.Start(); the runtime outlives its HTTP server.
void RouteApi(runtime::Runtime& runtime, ApiOptions options);

// The bodies, for callers that hold the engine's thread.
std::string RulesJson(runtime::Pipeline& pipeline, const std::vector<std::pair<std::string, std::string>>& parameters,
                      std::string* error);
std::string AlertsJson(runtime::Pipeline& pipeline);
// RETURNS: the response to /api/v1/query.
HttpResponse AnswerQuery(runtime::Pipeline& pipeline,
                         const std::vector<std::pair<std::string, std::string>>& parameters);

}  // namespace weir::api
