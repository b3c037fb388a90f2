// The process as a whole: real threads and a real HTTP server, a source and a sink in the test's hands, a clock that stands
// still unless the test moves it. An API call queues behind the batches before it, so its answer means that those are done.

#include <atomic>
#include <future>
#include <mutex>

#include "core/api/api.h"
#include "core/base/http_client.h"
#include "tests/unit/runtime/pipeline_fixture.h"

namespace weir::api {
namespace {

using runtime::kMinute;
using runtime::MakeGroup;
using runtime::MakeRule;

class ManualClock final : public Clock {
 public:
  int64_t NowMs() const override { return now_ms_; }
  int64_t MonotonicNs() const override { return now_ms_ * 1000000; }
  void SleepMs(int64_t ms) const override { now_ms_ += ms; }
  void Set(int64_t ms) { now_ms_ = ms; }

 private:
  mutable std::atomic<int64_t> now_ms_{kMinute - 1000};
};

// What the plug-ins of one test share with it; a plug-in is made by a plain function, so it finds its test here.
struct Stage {
  plugin::SourceHost* host = nullptr;
  std::mutex mutex;
  std::vector<std::string> samples;
  std::vector<std::string> alerts;
  std::vector<std::string> external;
  int drains = 0;
};
Stage* stage = nullptr;

class StageSource final : public plugin::Source {
 public:
  Status Start(plugin::SourceHost& host) override {
    stage->host = &host;
    host.HandleHttp(
        "/stage", [](const HttpRequest&, const HttpResponder& respond) { respond({.body = "a route of the source"}); });
    return {};
  }
  void Stop() override {}
};

class StageSink final : public plugin::Sink {
 public:
  Status Start(plugin::SinkHost& host) override {
    stage->external.push_back(host.external_labels().ToString());
    return {};
  }
  void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) override {
    const std::lock_guard lock(stage->mutex);
    for (const plugin::ResultSample& sample : results->samples) {
      stage->samples.push_back(sample.labels->ToString() + " " + FormatSampleValue(sample.v));
    }
  }
  void OnAlerts(const std::shared_ptr<const plugin::AlertBatch>& alerts) override {
    const std::lock_guard lock(stage->mutex);
    for (const plugin::Alert& alert : alerts->alerts) {
      stage->alerts.push_back(alert.labels.ToString());
    }
  }
  void Drain(int64_t) override { ++stage->drains; }
};

const plugin::Plugin kStageSource = {.kind = plugin::PluginKind::kSource,
                                     .name = "stage",
                                     .help = "",
                                     .options = {},
                                     .make_source = [](const plugin::OptionValues&) -> std::unique_ptr<plugin::Source> {
                                       return std::make_unique<StageSource>();
                                     }};
const plugin::Plugin kStageSink = {.kind = plugin::PluginKind::kSink,
                                   .name = "stage",
                                   .help = "",
                                   .options = {},
                                   .make_sink = [](const plugin::OptionValues&) -> std::unique_ptr<plugin::Sink> {
                                     return std::make_unique<StageSink>();
                                   }};

class ProcessTest : public ::testing::Test {
 protected:
  ProcessTest() { stage = &stage_; }

  static runtime::Settings SettingsOf(std::vector<rules::GroupDefinition> groups) {
    runtime::Settings settings;
    settings.listen = "127.0.0.1:0";
    settings.rules.groups = std::move(groups);
    settings.rules.external_labels = Labels{{"cluster", "c1"}};
    settings.rules.external_url = "http://weir";
    settings.pipeline.watermarks.lateness_auto = false;
    settings.pipeline.watermarks.lateness_ms = 5000;
    settings.sources.push_back({"stage", &kStageSource, {}});
    settings.sinks.push_back({"stage", &kStageSink, {}, {}, {}});
    settings.shown_config = "shown: true\n";
    return settings;
  }

  void Start(runtime::Settings settings) {
    runtime_ = std::make_unique<runtime::Runtime>(
        std::move(settings), [this] { return reload_(); }, clock_, metrics_);
    Status status = runtime_->Prepare();
    ASSERT_TRUE(status.ok()) << status.message();
    RouteApi(*runtime_, {{"1.2.3", "abc", "cc"}, {{"config", "weir.yml"}}});
    status = runtime_->Start();
    ASSERT_TRUE(status.ok()) << status.message();
  }

  HttpClientResponse Ask(const std::string& path, const std::string& method = "GET") {
    HttpClientRequest request;
    request.method = method;
    request.url = "http://127.0.0.1:" + std::to_string(runtime_->http().port()) + path;
    return client_.Do(request);
  }

  // Hands the samples over and waits until they are taken.
  void Submit(const std::vector<runtime::TestSample>& samples) {
    std::promise<void> taken;
    ASSERT_TRUE(stage_.host->Submit(runtime::BatchOf(samples), "stage",
                                    [&](const plugin::IngestOutcome&) { taken.set_value(); }));
    taken.get_future().wait();
  }

  std::vector<std::string> Samples() {
    Ask("/api/v1/alerts");  // behind the ticks of all batches so far
    const std::lock_guard lock(stage_.mutex);
    return stage_.samples;
  }

  Stage stage_;
  ManualClock clock_;
  MetricRegistry metrics_;
  HttpClient client_;
  std::function<Result<runtime::Settings>()> reload_ = [] {
    return Result<runtime::Settings>(InvalidError("no reload here"));
  };
  std::unique_ptr<runtime::Runtime> runtime_;
};

TEST_F(ProcessTest, ServesTheInterface) {
  Start(SettingsOf({MakeGroup("g", {MakeRule("r", "x")})}));
  EXPECT_EQ(Ask("/-/healthy").status, 200);
  EXPECT_EQ(Ask("/-/ready").status, 200);
  EXPECT_EQ(Ask("/stage").body, "a route of the source");
  EXPECT_EQ(Ask("/api/v1/status/config").body, R"({"status":"success","data":{"yaml":"shown: true\n"}})");
  EXPECT_EQ(Ask("/api/v1/status/flags").body, R"({"status":"success","data":{"config":"weir.yml"}})");
  EXPECT_NE(Ask("/api/v1/status/buildinfo").body.find(R"("version":"1.2.3","revision":"abc")"), std::string::npos);
  EXPECT_NE(Ask("/api/v1/status/runtimeinfo").body.find(R"("reloadConfigSuccess":true)"), std::string::npos);
  EXPECT_NE(Ask("/api/v1/rules").body.find(R"("name":"r","query":"x","health":"unknown")"), std::string::npos);
  EXPECT_NE(Ask("/metrics").body.find("prometheus_rule_group_rules{rule_group=\"rules.yml;g\"} 1"), std::string::npos);
  EXPECT_EQ(Ask("/api/v1/rules", "DELETE").status, 405);
  EXPECT_EQ(Ask("/-/reload").status, 405);
}

TEST_F(ProcessTest, SamplesInResultsAndAlertsOut) {
  runtime::Settings settings = SettingsOf({MakeGroup("g", {MakeRule("r", "x"), MakeRule("A", "x > 1", true)})});
  RelabelConfig drop;
  drop.source_labels = {"i"};
  drop.regex = "2";
  drop.action = RelabelAction::kDrop;
  settings.sinks[0].sample_relabel = *Relabeler::Create({drop});
  RelabelConfig mark;
  mark.target_label = "via";
  mark.replacement = "weir";
  settings.alert_relabel = *Relabeler::Create({mark});
  Start(std::move(settings));
  Submit({{R"(x{i="1"})", kMinute - 1000, 1}, {R"(x{i="2"})", kMinute - 1000, 2}});
  clock_.Set(kMinute + 1000);
  Submit({{R"(x{i="1"})", kMinute + 1000, 9}});
  EXPECT_EQ(Samples(), (std::vector<std::string>{R"(r{cluster="c1", i="1"} 1)"}))
      << "external labels are on before relabelling; the alert's series have i=2 and are dropped";
  EXPECT_EQ(stage_.alerts, (std::vector<std::string>{R"({alertname="A", cluster="c1", i="2", via="weir"})"}));
  EXPECT_EQ(stage_.external, (std::vector<std::string>{"{}"})) << "they are applied already";
}

TEST_F(ProcessTest, ABadReloadChangesNothingAndAGoodOneDoes) {
  Start(SettingsOf({MakeGroup("g", {MakeRule("r", "x")})}));
  reload_ = [] { return Result<runtime::Settings>(InvalidError("weir.yml:3:1: unknown key \"rulez\"")); };
  const HttpClientResponse bad = Ask("/-/reload", "POST");
  EXPECT_EQ(bad.status, 500);
  EXPECT_EQ(bad.body, "failed to reload config: weir.yml:3:1: unknown key \"rulez\"\n");
  EXPECT_NE(Ask("/api/v1/rules").body.find(R"("name":"r")"), std::string::npos);
  EXPECT_NE(Ask("/metrics").body.find("prometheus_config_last_reload_successful 0"), std::string::npos);
  reload_ = [] {
    runtime::Settings settings = SettingsOf({MakeGroup("g", {MakeRule("renamed", "x")})});
    settings.plugins_key = "another text";
    return Result<runtime::Settings>(std::move(settings));
  };
  EXPECT_EQ(Ask("/-/reload", "POST").status, 200);
  EXPECT_NE(Ask("/api/v1/rules").body.find(R"("name":"renamed")"), std::string::npos);
  EXPECT_EQ(stage_.external.size(), 2u) << "the sink was made anew";
}

TEST_F(ProcessTest, StoppingEvaluatesWhatIsQueuedAndDrainsSinks) {
  Start(SettingsOf({MakeGroup("g", {MakeRule("r", "x")})}));
  Submit({{"x", kMinute - 1000, 5}});
  clock_.Set(kMinute + 1000);
  ASSERT_TRUE(stage_.host->Submit(runtime::BatchOf({{"x", kMinute + 1000, 6}}), "stage", nullptr));
  runtime_->Stop();
  EXPECT_EQ(stage_.samples, (std::vector<std::string>{"r 5"}));
  EXPECT_EQ(stage_.drains, 1);
  EXPECT_FALSE(stage_.host->Submit(runtime::BatchOf({{"x", kMinute + 2000, 7}}), "stage", nullptr));
}

TEST_F(ProcessTest, APortInUseIsNamed) {
  Start(SettingsOf({}));
  runtime::Settings settings = SettingsOf({});
  settings.listen = "127.0.0.1:" + std::to_string(runtime_->http().port());
  MetricRegistry metrics;
  runtime::Runtime second(
      settings, [this] { return reload_(); }, clock_, metrics);
  ASSERT_TRUE(second.Prepare().ok());
  const Status status = second.Start();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find(settings.listen), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("in use"), std::string::npos) << status.message();
}

TEST_F(ProcessTest, AClockThatStepsBackStopsNoTick) {
  Start(SettingsOf({MakeGroup("g", {MakeRule("r", "x")})}));
  Submit({{"x", kMinute - 1000, 5}});
  clock_.Set(kMinute + 1000);
  Submit({{"x", kMinute + 500, 6}});
  EXPECT_EQ(Samples(), (std::vector<std::string>{"r 5"}));
  clock_.Set(0);
  Submit({{"x", kMinute + 1000, 7}});
  EXPECT_EQ(Samples(), (std::vector<std::string>{"r 5"}));
  clock_.Set(2 * kMinute + 500);
  Submit({{"x", 2 * kMinute + 500, 8}});
  EXPECT_EQ(Samples(), (std::vector<std::string>{"r 5", "r 7"}));
  EXPECT_EQ(metrics_.GetCounter("weir_clock_steps_back_total", "").value(), 1u);
}

}  // namespace
}  // namespace weir::api
