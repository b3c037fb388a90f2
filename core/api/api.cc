#include "core/api/api.h"

#include "core/api/envelope.h"
#include "core/api/json_writer.h"
#include "core/model/duration.h"

#include <memory>
#include <utility>

namespace weir::api {
namespace {

using runtime::Pipeline;
using runtime::Runtime;

constexpr std::string_view kStopping = "the engine takes no requests now: overloaded or stopping";

bool IsRead(const HttpRequest& request) { return request.method == "GET" || request.method == "HEAD"; }

HttpResponse NotAllowed(std::string_view allow) {
  HttpResponse response = PlainText(405, "method not allowed\n");
  response.headers.emplace_back("Allow", std::string(allow));
  return response;
}

// A handler whose answer is made on the engine's thread.
HttpHandler OnEngine(Runtime& runtime, bool post_too,
                     std::function<HttpResponse(Pipeline&, const HttpRequest&)> answer) {
  return [&runtime, post_too, answer = std::move(answer)](HttpRequest request, const HttpResponder& respond) {
    if (!IsRead(request) && !(post_too && request.method == "POST")) {
      return respond(NotAllowed(post_too ? "GET, HEAD, POST" : "GET, HEAD"));
    }
    const bool posted = runtime.Post(
        [answer, request = std::move(request), respond](Pipeline& pipeline) { respond(answer(pipeline, request)); });
    if (!posted) {
      respond(Failure(ErrorType::kUnavailable, kStopping));
    }
  };
}

// A handler that is answered at once.
HttpHandler AtOnce(std::function<HttpResponse()> answer) {
  return [answer = std::move(answer)](const HttpRequest& request, const HttpResponder& respond) {
    respond(IsRead(request) ? answer() : NotAllowed("GET, HEAD"));
  };
}

std::string BuildInfoJson(const BuildInfo& build) {
  JsonWriter json;
  json.BeginObject().Field("version", build.version).Field("revision", build.revision).Field("branch", "");
  json.Field("buildUser", "").Field("buildDate", "").Field("goVersion", "");
  json.Field("application", "weir").Field("compiler", build.compiler).EndObject();
  return json.Take();
}

std::string FlagsJson(const std::vector<std::pair<std::string, std::string>>& flags) {
  JsonWriter json;
  json.BeginObject();
  for (const auto& [name, value] : flags) {
    json.Field(name, value);
  }
  json.EndObject();
  return json.Take();
}

std::string ConfigJson(const Runtime& runtime) {
  JsonWriter json;
  json.BeginObject().Field("yaml", runtime.ShownConfig()).EndObject();
  return json.Take();
}

std::string RuntimeInfoJson(const Runtime& runtime) {
  const runtime::Figures figures = runtime.GetFigures();
  JsonWriter json;
  json.BeginObject();
  json.Field("startTime", FormatRfc3339(runtime.start_ms()));
  json.Field("serverTime", FormatRfc3339(runtime.clock().NowMs()));
  json.Key("reloadConfigSuccess").Bool(runtime.last_reload_ok());
  json.Field("lastConfigTime", FormatRfc3339(runtime.last_reload_ms()));
  json.Key("series").Integer(static_cast<int64_t>(figures.series));
  json.Key("rules").Integer(static_cast<int64_t>(figures.rules));
  json.Key("samples").Integer(static_cast<int64_t>(figures.samples));
  json.Key("catchingUp").Bool(figures.catching_up);
  if (figures.last_tick_ms != INT64_MIN) {
    json.Field("lastTick", FormatRfc3339(figures.last_tick_ms));
  }
  json.EndObject();
  return json.Take();
}

void RouteReload(Runtime& runtime) {
  runtime.http().Handle("/-/reload", [&runtime](const HttpRequest& request, const HttpResponder& respond) {
    if (request.method != "POST" && request.method != "PUT") {
      return respond(NotAllowed("POST, PUT"));
    }
    const bool taken = runtime.ReloadLater([respond](const Status& status) {
      respond(status.ok() ? PlainText(200, "")
                          : PlainText(500, "failed to reload config: " + std::string(status.message()) + "\n"));
    });
    if (!taken) {
      respond(PlainText(503, "another reload is under way\n"));
    }
  });
}

void RouteHealth(Runtime& runtime) {
  runtime.http().Handle("/-/healthy", AtOnce([] { return PlainText(200, "weir is healthy.\n"); }));
  runtime.http().Handle("/-/ready", AtOnce([&runtime] {
                          return runtime.Ready()
                                     ? PlainText(200, "weir is ready.\n")
                                     : PlainText(503, "weir is not ready: starting, or re-reading the past.\n");
                        }));
  runtime.http().Handle("/metrics", AtOnce([&runtime] {
                          HttpResponse response = PlainText(200, runtime.metrics().Expose());
                          response.content_type = "text/plain; version=0.0.4; charset=utf-8";
                          return response;
                        }));
}

}  // namespace

void RouteApi(Runtime& runtime, ApiOptions options) {
  HttpServer& http = runtime.http();
  http.Handle("/api/v1/rules", OnEngine(runtime, false, [](Pipeline& pipeline, const HttpRequest& request) {
                std::string error;
                const std::string data = RulesJson(pipeline, request.Parameters(), &error);
                return error.empty() ? Success(data) : Failure(ErrorType::kBadData, error);
              }));
  http.Handle("/api/v1/alerts", OnEngine(runtime, false, [](Pipeline& pipeline, const HttpRequest&) {
                return Success(AlertsJson(pipeline));
              }));
  http.Handle("/api/v1/query", OnEngine(runtime, true, [](Pipeline& pipeline, const HttpRequest& request) {
                return AnswerQuery(pipeline, request.Parameters());
              }));
  http.Handle("/api/v1/status/buildinfo", AtOnce([json = BuildInfoJson(options.build)] { return Success(json); }));
  http.Handle("/api/v1/status/flags", AtOnce([json = FlagsJson(options.flags)] { return Success(json); }));
  http.Handle("/api/v1/status/config", AtOnce([&runtime] { return Success(ConfigJson(runtime)); }));
  http.Handle("/api/v1/status/runtimeinfo", AtOnce([&runtime] { return Success(RuntimeInfoJson(runtime)); }));
  RouteHealth(runtime);
  RouteReload(runtime);
}

}  // namespace weir::api
