// What scripts can name, and what they cannot.

#include <gtest/gtest.h>

#include "tests/unit/lua/fake_services.h"

namespace weir::lua {
namespace {

// Every global and every member of a library: nothing appears here by accident.
TEST(Sandbox, TheListOfGlobals) {
  const std::string listed = Eval(R"lua(
    local names = {}
    local function add(prefix, t, deep)
      for k, v in pairs(t) do
        if type(v) == "table" and deep and v ~= _G then add(k .. ".", v, false) else names[#names + 1] = prefix .. k end
      end
    end
    add("", _G, true)
    table.sort(names)
    return table.concat(names, " "))lua");
  EXPECT_EQ(listed,
            "\"_G _VERSION assert bit.arshift bit.band bit.bnot bit.bor bit.bswap bit.bxor bit.lshift bit.rol bit.ror "
            "bit.rshift bit.tobit "
            "bit.tohex collectgarbage coroutine.create coroutine.isyieldable coroutine.resume coroutine.running "
            "coroutine.status "
            "coroutine.wrap coroutine.yield error getmetatable ipairs "
            "math.abs math.acos math.asin math.atan math.atan2 math.ceil math.cos math.cosh math.deg math.exp "
            "math.floor math.fmod "
            "math.frexp math.huge math.ldexp math.log math.log10 math.max math.min math.modf math.pi math.pow math.rad "
            "math.random "
            "math.sin math.sinh math.sqrt math.tan math.tanh next pairs pcall print rawequal rawget rawset select "
            "setmetatable "
            "string.byte string.char string.find string.format string.gmatch string.gsub string.len string.lower "
            "string.match "
            "string.rep string.reverse string.sub string.upper table.concat table.getn table.insert table.maxn "
            "table.move table.remove table.sort "
            "tonumber tostring type unpack xpcall\"");
  const std::string families = Eval(R"lua(
    local names = {}
    for _, family in ipairs{"console", "http", "json", "log", "time"} do
      names[#names + 1] = family .. ":" .. type(weir[family])
    end
    return table.concat(names, " "))lua");
  EXPECT_EQ(families, "\"console:table http:table json:table log:table time:table\"");
}

TEST(Sandbox, DangerousNamesAreAbsent) {
  for (const char* name :
       {"os", "io", "require", "package", "debug", "ffi", "jit", "load", "loadstring", "loadfile", "dofile", "getfenv",
        "setfenv", "newproxy", "module", "gcinfo", "string.dump", "math.randomseed", "table.foreach"}) {
    EXPECT_EQ(Eval(std::string("type(") + name + ")"), "\"nil\"") << name;
  }
}

TEST(Sandbox, BytecodeIsNotLoaded) {
  FakeServices services;
  const std::string bytecode("\x1bLJ\x02\x00", 5);
  auto loaded = Script::Load(bytecode, TestOptions(), &services);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().message(), "test.lua: compiled Lua is not loaded, only text");
}

TEST(Sandbox, WeirIsReadOnly) {
  EXPECT_NE(Eval("weir.x = 1 return 1").find("weir is read-only: cannot set x"), std::string::npos);
  EXPECT_NE(Eval("weir.log.info = print return 1").find("weir.log is read-only: cannot set info"), std::string::npos);
  EXPECT_EQ(Eval("getmetatable(weir)"), "false");
}

TEST(Sandbox, NoAddressesThroughFormat) {
  EXPECT_NE(Eval("('%5p'):format({})").find("%p is not available"), std::string::npos);
  EXPECT_EQ(Eval("('%d %s %5.1f%%'):format(1, 'a', 2.5)"), "\"1 a   2.5%\"");
}

TEST(Sandbox, Replacements) {
  EXPECT_EQ(Eval("local t = {1, 3} table.insert(t, 2, 2) table.insert(t, 4) return t"), "[1,2,3,4]");
  EXPECT_NE(Eval("table.insert({}, 2^53, 1) return 1").find("position out of bounds"), std::string::npos);
  EXPECT_NE(Eval("table.remove({1, 2}, -2^40) return 1").find("position out of bounds"), std::string::npos);
  EXPECT_EQ(Eval("local t = {1, 2, 3} return {table.remove(t, 1), table.remove(t), #t}"), "[1,3,1]");
  EXPECT_EQ(Eval("return {xpcall(function() error('x', 0) end, function(e) return 'caught ' .. e end)}"),
            "[false,\"caught x\"]");
  EXPECT_EQ(Eval("return {xpcall(function(a, b) return a + b end, print, 1, 2)}"), "[true,3]");
  EXPECT_EQ(Eval("type(collectgarbage('count'))"), "\"number\"");
  EXPECT_NE(Eval("collectgarbage('stop') return 1").find("only \"count\" is available"), std::string::npos);
}

}  // namespace
}  // namespace weir::lua
