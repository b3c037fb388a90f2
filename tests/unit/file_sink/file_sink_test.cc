// The file sink: its lines, rotation, a disk that is full, and the queue before it.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/plugin/plugin.h"
#include "plugins/sinks/file/json_lines.h"
#include "plugins/sinks/file/line_writer.h"

namespace weir::plugin {
extern const Plugin file_sink;
}

namespace weir::file {
namespace {

using plugin::AlertBatch;
using plugin::OptionValues;
using plugin::RawOption;
using plugin::SampleResults;

constexpr int64_t kLongMs = 60000;

class Host final : public plugin::SinkHost {
 public:
  const Clock& clock() const override { return SystemClock(); }
  MetricRegistry& metrics() override { return metrics_; }
  const Labels& external_labels() const override { return labels_; }

 private:
  MetricRegistry metrics_;
  Labels labels_{{"cluster", "eu"}};
};

class FileSinkTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/weir_file_sink_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    path_ = folder_ / "out.jsonl";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Result<std::unique_ptr<plugin::Sink>> Make(const std::vector<std::pair<std::string, std::string>>& given) {
    std::vector<RawOption> options;
    for (const auto& [name, value] : given) {
      RawOption option;
      option.name = name;
      option.where = "w.yml:1:1";
      option.scalar = value;
      options.push_back(option);
    }
    WEIR_ASSIGN_OR_RETURN(const OptionValues values,
                          plugin::ParseOptions(plugin::file_sink.options, "sink file", "w.yml:1:1", options));
    WEIR_RETURN_IF_ERROR(plugin::file_sink.validate(values));
    auto sink = plugin::file_sink.make_sink(values);
    WEIR_RETURN_IF_ERROR(sink->Start(host_));
    return sink;
  }

  static std::shared_ptr<const SampleResults> Samples(int count) {
    auto results = std::make_shared<SampleResults>();
    results->group = "f.yml;g";
    results->tick_ms = 60000;
    for (int i = 0; i < count; ++i) {
      results->samples.push_back(
          {std::make_shared<const Labels>(Labels{{"__name__", "a:b"}, {"i", std::to_string(i)}}), 60000, i + 0.5});
    }
    return results;
  }
  static std::shared_ptr<const AlertBatch> Alerts() {
    auto batch = std::make_shared<AlertBatch>();
    batch->tick_ms = 60000;
    plugin::Alert alert;
    alert.labels = Labels{{"alertname", "Down"}};
    alert.annotations = Labels{{"summary", "a \"b\"\n"}};
    alert.value = 1;
    alert.starts_at_ms = 60000;
    alert.ends_at_ms = 300500;
    alert.generator_url = "http://w/graph";
    batch->alerts = {alert};
    return batch;
  }
  static std::string Read(const std::filesystem::path& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  uint64_t Count(const char* name, const std::string& path) {
    return host_.metrics().GetCounter(name, "", {{"path", path}}).value();
  }

  std::filesystem::path folder_, path_;
  Host host_;
};

TEST(JsonLines, Text) {
  std::string out;
  const auto labels = std::make_shared<const Labels>(Labels{{"__name__", "x"}, {"v", "\"\\\x01\xff"}});
  AppendSampleLine({labels, 1500, 1e21}, "g", Labels{{"__name__", "y"}, {"z", "1"}}, &out);
  AppendSampleLine({labels, 1500, StaleNaN()}, "g", {}, &out);
  EXPECT_EQ(out,
            "{\"type\":\"sample\",\"time\":\"1970-01-01T00:00:01.5Z\",\"group\":\"g\",\"labels\":{\"__name__\":\"x\","
            "\"v\":\"\\\"\\\\\\u0001\xef\xbf\xbd\","
            "\"z\":\"1\"},\"value\":\"1e+21\"}\n"
            "{\"type\":\"sample\",\"time\":\"1970-01-01T00:00:01.5Z\",\"group\":\"g\",\"labels\":{\"__name__\":\"x\","
            "\"v\":\"\\\"\\\\\\u0001\xef\xbf\xbd\"},"
            "\"stale\":true}\n");
}

TEST(JsonLines, Histograms) {
  FloatHistogram h;
  h.count = 7;
  h.sum = 4.5;
  h.zero_threshold = 0.5;
  h.zero_count = 1;
  h.positive_spans = {{1, 3}};
  h.positive_buckets = {2, 0, 3};
  h.negative_spans = {{2, 1}};
  h.negative_buckets = {1};
  std::string out;
  const auto labels = std::make_shared<const Labels>(Labels{{"__name__", "x"}});
  AppendSampleLine({labels, 1500, 0, std::make_shared<const FloatHistogram>(h)}, "g", {}, &out);
  AppendSampleLine({labels, 1500, 0, std::make_shared<const FloatHistogram>()}, "g", {}, &out);
  EXPECT_EQ(
      out,
      R"({"type":"sample","time":"1970-01-01T00:00:01.5Z","group":"g","labels":{"__name__":"x"},"histogram":)"
      R"({"count":"7","sum":"4.5","buckets":[[1,"-4","-2","1"],[3,"-0.5","0.5","1"],[0,"1","2","2"],[0,"4","8","3"]]}})"
      "\n"
      R"({"type":"sample","time":"1970-01-01T00:00:01.5Z","group":"g","labels":{"__name__":"x"},"histogram":)"
      R"({"count":"0","sum":"0"}})"
      "\n");
}

TEST_F(FileSinkTest, WritesSamplesAndAlertsAndAppends) {
  for (int run = 0; run < 2; ++run) {
    auto sink = Make({{"path", path_}});
    ASSERT_TRUE(sink.ok()) << sink.status().message();
    (*sink)->OnSamples(Samples(1));
    (*sink)->OnAlerts(Alerts());
    (*sink)->Drain(kLongMs);
  }
  const std::string once =
      "{\"type\":\"sample\",\"time\":\"1970-01-01T00:01:00Z\",\"group\":\"f.yml;g\",\"labels\":{\"__name__\":\"a:b\","
      "\"cluster\":\"eu\",\"i\":\"0\"},"
      "\"value\":\"0.5\"}\n"
      "{\"type\":\"alert\",\"time\":\"1970-01-01T00:01:00Z\",\"status\":\"firing\",\"labels\":{\"alertname\":\"Down\"},"
      "\"annotations\":{\"summary\":\"a "
      "\\\"b\\\"\\n\"},\"value\":\"1\",\"active_at\":\"1970-01-01T00:00:00Z\",\"starts_at\":\"1970-01-01T00:01:00Z\","
      "\"ends_at\":\"1970-01-01T00:05:00.5Z\",\"generator_url\":\"http://w/graph\"}\n";
  EXPECT_EQ(Read(path_), once + once);
  EXPECT_EQ(Count("weir_file_lines_written_total", path_), 4U);
  struct stat about {};
  ASSERT_EQ(stat(path_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600U);
}

TEST_F(FileSinkTest, WhatIsSwitchedOffIsNotWritten) {
  auto sink = Make({{"path", path_}, {"samples", "false"}});
  ASSERT_TRUE(sink.ok());
  (*sink)->OnSamples(Samples(5));
  (*sink)->OnAlerts(Alerts());
  (*sink)->Drain(kLongMs);
  EXPECT_EQ(Count("weir_file_lines_written_total", path_), 1U);
}

TEST_F(FileSinkTest, RotatesBySize) {
  auto sink = Make({{"path", path_}, {"rotate_size", "300"}, {"rotate_keep", "2"}});
  ASSERT_TRUE(sink.ok());
  for (int i = 0; i < 10; ++i) {
    (*sink)->OnSamples(Samples(1));
  }
  (*sink)->Drain(kLongMs);
  EXPECT_EQ(Count("weir_file_lines_written_total", path_), 10U);
  EXPECT_TRUE(std::filesystem::exists(path_));
  EXPECT_TRUE(std::filesystem::exists(path_.string() + ".1"));
  EXPECT_TRUE(std::filesystem::exists(path_.string() + ".2"));
  EXPECT_FALSE(std::filesystem::exists(path_.string() + ".3"));
  EXPECT_LE(std::filesystem::file_size(path_), 300U);
}

// /dev/full answers every write as a full disk does.
TEST_F(FileSinkTest, AFullDiskIsCountedAndTheProcessGoesOn) {
  auto sink = Make({{"path", "/dev/full"}, {"queue_max", "4"}});
  ASSERT_TRUE(sink.ok());
  for (int i = 0; i < 5; ++i) {
    (*sink)->OnSamples(Samples(2));
    (*sink)->OnAlerts(Alerts());
  }
  (*sink)->Drain(0);
  EXPECT_GE(Count("weir_file_write_failures_total", "/dev/full") + Count("weir_file_lines_dropped_total", "/dev/full"),
            15U);
  EXPECT_EQ(Count("weir_file_lines_dropped_total", "/dev/full"), 15U);
  EXPECT_EQ(Count("weir_file_lines_written_total", "/dev/full"), 0U);
}

TEST_F(FileSinkTest, APartialLineIsTakenBack) {
  LineWriter writer({path_});
  ASSERT_TRUE(writer.Append("first line\n").ok());
  // The file may grow by four more bytes only: the next write is cut short, the one after it fails.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 15;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = writer.Append("second line\n");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(status.IsRetryable());
  EXPECT_EQ(Read(path_), "first line\n");
  EXPECT_TRUE(writer.Append("second line\n").ok());
  EXPECT_EQ(Read(path_), "first line\nsecond line\n");
}

TEST_F(FileSinkTest, BadOptionsAndPaths) {
  EXPECT_EQ(Make({{"path", path_}, {"queue_max", "0"}}).status().message(),
            "w.yml:1:1: option \"queue_max\": want at least 1, got \"0\"");
  const std::string missing = folder_ / "no" / "such" / "file";
  EXPECT_EQ(Make({{"path", missing}}).status().message(),
            "w.yml:1:1: sink file: open " + missing + ": No such file or directory");
}

}  // namespace
}  // namespace weir::file
