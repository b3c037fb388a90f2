// Runs the cases that stand beside the shipped receivers: lua/receivers/*_test.lua.

#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>

#include "core/base/files.h"
#include "tests/unit/lua/fake_services.h"

namespace weir::lua {
namespace {

using simdjson::dom::element;

std::string Text(const element& object, const char* key) {
  std::string_view value;
  return object[key].get(value) == simdjson::SUCCESS ? std::string(value) : "";
}

double Number(const element& object, const char* key) {
  double value = 0;
  return object[key].get(value) == simdjson::SUCCESS ? value : 0;
}

Labels ReadLabels(const element& event, const char* key) {
  Labels labels;
  for (const auto field : simdjson::dom::object(event[key])) {
    labels.Set(field.key, std::string_view(field.value));
  }
  return labels;
}

plugin::Alert ReadAlert(const element& event) {
  plugin::Alert alert;
  alert.resolved = Text(event, "status") == "resolved";
  alert.labels = ReadLabels(event, "labels");
  alert.annotations = ReadLabels(event, "annotations");
  alert.value = Number(event, "value");
  alert.starts_at_ms = static_cast<int64_t>(Number(event, "starts_at") * 1000);
  alert.ends_at_ms = static_cast<int64_t>(Number(event, "ends_at") * 1000);
  alert.generator_url = Text(event, "generator_url");
  return alert;
}

// RETURNS: the elements of a list that may be absent.
std::vector<element> List(const element& object, const char* key) {
  std::vector<element> out;
  simdjson::dom::array list;
  if (object[key].get(list) == simdjson::SUCCESS) {
    for (const element item : list) {
      out.push_back(item);
    }
  }
  return out;
}

void CheckCalls(const element& test, const FakeServices& services) {
  const auto calls = List(test, "calls");
  if (calls.empty()) {
    return;
  }
  ASSERT_EQ(services.requests.size(), calls.size());
  for (size_t i = 0; i < calls.size(); ++i) {
    const HttpClientRequest& request = services.requests[i];
    EXPECT_EQ(request.method, Text(calls[i], "method"));
    EXPECT_EQ(request.url, Text(calls[i], "url"));
    for (const element part : List(calls[i], "body")) {
      EXPECT_NE(request.body.find(std::string_view(part)), std::string::npos) << part << " is not in " << request.body;
    }
    simdjson::dom::object headers;
    if (calls[i]["headers"].get(headers) != simdjson::SUCCESS) {
      continue;
    }
    for (const auto field : headers) {
      const std::pair<std::string, std::string> want{field.key, std::string_view(field.value)};
      EXPECT_NE(std::find(request.headers.begin(), request.headers.end(), want), request.headers.end()) << field.key;
    }
  }
}

void RunCase(const std::string& source, const element& test) {
  SCOPED_TRACE(Text(test, "name"));
  FakeServices services;
  ScriptOptions options = TestOptions();
  simdjson::dom::object config;
  if (test["config"].get(config) == simdjson::SUCCESS) {
    for (const auto field : config) {
      options.config[std::string(field.key)] = std::string_view(field.value);
    }
  }
  for (const element answer : List(test, "answers")) {
    HttpClientResponse response;
    response.status = static_cast<int>(Number(answer, "status"));
    response.body = Text(answer, "body");
    response.error = Text(answer, "error");
    response.retry_after = Text(answer, "retry_after");
    services.answers.push_back(response);
  }
  auto script = Script::Load(source, options, &services);
  const std::string load_error = Text(test, "load_error");
  if (!load_error.empty()) {
    ASSERT_FALSE(script.ok());
    EXPECT_NE(script.status().message().find(load_error), std::string::npos) << script.status().message();
    return;
  }
  ASSERT_TRUE(script.ok()) << script.status().message();
  for (const element event : List(test, "events")) {
    const Outcome outcome = (*script)->OnAlert(ReadAlert(event), {"test-1", 1});
    const std::string want = Text(test, "outcome");
    const OutcomeKind kind = want == "ok"      ? OutcomeKind::kOk
                             : want == "retry" ? OutcomeKind::kRetry
                                               : OutcomeKind::kDrop;
    EXPECT_EQ(outcome.kind, kind) << outcome.why << outcome.traceback;
    EXPECT_EQ(outcome.why, Text(test, "why"));
    EXPECT_EQ(outcome.after_s, Number(test, "after"));
  }
  CheckCalls(test, services);
  std::vector<std::string> console;
  for (const element line : List(test, "console")) {
    console.emplace_back(std::string_view(line));
  }
  EXPECT_EQ(services.console, console);
}

TEST(Receivers, TheCasesBesideThem) {
  const std::filesystem::path folder = "lua/receivers";
  size_t files = 0, cases = 0, receivers = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    receivers += name.ends_with(".lua") && !name.ends_with("_test.lua") ? 1 : 0;
    if (!name.ends_with("_test.lua")) {
      continue;
    }
    ++files;
    FakeServices services;
    ScriptOptions options = TestOptions();
    options.file = name;
    auto text = ReadFile(entry.path().string());
    ASSERT_TRUE(text.ok());
    auto json = Script::EvaluateToJson(*text, options, &services);
    ASSERT_TRUE(json.ok()) << json.status().message();
    simdjson::dom::parser parser;
    const element tests = parser.parse(*json);
    auto source = ReadFile((folder / Text(tests, "script")).string());
    ASSERT_TRUE(source.ok()) << source.status().message();
    for (const element test : List(tests, "cases")) {
      RunCase(*source, test);
      ++cases;
    }
  }
  EXPECT_EQ(files, receivers) << "every receiver has its cases";
  EXPECT_GE(cases, 15U);
}

}  // namespace
}  // namespace weir::lua
