// weir.json: encode with sorted keys, decode, null, array. Null is one value of its own, because nil cannot stand in a
// table; array(t) marks a table that is to be a list even when it is empty.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include <simdjson.h>

#include "core/model/json_text.h"
#include "lua/host/api.h"

namespace weir::lua {
namespace {

// Addresses of these name entries of the registry and the null value.
constexpr char kArrayMark = 0;
constexpr char kNullMark = 0;

void PushNull(lua_State* lua) { lua_pushlightuserdata(lua, const_cast<char*>(&kNullMark)); }

void PushArrayMark(lua_State* lua) {
  lua_pushlightuserdata(lua, const_cast<char*>(&kArrayMark));
  lua_rawget(lua, LUA_REGISTRYINDEX);
}

class Encoder {
 public:
  explicit Encoder(lua_State* lua) : lua_(lua), state_(State::From(lua)) {}

  // Appends the value on top of the stack and leaves it there.
  void Value(int depth) {
    state_.Charge(lua_, 5);
    if (out_.size() > kJsonBytesMax) {
      Fail("text of more than 1 MiB");
    }
    switch (lua_type(lua_, -1)) {
      case LUA_TNIL:
        out_ += "null";
        return;
      case LUA_TBOOLEAN:
        out_ += lua_toboolean(lua_, -1) != 0 ? "true" : "false";
        return;
      case LUA_TNUMBER:
        Number(lua_tonumber(lua_, -1));
        return;
      case LUA_TSTRING: {
        size_t size = 0;
        const char* text = lua_tolstring(lua_, -1, &size);
        if (size > kJsonBytesMax) {
          Fail("text of more than 1 MiB");
        }
        AppendJsonString({text, size}, &out_);
        return;
      }
      case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(lua_, -1) == &kNullMark) {
          out_ += "null";
          return;
        }
        break;
      case LUA_TTABLE:
        if (depth >= kJsonDepthMax) {
          Fail("nested more than 64 levels deep (does a table hold itself?)");
        }
        luaL_checkstack(lua_, 8, "weir.json.encode");
        IsArray() ? Array(depth) : Object(depth);
        return;
      default:
        break;
    }
    luaL_error(lua_, "weir.json.encode: cannot encode a %s", luaL_typename(lua_, -1));
  }

  std::string Take() { return std::move(out_); }

 private:
  void Fail(const char* why) { luaL_error(lua_, "weir.json.encode: %s", why); }

  void Number(double v) {
    if (!std::isfinite(v)) {
      Fail("JSON has no NaN and no infinity");
    }
    char text[32];
    const bool whole = std::abs(v) < 1e15 && std::trunc(v) == v;
    const auto end = whole ? std::to_chars(text, text + sizeof text, static_cast<int64_t>(v)).ptr
                           : std::to_chars(text, text + sizeof text, v).ptr;
    out_.append(text, end);
  }

  // Marked tables, and tables with a first element.
  bool IsArray() {
    bool marked = false;
    if (lua_getmetatable(lua_, -1) != 0) {
      PushArrayMark(lua_);
      marked = lua_rawequal(lua_, -1, -2) != 0;
      lua_pop(lua_, 2);
    }
    return marked || lua_objlen(lua_, -1) > 0;
  }

  void Array(int depth) {
    const size_t size = lua_objlen(lua_, -1);
    out_.push_back('[');
    for (size_t i = 1; i <= size; ++i) {
      out_ += i > 1 ? "," : "";
      lua_rawgeti(lua_, -1, static_cast<int>(i));
      Value(depth + 1);
      lua_pop(lua_, 1);
    }
    out_.push_back(']');
  }

  void Object(int depth) {
    std::vector<std::string> keys;
    lua_pushnil(lua_);
    while (lua_next(lua_, -2) != 0) {
      state_.Charge(lua_, 5);
      if (lua_type(lua_, -2) != LUA_TSTRING) {
        luaL_error(lua_, "weir.json.encode: key of an object must be a string, got a %s", luaL_typename(lua_, -2));
      }
      size_t size = 0;
      const char* key = lua_tolstring(lua_, -2, &size);
      keys.emplace_back(key, size);
      lua_pop(lua_, 1);
    }
    std::sort(keys.begin(), keys.end());
    out_.push_back('{');
    for (size_t i = 0; i < keys.size(); ++i) {
      out_ += i > 0 ? "," : "";
      AppendJsonString(keys[i], &out_);
      out_.push_back(':');
      PushText(lua_, keys[i]);
      lua_rawget(lua_, -2);
      Value(depth + 1);
      lua_pop(lua_, 1);
    }
    out_.push_back('}');
  }

  lua_State* lua_;
  State& state_;
  std::string out_;
};

void PushElement(lua_State* lua, const simdjson::dom::element& element) {
  State::From(lua).Charge(lua, 5);
  luaL_checkstack(lua, 4, "weir.json.decode");
  switch (element.type()) {
    case simdjson::dom::element_type::OBJECT:
      lua_newtable(lua);
      for (const auto field : simdjson::dom::object(element)) {
        PushText(lua, field.key);
        PushElement(lua, field.value);
        lua_rawset(lua, -3);
      }
      return;
    case simdjson::dom::element_type::ARRAY: {
      lua_newtable(lua);
      int index = 0;
      for (const auto item : simdjson::dom::array(element)) {
        PushElement(lua, item);
        lua_rawseti(lua, -2, ++index);
      }
      PushArrayMark(lua);
      lua_setmetatable(lua, -2);
      return;
    }
    case simdjson::dom::element_type::STRING:
      PushText(lua, std::string_view(element));
      return;
    case simdjson::dom::element_type::BOOL:
      lua_pushboolean(lua, bool(element) ? 1 : 0);
      return;
    case simdjson::dom::element_type::NULL_VALUE:
      PushNull(lua);
      return;
    default:
      lua_pushnumber(lua, double(element));
      return;
  }
}

int Encode(lua_State* lua) {
  luaL_checkany(lua, 1);
  PushText(lua, EncodeJson(lua, 1));
  return 1;
}

int Decode(lua_State* lua) {
  PushDecodedJson(lua, CheckText(lua, 1, "weir.json.decode", "the text"));
  return 1;
}

int Array(lua_State* lua) {
  if (lua_isnoneornil(lua, 1)) {
    lua_settop(lua, 0);
    lua_newtable(lua);
  }
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_settop(lua, 1);
  PushArrayMark(lua);
  lua_setmetatable(lua, 1);
  return 1;
}

}  // namespace

std::string EncodeJson(lua_State* lua, int index) {
  lua_pushvalue(lua, index);
  Encoder encoder(lua);
  encoder.Value(0);
  lua_pop(lua, 1);
  return encoder.Take();
}

void PushDecodedJson(lua_State* lua, std::string_view text) {
  if (text.size() > kJsonBytesMax) {
    luaL_error(lua, "weir.json.decode: text of more than 1 MiB");
  }
  const char* problem = nullptr;
  simdjson::dom::parser parser;
  simdjson::dom::element element;
  simdjson::error_code error = parser.allocate(text.size(), kJsonDepthMax);
  if (!error) {
    error = parser.parse(text.data(), text.size()).get(element);
  }
  if (error) {
    problem = simdjson::error_message(error);  // lives as long as the process
    luaL_error(lua, "weir.json.decode: %s", problem);
  }
  PushElement(lua, element);
}

void PushJsonApi(lua_State* lua) {
  static constexpr luaL_Reg kFunctions[] = {
      {"encode", Guarded<Encode>}, {"decode", Guarded<Decode>}, {"array", Guarded<Array>}, {nullptr, nullptr}};
  lua_pushlightuserdata(lua, const_cast<char*>(&kArrayMark));
  lua_newtable(lua);
  lua_rawset(lua, LUA_REGISTRYINDEX);
  lua_newtable(lua);
  luaL_register(lua, nullptr, kFunctions);
  PushNull(lua);
  lua_setfield(lua, -2, "null");
}

}  // namespace weir::lua
