// weir.time: the host's clock and UTC time texts.

#include <cmath>
#include <ctime>

#include "lua/host/api.h"

namespace weir::lua {
namespace {

int Now(lua_State* lua) {
  lua_pushnumber(lua, static_cast<double>(State::From(lua).context().services->clock().NowMs()) / 1000);
  return 1;
}

// format(t, layout): layout is strftime's, UTC; without one RFC 3339.
int Format(lua_State* lua) {
  const double seconds = luaL_checknumber(lua, 1);
  const char* const layout = luaL_optstring(lua, 2, "%Y-%m-%dT%H:%M:%SZ");
  constexpr double kSecondsMax = 253402300799.0;  // the end of the year 9999
  if (!(std::abs(seconds) <= kSecondsMax)) {
    return luaL_error(lua, "weir.time.format: time out of range: %f", seconds);
  }
  const auto whole = static_cast<time_t>(std::floor(seconds));
  tm parts{};
  gmtime_r(&whole, &parts);
  char text[256];
  const size_t size = strftime(text, sizeof text, layout, &parts);
  if (size == 0 && layout[0] != '\0') {
    return luaL_error(lua, "weir.time.format: layout too long or without output: \"%s\"", layout);
  }
  PushText(lua, std::string_view(text, size));
  return 1;
}

}  // namespace

void PushTimeApi(lua_State* lua) {
  static constexpr luaL_Reg kFunctions[] = {{"now", Guarded<Now>}, {"format", Guarded<Format>}, {nullptr, nullptr}};
  lua_newtable(lua);
  luaL_register(lua, nullptr, kFunctions);
}

}  // namespace weir::lua
