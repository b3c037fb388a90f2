// What of standard Lua a script sees. Everything not wanted is taken away by name, and a test holds the list of what
// is left.

#include "core/base/status.h"
#include "lua/host/api.h"

namespace weir::lua {
namespace {

constexpr const char* kRemoved[] = {"dofile",   "gcinfo",     "getfenv", "setfenv",  "load",
                                    "loadfile", "loadstring", "module",  "newproxy", "require"};

// xpcall's handler would run inside the count hook, where no hooks fire; table.insert and table.remove shift by
// numbers, not by what the table holds. All three are put right in Lua.
constexpr std::string_view kPrelude = R"lua(
local pcall, select, error, type, floor = pcall, select, error, type, math.floor
local insert, remove = table.insert, table.remove

local function handled(handler, ok, ...)
  if ok then return true, ... end
  return false, select(2, pcall(handler, (...)))
end
function xpcall(f, handler, ...) return handled(handler, pcall(f, ...)) end

local function check(t, pos, last, name)
  if type(t) ~= "table" then error("table." .. name .. ": want a table, got " .. type(t), 3) end
  if type(pos) ~= "number" or pos ~= floor(pos) or pos < 1 or pos > last then
    error("table." .. name .. ": position out of bounds", 3)
  end
end
function table.insert(t, ...)
  if select("#", ...) == 1 then return insert(t, (...)) end
  local pos, value = ...
  check(t, pos, #t + 1, "insert")
  return insert(t, pos, value)
end
function table.remove(t, pos)
  if pos == nil then return remove(t) end
  if type(t) == "table" and #t == 0 then return nil end
  check(t, pos, #t + 1, "remove")
  return remove(t, pos)
end
)lua";

// collectgarbage("count") stays, for scripts that watch their memory.
int CollectGarbage(lua_State* lua) {
  if (std::string_view(luaL_optstring(lua, 1, "count")) != "count") {
    return luaL_error(lua, "collectgarbage: only \"count\" is available");
  }
  lua_pushnumber(lua, static_cast<double>(State::From(lua).memory_bytes()) / 1024);
  return 1;
}

// string.format without %p, which would show addresses. The original is the upvalue.
int Format(lua_State* lua) {
  const std::string_view format = CheckText(lua, 1, "string.format", "the format");
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      continue;
    }
    i = format.find_first_not_of("-+ #0123456789.", i + 1);
    if (i == std::string_view::npos) {
      break;
    }
    if (format[i] == 'p') {
      return luaL_error(lua, "string.format: %%p is not available");
    }
  }
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_call(lua, lua_gettop(lua) - 1, 1);
  return 1;
}

void Open(lua_State* lua, lua_CFunction opener, const char* name) {
  lua_pushcfunction(lua, opener);
  lua_pushstring(lua, name);
  lua_call(lua, 1, 0);
}

void Remove(lua_State* lua, const char* table, const char* name) {
  lua_getglobal(lua, table);
  lua_pushnil(lua);
  lua_setfield(lua, -2, name);
  lua_pop(lua, 1);
}

}  // namespace

void PushLabels(lua_State* lua, const Labels& labels) {
  lua_createtable(lua, 0, static_cast<int>(labels.size()));
  for (const LabelView& label : labels) {
    PushText(lua, label.name);
    PushText(lua, label.value);
    lua_rawset(lua, -3);
  }
}

std::string_view CheckText(lua_State* lua, int index, const char* who, const char* name) {
  size_t size = 0;
  if (lua_type(lua, index) != LUA_TSTRING && lua_type(lua, index) != LUA_TNUMBER) {
    luaL_error(lua, "%s: %s must be a string, got %s", who, name, luaL_typename(lua, index));
  }
  const char* text = lua_tolstring(lua, index, &size);
  return {text, size};
}

void OpenSandbox(lua_State* lua) {
  Open(lua, luaopen_base, "");
  Open(lua, luaopen_string, LUA_STRLIBNAME);
  Open(lua, luaopen_table, LUA_TABLIBNAME);
  Open(lua, luaopen_math, LUA_MATHLIBNAME);
  Open(lua, luaopen_bit, LUA_BITLIBNAME);
  for (const char* name : kRemoved) {
    lua_pushnil(lua);
    lua_setglobal(lua, name);
  }
  Remove(lua, "string", "dump");
  Remove(lua, "table", "foreach");
  Remove(lua, "table", "foreachi");
  Remove(lua, "math", "randomseed");
  lua_pushcfunction(lua, CollectGarbage);
  lua_setglobal(lua, "collectgarbage");
  lua_getglobal(lua, "string");
  lua_getfield(lua, -1, "format");
  lua_pushcclosure(lua, Format, 1);
  lua_setfield(lua, -2, "format");
  lua_pop(lua, 1);
  OpenPatterns(lua);
  if (luaL_loadbufferx(lua, kPrelude.data(), kPrelude.size(), "=prelude", "t") != 0) {
    lua_error(lua);
  }
  lua_call(lua, 0, 0);
}

}  // namespace weir::lua
