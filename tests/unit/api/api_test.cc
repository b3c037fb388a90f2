#include "core/api/api.h"

#include "core/api/envelope.h"
#include "core/api/json_writer.h"
#include "core/api/time_parameter.h"
#include "tests/unit/runtime/pipeline_fixture.h"

namespace weir::api {
namespace {

using runtime::kMinute;
using runtime::MakeGroup;
using runtime::MakeRule;

TEST(JsonWriter, WritesValuesAndCommas) {
  JsonWriter json;
  json.BeginObject()
      .Field("a", "b")
      .Key("list")
      .BeginArray()
      .Integer(-1)
      .Number(0.5)
      .Bool(true)
      .BeginObject()
      .EndObject();
  json.EndArray().Key("labels").Object(Labels{{"x", "1"}, {"y", "2"}}).EndObject();
  EXPECT_EQ(json.text(), R"({"a":"b","list":[-1,0.5,true,{}],"labels":{"x":"1","y":"2"}})");
}

TEST(JsonWriter, HistogramsAsPrometheus) {
  FloatHistogram h;
  h.count = 7;
  h.sum = 4.5;
  h.zero_threshold = 0.5;
  h.zero_count = 1;
  h.positive_spans = {{1, 3}};
  h.positive_buckets = {2, 0, 3};
  h.negative_spans = {{2, 1}};
  h.negative_buckets = {1};
  JsonWriter json;
  json.BeginArray().Histogram(h).Histogram({}).EndArray();
  EXPECT_EQ(
      json.text(),
      R"([{"count":"7","sum":"4.5","buckets":[[1,"-4","-2","1"],[3,"-0.5","0.5","1"],[0,"1","2","2"],[0,"4","8","3"]]},)"
      R"({"count":"0","sum":"0"}])");
}

TEST(JsonWriter, EscapesAndRepairsText) {
  JsonWriter json;
  json.String("q\" b\\ n\n t\t c\x01 \xc3\xa9 \xff end");
  EXPECT_EQ(json.text(), "\"q\\\" b\\\\ n\\n t\\t c\\u0001 \xc3\xa9 \xef\xbf\xbd end\"");
}

TEST(JsonWriter, TimesAndNumbersAsPrometheus) {
  const auto timestamp = [](int64_t ms) {
    JsonWriter json;
    json.Timestamp(ms);
    return json.Take();
  };
  EXPECT_EQ(timestamp(1700000000000), "1700000000");
  EXPECT_EQ(timestamp(1700000000120), "1700000000.12");
  EXPECT_EQ(timestamp(-1500), "-1.5");
  EXPECT_EQ(timestamp(7), "0.007");
}

TEST(TimeParameter, SecondsAndRfc3339) {
  EXPECT_EQ(*ParseTime("1700000000.5"), 1700000000500);
  EXPECT_EQ(*ParseTime("2023-11-14T22:13:20Z"), 1700000000000);
  EXPECT_EQ(*ParseTime("2023-11-14T23:13:20.25+01:00"), 1700000000250);
  EXPECT_EQ(ParseTime("yesterday").status().message(), "cannot parse \"yesterday\" to a valid timestamp");
  EXPECT_FALSE(ParseTime("").ok());
  EXPECT_FALSE(ParseTime("1e300").ok());
}

TEST(Envelope, SuccessAndFailure) {
  EXPECT_EQ(Success("[]").body, R"({"status":"success","data":[]})");
  EXPECT_EQ(Success("{}", {"w"}, {"i"}).body, R"({"status":"success","data":{},"warnings":["w"],"infos":["i"]})");
  const HttpResponse failure = Failure(ErrorType::kBadData, "no \"x\"");
  EXPECT_EQ(failure.status, 400);
  EXPECT_EQ(failure.body, R"({"status":"error","errorType":"bad_data","error":"no \"x\""})");
}

class ApiTest : public runtime::PipelineTest {
 protected:
  void MakeWorld() {
    auto alert = MakeRule("Hot", "temp > 80", true, kMinute);
    alert.labels = {{"severity", "page"}};
    alert.annotations = {{"summary", "{{ $labels.gpu }}"}};
    auto group = MakeGroup("g", {MakeRule("r", "temp * 2"), alert});
    group.slots.phase_ns = 337076781;
    Make({group, MakeGroup("a", {MakeRule("broken", "temp * on() temp")})});
    for (int64_t minute = 1; minute <= 3; ++minute) {
      At(minute * kMinute);
      Send({{R"(temp{gpu="0"})", minute * kMinute, 90}, {R"(temp{gpu="1"})", minute * kMinute, 20}});
      At(minute * kMinute + 6000);
    }
  }
};

// RETURNS: the text with every value of `key` replaced, for what is measured.
std::string Blank(std::string json, const std::string& key) {
  const std::string start = "\"" + key + "\":";
  for (size_t at = json.find(start); at != std::string::npos; at = json.find(start, at)) {
    at += start.size();
    const size_t end = json.find_first_of(",}", at);
    json.replace(at, end - at, "_");
  }
  return json;
}

TEST_F(ApiTest, RulesHaveTheShapeOfPrometheus) {
  MakeWorld();
  std::string error;
  std::string json = RulesJson(*pipeline_, {}, &error);
  EXPECT_EQ(error, "");
  json = Blank(Blank(Blank(json, "evaluationTime"), "lastEvaluation"), "stateBytes");
  const std::string alert =
      R"({"labels":{"alertname":"Hot","gpu":"0","severity":"page"},"annotations":{"summary":"0"},"state":"firing",)"
      R"("activeAt":"1970-01-01T00:01:00.337076781Z","value":"9e+01"})";
  const std::string broken_error = pipeline_->Groups()[1]->rules()[0]->last_error();
  EXPECT_FALSE(broken_error.empty());
  JsonWriter quoted;
  quoted.String(broken_error);
  EXPECT_EQ(
      json,
      R"({"groups":[{"name":"a","file":"rules.yml","rules":[{"name":"broken","query":"temp * on() temp","health":"err",)"
      R"("lastError":)" +
          quoted.text() +
          R"(,"evaluationTime":_,"lastEvaluation":_,"type":"recording","importance":50,"stateBytes":_}],)"
          R"("interval":60,"limit":0,"evaluationTime":_,"lastEvaluation":_},)"
          R"({"name":"g","file":"rules.yml","rules":[{"name":"r","query":"temp * 2","health":"ok","evaluationTime":_,)"
          R"("lastEvaluation":_,"type":"recording","importance":50,"stateBytes":_},{"state":"firing","name":"Hot","query":"temp > 80","duration":60,)"
          R"("keepFiringFor":0,"labels":{"severity":"page"},"annotations":{"summary":"{{ $labels.gpu }}"},"alerts":[)" +
          alert +
          R"(],"health":"ok","evaluationTime":_,"lastEvaluation":_,"type":"alerting","importance":50,"stateBytes":_}],)"
          R"("interval":60,"limit":0,"evaluationTime":_,"lastEvaluation":_}]})");
}

TEST_F(ApiTest, RulesShowWhichWindowsAreBounded) {
  auto rule = MakeRule("r", "increase(errors_total[30d]) / sum_over_time(all[3d]) + rate(x_total[5m])");
  rule.max_error = 0.01;
  Make({MakeGroup("g", {rule})});
  std::string error;
  const std::string json = RulesJson(*pipeline_, {}, &error);
  EXPECT_NE(json.find(R"("precision":"bounded","boundedWindows":[{"window":"errors_total[30d]","function":"increase",)"
                      R"("maxRelativeError":0.01}],"health")"),
            std::string::npos)
      << json;
}

TEST_F(ApiTest, RulesShowWhatTheirLastEvaluationHadToSay) {
  Make({MakeGroup("g", {MakeRule("r", "rate(temp[5m])"), MakeRule("q", "quantile(2, temp)")})});
  for (int64_t minute = 1; minute <= 3; ++minute) {
    At(minute * kMinute);
    Send({{"temp", minute * kMinute, 1}});
    At(minute * kMinute + 6000);
  }
  std::string error;
  const std::string json = RulesJson(*pipeline_, {}, &error);
  constexpr std::string_view kInfo =
      R"json("health":"ok","infos":["PromQL info: metric might not be a counter, name does not end in _total/_sum/)json"
      R"json(_count/_bucket: \"temp\" (1:6)"],"evaluationTime")json";
  constexpr std::string_view kWarning =
      R"json("warnings":["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"],"evalu)json";
  EXPECT_NE(json.find(kInfo), std::string::npos) << json;
  EXPECT_NE(json.find(kWarning), std::string::npos) << json;
}

TEST_F(ApiTest, RulesCanBeChosen) {
  MakeWorld();
  const auto names = [&](std::vector<std::pair<std::string, std::string>> parameters) {
    std::string error;
    const std::string json = RulesJson(*pipeline_, parameters, &error);
    std::string found = error;
    for (const char* name : {"broken", "\"r\"", "Hot"}) {
      found += json.find(std::string("\"name\":") + (name[0] == '"' ? name : "\"" + std::string(name) + "\"")) !=
                       std::string::npos
                   ? "1"
                   : "0";
    }
    return found;
  };
  EXPECT_EQ(names({}), "111");
  EXPECT_EQ(names({{"type", "alert"}}), "001");
  EXPECT_EQ(names({{"type", "record"}}), "110");
  EXPECT_EQ(names({{"rule_name[]", "r"}}), "010");
  EXPECT_EQ(names({{"rule_group[]", "a"}}), "100");
  EXPECT_EQ(names({{"file[]", "other.yml"}}), "000");
  EXPECT_EQ(names({{"match[]", R"({severity="page"})"}}), "001");
  EXPECT_EQ(names({{"type", "both"}}), "not supported value \"both\": want alert or record000");
}

TEST_F(ApiTest, AlertsListPendingAndFiring) {
  MakeWorld();
  EXPECT_EQ(AlertsJson(*pipeline_),
            R"({"alerts":[{"labels":{"alertname":"Hot","gpu":"0","severity":"page"},"annotations":{"summary":"0"},)"
            R"("state":"firing","activeAt":"1970-01-01T00:01:00.337076781Z","value":"9e+01"}]})");
}

TEST_F(ApiTest, QueriesAnswerFromTheLastTick) {
  MakeWorld();
  EXPECT_EQ(
      AnswerQuery(*pipeline_, {{"query", R"(temp{gpu="1"} + 1)"}}).body,
      R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{"gpu":"1"},"value":[180.337,"21"]}]}})");
  EXPECT_EQ(AnswerQuery(*pipeline_, {{"query", "1 / 0"}}).body,
            R"({"status":"success","data":{"resultType":"scalar","result":[180.337,"+Inf"]}})");
  EXPECT_EQ(AnswerQuery(*pipeline_, {{"query", "\"text\""}}).body,
            R"({"status":"success","data":{"resultType":"string","result":[180.337,"text"]}})");
  const HttpResponse limited = AnswerQuery(*pipeline_, {{"query", "temp"}, {"limit", "1"}});
  EXPECT_NE(limited.body.find(R"("warnings":["results truncated due to limit"])"), std::string::npos) << limited.body;
}

TEST_F(ApiTest, AQueryForTheFutureIsAnsweredFromTheLastTick) {
  MakeWorld();
  EXPECT_EQ(AnswerQuery(*pipeline_, {{"query", "vector(1)"}, {"time", "100000"}}).body,
            R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[180.337,"1"]}]}})");
}

TEST_F(ApiTest, BadQueriesSayWhatIsWrong) {
  MakeWorld();
  const HttpResponse parse = AnswerQuery(*pipeline_, {{"query", "sum("}});
  EXPECT_EQ(parse.status, 400);
  EXPECT_TRUE(
      parse.body.starts_with(R"({"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:)"))
      << parse.body;
  const HttpResponse time = AnswerQuery(*pipeline_, {{"query", "temp"}, {"time", "noon"}});
  EXPECT_EQ(time.status, 400);
  const HttpResponse window = AnswerQuery(*pipeline_, {{"query", "rate(temp[1h])"}});
  EXPECT_EQ(window.status, 422) << window.body;
  EXPECT_EQ(AnswerQuery(*pipeline_, {{"query", "temp"}, {"limit", "-1"}}).status, 400);
}

}  // namespace
}  // namespace weir::api
