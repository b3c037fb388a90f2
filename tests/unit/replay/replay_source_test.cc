#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>

#include "core/plugin/plugin.h"
#include "tests/support/fake_source_host.h"

namespace weir::plugin {

extern const Plugin replay_source;

namespace {

using testing::FakeSourceHost;

class ReplayTest : public ::testing::Test {
 protected:
  std::string File(const std::string& content) {
    std::string path = ::testing::TempDir() + "weir_replay_" +
                       ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".txt";
    std::ofstream(path) << content;
    return path;
  }

  OptionValues Options(const std::string& path, std::vector<RawOption> more = {}) {
    more.push_back({.name = "path", .where = "w.yml:1:1", .scalar = path});
    Result<OptionValues> values = ParseOptions(replay_source.options, "source replay", "w.yml:1:1", more);
    EXPECT_TRUE(values.ok()) << values.status().message();
    return *values;
  }
  static RawOption Set(const char* name, const char* value) {
    return {.name = name, .where = "w.yml:2:1", .scalar = value};
  }

  FakeClock clock_{1800000000000};
};

TEST_F(ReplayTest, SendsInTimeOrderWithRecordedTimesAndFinishes) {
  FakeSourceHost host(clock_);
  auto source = replay_source.make_source(
      Options(File("# TYPE a gauge\na{x=\"1\"} 1 100\na{x=\"1\"} 2 115\nb 3 90.5\nb 4 100\nb 5 115\n# EOF\n")));
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitForSamples(5));
  source->Stop();
  ASSERT_TRUE(source->Finished());
  EXPECT_TRUE(source->EventTime());
  std::string text;
  for (const auto& r : host.received_) {
    text += r.labels.ToString() + " " + std::to_string(static_cast<int>(r.sample.v)) + "@" +
            std::to_string(r.sample.t) + "\n";
  }
  EXPECT_EQ(text, "b 3@90500\na{x=\"1\"} 1@100000\nb 4@100000\na{x=\"1\"} 2@115000\nb 5@115000\n");
  EXPECT_EQ(host.advanced_["replay"], 115000);
  EXPECT_EQ(host.closed_, std::vector<std::string>{"replay"});
}

TEST_F(ReplayTest, IsNotFinishedBeforeTheLastBatchWasTaken) {
  FakeSourceHost host(clock_);
  host.HoldCompletions(true);
  auto source = replay_source.make_source(Options(File("a 1 1\na 1 5\n")));
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitUntil([&] { return host.held_.size() == 2; }));
  EXPECT_FALSE(source->Finished());
  host.CompleteHeld();
  source->Stop();
  EXPECT_TRUE(source->Finished());
}

TEST_F(ReplayTest, RestampMovesSamplesToThePresentAtTheirPace) {
  FakeSourceHost host(clock_);
  auto source = replay_source.make_source(
      Options(File("a 1 1000\na 2 1010\na 3 1025\n"), {Set("speed", "2"), Set("restamp", "true")}));
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitForSamples(3));
  source->Stop();
  EXPECT_FALSE(source->EventTime());
  EXPECT_EQ(host.received_[0].sample.t, 1800000000000);
  EXPECT_EQ(host.received_[1].sample.t, 1800000005000);
  EXPECT_EQ(host.received_[2].sample.t, 1800000012500);
  EXPECT_GE(clock_.NowMs(), 1800000012500) << "the source waited for its clock";
}

TEST_F(ReplayTest, AFullQueueLosesNothing) {
  FakeSourceHost host(clock_);
  host.SetFull(true);
  auto source = replay_source.make_source(Options(File("a 1 1\na 2 2\n")));
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitUntil([&] { return host.refused_ >= 3; }));
  host.SetFull(false);
  ASSERT_TRUE(host.WaitForSamples(2));
  source->Stop();
  EXPECT_EQ(host.received_.size(), 2u);
}

TEST_F(ReplayTest, StopWhileTheQueueIsFullReturns) {
  FakeSourceHost host(clock_);
  host.SetFull(true);
  auto source = replay_source.make_source(Options(File("a 1 1\n")));
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitUntil([&] { return host.refused_ >= 1; }));
  source->Stop();
  EXPECT_FALSE(source->Finished());
}

TEST_F(ReplayTest, BadLinesAreCountedAndTheRestIsSent) {
  FakeSourceHost host(clock_);
  auto source = replay_source.make_source(Options(File("a 1 1\na x 2\na 3 3\n")));
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitForSamples(2));
  source->Stop();
  EXPECT_NE(host.metrics().Expose().find("weir_replay_bad_records_total 1"), std::string::npos);
}

TEST_F(ReplayTest, ReadsJsonRecordsToo) {
  FakeSourceHost host(clock_);
  auto source = replay_source.make_source(
      Options(File("{\"timestamp\":2,\"value\":2,\"name\":\"a\"}\n{\"timestamp\":1,\"value\":1,\"name\":\"a\"}\n"),
              {Set("format", "json")}));
  ASSERT_TRUE(source->Start(host).ok());
  ASSERT_TRUE(host.WaitForSamples(2));
  source->Stop();
  EXPECT_EQ(host.received_[0].sample.t, 1000);
  EXPECT_EQ(host.received_[1].sample.t, 2000);
}

TEST_F(ReplayTest, StartNamesWhatIsWrong) {
  FakeSourceHost host(clock_);
  Status missing = replay_source.make_source(Options(::testing::TempDir() + "weir_no_such_file"))->Start(host);
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_EQ(missing.message().substr(0, 19), "w.yml:1:1: replay: ");
  Status no_times = replay_source.make_source(Options(File("a 1\n")))->Start(host);
  EXPECT_EQ(no_times.code(), Code::kInvalid);
  EXPECT_NE(no_times.message().find("record 1: the sample has no timestamp"), std::string_view::npos)
      << no_times.message();
  Status large = replay_source.make_source(Options(File("a 1 1\na 1 2\n"), {Set("file_bytes_max", "8")}))->Start(host);
  EXPECT_EQ(large.code(), Code::kLimit);
}

TEST_F(ReplayTest, OptionsThatExcludeEachOtherAreRefused) {
  EXPECT_FALSE(replay_source.validate(Options("x", {Set("restamp", "true")})).ok());
  EXPECT_FALSE(replay_source.validate(Options("x", {Set("speed", "-1")})).ok());
  EXPECT_TRUE(replay_source.validate(Options("x", {Set("restamp", "true"), Set("speed", "1")})).ok());
}

}  // namespace
}  // namespace weir::plugin
