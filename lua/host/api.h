#pragma once
// The families of functions that scripts see, one file each, and what they share. Every opener pushes one table of
// functions, which becomes weir.<name>. Private to lua/host.

#include <lua.hpp>

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include "core/model/labels.h"
#include "lua/host/egress.h"
#include "lua/host/services.h"
#include "lua/host/state.h"

namespace weir::lua {

inline constexpr size_t kJsonBytesMax = 1 << 20;
inline constexpr int kJsonDepthMax = 64;
inline constexpr size_t kHttpBodyBytesMax = 1 << 20;
inline constexpr uint64_t kHttpCallSteps =
    100000;  // what a request costs of the instruction budget: bounds their number
inline constexpr int kLogLinesPerSecond = 100;

struct ApiContext {
  Services* services = nullptr;
  std::string receiver, version;
  EgressPolicy egress;
  int64_t http_timeout_ms = 10000;
  int64_t deadline_ns = 0;  // of the running handler, on the monotonic clock
  int64_t log_second = 0;   // second whose lines are counted
  int log_lines = 0;
  uint64_t log_lines_dropped = 0;
};

// A binding: exceptions of C++ become Lua errors.
template <int (*function)(lua_State*)>
int Guarded(lua_State* lua) {
  char message[256];
  try {
    return function(lua);
  } catch (const std::exception& exception) {
    message[std::string_view(exception.what()).copy(message, sizeof message - 1)] = '\0';
  }
  return luaL_error(lua, "%s", message);
}

inline void PushText(lua_State* lua, std::string_view text) { lua_pushlstring(lua, text.data(), text.size()); }

// Sets a field of the table on top of the stack.
inline void SetText(lua_State* lua, const char* name, std::string_view text) {
  PushText(lua, text);
  lua_setfield(lua, -2, name);
}
inline void SetNumber(lua_State* lua, const char* name, double value) {
  lua_pushnumber(lua, value);
  lua_setfield(lua, -2, name);
}
void PushLabels(lua_State* lua, const Labels& labels);
// RETURNS: the argument as text. Raises `WHO: NAME must be a string, got …` otherwise.
std::string_view CheckText(lua_State* lua, int index, const char* who, const char* name);

// Opens the standard libraries that are safe, takes away what is not (sandbox.cc), and puts in bounded replacements of
// the pattern functions (patterns.cc).
void OpenSandbox(lua_State* lua);
void OpenPatterns(lua_State* lua);

void PushConsoleApi(lua_State* lua);
void PushHttpApi(lua_State* lua);
void PushJsonApi(lua_State* lua);
void PushLogApi(lua_State* lua);
void PushTimeApi(lua_State* lua);

// JSON of the value at `index`. Raises on what JSON cannot say.
std::string EncodeJson(lua_State* lua, int index);
// Pushes the value of a JSON text. Raises when it is none.
void PushDecodedJson(lua_State* lua, std::string_view text);

}  // namespace weir::lua
