#include "lua/host/script.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>

#include "core/model/histogram_buckets.h"
#include "core/plugin/options.h"
#include "lua/host/api.h"
#include "lua/host/state.h"

namespace weir::lua {
namespace {

constexpr char kHandlersKey = 0;  // its address names the script's table in the registry
constexpr std::string_view kHandlers[] = {"on_start", "on_alert", "on_samples"};
constexpr size_t kWhyBytesMax = 512;

// Wraps the table on top of the stack: scripts read it and cannot change it.
constexpr std::string_view kReadOnly = R"lua(
local setmetatable, error, type = setmetatable, error, type
local function sealed(t, name)
  for k, v in pairs(t) do
    if type(v) == "table" then t[k] = sealed(v, name .. "." .. k) end
  end
  return setmetatable({}, {__index = t, __metatable = false,
    __newindex = function(_, k) error(name .. " is read-only: cannot set " .. tostring(k), 2) end})
end
weir = sealed(weir, "weir")
)lua";

void RunText(lua_State* lua, std::string_view source, const char* name) {
  if (luaL_loadbufferx(lua, source.data(), source.size(), name, "t") != 0) {
    lua_error(lua);
  }
  lua_call(lua, 0, 1);
}

void OpenWeir(lua_State* lua, const ApiContext& context) {
  lua_newtable(lua);
  SetText(lua, "receiver", context.receiver);
  SetText(lua, "version", context.version);
  const std::pair<const char*, void (*)(lua_State*)> families[] = {{"console", PushConsoleApi},
                                                                   {"http", PushHttpApi},
                                                                   {"json", PushJsonApi},
                                                                   {"log", PushLogApi},
                                                                   {"time", PushTimeApi}};
  for (const auto& [name, push] : families) {
    push(lua);
    lua_setfield(lua, -2, name);
  }
  lua_setglobal(lua, "weir");
  RunText(lua, kReadOnly, "=prelude");
  lua_pop(lua, 1);
}

Status SourceProblem(std::string_view source, const std::string& file) {
  if (source.size() > kScriptBytesMax) {
    return LimitError(file + ": script has " + std::to_string(source.size()) + " bytes, at most " +
                      std::to_string(kScriptBytesMax) + " are allowed");
  }
  if (!source.empty() && source[0] == '\x1b') {
    return InvalidError(file + ": compiled Lua is not loaded, only text");
  }
  return Status();
}

}  // namespace

struct Script::Impl {
  ScriptOptions options;
  ApiContext context;
  std::unique_ptr<State> state;
  bool on_start = false, on_alert = false, on_samples = false;

  Status Open(Services* services) {
    context.services = services;
    context.receiver = options.receiver;
    context.version = options.version;
    context.egress = options.egress;
    context.http_timeout_ms = options.http_timeout_ms;
    WEIR_ASSIGN_OR_RETURN(state, State::Create({options.memory_bytes, options.instructions}, &context));
    return Protect([this](lua_State* lua) {
      OpenSandbox(lua);
      OpenWeir(lua, context);
    });
  }

  // ERRORS: kInvalid for an error of the script, kLimit for a budget.
  Status Protect(const std::function<void(lua_State*)>& body) {
    Failure failure;
    context.deadline_ns = context.services->clock().MonotonicNs() + options.wall_ms * 1000000;
    if (state->Protect(body, &failure)) {
      return Status();
    }
    const bool placed = failure.message.compare(0, options.file.size(), options.file) == 0;
    std::string text = placed ? failure.message : options.file + ": " + failure.message;
    return failure.instructions || failure.memory ? LimitError(std::move(text)) : InvalidError(std::move(text));
  }

  // Reads which handlers the table on top of the stack has. Raises on what cannot be right.
  void ReadHandlers(lua_State* lua) {
    if (!lua_istable(lua, -1)) {
      luaL_error(lua, "the script must return a table of handlers, got %s", luaL_typename(lua, -1));
    }
    lua_pushnil(lua);
    while (lua_next(lua, -2) != 0) {
      if (lua_type(lua, -2) == LUA_TSTRING && std::string_view(lua_tostring(lua, -2)).substr(0, 3) == "on_") {
        ReadHandler(lua, lua_tostring(lua, -2));
      }
      lua_pop(lua, 1);
    }
    if (!on_alert && !on_samples) {
      luaL_error(lua, "the script has no handler: want on_alert, on_samples or both");
    }
  }

  void ReadHandler(lua_State* lua, const char* name) {
    if (std::find(std::begin(kHandlers), std::end(kHandlers), std::string_view(name)) == std::end(kHandlers)) {
      const std::string near = plugin::NearestName(name, kHandlers);
      luaL_error(lua, "unknown handler %s; %s%s", name,
                 near.empty() ? "known are on_start, on_alert, on_samples" : "did you mean ", near.c_str());
    }
    if (!lua_isfunction(lua, -1)) {
      luaL_error(lua, "handler %s must be a function, got %s", name, luaL_typename(lua, -1));
    }
    const std::string_view known = name;
    (known == "on_start" ? on_start : known == "on_alert" ? on_alert : on_samples) = true;
  }

  void PushHandler(lua_State* lua, const char* name) {
    lua_pushlightuserdata(lua, const_cast<char*>(&kHandlersKey));
    lua_rawget(lua, LUA_REGISTRYINDEX);
    lua_getfield(lua, -1, name);
    lua_remove(lua, -2);
  }

  void Start(lua_State* lua) {
    PushHandler(lua, "on_start");
    lua_createtable(lua, 0, static_cast<int>(options.config.size()));
    for (const auto& [name, value] : options.config) {
      PushText(lua, name);
      PushText(lua, value);
      lua_rawset(lua, -3);
    }
    lua_call(lua, 1, 0);
  }

  // Calls a handler and reads its answer. `push` pushes the one argument.
  Outcome Call(const char* name, const std::function<void(lua_State*)>& push) {
    Outcome outcome;
    Failure failure;
    context.deadline_ns = context.services->clock().MonotonicNs() + options.wall_ms * 1000000;
    const bool done = state->Protect(
        [&](lua_State* lua) {
          PushHandler(lua, name);
          push(lua);
          lua_call(lua, 1, 3);
          ReadAnswer(lua, name, &outcome);
        },
        &failure);
    if (!done) {
      outcome = {};
      outcome.kind = failure.instructions || failure.memory ? OutcomeKind::kLimit : OutcomeKind::kScriptError;
      outcome.memory = failure.memory;
      outcome.why = failure.message.substr(0, kWhyBytesMax);
      outcome.traceback = failure.traceback;
    }
    return outcome;
  }

  static void ReadAnswer(lua_State* lua, const char* name, Outcome* outcome) {
    const std::string_view word = lua_type(lua, -3) == LUA_TSTRING ? std::string_view(lua_tostring(lua, -3)) : "";
    if (word == "ok") {
      return;
    }
    if (word != "retry" && word != "drop") {
      luaL_error(lua, "%s returned %s; want \"ok\", \"retry\" or \"drop\"", name,
                 word.empty() ? luaL_typename(lua, -3) : GoQuote(word.substr(0, 64)).c_str());
    }
    outcome->kind = word == "retry" ? OutcomeKind::kRetry : OutcomeKind::kDrop;
    if (lua_isstring(lua, -2) != 0) {
      size_t size = 0;
      const char* text = lua_tolstring(lua, -2, &size);
      outcome->why.assign(text, std::min(size, kWhyBytesMax));
    }
    const double after = lua_type(lua, -1) == LUA_TNUMBER ? lua_tonumber(lua, -1) : 0;
    outcome->after_s = std::isfinite(after) && after > 0 ? after : 0;
  }
};

namespace {

void PushAlert(lua_State* lua, const plugin::Alert& alert, const Delivery& delivery) {
  lua_createtable(lua, 0, 12);
  SetText(lua, "id", delivery.id);
  SetNumber(lua, "attempt", delivery.attempt);
  SetText(lua, "status", alert.resolved ? "resolved" : "firing");
  PushLabels(lua, alert.labels);
  lua_setfield(lua, -2, "labels");
  PushLabels(lua, alert.annotations);
  lua_setfield(lua, -2, "annotations");
  SetNumber(lua, "value", alert.value);
  SetNumber(lua, "starts_at", static_cast<double>(alert.starts_at_ms) / 1000);
  SetNumber(lua, "ends_at", static_cast<double>(alert.ends_at_ms) / 1000);
  SetNumber(lua, "active_at", static_cast<double>(alert.active_at_ms) / 1000);
  SetText(lua, "generator_url", alert.generator_url);
  char fingerprint[17];
  snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, alert.labels.Hash());
  SetText(lua, "fingerprint", fingerprint);
}

// {count, sum, buckets = {{lower, upper, count}, …}}, populated buckets in ascending order
void PushHistogram(lua_State* lua, const FloatHistogram& h) {
  lua_createtable(lua, 0, 3);
  SetNumber(lua, "count", h.count);
  SetNumber(lua, "sum", h.sum);
  lua_newtable(lua);
  int n = 0;
  for (BucketIterator it(h, BucketOrder::kAscending); it.Next();) {
    const Bucket& bucket = it.bucket();
    if (bucket.count == 0) {
      continue;
    }
    lua_createtable(lua, 0, 3);
    SetNumber(lua, "lower", bucket.lower);
    SetNumber(lua, "upper", bucket.upper);
    SetNumber(lua, "count", bucket.count);
    lua_rawseti(lua, -2, ++n);
  }
  lua_setfield(lua, -2, "buckets");
}

// {group, tick, id, attempt, [1] = {name, labels, t, value or histogram, stale}, …}
void PushSamples(lua_State* lua, const plugin::SampleResults& results, size_t first, size_t count,
                 const Delivery& delivery) {
  lua_createtable(lua, static_cast<int>(count), 4);
  SetText(lua, "group", results.group);
  SetNumber(lua, "tick", static_cast<double>(results.tick_ms) / 1000);
  SetText(lua, "id", delivery.id);
  SetNumber(lua, "attempt", delivery.attempt);
  for (size_t i = 0; i < count; ++i) {
    const plugin::ResultSample& sample = results.samples[first + i];
    lua_createtable(lua, 0, 5);
    SetText(lua, "name", sample.labels->Get(kMetricName));
    PushLabels(lua, *sample.labels);
    lua_setfield(lua, -2, "labels");
    SetNumber(lua, "t", static_cast<double>(sample.t) / 1000);
    const bool stale = sample.h == nullptr && IsStaleNaN(sample.v);
    if (sample.h != nullptr) {
      PushHistogram(lua, *sample.h);
      lua_setfield(lua, -2, "histogram");
    } else {
      SetNumber(lua, "value", stale ? NormalNaN() : sample.v);
    }
    lua_pushboolean(lua, stale ? 1 : 0);
    lua_setfield(lua, -2, "stale");
    lua_rawseti(lua, -2, static_cast<int>(i + 1));
  }
}

}  // namespace

Script::Script(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Script::~Script() = default;

Result<std::unique_ptr<Script>> Script::Load(std::string_view source, const ScriptOptions& options,
                                             Services* services) {
  WEIR_RETURN_IF_ERROR(SourceProblem(source, options.file));
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  WEIR_RETURN_IF_ERROR(impl->Open(services));
  const std::string chunk = "@" + options.file;
  WEIR_RETURN_IF_ERROR(impl->Protect([&](lua_State* lua) {
    lua_pushlightuserdata(lua, const_cast<char*>(&kHandlersKey));
    RunText(lua, source, chunk.c_str());
    impl->ReadHandlers(lua);
    lua_rawset(lua, LUA_REGISTRYINDEX);
  }));
  if (impl->on_start) {
    WEIR_RETURN_IF_ERROR(impl->Protect([&](lua_State* lua) { impl->Start(lua); }));
  }
  return std::unique_ptr<Script>(new Script(std::move(impl)));
}

Result<std::string> Script::EvaluateToJson(std::string_view source, const ScriptOptions& options, Services* services) {
  WEIR_RETURN_IF_ERROR(SourceProblem(source, options.file));
  Impl impl;
  impl.options = options;
  WEIR_RETURN_IF_ERROR(impl.Open(services));
  std::string json;
  const std::string chunk = "@" + options.file;
  WEIR_RETURN_IF_ERROR(impl.Protect([&](lua_State* lua) {
    RunText(lua, source, chunk.c_str());
    json = EncodeJson(lua, lua_gettop(lua));
  }));
  return json;
}

bool Script::handles_alerts() const { return impl_->on_alert; }
bool Script::handles_samples() const { return impl_->on_samples; }
size_t Script::memory_bytes() const { return impl_->state->memory_bytes(); }
uint64_t Script::log_lines_dropped() const { return impl_->context.log_lines_dropped; }

Outcome Script::OnAlert(const plugin::Alert& alert, const Delivery& delivery) {
  return impl_->Call("on_alert", [&](lua_State* lua) { PushAlert(lua, alert, delivery); });
}

Outcome Script::OnSamples(const plugin::SampleResults& results, size_t first, size_t count, const Delivery& delivery) {
  WEIR_ASSERT(count <= kSamplesPerCallMax && first + count <= results.samples.size());
  return impl_->Call("on_samples", [&](lua_State* lua) { PushSamples(lua, results, first, count, delivery); });
}

std::string_view OutcomeName(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::kOk:
      return "delivered";
    case OutcomeKind::kRetry:
      return "retried";
    case OutcomeKind::kDrop:
      return "dropped";
    case OutcomeKind::kScriptError:
      return "script_error";
    case OutcomeKind::kLimit:
      return "limit";
  }
  return "";
}

}  // namespace weir::lua
