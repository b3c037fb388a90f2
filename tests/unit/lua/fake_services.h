#pragma once
// The world of a script under test: answers given in advance, everything it does recorded.

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "lua/host/script.h"
#include "lua/host/services.h"

namespace weir::lua {

class FakeServices final : public Services {
 public:
  const Clock& clock() override { return fake_clock; }
  HttpClientResponse Http(const HttpClientRequest& request) override {
    requests.push_back(request);
    if (answers.empty()) {
      HttpClientResponse none;
      none.error = "no answer prepared";
      return none;
    }
    HttpClientResponse answer = answers.front();
    answers.pop_front();
    return answer;
  }
  void Log(LogLevel level, std::string_view message,
           const std::vector<std::pair<std::string, std::string>>& fields) override {
    std::string line = std::to_string(static_cast<int>(level)) + "|" + std::string(message);
    for (const auto& [name, value] : fields) {
      line += "|" + name + "=" + value;
    }
    log.push_back(std::move(line));
  }
  void Console(std::string_view text, std::string_view style) override {
    console.push_back(std::string(style) + "|" + std::string(text));
  }

  FakeClock fake_clock{1643114203123};
  std::deque<HttpClientResponse> answers;
  std::vector<HttpClientRequest> requests;
  std::vector<std::string> log, console;
};

inline ScriptOptions TestOptions() {
  ScriptOptions options;
  options.file = "test.lua";
  options.receiver = "test";
  options.version = "1.2.3";
  return options;
}

inline plugin::Alert TestAlert() {
  plugin::Alert alert;
  alert.labels = Labels{{"alertname", "Down"}, {"job", "db"}};
  alert.annotations = Labels{{"summary", "db is down"}};
  alert.value = 2.5;
  alert.starts_at_ms = 1643114203000;
  alert.ends_at_ms = 1643114443000;
  alert.active_at_ms = 1643114143500;
  alert.generator_url = "http://weir.example/graph";
  return alert;
}

// RETURNS: what the expression (or the statements, ending in return) gives as JSON, or the error text.
inline std::string Eval(const std::string& source, ScriptOptions options = TestOptions(),
                        FakeServices* services = nullptr) {
  FakeServices own;
  auto result = Script::EvaluateToJson(source.find("return ") == std::string::npos ? "return " + source : source,
                                       options, services != nullptr ? services : &own);
  return result.ok() ? *result : std::string(result.status().message());
}

// A script whose on_alert is `body`.
inline std::string AlertScript(const std::string& body) {
  return "return {on_alert = function(alert) " + body + " end}";
}

}  // namespace weir::lua
