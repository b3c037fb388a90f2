// The functions of weir.*, and handlers with their answers.

#include <gtest/gtest.h>

#include "tests/unit/lua/fake_services.h"

namespace weir::lua {
namespace {

struct Case {
  const char* source;
  const char* want;
};

TEST(Json, Encode) {
  const Case cases[] = {
      {"{b = 1, a = 'x', c = {true, false}}", R"({"a":"x","b":1,"c":[true,false]})"},
      {"{}", "{}"},
      {"weir.json.array{}", "[]"},
      {"weir.json.array()", "[]"},
      {"{x = weir.json.null}", R"({"x":null})"},
      {"{1.5, -0.25, 1e300, 2^53, 0.1, 3}", "[1.5,-0.25,1e+300,9007199254740992,0.1,3]"},
      {"'q\"\\\\\\n\\t\\1' ", "\"q\\\"\\\\\\n\\t\\u0001\""},
      {"'\\255'", "\"\xef\xbf\xbd\""},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Eval(c.source), c.want) << c.source;
  }
}

TEST(Json, WhatCannotBeEncoded) {
  EXPECT_NE(Eval("{print}").find("cannot encode a function"), std::string::npos);
  EXPECT_NE(Eval("{1/0}").find("JSON has no NaN and no infinity"), std::string::npos);
  EXPECT_NE(Eval("{[{}] = 1}").find("key of an object must be a string, got a table"), std::string::npos);
  EXPECT_NE(Eval("{('x'):rep(2^20), 'y', 'z'}").find("more than 1 MiB"), std::string::npos);
}

TEST(Json, Decode) {
  EXPECT_EQ(Eval("weir.json.decode('{\"a\":[1,2.5,null,true,\"x\"],\"e\":[],\"o\":{}}')"),
            R"({"a":[1,2.5,null,true,"x"],"e":[],"o":{}})");
  EXPECT_EQ(Eval("weir.json.decode('null') == weir.json.null"), "true");
  EXPECT_NE(Eval("weir.json.decode('{')").find("weir.json.decode: "), std::string::npos);
  EXPECT_NE(Eval("weir.json.decode(('['):rep(100) .. (']'):rep(100))").find("weir.json.decode: "), std::string::npos);
  EXPECT_NE(Eval("weir.json.decode({})").find("weir.json.decode: the text must be a string, got table"),
            std::string::npos);
}

TEST(Time, NowAndFormat) {
  EXPECT_EQ(Eval("weir.time.now()"), "1643114203.123");
  EXPECT_EQ(Eval("weir.time.format(weir.time.now())"), "\"2022-01-25T12:36:43Z\"");
  EXPECT_EQ(Eval("weir.time.format(-1, '%Y %H:%M:%S')"), "\"1969 23:59:59\"");
  EXPECT_NE(Eval("weir.time.format(1e300)").find("time out of range"), std::string::npos);
  EXPECT_NE(Eval("weir.time.format(0/0)").find("time out of range"), std::string::npos);
}

TEST(Facts, ReceiverAndVersion) { EXPECT_EQ(Eval("{weir.receiver, weir.version}"), R"(["test","1.2.3"])"); }

TEST(Log, LevelsFieldsAndPrint) {
  FakeServices services;
  Eval("weir.log.warn('two\\nlines', {a = 1}) weir.log.debug('x') print('a', 1, nil) return 1", TestOptions(),
       &services);
  EXPECT_EQ(services.log, (std::vector<std::string>{"2|two lines|a=1", "0|x", "1|a 1 nil"}));
}

TEST(Console, LinesAndStyles) {
  FakeServices services;
  Eval("weir.console.write('a\\27[1m\\nb', 'red') return 1", TestOptions(), &services);
  EXPECT_EQ(services.console, (std::vector<std::string>{"red|a [1m b"}));
  EXPECT_NE(
      Eval("weir.console.write('x', 'pink') return 1").find("style must be red, green, yellow or dim, got \"pink\""),
      std::string::npos);
}

TEST(Http, RequestAndResponse) {
  FakeServices services;
  HttpClientResponse answer;
  answer.status = 201;
  answer.body = R"({"id":7})";
  services.answers.push_back(answer);
  EXPECT_EQ(Eval("local r = weir.http.post{url = 'https://a.example/x', json = {b = 1}, headers = {['X-Y'] = 'z'}, "
                 "bearer = 't', timeout = 2.5} "
                 "return {r.status, r:json().id, r:verdict()}",
                 TestOptions(), &services),
            R"([201,7,"ok"])");
  ASSERT_EQ(services.requests.size(), 1U);
  const HttpClientRequest& request = services.requests[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.url, "https://a.example/x");
  EXPECT_EQ(request.body, R"({"b":1})");
  EXPECT_EQ(request.timeout_ms, 2500);
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"X-Y", "z"}, {"Authorization", "Bearer t"}, {"Content-Type", "application/json"}};
  EXPECT_EQ(request.headers, headers);
}

TEST(Http, Verdicts) {
  const struct {
    int status;
    const char* argument;
    const char* want;
  } cases[] = {{200, "", "ok"},
               {299, "", "ok"},
               {0, "", "retry"},
               {302, "", "drop"},
               {400, "", "drop"},
               {408, "", "retry"},
               {429, "", "retry"},
               {500, "", "retry"},
               {409, "{retry = {409}}", "retry"},
               {503, "{drop = {503}}", "drop"},
               {200, "{drop = {200}}", "drop"}};
  for (const auto& c : cases) {
    FakeServices services;
    HttpClientResponse answer;
    answer.status = c.status;
    services.answers.push_back(answer);
    const std::string call = std::string("(weir.http.get{url = 'http://a'}:verdict(") + c.argument + "))";
    EXPECT_EQ(Eval(call, TestOptions(), &services), "\"" + std::string(c.want) + "\"") << c.status << c.argument;
  }
}

TEST(Http, BadRequestsAreErrorsThatNameTheField) {
  const Case cases[] = {
      {"weir.http.post{}", "url is missing"},
      {"weir.http.post('x')", "want a table {url = …}, got string"},
      {"weir.http.post{url = 'http://a', boddy = 1}", "unknown field \"boddy\""},
      {"weir.http.post{url = 'http://a', timeout = '10s'}", "timeout must be seconds > 0, got 10s"},
      {"weir.http.post{url = 'http://a', headers = {['A\\nB'] = 'x'}}", "malformed header"},
      {"weir.http.post{url = 'http://a', headers = {A = 'x\\r\\nB: y'}}", "malformed header"},
      {"weir.http.post{url = 'http://a', body = 'x', json = {}}", "give body or json, not both"},
      {"weir.http.post{url = 'http://a', body = ('x'):rep(2^20 + 1)}", "body of more than 1 MiB"},
      {"weir.http.request{url = 'http://a', method = 'GET /x'}", "method must be a word"},
      {"weir.http.get{url = 'file:///etc/passwd'}", "url must start with http:// or https://"},
      {"weir.http.get{url = 'http://169.254.169.254/latest'}", "requests to 169.254.169.254 are refused"},
  };
  for (const Case& c : cases) {
    FakeServices services;
    EXPECT_NE(Eval(c.source, TestOptions(), &services).find(c.want), std::string::npos)
        << c.source << " gave " << Eval(c.source);
    EXPECT_TRUE(services.requests.empty()) << c.source;
  }
}

TEST(Egress, MetadataAddressesInEveryNotation) {
  const EgressPolicy open;
  for (const char* url :
       {"http://169.254.169.254", "http://169.254.1.1:80/x", "http://2852039166/", "http://0xA9FEA9FE/",
        "http://0251.0376.0251.0376", "http://169.254.43518", "http://[::ffff:169.254.169.254]/", "http://[fe80::1]/",
        "http://[fd00:ec2::254]/", "http://metadata.google.internal./computeMetadata", "http://METADATA/",
        "http://100.100.100.200/"}) {
    EXPECT_FALSE(open.Check(url).ok()) << url;
  }
  for (const char* url : {"http://127.0.0.1:8080", "https://hook.example.org/x?y#z", "http://[::1]:80/",
                          "http://10.0.0.1", "http://metadata.example.org"}) {
    EXPECT_TRUE(open.Check(url).ok()) << url << " " << open.Check(url).message();
  }
  for (const char* url : {"http://user@host/", "http://a\\@b/", "http:///x", "http://a:99999/", "http://a b/",
                          "ftp://a/", "http://a%00/", "http://[::1", ""}) {
    EXPECT_FALSE(open.Check(url).ok()) << url;
  }
}

TEST(Egress, AllowList) {
  auto policy = EgressPolicy::Create({"Hook.example.org", "10.0.0.1:8080", "169.254.169.254"});
  ASSERT_TRUE(policy.ok());
  EXPECT_TRUE(policy->Check("https://hook.example.org:4443/x").ok());
  EXPECT_TRUE(policy->Check("http://10.0.0.1:8080/").ok());
  EXPECT_TRUE(policy->Check("http://169.254.169.254/").ok());
  EXPECT_EQ(policy->Check("http://10.0.0.1/").message(), "requests to 10.0.0.1:80 are refused: not in egress");
  EXPECT_FALSE(policy->Check("http://evil.example/hook.example.org").ok());
  EXPECT_FALSE(policy->Check("http://169.254.169.253/").ok());
  EXPECT_FALSE(EgressPolicy::Create({"http://x"}).ok());
}

TEST(Handlers, SeeTheAlert) {
  FakeServices services;
  auto script = Script::Load(AlertScript("return 'drop', weir.json.encode(alert)"), TestOptions(), &services);
  ASSERT_TRUE(script.ok());
  const Outcome outcome = (*script)->OnAlert(TestAlert(), {"id-1", 2});
  EXPECT_EQ(outcome.kind, OutcomeKind::kDrop);
  char fingerprint[17];
  snprintf(fingerprint, sizeof fingerprint, "%016llx", static_cast<unsigned long long>(TestAlert().labels.Hash()));
  EXPECT_EQ(
      outcome.why,
      R"({"active_at":1643114143.5,"annotations":{"summary":"db is down"},"attempt":2,"ends_at":1643114443,"fingerprint":")" +
          std::string(fingerprint) +
          R"(","generator_url":"http://weir.example/graph","id":"id-1","labels":{"alertname":"Down","job":"db"},)"
          R"("starts_at":1643114203,"status":"firing","value":2.5})");
}

TEST(Handlers, SeeSamples) {
  FakeServices services;
  auto script = Script::Load(
      "return {on_samples = function(b) return 'drop', table.concat({b.group, b.tick, #b, b[1].name, b[1].labels.job, "
      "b[1].t, b[1].value, tostring(b[2].stale), tostring(b[2].value ~= b[2].value)}, ' ') end}",
      TestOptions(), &services);
  ASSERT_TRUE(script.ok()) << script.status().message();
  EXPECT_TRUE((*script)->handles_samples());
  EXPECT_FALSE((*script)->handles_alerts());
  plugin::SampleResults results;
  results.group = "f;g";
  results.tick_ms = 60000;
  const auto labels = std::make_shared<const Labels>(Labels{{"__name__", "a:b"}, {"job", "x"}});
  results.samples = {{labels, 1, 0}, {labels, 60000, 1.5}, {labels, 60000, StaleNaN()}};
  EXPECT_EQ((*script)->OnSamples(results, 1, 2, {"i", 1}).why, "f;g 60 2 a:b x 60 1.5 true true");
}

TEST(Handlers, SeeHistograms) {
  FakeServices services;
  auto script = Script::Load(
      "return {on_samples = function(b) local h = b[1].histogram return 'drop', table.concat({tostring(b[1].value), "
      "tostring(b[1].stale), h.count, h.sum, #h.buckets, h.buckets[1].lower, h.buckets[1].upper, h.buckets[1].count, "
      "tostring(b[2].histogram)}, ' ') end}",
      TestOptions(), &services);
  ASSERT_TRUE(script.ok()) << script.status().message();
  FloatHistogram h;
  h.count = 7;
  h.sum = 4.5;
  h.positive_spans = {{1, 3}};
  h.positive_buckets = {2, 0, 5};
  plugin::SampleResults results;
  const auto labels = std::make_shared<const Labels>(Labels{{"__name__", "a:b"}});
  results.samples = {{labels, 1, 0, std::make_shared<const FloatHistogram>(h)}, {labels, 1, 2}};
  EXPECT_EQ((*script)->OnSamples(results, 0, 2, {"i", 1}).why, "nil false 7 4.5 2 1 2 2 nil");
}

TEST(Handlers, Answers) {
  const struct {
    const char* body;
    OutcomeKind kind;
    const char* why;
    double after_s;
  } cases[] = {
      {"return 'ok'", OutcomeKind::kOk, "", 0},
      {"return 'retry', 'busy', 30", OutcomeKind::kRetry, "busy", 30},
      {"return 'retry'", OutcomeKind::kRetry, "", 0},
      {"return 'retry', 'x', 0/0", OutcomeKind::kRetry, "x", 0},
      {"return 'drop', 'no route'", OutcomeKind::kDrop, "no route", 0},
      {"", OutcomeKind::kScriptError, "on_alert returned nil; want \"ok\", \"retry\" or \"drop\"", 0},
      {"return 'okay'", OutcomeKind::kScriptError, "on_alert returned \"okay\"; want \"ok\", \"retry\" or \"drop\"", 0},
      {"return true", OutcomeKind::kScriptError, "on_alert returned boolean; want \"ok\", \"retry\" or \"drop\"", 0},
      {"error('boom')", OutcomeKind::kScriptError, "test.lua:1: boom", 0},
      {"local x = alert.nope.deep", OutcomeKind::kScriptError,
       "test.lua:1: attempt to index field 'nope' (a nil value)", 0},
      {"coroutine.yield()", OutcomeKind::kScriptError, "test.lua:1: attempt to yield across C-call boundary", 0},
  };
  for (const auto& c : cases) {
    FakeServices services;
    auto script = Script::Load(AlertScript(c.body), TestOptions(), &services);
    ASSERT_TRUE(script.ok()) << script.status().message();
    const Outcome outcome = (*script)->OnAlert(TestAlert(), {"d", 1});
    EXPECT_EQ(outcome.kind, c.kind) << c.body << ": " << outcome.why;
    EXPECT_EQ(outcome.why, c.why) << c.body;
    EXPECT_EQ(outcome.after_s, c.after_s) << c.body;
    if (outcome.kind == OutcomeKind::kScriptError && std::string(c.body).find("boom") != std::string::npos) {
      EXPECT_NE(outcome.traceback.find("test.lua:1: in function"), std::string::npos) << outcome.traceback;
    }
  }
}

TEST(Load, RefusesWhatCannotWork) {
  const Case cases[] = {
      {"return 1", "test.lua: the script must return a table of handlers, got number"},
      {"return {}", "test.lua: the script has no handler: want on_alert, on_samples or both"},
      {"return {on_alrt = print}", "test.lua: unknown handler on_alrt; did you mean on_alert"},
      {"return {on_group = print}", "test.lua: unknown handler on_group; known are on_start, on_alert, on_samples"},
      {"return {on_alert = 1}", "test.lua: handler on_alert must be a function, got number"},
      {"x = = 1", "test.lua:1: unexpected symbol near '='"},
      {"\n\nerror('bad')", "test.lua:3: bad"},
      {"return {on_alert = print, on_start = function(c) error('no ' .. tostring(c.url)) end}", "test.lua:1: no nil"},
  };
  for (const Case& c : cases) {
    FakeServices services;
    auto script = Script::Load(c.source, TestOptions(), &services);
    ASSERT_FALSE(script.ok()) << c.source;
    EXPECT_EQ(script.status().message(), c.want) << c.source;
  }
}

TEST(Load, StartGetsTheConfig) {
  FakeServices services;
  ScriptOptions options = TestOptions();
  options.config = {{"a", "1"}, {"b", "x"}};
  auto script = Script::Load(
      "local M = {} function M.on_start(c) M.text = c.a .. c.b end function M.on_alert() return 'drop', M.text end "
      "return M",
      options, &services);
  ASSERT_TRUE(script.ok());
  EXPECT_EQ((*script)->OnAlert(TestAlert(), {"d", 1}).why, "1x");
}

}  // namespace
}  // namespace weir::lua
