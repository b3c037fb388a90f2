#include "plugins/sinks/alertmanager/alertmanager_sink.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include "tests/unit/remote_write/fake_peer.h"

namespace weir::plugin {
extern const Plugin alertmanager_sink;
}

namespace weir::alertmanager {
namespace {

using plugin::Alert;
using plugin::AlertBatch;

constexpr int64_t kLongMs = 3600000;
constexpr const char* kPath = "/prefix/api/v2/alerts";

Alert Named(const std::string& name) {
  Alert alert;
  alert.labels = Labels{{"alertname", name}};
  alert.starts_at_ms = 1700000000123;
  alert.ends_at_ms = 1700000060000;
  return alert;
}

std::shared_ptr<const AlertBatch> Batch(std::vector<Alert> alerts) {
  auto batch = std::make_shared<AlertBatch>();
  batch->alerts = std::move(alerts);
  return batch;
}

std::shared_ptr<const AlertBatch> Numbered(int first, int count) {
  std::vector<Alert> alerts;
  for (int i = first; i < first + count; ++i) {
    alerts.push_back(Named(std::to_string(i)));
  }
  return Batch(std::move(alerts));
}

std::vector<std::string> Names(const HttpRequest& request) {
  simdjson::dom::parser parser;
  std::vector<std::string> names;
  simdjson::dom::array alerts;
  WEIR_ASSERT(parser.parse(request.body).get_array().get(alerts) == simdjson::SUCCESS);
  for (const simdjson::dom::element alert : alerts) {
    std::string_view name;
    WEIR_ASSERT(alert["labels"]["alertname"].get(name) == simdjson::SUCCESS);
    names.emplace_back(name);
  }
  return names;
}

class AlertmanagerSinkTest : public testing::Test {
 protected:
  AlertmanagerSinkTest() : peer_(kPath) {
    config_.name = "a";
    config_.urls = {peer_.Url("/prefix/")};
  }

  void Start() {
    sink_ = MakeAlertmanagerSink(config_);
    const Status status = sink_->Start(host_);
    ASSERT_TRUE(status.ok()) << status.message();
  }

  FakePeer peer_;
  FakeSinkHost host_;
  AlertmanagerSinkConfig config_;
  std::unique_ptr<plugin::Sink> sink_;
};

TEST_F(AlertmanagerSinkTest, PostsTheApiV2Form) {
  Alert alert = Named("Down");
  alert.labels.Set("instance", "a\"b\\c\nd\te\xff");
  alert.annotations = Labels{{"summary", "grüße"}};
  alert.generator_url = "http://h/graph?g0.expr=up&x=1";
  Start();
  sink_->OnAlerts(Batch({alert}));
  sink_->Drain(kLongMs);
  const std::vector<HttpRequest> requests = peer_.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].Header("content-type"), "application/json");
  EXPECT_EQ(requests[0].body,
            "[{\"labels\":{\"alertname\":\"Down\",\"instance\":\"a\\\"b\\\\c\\nd\\te\xef\xbf\xbd\"},"
            "\"annotations\":{\"summary\":\"grüße\"},"
            "\"startsAt\":\"2023-11-14T22:13:20.123Z\",\"endsAt\":\"2023-11-14T22:14:20Z\","
            "\"generatorURL\":\"http://h/graph?g0.expr=up&x=1\"}]");
  EXPECT_EQ(Names(requests[0]), (std::vector<std::string>{"Down"}));
  EXPECT_EQ(host_.Metric("prometheus_notifications_sent_total"), "1");
  EXPECT_EQ(host_.Metric("prometheus_notifications_errors_total"), "0");
  EXPECT_EQ(host_.Metric("prometheus_notifications_queue_capacity"), "10000");
}

TEST_F(AlertmanagerSinkTest, BatchesHaveAtMost256Alerts) {
  Start();
  sink_->OnAlerts(Numbered(0, 600));
  sink_->Drain(kLongMs);
  const std::vector<HttpRequest> requests = peer_.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(Names(requests[0]).size(), 256u);
  EXPECT_EQ(Names(requests[2]).back(), "599");
}

TEST_F(AlertmanagerSinkTest, FailuresAreCountedAndNotRepeated) {
  peer_.Answer(500);
  Start();
  sink_->OnAlerts(Numbered(0, 2));
  peer_.Wait(1);
  sink_->OnAlerts(Numbered(2, 1));
  sink_->Drain(kLongMs);
  const std::vector<HttpRequest> requests = peer_.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(Names(requests[1]), (std::vector<std::string>{"2"}));
  EXPECT_EQ(host_.Metric("prometheus_notifications_errors_total"), "2");
  EXPECT_EQ(host_.Metric("prometheus_notifications_dropped_total"), "2");
  EXPECT_EQ(host_.Metric("prometheus_notifications_sent_total"), "3");
}

TEST_F(AlertmanagerSinkTest, AFullQueueDropsTheOldest) {
  config_.queue_alerts_max = 3;
  config_.batch_alerts_max = 1;
  peer_.Hold();
  Start();
  sink_->OnAlerts(Numbered(0, 1));
  peer_.Wait(1);
  sink_->OnAlerts(Numbered(1, 5));
  EXPECT_EQ(host_.Metric("prometheus_notifications_dropped_total"), "2");
  EXPECT_EQ(host_.Metric("prometheus_notifications_queue_length"), "3");
  peer_.LetGo();
  sink_->Drain(kLongMs);
  std::vector<std::string> names;
  for (const HttpRequest& request : peer_.requests()) {
    names.push_back(Names(request)[0]);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"0", "3", "4", "5"}));
}

TEST_F(AlertmanagerSinkTest, ADeadPeerDelaysNobody) {
  FakePeer dead(kPath);
  dead.Hold();
  config_.urls.push_back(dead.Url("/prefix"));
  Start();
  EXPECT_EQ(host_.Metric("prometheus_notifications_alertmanagers_discovered"), "2");
  sink_->OnAlerts(Numbered(0, 1));
  dead.Wait(1);
  peer_.Wait(1);  // else one request may carry both alerts
  sink_->OnAlerts(Numbered(1, 1));
  EXPECT_EQ(peer_.Wait(2).size(), 2u);
  sink_->Drain(0);
  EXPECT_EQ(host_.Metric("prometheus_notifications_dropped_total", dead.Url("")), "2");
  dead.LetGo();
}

TEST_F(AlertmanagerSinkTest, OwnRelabellingDropsAndChanges) {
  RelabelConfig drop;
  drop.source_labels = {"alertname"};
  drop.regex = "1";
  drop.action = RelabelAction::kDrop;
  RelabelConfig add;
  add.target_label = "am";
  add.replacement = "x";
  config_.alert_relabel_configs = {drop, add};
  Start();
  sink_->OnAlerts(Numbered(0, 3));
  sink_->Drain(kLongMs);
  const HttpRequest request = peer_.Wait(1)[0];
  EXPECT_EQ(Names(request), (std::vector<std::string>{"0", "2"}));
  EXPECT_NE(request.body.find("\"am\":\"x\""), std::string::npos);
}

TEST_F(AlertmanagerSinkTest, AnAlertmanagerThatIsNotThereIsAnError) {
  {
    HttpServerOptions options;
    options.listen = "127.0.0.1:0";
    HttpServer gone(options);
    ASSERT_TRUE(gone.Start().ok());
    config_.urls = {"http://127.0.0.1:" + std::to_string(gone.port())};
  }
  Start();
  sink_->OnAlerts(Numbered(0, 1));
  sink_->Drain(kLongMs);
  EXPECT_EQ(host_.Metric("prometheus_notifications_errors_total"), "1");
}

TEST_F(AlertmanagerSinkTest, MadeFromOptions) {
  const plugin::Plugin& row = plugin::alertmanager_sink;
  const Result<plugin::OptionValues> options =
      plugin::ParseOptions(row.options, "sink alertmanager", "t:1:1", {{"urls", "t:2:1", config_.urls[0]}});
  ASSERT_TRUE(options.ok()) << options.status().message();
  ASSERT_TRUE(row.validate(*options).ok());
  sink_ = row.make_sink(*options);
  ASSERT_TRUE(sink_->Start(host_).ok());
  sink_->OnAlerts(Numbered(0, 1));
  sink_->Drain(kLongMs);
  EXPECT_EQ(peer_.requests().size(), 1u);
  config_.urls = {"am:9093"};
  EXPECT_EQ(MakeAlertmanagerSink(config_)->Start(host_).message(),
            "alertmanager: url: want http:// or https://, got \"am:9093\"");
}

}  // namespace
}  // namespace weir::alertmanager
