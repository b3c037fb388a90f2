// Whatever a script does, the handler ends within its budgets, other receivers go on, and the next call starts fresh.

#include <gtest/gtest.h>

#include "tests/unit/lua/fake_services.h"

namespace weir::lua {
namespace {

std::unique_ptr<Script> Load(const std::string& source, FakeServices* services, ScriptOptions options = TestOptions()) {
  auto loaded = Script::Load(source, options, services);
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  return loaded.ok() ? std::move(*loaded) : nullptr;
}

struct Case {
  const char* name;
  const char* body;
};

TEST(Limits, EndlessCodeIsStopped) {
  const Case cases[] = {
      {"a loop", "while true do end"},
      {"a loop in a coroutine", "coroutine.wrap(function() while true do end end)()"},
      {"pcall around it", "local function f() while true do end end while true do pcall(f) end"},
      {"xpcall with a handler that loops", "local function f() while true do end end while true do xpcall(f, f) end"},
      {"recursion through pcall", "local function f() return pcall(f) end while true do f() end"},
      {"a pattern that backtracks",
       "return (('a?'):rep(26) .. ('a'):rep(26)), ('a'):rep(26):find(('a?'):rep(26) .. ('a'):rep(26))"},
      {"lazy quantifiers", "return ('x'):rep(400):find('.-.-.-.-b')"},
      {"balanced without end", "return ('('):rep(2e5):find('%b()')"},
      {"long scan", "return ('a'):rep(3e5):find('a-b')"},
      {"tostring within __tostring",
       "local t = setmetatable({}, {}) getmetatable(t).__tostring = function() return tostring(t) end return "
       "tostring(t)"},
      {"find in a loop", "local s = ('a'):rep(1e6) while true do s:find('b', 1, true) end"},
  };
  for (const Case& c : cases) {
    FakeServices services;
    auto script = Load(AlertScript(c.body), &services);
    ASSERT_NE(script, nullptr);
    const Outcome outcome = script->OnAlert(TestAlert(), {"d", 1});
    EXPECT_EQ(outcome.kind, OutcomeKind::kLimit) << c.name << ": " << outcome.why;
    EXPECT_FALSE(outcome.memory) << c.name;
    EXPECT_NE(outcome.why.find("stopped after 10000000 instructions"), std::string::npos)
        << c.name << ": " << outcome.why;
  }
}

TEST(Limits, TheNextCallStartsFresh) {
  FakeServices services;
  auto script = Load(AlertScript("n = (n or 0) + 1 if n == 1 then while true do end end return 'ok'"), &services);
  EXPECT_EQ(script->OnAlert(TestAlert(), {"a", 1}).kind, OutcomeKind::kLimit);
  EXPECT_EQ(script->OnAlert(TestAlert(), {"a", 2}).kind, OutcomeKind::kOk);
}

TEST(Limits, MemoryIsRefused) {
  const Case cases[] = {
      {"a string of 1 GB", "local s = ('x'):rep(2^30) return 'ok'"},
      {"doubling", "local s = 'x' while true do s = s .. s end"},
      {"a growing table", "local t = {} while true do t[#t + 1] = {#t} end"},
      {"gsub that grows", "local s = ('a'):rep(1e6) s = s:gsub('a', ('b'):rep(1000)) return 'ok'"},
      {"concat", "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(100000) end return table.concat(t)"},
      {"many coroutines", "local t = {} while true do t[#t + 1] = coroutine.create(print) end"},
  };
  for (const Case& c : cases) {
    FakeServices services;
    auto script = Load(AlertScript(c.body), &services);
    ASSERT_NE(script, nullptr);
    const Outcome outcome = script->OnAlert(TestAlert(), {"d", 1});
    EXPECT_EQ(outcome.kind, OutcomeKind::kLimit) << c.name << ": " << outcome.why;
    EXPECT_TRUE(outcome.memory) << c.name << ": " << outcome.why;
    EXPECT_LE(script->memory_bytes(), TestOptions().memory_bytes) << c.name;
  }
}

TEST(Limits, PcallMaySeeThatMemoryIsRefused) {
  FakeServices services;
  auto script =
      Load(AlertScript("local ok, e = pcall(string.rep, 'x', 2^30) return 'drop', tostring(ok) .. e"), &services);
  const Outcome outcome = script->OnAlert(TestAlert(), {"d", 1});
  EXPECT_EQ(outcome.kind, OutcomeKind::kDrop);
  EXPECT_EQ(outcome.why, "falsenot enough memory");
}

TEST(Limits, OneScriptDoesNotHurtAnother) {
  FakeServices services;
  auto bad = Load(AlertScript("big = ('x'):rep(1e6) while true do big = big .. big end"), &services);
  auto good = Load(AlertScript("count = (count or 0) + 1 return 'drop', tostring(count)"), &services);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(bad->OnAlert(TestAlert(), {"b", i}).kind, OutcomeKind::kLimit);
    EXPECT_EQ(good->OnAlert(TestAlert(), {"g", i}).why, std::to_string(i));
  }
}

TEST(Limits, RecursionIsALuaError) {
  const Case cases[] = {
      {"plain", "local function f() return 1 + f() end f()"},
      {"gsub in its callback", "local function f() return (('x'):gsub('x', f)) end f()"},
      {"gsub through __index",
       "local t = setmetatable({}, {}) getmetatable(t).__index = function() return (('x'):gsub('x', t)) end return "
       "t.a"},
      {"sort", "local function f() table.sort({1, 2, 3}, f) end f()"},
      {"a table within itself as JSON", "local t = {} t.t = t weir.json.encode(t)"},
      {"an error that is a table", "error({})"},
  };
  for (const Case& c : cases) {
    FakeServices services;
    auto script = Load(AlertScript(c.body), &services);
    const Outcome outcome = script->OnAlert(TestAlert(), {"d", 1});
    EXPECT_EQ(outcome.kind, OutcomeKind::kScriptError) << c.name << ": " << outcome.why;
  }
}

TEST(Limits, LoadingAndStartingAreBounded) {
  FakeServices services;
  auto looping = Script::Load("while true do end", TestOptions(), &services);
  ASSERT_FALSE(looping.ok());
  EXPECT_EQ(looping.status().code(), Code::kLimit);
  auto starting =
      Script::Load("return {on_alert = print, on_start = function() while true do end end}", TestOptions(), &services);
  ASSERT_FALSE(starting.ok());
  EXPECT_EQ(starting.status().code(), Code::kLimit);
  EXPECT_EQ(Script::Load(std::string(kScriptBytesMax + 1, ' '), TestOptions(), &services).status().code(),
            Code::kLimit);
  ScriptOptions tiny = TestOptions();
  tiny.memory_bytes = 4096;
  EXPECT_EQ(Script::Load("return {on_alert = print}", tiny, &services).status().code(), Code::kLimit);
  tiny.memory_bytes = 30000;  // enough for a state, not for the libraries
  EXPECT_EQ(Script::Load("return {on_alert = print}", tiny, &services).status().code(), Code::kLimit);
}

TEST(Limits, RequestsCostInstructionsAndTime) {
  FakeServices services;
  auto script = Load(AlertScript("while true do weir.http.get{url = 'http://a/'} end"), &services);
  EXPECT_EQ(script->OnAlert(TestAlert(), {"d", 1}).kind, OutcomeKind::kLimit);
  EXPECT_LE(services.requests.size(), 100U);
  EXPECT_GE(services.requests.size(), 90U);
}

TEST(Limits, LogLinesASecond) {
  FakeServices services;
  auto script = Load(AlertScript("for i = 1, 500 do weir.log.info(i) end return 'ok'"), &services);
  EXPECT_EQ(script->OnAlert(TestAlert(), {"d", 1}).kind, OutcomeKind::kOk);
  EXPECT_EQ(services.log.size(), 100U);
  EXPECT_EQ(script->log_lines_dropped(), 400U);
  services.fake_clock.SleepMs(1000);
  script->OnAlert(TestAlert(), {"d", 2});
  EXPECT_EQ(services.log.size(), 200U);
}

}  // namespace
}  // namespace weir::lua
