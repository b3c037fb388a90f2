// The kafka source against a real broker: what librdkafka's mock cannot show. run.py starts the broker and hands over
// WEIR_KAFKA_BROKERS and WEIR_KAFKA_CONTROL (the broker's script); without them every test is skipped visibly.
//
// Delivery is at least once. On a loaded machine a member may at any time fail to tell the broker that it lives; it then loses
// its partitions without having committed, gets them again and reads again. So no test here counts messages: they ask what has
// been seen at least once, and in which order it was first seen.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include "core/plugin/plugin.h"
#include "tests/support/fake_source_host.h"
#include "tests/support/remote_write_encoder.h"

namespace weir::plugin {

extern const Plugin kafka_source;

namespace {

using testing::FakeSourceHost;
using testing::RemoteWriteEncoder;

constexpr int kPartitions = 4;
constexpr int64_t kMinuteMs = 60000;

class KafkaBrokerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* brokers = std::getenv("WEIR_KAFKA_BROKERS");
    if (brokers == nullptr) {
      GTEST_SKIP() << "no broker: WEIR_KAFKA_BROKERS is not set (run.py sets it)";
    }
    brokers_ = brokers;
    topic_ = std::string("t-") + ::testing::UnitTest::GetInstance()->current_test_info()->name() + "-" +
             std::to_string(SystemClock().NowMs());  // a repeated test must not find what it left behind
    char error[512];
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    ASSERT_EQ(rd_kafka_conf_set(conf, "bootstrap.servers", brokers, error, sizeof error), RD_KAFKA_CONF_OK) << error;
    ASSERT_EQ(rd_kafka_conf_set(conf, "enable.idempotence", "true", error, sizeof error), RD_KAFKA_CONF_OK) << error;
    producer_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    ASSERT_NE(producer_, nullptr) << error;
    MakeTopic();
  }
  void TearDown() override {
    if (producer_ != nullptr) {
      rd_kafka_destroy(producer_);
    }
  }

  void MakeTopic() {
    char error[512];
    rd_kafka_NewTopic_t* topic = rd_kafka_NewTopic_new(topic_.c_str(), kPartitions, 1, error, sizeof error);
    rd_kafka_queue_t* queue = rd_kafka_queue_new(producer_);
    rd_kafka_CreateTopics(producer_, &topic, 1, nullptr, queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 30000);
    ASSERT_NE(event, nullptr);
    EXPECT_EQ(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_event_error_string(event);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
  }

  // Puts a message on the topic. UNITS: `t_ms` is both the sample's time and the time that the broker keeps.
  void Produce(int partition, int64_t t_ms, const std::string& payload) {
    ASSERT_EQ(rd_kafka_producev(producer_, RD_KAFKA_V_TOPIC(topic_.c_str()), RD_KAFKA_V_PARTITION(partition),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_TIMESTAMP(t_ms),
                                RD_KAFKA_V_VALUE(const_cast<char*>(payload.data()), payload.size()), RD_KAFKA_V_END),
              RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  void Flush() { ASSERT_EQ(rd_kafka_flush(producer_, 30000), RD_KAFKA_RESP_ERR_NO_ERROR); }
  static std::string Body(int partition, int64_t t_ms, double v) {
    return RemoteWriteEncoder()
        .Add({{"__name__", "m"}, {"instance", std::to_string(partition)}}, {{t_ms, v}})
        .Compressed();
  }

  std::unique_ptr<Source> Make(const std::string& start) const {
    using Shape = RawOption::Shape;
    std::vector<RawOption> raw = {
        {.name = "brokers", .where = "w:2:1", .list = {brokers_}, .shape = Shape::kList},
        {.name = "topics", .where = "w:3:1", .list = {topic_}, .shape = Shape::kList},
        {.name = "group", .where = "w:4:1", .scalar = "g-" + topic_},
        {.name = "start", .where = "w:5:1", .scalar = start},
        {.name = "idle_after", .where = "w:6:1", .scalar = "1s"},
        {.name = "rdkafka",
         .where = "w:7:1",
         .map = {{"session.timeout.ms", "6000"}, {"heartbeat.interval.ms", "200"}},
         .shape = Shape::kMap},
    };
    Result<OptionValues> values = ParseOptions(kafka_source.options, "source kafka", "w:1:1", raw);
    EXPECT_TRUE(values.ok()) << values.status().message();
    EXPECT_TRUE(kafka_source.validate(*values).ok());
    return kafka_source.make_source(*values);
  }

  // RETURNS: by stream, the values of the first `count` samples in the order in which they were first seen; what the member
  // had seen before is not there again.
  static std::map<std::string, std::vector<double>> FirstSeen(const FakeSourceHost& host, size_t count = SIZE_MAX) {
    std::map<std::string, std::vector<double>> streams;
    std::set<std::pair<std::string, double>> known;
    for (size_t i = 0; i < std::min(count, host.received_.size()); ++i) {
      const auto& r = host.received_[i];
      if (known.emplace(r.stream, r.sample.v).second) {
        streams[r.stream].push_back(r.sample.v);
      }
    }
    return streams;
  }
  static bool Saw(const std::vector<FakeSourceHost::Received>& received, const std::string& stream, double v) {
    return std::any_of(received.begin(), received.end(),
                       [&](const auto& r) { return r.stream == stream && r.sample.v == v; });
  }
  std::string Stream(int partition) const { return "kafka/" + topic_ + "/" + std::to_string(partition); }

  std::string brokers_, topic_;
  rd_kafka_t* producer_ = nullptr;
};

TEST_F(KafkaBrokerTest, WindowReadsAgainFromTheLongestWindowEachTime) {
  const int64_t now_ms = SystemClock().NowMs();
  for (int partition = 0; partition < kPartitions; ++partition) {
    // Two hours to half a minute ago; the rules look back five minutes.
    for (int64_t age_min : {120, 30, 10}) {
      Produce(partition, now_ms - age_min * kMinuteMs, Body(partition, now_ms - age_min * kMinuteMs, 0));
    }
    for (int i = 1; i <= 50; ++i) {
      int64_t t_ms = now_ms - 4 * kMinuteMs + i * 4000;
      Produce(partition, t_ms, Body(partition, t_ms, i));
    }
  }
  Flush();
  std::vector<double> wanted;
  for (int i = 1; i <= 50; ++i) {
    wanted.push_back(i);
  }
  for (int round = 0; round < 2; ++round) {
    FakeSourceHost host;
    host.longest_window_ms = 5 * kMinuteMs;
    auto source = Make("window");
    ASSERT_TRUE(source->Start(host).ok());
    EXPECT_GE(host.catch_up_begun_, 1);
    ASSERT_TRUE(host.WaitUntil([&] { return host.catch_up_done_ >= 1; })) << "round " << round;
    EXPECT_EQ(host.events_.size() >= 4 && host.events_[3].rfind("advance", 0) == 0, true)
        << "all four streams are named first";
    source->Stop();
    for (int partition = 0; partition < kPartitions; ++partition) {
      EXPECT_EQ(FirstSeen(host, host.received_at_catch_up_)[Stream(partition)], wanted)
          << "catching up ends when all was applied, and not before: round " << round << " partition " << partition;
      EXPECT_EQ(FirstSeen(host)[Stream(partition)], wanted) << "round " << round << " partition " << partition;
    }
  }
}

TEST_F(KafkaBrokerTest, APartitionWithoutRecentMessagesIsFollowedFromItsEnd) {
  const int64_t now_ms = SystemClock().NowMs();
  Produce(0, now_ms - 60 * kMinuteMs, Body(0, now_ms - 60 * kMinuteMs, 1));
  Flush();
  FakeSourceHost host;
  host.longest_window_ms = 5 * kMinuteMs;
  auto source = Make("window");
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitUntil([&] { return host.catch_up_done_ >= 1; }));
  EXPECT_TRUE(host.received().empty());
  Produce(0, SystemClock().NowMs(), Body(0, SystemClock().NowMs(), 2));
  Produce(3, SystemClock().NowMs(), R"({"timestamp":1700000000,"value":"3","name":"j"})");
  Flush();
  ASSERT_TRUE(host.WaitUntil([&] { return Saw(host.received_, Stream(0), 2) && Saw(host.received_, Stream(3), 3); }));
  source->Stop();
  EXPECT_EQ(FirstSeen(host)[Stream(0)], std::vector<double>{2});
  EXPECT_EQ(FirstSeen(host)[Stream(3)], std::vector<double>{3});
}

TEST_F(KafkaBrokerTest, MembersComeAndGoAndNothingIsLost) {
  FakeSourceHost first_host, second_host;
  auto first = Make("earliest");
  ASSERT_TRUE(first->Start(first_host).ok());
  int next = 1;
  auto produce_round = [&] {
    for (int i = 0; i < 25; ++i, ++next) {
      for (int partition = 0; partition < kPartitions; ++partition) {
        Produce(partition, SystemClock().NowMs(), Body(partition, SystemClock().NowMs(), next));
      }
    }
    Flush();
  };
  auto all_saw = [&](const std::vector<FakeSourceHost::Received>& received, double v) {
    for (int partition = 0; partition < kPartitions; ++partition) {
      if (!Saw(received, Stream(partition), v)) {
        return false;
      }
    }
    return true;
  };
  produce_round();
  ASSERT_TRUE(first_host.WaitUntil([&] { return all_saw(first_host.received_, 25); }));
  auto second = Make("earliest");
  ASSERT_TRUE(second->Start(second_host).ok());
  produce_round();
  ASSERT_TRUE(second_host.WaitUntil([&] { return second_host.advanced_.size() >= 2; })) << "two partitions move";
  produce_round();
  ASSERT_TRUE(second_host.WaitUntil([&] {
    std::vector<FakeSourceHost::Received> received = first_host.received();
    received.insert(received.end(), second_host.received_.begin(), second_host.received_.end());
    return all_saw(received, 75);
  })) << "both together read all partitions";
  first->Stop();
  ASSERT_TRUE(second_host.WaitUntil([&] { return second_host.advanced_.size() == kPartitions; }))
      << "it takes over the rest";
  produce_round();
  ASSERT_TRUE(second_host.WaitUntil([&] { return all_saw(second_host.received_, 100); }));
  second->Stop();
  for (int partition = 0; partition < kPartitions; ++partition) {
    std::set<double> seen;
    for (auto* host : {&first_host, &second_host}) {
      auto values = FirstSeen(*host)[Stream(partition)];
      EXPECT_TRUE(std::is_sorted(values.begin(), values.end()))
          << "new values come in order: one below the highest so far must have been seen before";
      seen.insert(values.begin(), values.end());
    }
    EXPECT_EQ(seen.size(), 100u) << "partition " << partition;
  }
}

TEST_F(KafkaBrokerTest, ABrokerThatIsKilledAndComesBackCostsNothing) {
  const char* control = std::getenv("WEIR_KAFKA_CONTROL");
  if (control == nullptr) {
    GTEST_SKIP() << "WEIR_KAFKA_CONTROL is not set";
  }
  FakeSourceHost host;
  auto source = Make("earliest");
  ASSERT_TRUE(source->Start(host).ok());
  Produce(0, SystemClock().NowMs(), Body(0, SystemClock().NowMs(), 1));
  Flush();
  ASSERT_TRUE(host.WaitUntil([&] { return Saw(host.received_, Stream(0), 1); }));
  ASSERT_TRUE(host.WaitUntil([&] { return host.advanced_.size() == kPartitions; }));
  ASSERT_EQ(std::system((std::string(control) + " kill").c_str()), 0);
  ASSERT_TRUE(host.WaitForMetric("weir_kafka_errors_total"));
  ASSERT_EQ(std::system((std::string(control) + " start").c_str()), 0);
  Produce(0, SystemClock().NowMs(), Body(0, SystemClock().NowMs(), 2));
  Flush();
  ASSERT_TRUE(host.WaitUntil([&] { return Saw(host.received_, Stream(0), 2); }));
  // Idle partitions have to be found at their ends again, or they would hold ticks for good.
  const int64_t back_ms = SystemClock().NowMs();
  ASSERT_TRUE(host.WaitUntil([&] {
    size_t current = 0;
    for (const auto& [stream, t_ms] : host.advanced_) {
      current += t_ms > back_ms ? 1 : 0;
    }
    return current == kPartitions;
  }));
  source->Stop();
  EXPECT_EQ(FirstSeen(host)[Stream(0)], (std::vector<double>{1, 2}));
}

}  // namespace
}  // namespace weir::plugin
