#include "core/plugin/options.h"

#include <gtest/gtest.h>

namespace weir::plugin {
namespace {

constexpr OptionRow kRows[] = {
    {.name = "brokers", .type = OptionType::kStringList, .help = "Brokers.", .required = true},
    {.name = "topics", .type = OptionType::kStringList, .fallback = "a,b", .help = "Topics."},
    {.name = "group", .type = OptionType::kString, .fallback = "weir", .help = "Group."},
    {.name = "port", .type = OptionType::kInt, .fallback = "9092", .help = "Port."},
    {.name = "ratio", .type = OptionType::kFloat, .fallback = "0.5", .help = "Ratio."},
    {.name = "timeout", .type = OptionType::kDuration, .fallback = "1m30s", .help = "Timeout."},
    {.name = "buffer", .type = OptionType::kSize, .fallback = "2MiB", .help = "Buffer."},
    {.name = "tls", .type = OptionType::kBool, .fallback = "false", .help = "TLS."},
    {.name = "codec", .type = OptionType::kEnum, .fallback = "auto", .help = "Codec.", .choices = "auto|json"},
    {.name = "extra", .type = OptionType::kMap, .help = "Extra."},
    {.name = "password", .type = OptionType::kSecret, .help = "Password."},
};

RawOption Scalar(std::string name, std::string value) { return {std::move(name), "weir.yml:3:5", std::move(value)}; }

RawOption List(std::string name, std::vector<std::string> values) {
  RawOption raw{std::move(name), "weir.yml:2:5"};
  raw.list = std::move(values);
  raw.shape = RawOption::Shape::kList;
  return raw;
}

Result<OptionValues> Parse(std::vector<RawOption> raw) {
  return ParseOptions(kRows, "source kafka", "weir.yml:1:3", raw);
}

std::string Message(std::vector<RawOption> raw) {
  raw.push_back(List("brokers", {"x:1"}));
  return std::string(Parse(std::move(raw)).status().message());
}

TEST(Options, FallbacksFillEveryRow) {
  const Result<OptionValues> options = Parse({List("brokers", {"a:1", "b:2"})});
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(options->List("brokers"), (std::vector<std::string>{"a:1", "b:2"}));
  EXPECT_EQ(options->List("topics"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options->String("group"), "weir");
  EXPECT_EQ(options->Int("port"), 9092);
  EXPECT_EQ(options->Float("ratio"), 0.5);
  EXPECT_EQ(options->Int("timeout"), 90000);
  EXPECT_EQ(options->Int("buffer"), 2 << 20);
  EXPECT_FALSE(options->Bool("tls"));
  EXPECT_EQ(options->String("codec"), "auto");
  EXPECT_TRUE(options->Map("extra").empty());
  EXPECT_EQ(options->String("password"), "");
  EXPECT_TRUE(options->IsSet("brokers"));
  EXPECT_FALSE(options->IsSet("group"));
  EXPECT_EQ(options->where, "weir.yml:1:3");
}

TEST(Options, GivenValuesWin) {
  RawOption map{"extra", "weir.yml:9:1"};
  map.map = {{"k", "v"}};
  map.shape = RawOption::Shape::kMap;
  RawOption null{"group", "weir.yml:8:1"};
  null.shape = RawOption::Shape::kNull;
  const Result<OptionValues> options =
      Parse({Scalar("brokers", "only:1"), Scalar("port", "-7"), Scalar("ratio", "1e3"), Scalar("timeout", "5s"),
             Scalar("buffer", "512"), Scalar("tls", "true"), Scalar("codec", "json"), map, null});
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(options->List("brokers"), (std::vector<std::string>{"only:1"}));
  EXPECT_EQ(options->Int("port"), -7);
  EXPECT_EQ(options->Float("ratio"), 1000);
  EXPECT_EQ(options->Int("timeout"), 5000);
  EXPECT_EQ(options->Int("buffer"), 512);
  EXPECT_TRUE(options->Bool("tls"));
  EXPECT_EQ(options->String("codec"), "json");
  EXPECT_EQ(options->Map("extra").at("k"), "v");
  EXPECT_EQ(options->String("group"), "weir");
}

TEST(Options, ProblemsNamePlaceValueAndFix) {
  EXPECT_EQ(Message({Scalar("topcs", "x")}),
            "weir.yml:3:5: unknown option \"topcs\" of source kafka; did you mean \"topics\"?");
  EXPECT_EQ(Message({Scalar("zzzzzz", "x")}), "weir.yml:3:5: unknown option \"zzzzzz\" of source kafka");
  EXPECT_EQ(Message({Scalar("port", "x")}), "weir.yml:3:5: option \"port\": want an integer, got \"x\"");
  EXPECT_EQ(Message({Scalar("port", "")}), "weir.yml:3:5: option \"port\": want an integer, got \"\"");
  EXPECT_EQ(Message({Scalar("tls", "maybe")}), "weir.yml:3:5: option \"tls\": want true or false, got \"maybe\"");
  EXPECT_EQ(Message({Scalar("timeout", "5")}),
            "weir.yml:3:5: option \"timeout\": want a duration like 30s or 5m, got \"5\"");
  EXPECT_EQ(Message({Scalar("codec", "xml")}), "weir.yml:3:5: option \"codec\": want one of auto, json, got \"xml\"");
  EXPECT_EQ(Message({List("port", {"1"})}), "weir.yml:2:5: option \"port\": want an integer, got a list");
  EXPECT_EQ(Message({Scalar("extra", "1")}), "weir.yml:3:5: option \"extra\": want a map of strings, got \"1\"");
  EXPECT_EQ(Message({Scalar("group", "a"), Scalar("group", "b")}), "weir.yml:3:5: option \"group\" is given twice");
  EXPECT_EQ(Parse({}).status().message(), "weir.yml:1:3: source kafka: option \"brokers\" is required");
}

TEST(Options, EveryProblemIsReported) {
  const std::string message = Message({Scalar("port", "x"), Scalar("ratio", "nan"), Scalar("nme", "1")});
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 2);
}

TEST(Size, UnitsArePowersOf1024) {
  EXPECT_EQ(*ParseSize("0"), 0);
  EXPECT_EQ(*ParseSize("7B"), 7);
  EXPECT_EQ(*ParseSize("32MiB"), 32 << 20);
  EXPECT_EQ(*ParseSize("32MB"), 32 << 20);
  EXPECT_EQ(*ParseSize("1T"), int64_t{1} << 40);
  for (const char* bad : {"", "MiB", "-1", "1.5GiB", "1XB", "1MiBs", "9999999999999P", "99999999999999999999", "+1"}) {
    EXPECT_EQ(ParseSize(bad).status().code(), Code::kInvalid) << bad;
  }
}

TEST(NearestName, FindsTyposOnly) {
  const std::string_view names[] = {"evaluation_interval", "rule_files", "remote_write"};
  EXPECT_EQ(NearestName("rule_flies", names), "rule_files");
  EXPECT_EQ(NearestName("remotewrite", names), "remote_write");
  EXPECT_EQ(NearestName("evaluaton_intervall", names), "evaluation_interval");
  EXPECT_EQ(NearestName("storage", names), "");
}

}  // namespace
}  // namespace weir::plugin
