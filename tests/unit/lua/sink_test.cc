// The sink as the process runs it: its options, its thread, a real HTTP exchange.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "core/base/http_server.h"
#include "core/plugin/plugin.h"
#include "lua/host/script.h"

namespace weir::plugin {

extern const Plugin lua_sink;

namespace {

constexpr int64_t kLongMs = 60000;

class Host final : public SinkHost {
 public:
  const Clock& clock() const override { return SystemClock(); }
  MetricRegistry& metrics() override { return metrics_; }
  const Labels& external_labels() const override { return labels_; }

 private:
  MetricRegistry metrics_;
  Labels labels_;
};

RawOption Scalar(const std::string& name, const std::string& value) {
  RawOption option;
  option.name = name;
  option.where = "w.yml:1:1";
  option.scalar = value;
  return option;
}

class LuaSinkTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/weir_lua_sink_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Result<std::unique_ptr<Sink>> Make(const std::string& script, std::vector<RawOption> options = {}) {
    const std::string path = folder_ / "r.lua";
    std::ofstream(path) << script;
    options.push_back(Scalar("script", path));
    WEIR_ASSIGN_OR_RETURN(const OptionValues values, ParseOptions(lua_sink.options, "sink lua", "w.yml:1:1", options));
    WEIR_RETURN_IF_ERROR(lua_sink.validate(values));
    auto sink = lua_sink.make_sink(values);
    WEIR_RETURN_IF_ERROR(sink->Start(host_));
    return sink;
  }

  std::shared_ptr<const AlertBatch> Batch(int count) {
    auto batch = std::make_shared<AlertBatch>();
    for (int i = 0; i < count; ++i) {
      Alert alert;
      alert.labels = Labels{{"alertname", "A" + std::to_string(i)}};
      batch->alerts.push_back(alert);
    }
    return batch;
  }

  uint64_t Count(const char* name, MetricLabels labels = {}) {
    labels.insert(labels.begin(), {"receiver", "r"});
    return host_.metrics().GetCounter(name, "", labels).value();
  }

  std::filesystem::path folder_;
  Host host_;
};

TEST_F(LuaSinkTest, PostsAlertsToAServer) {
  HttpServer server({.listen = "127.0.0.1:0"});
  std::mutex mutex;
  std::vector<std::string> bodies;
  server.Handle("/hook", [&](HttpRequest request, HttpResponder respond) {
    const std::lock_guard lock(mutex);
    bodies.push_back(request.body);
    HttpResponse response;
    response.status = bodies.size() == 1 ? 400 : 200;
    respond(response);
  });
  ASSERT_TRUE(server.Start().ok());
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/hook";
  auto sink = Make(
      "local M = {} function M.on_start(c) M.url = c.url end "
      "function M.on_alert(a) return weir.http.post{url = M.url, body = a.labels.alertname}:verdict() end return M",
      [&] {
        RawOption config;
        config.name = "config";
        config.shape = RawOption::Shape::kMap;
        config.map = {{"url", url}};
        return std::vector<RawOption>{config};
      }());
  ASSERT_TRUE(sink.ok()) << sink.status().message();
  (*sink)->OnAlerts(Batch(3));
  (*sink)->OnAlerts(Batch(3));
  (*sink)->Drain(kLongMs);
  EXPECT_EQ(bodies, (std::vector<std::string>{"A0", "A1", "A2"}));
  EXPECT_EQ(Count("weir_lua_delivered_total"), 2U);
  EXPECT_EQ(Count("weir_lua_dropped_total", {{"reason", "script"}}), 1U);
}

TEST_F(LuaSinkTest, DrainEndsThoughTheScriptOnlyRetries) {
  auto sink = Make("return {on_alert = function() return 'retry', 'never' end}");
  ASSERT_TRUE(sink.ok());
  (*sink)->OnAlerts(Batch(2));
  (*sink)->Drain(kLongMs);
  EXPECT_EQ(Count("weir_lua_dropped_total", {{"reason", "shutdown"}}), 2U);
}

TEST_F(LuaSinkTest, SamplesReachAScriptThatWantsThem) {
  auto sink = Make("return {on_samples = function(b) assert(#b <= 1000) return 'ok' end}");
  ASSERT_TRUE(sink.ok());
  auto results = std::make_shared<SampleResults>();
  results->samples.assign(2500, {std::make_shared<const Labels>(Labels{{"__name__", "x"}}), 1, 1});
  (*sink)->OnSamples(results);
  (*sink)->OnAlerts(Batch(1));
  (*sink)->Drain(kLongMs);
  EXPECT_EQ(Count("weir_lua_delivered_total"), 3U);
}

TEST_F(LuaSinkTest, BadScriptsAndOptionsAreRefusedAtStart) {
  EXPECT_EQ(
      Make("return {on_alrt = print}").status().message(),
      "w.yml:1:1: sink lua: " + (folder_ / "r.lua").string() + ": unknown handler on_alrt; did you mean on_alert");
  RawOption egress;
  egress.name = "egress";
  egress.shape = RawOption::Shape::kList;
  egress.list = {"http://a"};
  EXPECT_EQ(Make("return {on_alert = print}", {egress}).status().message(),
            "w.yml:1:1: option \"egress\": egress: want \"host\" or \"host:port\", got \"http://a\"");
  EXPECT_EQ(Make("return {on_alert = print}", {Scalar("memory", "1KiB")}).status().message(),
            "w.yml:1:1: option \"memory\": want at least 131072, got \"1KiB\"");
  auto missing = ParseOptions(lua_sink.options, "sink lua", "w.yml:1:1", {Scalar("script", "/nowhere/x.lua")});
  ASSERT_TRUE(missing.ok());
  EXPECT_EQ(lua_sink.make_sink(*missing)->Start(host_).code(), Code::kNotFound);
}

}  // namespace
}  // namespace weir::plugin
