#pragma once
// One Lua state with its two bounds: an allocator that refuses what passes the memory limit, and a count hook that
// stops code after so many instructions. The compiler stays off, because compiled code runs no hooks. Confined to one
// thread. A bare state takes about 24 KB.

#include <lua.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/base/status.h"

namespace weir::lua {

struct ApiContext;

struct StateLimits {
  size_t memory_bytes = 16 << 20;
  uint64_t instructions = 10000000;  // of one entry
};

// Why a protected run ended early.
struct Failure {
  bool instructions = false;  // the instruction budget was used up
  bool memory = false;        // the memory limit was reached
  std::string message;
  std::string traceback;
};

class State {
 public:
  // ERRORS: kUnsupported when this build of LuaJIT takes no allocator; kLimit when the memory limit is too small to
  // start.
  static Result<std::unique_ptr<State>> Create(const StateLimits& limits, ApiContext* context);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Runs `body` with a fresh instruction budget; Lua errors, memory errors and exceptions end it. The stack is empty
  // afterwards. RETURNS: false when it ended early; `failure` says why.
  bool Protect(const std::function<void(lua_State*)>& body, Failure* failure);

  // Counts work done in C++ against the instruction budget. Raises a Lua error when it is used up.
  void Charge(lua_State* lua, uint64_t steps);

  size_t memory_bytes() const { return used_bytes_; }
  const StateLimits& limits() const { return limits_; }
  ApiContext& context() { return *context_; }
  int* pattern_depth() { return &pattern_depth_; }

  // RETURNS: the State of any thread of it.
  static State& From(lua_State* lua);

 private:
  State(const StateLimits& limits, ApiContext* context) : limits_(limits), context_(context) {}
  static void* Allocate(void* user, void* block, size_t old_size, size_t new_size);
  static void OnCount(lua_State* lua, lua_Debug* where);
  [[noreturn]] void RaiseSpent(lua_State* lua);

  StateLimits limits_;
  ApiContext* context_;
  lua_State* lua_ = nullptr;
  size_t used_bytes_ = 0;
  uint64_t used_instructions_ = 0;
  uint64_t hook_step_ = 0;
  bool spent_ = false;
  int pattern_depth_ = 0;
};

}  // namespace weir::lua
