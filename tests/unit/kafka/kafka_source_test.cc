// The kafka source against librdkafka's in-process mock cluster. The mock cannot look up offsets by time, so what
// `start: window` reads again is tested with a real broker (tests/integration/kafka).

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "core/plugin/plugin.h"
#include "tests/support/fake_source_host.h"
#include "tests/support/remote_write_encoder.h"

namespace weir::plugin {

extern const Plugin kafka_source;

namespace {

using testing::FakeSourceHost;
using testing::RemoteWriteEncoder;

constexpr const char* kTopic = "metrics";

rd_kafka_t* NewClient(rd_kafka_type_t type, const std::string& brokers, const std::string& group = "") {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char error[256];
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"bootstrap.servers", brokers}, {"group.id", group}, {"log_level", "2"}}) {
    if (!value.empty()) {
      EXPECT_EQ(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error), RD_KAFKA_CONF_OK) << error;
    }
  }
  rd_kafka_t* client = rd_kafka_new(type, conf, error, sizeof error);
  EXPECT_NE(client, nullptr) << error;
  return client;
}

class KafkaSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    owner_ = NewClient(RD_KAFKA_PRODUCER, "");
    cluster_ = rd_kafka_mock_cluster_new(owner_, 1);
    brokers_ = rd_kafka_mock_cluster_bootstraps(cluster_);
    producer_ = NewClient(RD_KAFKA_PRODUCER, brokers_);
  }
  void TearDown() override {
    rd_kafka_destroy(producer_);
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(owner_);
  }

  void MakeTopic(int partitions) {
    ASSERT_EQ(rd_kafka_mock_topic_create(cluster_, kTopic, partitions, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  }

  void Produce(int partition, const std::string& payload) {
    rd_kafka_resp_err_t error = rd_kafka_producev(
        producer_, RD_KAFKA_V_TOPIC(kTopic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(const_cast<char*>(payload.data()), payload.size()), RD_KAFKA_V_END);
    ASSERT_EQ(error, RD_KAFKA_RESP_ERR_NO_ERROR);
    ASSERT_EQ(rd_kafka_flush(producer_, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  static std::string Body(double v) {
    return RemoteWriteEncoder()
        .Add({{"__name__", "m"}, {"instance", "a"}}, {{static_cast<int64_t>(v) * 1000, v}})
        .Compressed();
  }

  // RETURNS: the offset committed for the partition, or -1.
  int64_t Committed(int partition) {
    rd_kafka_t* client = NewClient(RD_KAFKA_CONSUMER, brokers_, "g");
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, kTopic, partition);
    EXPECT_EQ(rd_kafka_committed(client, list, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(client);
    return offset < 0 ? -1 : offset;
  }

  OptionValues Options(const std::string& start, std::map<std::string, std::string> settings = {},
                       const std::string& brokers = "") {
    settings.emplace("session.timeout.ms", "4000");  // the mock lets a first join wait for 3 s
    settings.emplace("heartbeat.interval.ms", "200");
    std::vector<RawOption> raw = {
        {.name = "brokers",
         .where = "w.yml:2:1",
         .list = {brokers.empty() ? brokers_ : brokers},
         .shape = RawOption::Shape::kList},
        {.name = "topics", .where = "w.yml:3:1", .list = {kTopic}, .shape = RawOption::Shape::kList},
        {.name = "group", .where = "w.yml:4:1", .scalar = "g"},
        {.name = "start", .where = "w.yml:5:1", .scalar = start},
        {.name = "idle_after", .where = "w.yml:6:1", .scalar = "1s"},
        {.name = "rdkafka", .where = "w.yml:7:1", .map = std::move(settings), .shape = RawOption::Shape::kMap},
    };
    Result<OptionValues> values = ParseOptions(kafka_source.options, "source kafka", "w.yml:1:1", raw);
    EXPECT_TRUE(values.ok()) << values.status().message();
    return *values;
  }
  std::unique_ptr<Source> Make(const std::string& start) { return kafka_source.make_source(Options(start)); }

  static std::vector<double> ValuesOf(const std::vector<FakeSourceHost::Received>& received,
                                      const std::string& stream) {
    std::vector<double> values;
    for (const auto& r : received) {
      if (r.stream == stream) {
        values.push_back(r.sample.v);
      }
    }
    return values;
  }
  static bool Exposes(FakeSourceHost& host, const std::string& line) {
    return host.metrics().Expose().find(line) != std::string::npos;
  }

  rd_kafka_t* owner_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
  rd_kafka_t* producer_ = nullptr;
  std::string brokers_;
};

TEST_F(KafkaSourceTest, ReadsBothPayloadsAndSkipsPoison) {
  MakeTopic(2);
  Produce(0, Body(1));
  Produce(0, "poison");
  Produce(0, Body(2));
  Produce(1, R"({"timestamp":3,"value":"30","name":"j","labels":{"instance":"b"}})");
  Produce(1, "");
  FakeSourceHost host;
  auto source = Make("earliest");
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitForSamples(3));
  ASSERT_TRUE(host.WaitUntil([&] { return host.advanced_.size() == 2; })) << "both partitions come to their end";
  source->Stop();
  EXPECT_EQ(ValuesOf(host.received_, "kafka/metrics/0"), (std::vector<double>{1, 2}));
  EXPECT_EQ(ValuesOf(host.received_, "kafka/metrics/1"), (std::vector<double>{30}));
  EXPECT_TRUE(Exposes(host, "weir_kafka_messages_total{topic=\"metrics\"} 5"));
  EXPECT_TRUE(Exposes(host, "reason=\"undecodable\",topic=\"metrics\"} 1") ||
              Exposes(host, "topic=\"metrics\",reason=\"undecodable\"} 1"))
      << host.metrics().Expose();
  EXPECT_TRUE(Exposes(host, "reason=\"empty\",topic=\"metrics\"} 1") ||
              Exposes(host, "topic=\"metrics\",reason=\"empty\"} 1"));
  EXPECT_EQ(Committed(0), 3) << "a poison message is passed for good";
  EXPECT_EQ(Committed(1), 2);
  EXPECT_EQ((std::set<std::string>(host.closed_.begin(), host.closed_.end())),
            (std::set<std::string>{"kafka/metrics/0", "kafka/metrics/1"}));
  EXPECT_EQ(host.catch_up_begun_, 0);
}

TEST_F(KafkaSourceTest, CommitsOnlyWhatWasApplied) {
  MakeTopic(1);
  Produce(0, Body(1));
  Produce(0, Body(2));
  {
    FakeSourceHost host;
    host.HoldCompletions(true);
    auto source = Make("earliest");
    ASSERT_TRUE(source->Start(host).ok());
    ASSERT_TRUE(host.WaitUntil([&] { return host.held_.size() == 2; }));
    source->Stop();
    EXPECT_EQ(Committed(0), -1);
    host.CompleteHeld();  // late completions of a source that has stopped are harmless
  }
  FakeSourceHost host;
  auto source = Make("earliest");
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitForSamples(2)) << "what was not committed is read again";
  source->Stop();
  EXPECT_EQ(Committed(0), 2);
}

TEST_F(KafkaSourceTest, GoesOnAtTheCommittedOffset) {
  MakeTopic(1);
  Produce(0, Body(1));
  {
    FakeSourceHost host;
    auto source = Make("earliest");
    ASSERT_TRUE(source->Start(host).ok());
    ASSERT_TRUE(host.WaitForSamples(1));
    source->Stop();
  }
  Produce(0, Body(2));
  FakeSourceHost host;
  auto source = Make("earliest");
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitForSamples(1));
  ASSERT_TRUE(host.WaitUntil([&] { return !host.advanced_.empty(); }));
  source->Stop();
  EXPECT_EQ(ValuesOf(host.received_, "kafka/metrics/0"), (std::vector<double>{2}));
}

TEST_F(KafkaSourceTest, AFullQueuePausesAndLosesNothing) {
  MakeTopic(2);
  for (int i = 1; i <= 20; ++i) {
    Produce(i % 2, Body(i));
  }
  FakeSourceHost host;
  host.SetFull(true);
  auto source = Make("earliest");
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitUntil([&] { return host.refused_ >= 20; })) << "it goes on offering while it polls";
  EXPECT_TRUE(host.received().empty());
  host.SetFull(false);
  ASSERT_TRUE(host.WaitForSamples(20));
  ASSERT_TRUE(host.WaitUntil([&] { return host.advanced_.size() == 2; })) << "after resuming the ends are known again";
  source->Stop();
  std::vector<double> even, odd;
  for (int i = 1; i <= 20; ++i) {
    (i % 2 == 0 ? even : odd).push_back(i);
  }
  EXPECT_EQ(ValuesOf(host.received_, "kafka/metrics/0"), even) << "once each and in order";
  EXPECT_EQ(ValuesOf(host.received_, "kafka/metrics/1"), odd);
  EXPECT_TRUE(Exposes(host, "weir_kafka_pauses_total 1"));
  EXPECT_EQ(Committed(0), 10);
}

TEST_F(KafkaSourceTest, AnOverloadedMessageIsReadAgain) {
  MakeTopic(1);
  for (int i = 1; i <= 3; ++i) {
    Produce(0, Body(i));
  }
  FakeSourceHost host;
  host.OverloadNext(1);
  auto source = Make("earliest");
  ASSERT_TRUE(source->Start(host).ok());
  // The fake records what it is given: the first message twice, what followed it too.
  ASSERT_TRUE(host.WaitUntil([&] {
    return std::count_if(host.received_.begin(), host.received_.end(), [](const auto& r) { return r.sample.v == 1; }) ==
               2 &&
           host.received_.back().sample.v == 3;
  }));
  ASSERT_TRUE(host.WaitUntil([&] { return host.advanced_.contains("kafka/metrics/0"); }));
  source->Stop();
  EXPECT_TRUE(Exposes(host, "weir_kafka_rewinds_total 1"));
  EXPECT_EQ(Committed(0), 3);
}

TEST_F(KafkaSourceTest, AnIdlePartitionHoldsNoTick) {
  MakeTopic(3);
  Produce(0, Body(1));
  FakeSourceHost host;
  int64_t begin_ms = SystemClock().NowMs();
  auto source = Make("earliest");
  ASSERT_TRUE(source->Start(host).ok());
  // Later calls follow the clock: each partition counts as complete up to idle_after ago.
  ASSERT_TRUE(host.WaitUntil([&] {
    return host.advanced_.size() == 3 && std::all_of(host.advanced_.begin(), host.advanced_.end(),
                                                     [&](const auto& entry) { return entry.second > begin_ms; });
  }));
  source->Stop();
  for (const auto& [stream, t_ms] : host.advanced_) {
    EXPECT_LE(t_ms, SystemClock().NowMs() - 1000) << stream;
  }
}

TEST_F(KafkaSourceTest, LatestSkipsWhatWasThereBefore) {
  MakeTopic(1);
  Produce(0, Body(1));
  FakeSourceHost host;
  auto source = Make("latest");
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitUntil([&] { return host.advanced_.contains("kafka/metrics/0"); }));
  Produce(0, Body(2));
  ASSERT_TRUE(host.WaitForSamples(1));
  source->Stop();
  EXPECT_EQ(ValuesOf(host.received_, "kafka/metrics/0"), (std::vector<double>{2}));
}

TEST_F(KafkaSourceTest, WindowNamesItsStreamsAndEndsItsCatchUp) {
  MakeTopic(2);
  FakeSourceHost host;
  auto source = Make("window");
  ASSERT_TRUE(source->Start(host).ok());
  EXPECT_EQ(host.catch_up_begun_, 1) << "before anything is read";
  ASSERT_TRUE(host.WaitUntil([&] { return host.catch_up_done_ == 1; }));
  ASSERT_TRUE(host.WaitUntil([&] { return host.advanced_.size() == 2; }));
  Produce(1, Body(7));
  ASSERT_TRUE(host.WaitForSamples(1));
  source->Stop();
  EXPECT_EQ(host.catch_up_begun_, 1);
  EXPECT_EQ(host.catch_up_done_, 1);
}

TEST_F(KafkaSourceTest, LosingEverythingDoesNotEndTheCatchUp) {
  MakeTopic(1);
  Produce(0, Body(1));
  FakeSourceHost host;
  host.HoldCompletions(true);
  // Where the window begins shall not be known: the partition is read from its begin then.
  constexpr int16_t kListOffsets = 2, kHeartbeat = 12;
  rd_kafka_mock_push_request_errors(cluster_, kListOffsets, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  auto source = Make("window");
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitUntil([&] { return host.held_.size() == 1; })) << "the window is read, but not yet applied";
  rd_kafka_mock_push_request_errors(cluster_, kListOffsets, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  rd_kafka_mock_push_request_errors(cluster_, kHeartbeat, 1, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
  ASSERT_TRUE(host.WaitForMetric("weir_kafka_rebalances_total{event=\"lost\"} 1"));
  // The mock lets the member wait for seconds before it joins again: many rounds with nothing assigned.
  ASSERT_TRUE(host.WaitUntil([&] { return host.held_.size() == 2; })) << "the partition is read again";
  EXPECT_EQ(host.catch_up_done_, 0);
  host.HoldCompletions(false);
  host.CompleteHeld();
  EXPECT_TRUE(host.WaitUntil([&] { return host.catch_up_done_ == 1; }));
  source->Stop();
  EXPECT_EQ(host.catch_up_begun_, 1) << "it went on";
}

TEST_F(KafkaSourceTest, AMemberWithoutPartitionsHasNothingToCatchUpWith) {
  MakeTopic(1);
  FakeSourceHost first_host, second_host;
  auto first = Make("window");
  ASSERT_TRUE(first->Start(first_host).ok());
  ASSERT_TRUE(first_host.WaitUntil([&] { return first_host.catch_up_done_ == 1; }));
  auto second = Make("window");
  ASSERT_TRUE(second->Start(second_host).ok());
  EXPECT_TRUE(second_host.WaitUntil([&] { return second_host.catch_up_done_ == 1; })) << "an empty assignment is one";
  second->Stop();
  first->Stop();
  EXPECT_EQ(first_host.closed_.size() + second_host.closed_.size(), 1u);
}

TEST_F(KafkaSourceTest, TwoMembersShareThePartitions) {
  MakeTopic(4);
  FakeSourceHost first_host, second_host;
  auto first = Make("earliest");
  ASSERT_TRUE(first->Start(first_host).ok());
  ASSERT_TRUE(first_host.WaitUntil([&] { return first_host.advanced_.size() == 4; }));
  auto second = Make("earliest");
  ASSERT_TRUE(second->Start(second_host).ok());
  ASSERT_TRUE(first_host.WaitUntil([&] { return first_host.closed_.size() == 2; })) << "two partitions are given up";
  ASSERT_TRUE(second_host.WaitUntil([&] { return second_host.advanced_.size() == 2; }));
  for (int partition = 0; partition < 4; ++partition) {
    Produce(partition, Body(partition + 1));
  }
  ASSERT_TRUE(first_host.WaitForSamples(2));
  ASSERT_TRUE(second_host.WaitForSamples(2));
  second->Stop();
  first->Stop();
  std::set<std::string> streams;
  for (auto* host : {&first_host, &second_host}) {
    for (const auto& r : host->received_) {
      EXPECT_TRUE(streams.insert(r.stream).second) << r.stream << " was read by both";
    }
  }
  EXPECT_EQ(streams.size(), 4u);
}

TEST_F(KafkaSourceTest, SurvivesABrokerThatGoesAndComes) {
  MakeTopic(2);
  Produce(0, Body(1));
  FakeSourceHost host;
  auto source = Make("earliest");
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitUntil([&] { return host.advanced_.size() == 2; }));
  rd_kafka_mock_broker_set_down(cluster_, 1);
  ASSERT_TRUE(host.WaitForMetric("weir_kafka_errors_total"));
  rd_kafka_mock_broker_set_up(cluster_, 1);
  Produce(0, Body(2));
  ASSERT_TRUE(host.WaitForSamples(2));
  // librdkafka tells an end once; the idle partition has to be asked again, or it would hold ticks for good.
  const int64_t back_ms = SystemClock().NowMs();
  ASSERT_TRUE(host.WaitUntil([&] { return host.advanced_["kafka/metrics/1"] > back_ms; }));
  source->Stop();
  EXPECT_EQ(ValuesOf(host.received_, "kafka/metrics/0"), (std::vector<double>{1, 2}));
}

TEST_F(KafkaSourceTest, RefusesSettingsThatAreItsOwn) {
  EXPECT_TRUE(kafka_source.validate(Options("window", {{"fetch.wait.max.ms", "50"}})).ok());
  Status own = kafka_source.validate(Options("window", {{"enable.auto.commit", "true"}}));
  EXPECT_EQ(own.message(),
            "w.yml:1:1: option \"rdkafka\": \"enable.auto.commit\" cannot be set here: offsets are committed when "
            "their samples have been applied");
  Status group = kafka_source.validate(Options("window", {{"group.id", "x"}}));
  EXPECT_EQ(group.message(), "w.yml:1:1: option \"rdkafka\": \"group.id\" cannot be set here: use the option group");
  Status unknown = kafka_source.validate(Options("window", {{"fetch.wait.max", "50"}}));
  EXPECT_NE(unknown.message().find("fetch.wait.max"), std::string_view::npos);
  Status brokers = kafka_source.validate(Options("window", {}, "a:1,b:2"));
  EXPECT_EQ(brokers.message(), "w.yml:1:1: option \"brokers\": want one entry for each, got \"a:1,b:2\"");
}

TEST_F(KafkaSourceTest, MessagesDoNotRepeatSecrets) {
  Status status = kafka_source.validate(Options("window", {{"sasl.oauthbearer.method", "hunter2"}}));
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_EQ(status.message().find("hunter2"), std::string_view::npos) << status.message();
}

}  // namespace
}  // namespace weir::plugin
