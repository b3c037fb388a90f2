#include "lua/host/state.h"

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "core/base/log.h"

namespace weir::lua {
namespace {

constexpr uint64_t kHookStep = 1000;  // instructions between two looks at the budget
constexpr int kTracebackBytesMax = 4096;

int OnPanic(lua_State*) {
  LogError("lua: error outside a protected call");
  return 0;  // LuaJIT ends the process
}

struct Entry {
  const std::function<void(lua_State*)>* body;
  int status = 0;
  std::string message, traceback;
};

// Adds the traceback to the message, as a table {message, traceback}, while the failed frames still stand.
int OnError(lua_State* lua) {
  if (lua_type(lua, 1) != LUA_TSTRING && lua_type(lua, 1) != LUA_TNUMBER) {
    lua_pushfstring(lua, "(error object is a %s value)", luaL_typename(lua, 1));
    lua_replace(lua, 1);
  }
  luaL_traceback(lua, lua, nullptr, 1);
  lua_createtable(lua, 2, 0);
  lua_pushvalue(lua, 1);
  lua_rawseti(lua, -2, 1);
  lua_pushvalue(lua, 2);
  lua_rawseti(lua, -2, 2);
  return 1;
}

int RunBody(lua_State* lua) {
  const auto* entry = static_cast<const Entry*>(lua_touserdata(lua, 1));
  lua_settop(lua, 0);
  char message[256];
  try {
    (*entry->body)(lua);
    return 0;
  } catch (const std::exception& exception) {  // Lua's own errors unwind as foreign exceptions and pass by
    snprintf(message, sizeof message, "%s", exception.what());
  }
  return luaL_error(lua, "%s", message);
}

std::string TextAt(lua_State* lua, int index) {
  size_t size = 0;
  const char* text = lua_tolstring(lua, index, &size);
  return text == nullptr ? std::string() : std::string(text, size);
}

int Enter(lua_State* lua) {
  auto* entry = static_cast<Entry*>(lua_touserdata(lua, 1));
  lua_pushcfunction(lua, OnError);
  lua_pushcfunction(lua, RunBody);
  lua_pushlightuserdata(lua, entry);
  entry->status = lua_pcall(lua, 1, 0, 2);
  if (entry->status == 0) {
    return 0;
  }
  if (lua_istable(lua, -1)) {
    lua_rawgeti(lua, -1, 1);
    lua_rawgeti(lua, -2, 2);
    entry->message = TextAt(lua, -2);
    entry->traceback = TextAt(lua, -1).substr(0, kTracebackBytesMax);
  } else {
    entry->message = lua_isstring(lua, -1) ? TextAt(lua, -1) : "error without a message";
  }
  return 0;
}

}  // namespace

void* State::Allocate(void* user, void* block, size_t old_size, size_t new_size) {
  auto* self = static_cast<State*>(user);
  if (new_size == 0) {
    free(block);
    self->used_bytes_ -= block != nullptr ? old_size : 0;
    return nullptr;
  }
  const size_t before = block != nullptr ? old_size : 0;
  if (new_size > before && self->used_bytes_ + (new_size - before) > self->limits_.memory_bytes) {
    return nullptr;
  }
  void* moved = realloc(block, new_size);
  if (moved != nullptr) {
    self->used_bytes_ += new_size - before;
  }
  return moved;
}

State& State::From(lua_State* lua) {
  void* user = nullptr;
  lua_getallocf(lua, &user);
  return *static_cast<State*>(user);
}

Result<std::unique_ptr<State>> State::Create(const StateLimits& limits, ApiContext* context) {
  std::unique_ptr<State> state(new State(limits, context));
  state->lua_ = lua_newstate(Allocate, state.get());
  if (state->lua_ == nullptr) {
    if (limits.memory_bytes < 65536) {
      return LimitError("lua: a memory limit of " + std::to_string(limits.memory_bytes) +
                        " bytes is too small to start");
    }
    return UnsupportedError(
        "lua: this build of LuaJIT accepts no allocator of ours; a build with 64-bit references is needed");
  }
  lua_atpanic(state->lua_, OnPanic);
  luaJIT_setmode(state->lua_, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  return state;
}

State::~State() {
  if (lua_ != nullptr) {
    lua_close(lua_);
  }
}

void State::RaiseSpent(lua_State* lua) {
  // From now on every instruction raises, so that pcall cannot hide it.
  spent_ = true;
  hook_step_ = 1;
  lua_sethook(lua, OnCount, LUA_MASKCOUNT, 1);
  luaL_error(lua, "stopped after %d instructions",
             static_cast<int>(std::min<uint64_t>(limits_.instructions, 2000000000)));
  abort();  // luaL_error does not return
}

void State::OnCount(lua_State* lua, lua_Debug*) {
  State& self = From(lua);
  self.used_instructions_ += self.hook_step_;
  if (self.used_instructions_ > self.limits_.instructions) {
    self.RaiseSpent(lua);
  }
}

void State::Charge(lua_State* lua, uint64_t steps) {
  used_instructions_ += steps;
  if (used_instructions_ > limits_.instructions) {
    RaiseSpent(lua);
  }
}

bool State::Protect(const std::function<void(lua_State*)>& body, Failure* failure) {
  spent_ = false;
  pattern_depth_ = 0;
  used_instructions_ = 0;
  hook_step_ = std::min(kHookStep, std::max<uint64_t>(1, limits_.instructions));
  lua_sethook(lua_, OnCount, LUA_MASKCOUNT, static_cast<int>(hook_step_));
  Entry entry{&body};
  const int outer = lua_cpcall(lua_, Enter, &entry);
  if (outer != 0) {
    entry.status = outer;
    entry.message = outer == LUA_ERRMEM ? "not enough memory" : "error while an error was handled";
  }
  lua_sethook(lua_, nullptr, 0, 0);
  lua_settop(lua_, 0);
  if (entry.status == 0) {
    return true;
  }
  failure->instructions = spent_;
  failure->memory =
      !spent_ && (entry.status == LUA_ERRMEM || entry.message.find("not enough memory") != std::string::npos);
  failure->message = std::move(entry.message);
  failure->traceback = std::move(entry.traceback);
  return false;
}

}  // namespace weir::lua
