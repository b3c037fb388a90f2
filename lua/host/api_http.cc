// weir.http: blocking requests from the receiver's own thread. A response is a table {status, body, error,
// retry_after} with the methods json() and verdict(); status 0 means that nothing came back.

#include <strings.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "lua/host/api.h"

namespace weir::lua {
namespace {

constexpr char kResponseMeta = 0;  // its address names the metatable in the registry
constexpr int kHeadersMax = 64;

void PushResponseMeta(lua_State* lua) {
  lua_pushlightuserdata(lua, const_cast<char*>(&kResponseMeta));
  lua_rawget(lua, LUA_REGISTRYINDEX);
}

bool IsToken(std::string_view text) {
  return !text.empty() &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") ==
             std::string_view::npos;
}

bool HasLineBreak(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

// Reads the field `name` of the request at index 1 as text. RETURNS: false when it is absent.
bool TextField(lua_State* lua, const char* name, std::string* out) {
  lua_getfield(lua, 1, name);
  const bool given = !lua_isnil(lua, -1);
  if (given) {
    *out = CheckText(lua, lua_gettop(lua), "weir.http", name);
  }
  lua_pop(lua, 1);
  return given;
}

void ReadHeaders(lua_State* lua, HttpClientRequest* request) {
  lua_getfield(lua, 1, "headers");
  if (lua_isnil(lua, -1)) {
    lua_pop(lua, 1);
    return;
  }
  if (!lua_istable(lua, -1)) {
    luaL_error(lua, "weir.http: headers must be a table, got %s", luaL_typename(lua, -1));
  }
  lua_pushnil(lua);
  while (lua_next(lua, -2) != 0) {
    if (lua_type(lua, -2) != LUA_TSTRING) {
      luaL_error(lua, "weir.http: names of headers must be strings");
    }
    const std::string_view name = CheckText(lua, lua_gettop(lua) - 1, "weir.http", "name of a header");
    const std::string_view value = CheckText(lua, lua_gettop(lua), "weir.http", "value of a header");
    if (!IsToken(name) || HasLineBreak(value) || request->headers.size() >= kHeadersMax) {
      luaL_error(lua, "weir.http: malformed header \"%s\", or more than %d headers", std::string(name).c_str(),
                 kHeadersMax);
    }
    request->headers.emplace_back(name, value);
    lua_pop(lua, 1);
  }
  lua_pop(lua, 1);
}

void ReadBody(lua_State* lua, HttpClientRequest* request) {
  const bool given = TextField(lua, "body", &request->body);
  lua_getfield(lua, 1, "json");
  if (!lua_isnil(lua, -1)) {
    if (given) {
      luaL_error(lua, "weir.http: give body or json, not both");
    }
    request->body = EncodeJson(lua, lua_gettop(lua));
    const bool typed = std::any_of(request->headers.begin(), request->headers.end(), [](const auto& header) {
      return header.first.size() == 12 && strncasecmp(header.first.c_str(), "content-type", 12) == 0;
    });
    if (!typed) {
      request->headers.emplace_back("Content-Type", "application/json");
    }
  }
  lua_pop(lua, 1);
  if (request->body.size() > kHttpBodyBytesMax) {
    luaL_error(lua, "weir.http: body of more than 1 MiB");
  }
}

// The timeout: the receiver's, or a shorter one of the request, and never past the end of the handler.
void ReadTimeout(lua_State* lua, HttpClientRequest* request) {
  ApiContext& context = State::From(lua).context();
  request->timeout_ms = context.http_timeout_ms;
  lua_getfield(lua, 1, "timeout");
  if (!lua_isnil(lua, -1)) {
    const double seconds = lua_type(lua, -1) == LUA_TNUMBER ? lua_tonumber(lua, -1) : -1;
    if (!(seconds > 0 && seconds <= 3600)) {
      luaL_error(lua, "weir.http: timeout must be seconds > 0, got %s",
                 lua_isstring(lua, -1) ? lua_tostring(lua, -1) : luaL_typename(lua, -1));
    }
    request->timeout_ms = std::min(request->timeout_ms, static_cast<int64_t>(std::ceil(seconds * 1000)));
  }
  lua_pop(lua, 1);
  const int64_t left_ms = (context.deadline_ns - context.services->clock().MonotonicNs()) / 1000000;
  if (left_ms <= 0) {
    luaL_error(lua, "weir.http: the time for this delivery is used up");
  }
  request->timeout_ms = std::min(request->timeout_ms, left_ms);
}

void CheckFields(lua_State* lua) {
  static constexpr std::string_view kKnown[] = {"method", "url", "headers", "body", "json", "bearer", "timeout"};
  lua_pushnil(lua);
  while (lua_next(lua, 1) != 0) {
    const std::string_view name = lua_type(lua, -2) == LUA_TSTRING ? CheckText(lua, lua_gettop(lua) - 1, "", "") : "?";
    if (std::find(std::begin(kKnown), std::end(kKnown), name) == std::end(kKnown)) {
      luaL_error(lua, "weir.http: unknown field \"%s\"; known are method, url, headers, body, json, bearer, timeout",
                 std::string(name).c_str());
    }
    lua_pop(lua, 1);
  }
}

void PushResponse(lua_State* lua, const HttpClientResponse& response) {
  lua_createtable(lua, 0, 4);
  SetNumber(lua, "status", response.status);
  SetText(lua, "body", response.body);
  if (!response.error.empty()) {
    SetText(lua, "error", response.error);
  }
  if (!response.retry_after.empty()) {
    SetText(lua, "retry_after", response.retry_after);
  }
  PushResponseMeta(lua);
  lua_setmetatable(lua, -2);
}

int Send(lua_State* lua, const char* fixed_method) {
  State& state = State::From(lua);
  if (!lua_istable(lua, 1)) {
    return luaL_error(lua, "weir.http: want a table {url = …}, got %s", luaL_typename(lua, 1));
  }
  state.Charge(lua, kHttpCallSteps);
  lua_settop(lua, 1);
  CheckFields(lua);
  HttpClientRequest request;
  request.method = fixed_method != nullptr ? fixed_method : "GET";
  std::string method;
  if (TextField(lua, "method", &method)) {
    request.method = method;
  }
  if (!IsToken(request.method) || request.method.size() > 16) {
    return luaL_error(lua, "weir.http: method must be a word like POST");
  }
  if (!TextField(lua, "url", &request.url)) {
    return luaL_error(lua, "weir.http: url is missing");
  }
  const Status allowed = state.context().egress.Check(request.url);
  if (!allowed.ok()) {
    return luaL_error(lua, "weir.http: %s", std::string(allowed.message()).c_str());
  }
  ReadHeaders(lua, &request);
  std::string bearer;
  if (TextField(lua, "bearer", &bearer)) {
    if (HasLineBreak(bearer)) {
      return luaL_error(lua, "weir.http: bearer holds a line break");
    }
    request.headers.emplace_back("Authorization", "Bearer " + bearer);
  }
  ReadBody(lua, &request);
  ReadTimeout(lua, &request);
  request.response_bytes_max = kHttpBodyBytesMax;
  PushResponse(lua, state.context().services->Http(request));
  return 1;
}

int Request(lua_State* lua) { return Send(lua, nullptr); }
int Get(lua_State* lua) { return Send(lua, "GET"); }
int Post(lua_State* lua) { return Send(lua, "POST"); }
int Put(lua_State* lua) { return Send(lua, "PUT"); }

int Json(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_getfield(lua, 1, "body");
  PushDecodedJson(lua, CheckText(lua, lua_gettop(lua), "response:json", "body"));
  return 1;
}

// Whether `list[name]` of the table at index 2 holds `status`.
bool Listed(lua_State* lua, const char* name, int status) {
  if (!lua_istable(lua, 2)) {
    return false;
  }
  lua_getfield(lua, 2, name);
  bool found = false;
  for (size_t i = 1; lua_istable(lua, -1) && i <= lua_objlen(lua, -1) && !found; ++i) {
    lua_rawgeti(lua, -1, static_cast<int>(i));
    found = static_cast<int>(lua_tonumber(lua, -1)) == status;
    lua_pop(lua, 1);
  }
  lua_pop(lua, 1);
  return found;
}

// verdict{retry = {…}, drop = {…}}: 2xx ok; nothing back, 408, 429 and 5xx retry; every other answer drops.
int Verdict(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_settop(lua, 2);
  lua_getfield(lua, 1, "status");
  const int status = static_cast<int>(lua_tonumber(lua, -1));
  const bool drop = Listed(lua, "drop", status);
  const bool retry =
      !drop && (status == 0 || status == 408 || status == 429 || status >= 500 || Listed(lua, "retry", status));
  if (!drop && !retry && status >= 200 && status < 300) {
    PushText(lua, "ok");
    return 1;
  }
  PushText(lua, retry ? "retry" : "drop");
  if (status == 0) {
    lua_getfield(lua, 1, "error");
  } else {
    lua_pushfstring(lua, "HTTP %d", status);
  }
  lua_getfield(lua, 1, "retry_after");
  const double after_s = lua_isstring(lua, -1) ? strtod(lua_tostring(lua, -1), nullptr) : 0;
  lua_pop(lua, 1);
  lua_pushnumber(lua, std::isfinite(after_s) ? std::max(0.0, after_s) : 0);
  return 3;
}

}  // namespace

void PushHttpApi(lua_State* lua) {
  static constexpr luaL_Reg kMethods[] = {{"json", Guarded<Json>}, {"verdict", Guarded<Verdict>}, {nullptr, nullptr}};
  static constexpr luaL_Reg kFunctions[] = {{"request", Guarded<Request>},
                                            {"get", Guarded<Get>},
                                            {"post", Guarded<Post>},
                                            {"put", Guarded<Put>},
                                            {nullptr, nullptr}};
  lua_pushlightuserdata(lua, const_cast<char*>(&kResponseMeta));
  lua_newtable(lua);
  lua_newtable(lua);
  luaL_register(lua, nullptr, kMethods);
  lua_setfield(lua, -2, "__index");
  PushText(lua, "response");
  lua_setfield(lua, -2, "__metatable");
  lua_rawset(lua, LUA_REGISTRYINDEX);
  lua_newtable(lua);
  luaL_register(lua, nullptr, kFunctions);
}

}  // namespace weir::lua
