// weir.log: lines in weir's own log, at most so many a second. weir.console: lines for people on standard output.

#include "lua/host/api.h"

namespace weir::lua {
namespace {

constexpr size_t kLineBytesMax = 4096;
constexpr int kFieldsMax = 32;

// RETURNS: `text` on one line: control characters, which terminals obey, become spaces.
std::string OneLine(std::string_view text) {
  std::string out(text.substr(0, kLineBytesMax));
  for (size_t i = 0; i < out.size(); ++i) {
    const auto c = static_cast<unsigned char>(out[i]);
    const bool c1 = c == 0xc2 && i + 1 < out.size() && (static_cast<unsigned char>(out[i + 1]) & 0xe0) == 0x80;
    if (c < 0x20 || c == 0x7f) {
      out[i] = ' ';
    } else if (c1) {
      out[i] = ' ';
      out[++i] = ' ';
    }
  }
  return out;
}

std::string AnyText(lua_State* lua, int index) {
  switch (lua_type(lua, index)) {
    case LUA_TSTRING:
    case LUA_TNUMBER: {
      lua_pushvalue(lua, index);  // lua_tolstring changes numbers in place
      size_t size = 0;
      const char* text = lua_tolstring(lua, -1, &size);
      std::string out(text, size);
      lua_pop(lua, 1);
      return out;
    }
    case LUA_TBOOLEAN:
      return lua_toboolean(lua, index) != 0 ? "true" : "false";
    case LUA_TNIL:
      return "nil";
    default:
      return luaL_typename(lua, index);
  }
}

template <LogLevel level>
int Log(lua_State* lua) {
  ApiContext& context = State::From(lua).context();
  State::From(lua).Charge(lua, 100);
  const std::string message = OneLine(AnyText(lua, 1));
  std::vector<std::pair<std::string, std::string>> fields;
  if (lua_istable(lua, 2)) {
    lua_pushnil(lua);
    while (lua_next(lua, 2) != 0 && fields.size() < kFieldsMax) {
      fields.emplace_back(OneLine(AnyText(lua, -2)), OneLine(AnyText(lua, -1)));
      lua_pop(lua, 1);
    }
  }
  const int64_t second = context.services->clock().NowMs() / 1000;
  if (second != context.log_second) {
    context.log_second = second;
    context.log_lines = 0;
  }
  if (++context.log_lines > kLogLinesPerSecond) {
    ++context.log_lines_dropped;
    return 0;
  }
  context.services->Log(level, message, fields);
  return 0;
}

int Write(lua_State* lua) {
  State& state = State::From(lua);
  state.Charge(lua, 100);
  const std::string text = OneLine(CheckText(lua, 1, "weir.console.write", "the text"));
  const std::string_view style = luaL_optstring(lua, 2, "");
  if (!style.empty() && style != "red" && style != "green" && style != "yellow" && style != "dim") {
    return luaL_error(lua, "weir.console.write: style must be red, green, yellow or dim, got \"%s\"", style.data());
  }
  state.context().services->Console(text, style);
  return 0;
}

// print(a, b): the arguments with tabs between them, at level info.
int Print(lua_State* lua) {
  std::string line;
  for (int i = 1; i <= lua_gettop(lua); ++i) {
    line += (i > 1 ? "\t" : "") + AnyText(lua, i);
    if (line.size() > kLineBytesMax) {
      break;
    }
  }
  lua_settop(lua, 0);
  PushText(lua, line);
  return Log<LogLevel::kInfo>(lua);
}

}  // namespace

void PushLogApi(lua_State* lua) {
  static constexpr luaL_Reg kFunctions[] = {{"debug", Guarded<Log<LogLevel::kDebug>>},
                                            {"info", Guarded<Log<LogLevel::kInfo>>},
                                            {"warn", Guarded<Log<LogLevel::kWarn>>},
                                            {"error", Guarded<Log<LogLevel::kError>>},
                                            {nullptr, nullptr}};
  lua_pushcfunction(lua, Guarded<Print>);
  lua_setglobal(lua, "print");
  lua_newtable(lua);
  luaL_register(lua, nullptr, kFunctions);
}

void PushConsoleApi(lua_State* lua) {
  lua_newtable(lua);
  lua_pushcfunction(lua, Guarded<Write>);
  lua_setfield(lua, -2, "write");
}

}  // namespace weir::lua
