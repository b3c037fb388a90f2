// string.find, match, gmatch and gsub with Lua 5.1's patterns, but with every step counted against the instruction
// budget and nested calls limited: the library's own can run for hours in one call, where no hook fires, or overflow
// the C stack.

#include <cctype>
#include <cstring>

#include "lua/host/api.h"

namespace weir::lua {
namespace {

// The static analyzer takes the null that says "no match" for a text that may be null; Lua's texts never are.
// NOLINTBEGIN(clang-analyzer-core.NullDereference,clang-analyzer-core.NonNullParamChecker)

constexpr int kCapturesMax = 32;
constexpr int kMatchDepthMax = 200;  // nested quantifiers and captures of one pattern
constexpr int kCallDepthMax = 50;    // gsub within the callback of gsub
constexpr ptrdiff_t kOpen = -1, kPosition = -2;

class Matcher {
 public:
  Matcher(lua_State* lua, std::string_view text, std::string_view pattern)
      : lua_(lua),
        state_(State::From(lua)),
        begin_(text.data()),
        end_(text.data() + text.size()),
        pattern_end_(pattern.data() + pattern.size()) {}

  // RETURNS: the end of the match at `s`, or null.
  const char* Start(const char* s, const char* p) {
    level_ = 0;
    depth_ = 0;
    return Match(s, p);
  }

  int captures() const { return level_; }

  // Pushes capture `i`; without captures the whole match counts as the first.
  void PushCapture(int i, const char* s, const char* e) {
    if (i >= level_) {
      if (i != 0) {
        luaL_error(lua_, "invalid capture index");
      }
      lua_pushlstring(lua_, s, static_cast<size_t>(e - s));
      return;
    }
    const Capture& capture = captures_[i];
    if (capture.size == kOpen) {
      luaL_error(lua_, "unfinished capture");
    }
    if (capture.size == kPosition) {
      lua_pushinteger(lua_, capture.at - begin_ + 1);
    } else {
      lua_pushlstring(lua_, capture.at, static_cast<size_t>(capture.size));
    }
  }

  int PushCaptures(const char* s, const char* e, bool whole) {
    const int count = level_ == 0 && whole ? 1 : level_;
    luaL_checkstack(lua_, count + 1, "too many captures");
    for (int i = 0; i < count; ++i) {
      PushCapture(i, s, e);
    }
    return count;
  }

 private:
  struct Capture {
    const char* at;
    ptrdiff_t size;
  };

  void Step() { state_.Charge(lua_, 1); }

  const char* ClassEnd(const char* p) {
    if (p == pattern_end_) {
      luaL_error(lua_, "malformed pattern (ends unexpectedly)");
    }
    if (*p == '%') {
      if (p + 1 == pattern_end_) {
        luaL_error(lua_, "malformed pattern (ends with '%%')");
      }
      return p + 2;
    }
    if (*p != '[') {
      return p + 1;
    }
    ++p;
    p += p != pattern_end_ && *p == '^' ? 1 : 0;
    do {  // a ] right after the opening belongs to the set
      if (p == pattern_end_) {
        luaL_error(lua_, "malformed pattern (missing ']')");
      }
      p += *p == '%' && p + 1 < pattern_end_ ? 2 : 1;
    } while (p == pattern_end_ || *p != ']');
    return p + 1;
  }

  static bool InClass(int c, int cl) {
    bool found = false;
    switch (tolower(cl)) {
      case 'a':
        found = isalpha(c) != 0;
        break;
      case 'c':
        found = iscntrl(c) != 0;
        break;
      case 'd':
        found = isdigit(c) != 0;
        break;
      case 'g':
        found = isgraph(c) != 0;
        break;
      case 'l':
        found = islower(c) != 0;
        break;
      case 'p':
        found = ispunct(c) != 0;
        break;
      case 's':
        found = isspace(c) != 0;
        break;
      case 'u':
        found = isupper(c) != 0;
        break;
      case 'w':
        found = isalnum(c) != 0;
        break;
      case 'x':
        found = isxdigit(c) != 0;
        break;
      case 'z':
        found = c == 0;
        break;
      default:
        return cl == c;
    }
    return isupper(cl) != 0 ? !found : found;
  }

  static int Byte(const char* s) { return static_cast<unsigned char>(*s); }

  // `p` stands at the [, `last` at the closing ].
  static bool InSet(int c, const char* p, const char* last) {
    bool found = true;
    if (p[1] == '^') {
      found = false;
      ++p;
    }
    while (++p < last) {
      if (*p == '%') {
        ++p;
        if (InClass(c, Byte(p))) {
          return found;
        }
      } else if (p[1] == '-' && p + 2 < last) {
        if (Byte(p) <= c && c <= Byte(p + 2)) {
          return found;
        }
        p += 2;
      } else if (Byte(p) == c) {
        return found;
      }
    }
    return !found;
  }

  bool Single(const char* s, const char* p, const char* class_end) const {
    if (s >= end_) {
      return false;
    }
    switch (*p) {
      case '.':
        return true;
      case '%':
        return InClass(Byte(s), Byte(p + 1));
      case '[':
        return InSet(Byte(s), p, class_end - 1);
      default:
        return *p == *s;
    }
  }

  const char* Match(const char* s, const char* p) {
    if (++depth_ > kMatchDepthMax) {
      luaL_error(lua_, "pattern too complex");
    }
    const char* found = MatchHere(s, p);
    --depth_;
    return found;
  }

  const char* MatchHere(const char* s, const char* p) {
    while (p != pattern_end_) {
      Step();
      switch (*p) {
        case '(':
          return p + 1 != pattern_end_ && p[1] == ')' ? Open(s, p + 2, kPosition) : Open(s, p + 1, kOpen);
        case ')':
          return Close(s, p + 1);
        case '$':
          if (p + 1 == pattern_end_) {
            return s == end_ ? s : nullptr;
          }
          break;
        case '%':
          if (p + 1 != pattern_end_ && (p[1] == 'b' || p[1] == 'f' || isdigit(Byte(p + 1)) != 0)) {
            const char* after = p + 2;
            s = p[1] == 'b' ? Balanced(s, &after) : p[1] == 'f' ? Frontier(s, &after) : BackReference(s, Byte(p + 1));
            if (s == nullptr) {
              return nullptr;
            }
            p = after;
            continue;
          }
          break;
        default:
          break;
      }
      const char* const class_end = ClassEnd(p);
      const char quantifier = class_end != pattern_end_ ? *class_end : '\0';
      if (quantifier == '*') {
        return Longest(s, p, class_end);
      }
      if (quantifier == '+') {
        return Single(s, p, class_end) ? Longest(s + 1, p, class_end) : nullptr;
      }
      if (quantifier == '-') {
        return Shortest(s, p, class_end);
      }
      const bool single = Single(s, p, class_end);
      if (quantifier == '?') {
        if (single) {
          if (const char* found = Match(s + 1, class_end + 1)) {
            return found;
          }
        }
        p = class_end + 1;
        continue;
      }
      if (!single) {
        return nullptr;
      }
      ++s;
      p = class_end;
    }
    return s;
  }

  const char* Longest(const char* s, const char* p, const char* class_end) {
    ptrdiff_t count = 0;
    while (Single(s + count, p, class_end)) {
      Step();
      ++count;
    }
    for (; count >= 0; --count) {
      Step();
      if (const char* found = Match(s + count, class_end + 1)) {
        return found;
      }
    }
    return nullptr;
  }

  const char* Shortest(const char* s, const char* p, const char* class_end) {
    for (;; ++s) {
      Step();
      if (const char* found = Match(s, class_end + 1)) {
        return found;
      }
      if (!Single(s, p, class_end)) {
        return nullptr;
      }
    }
  }

  const char* Open(const char* s, const char* p, ptrdiff_t what) {
    if (level_ >= kCapturesMax) {
      luaL_error(lua_, "too many captures");
    }
    captures_[level_++] = {s, what};
    const char* found = Match(s, p);
    level_ -= found == nullptr ? 1 : 0;
    return found;
  }

  const char* Close(const char* s, const char* p) {
    int at = level_ - 1;
    while (at >= 0 && captures_[at].size != kOpen) {
      --at;
    }
    if (at < 0) {
      luaL_error(lua_, "invalid pattern capture");
    }
    captures_[at].size = s - captures_[at].at;
    const char* found = Match(s, p);
    if (found == nullptr) {
      captures_[at].size = kOpen;
    }
    return found;
  }

  const char* Balanced(const char* s, const char** p) {
    if (pattern_end_ - *p < 2) {
      luaL_error(lua_, "unbalanced pattern");
    }
    const char open = (*p)[0], close = (*p)[1];
    *p += 2;
    if (s == end_ || *s != open) {
      return nullptr;
    }
    for (int depth = 1; ++s < end_;) {
      Step();
      if (*s == close) {
        if (--depth == 0) {
          return s + 1;
        }
      } else if (*s == open) {
        ++depth;
      }
    }
    return nullptr;
  }

  const char* Frontier(const char* s, const char** p) {
    if (*p == pattern_end_ || **p != '[') {
      luaL_error(lua_, "missing '[' after '%%f' in pattern");
    }
    const char* const set = *p;
    *p = ClassEnd(set);
    const int before = s == begin_ ? 0 : Byte(s - 1), here = s == end_ ? 0 : Byte(s);
    return !InSet(before, set, *p - 1) && InSet(here, set, *p - 1) ? s : nullptr;
  }

  const char* BackReference(const char* s, int digit) {
    const int at = digit - '1';
    if (at < 0 || at >= level_ || captures_[at].size == kOpen) {
      luaL_error(lua_, "invalid capture index");
    }
    const ptrdiff_t size = captures_[at].size;
    if (size == kPosition || end_ - s < size || memcmp(captures_[at].at, s, static_cast<size_t>(size)) != 0) {
      return nullptr;
    }
    return s + size;
  }

  lua_State* lua_;
  State& state_;
  const char* begin_;
  const char* end_;
  const char* pattern_end_;
  Capture captures_[kCapturesMax];
  int level_ = 0;
  int depth_ = 0;
};

std::string_view Argument(lua_State* lua, int index) {
  size_t size = 0;
  const char* text = luaL_checklstring(lua, index, &size);
  return {text, size};
}

// find and match differ only in what they return.
int FindOrMatch(lua_State* lua, bool find) {
  const std::string_view text = Argument(lua, 1), pattern = Argument(lua, 2);
  const auto size = static_cast<ptrdiff_t>(text.size());
  ptrdiff_t init = luaL_optinteger(lua, 3, 1);
  init = init < 0 ? std::max<ptrdiff_t>(0, init + size) : init == 0 ? 0 : init - 1;
  if (init > size) {
    if (!find) {
      lua_pushnil(lua);
      return 1;
    }
    init = size;  // the 5.1 library looks at the end then
  }
  if (find && (lua_toboolean(lua, 4) != 0 || pattern.find_first_of("^$*+?.([%-") == std::string_view::npos)) {
    State::From(lua).Charge(lua, 1 + static_cast<uint64_t>(size) / 64);
    const void* at = pattern.empty()
                         ? text.data() + init
                         : memmem(text.data() + init, static_cast<size_t>(size - init), pattern.data(), pattern.size());
    if (at == nullptr) {
      lua_pushnil(lua);
      return 1;
    }
    const ptrdiff_t from = static_cast<const char*>(at) - text.data();
    lua_pushinteger(lua, from + 1);
    lua_pushinteger(lua, from + static_cast<ptrdiff_t>(pattern.size()));
    return 2;
  }
  const bool anchored = !pattern.empty() && pattern[0] == '^';
  Matcher matcher(lua, text, pattern);
  const char* const p = pattern.data() + (anchored ? 1 : 0);
  const char* const end = text.data() + size;
  for (const char* s = text.data() + init; s <= end; ++s) {
    if (const char* e = matcher.Start(s, p)) {
      if (!find) {
        return matcher.PushCaptures(s, e, true);
      }
      lua_pushinteger(lua, s - text.data() + 1);
      lua_pushinteger(lua, e - text.data());
      return 2 + matcher.PushCaptures(s, e, false);
    }
    if (anchored) {
      break;
    }
  }
  lua_pushnil(lua);
  return 1;
}

int Find(lua_State* lua) { return FindOrMatch(lua, true); }
int Match(lua_State* lua) { return FindOrMatch(lua, false); }

// The iterator of gmatch; upvalues: text, pattern, position.
int NextMatch(lua_State* lua) {
  const std::string_view text = Argument(lua, lua_upvalueindex(1)), pattern = Argument(lua, lua_upvalueindex(2));
  Matcher matcher(lua, text, pattern);
  const char* const end = text.data() + text.size();
  for (const char* s = text.data() + lua_tointeger(lua, lua_upvalueindex(3)); s <= end; ++s) {
    if (const char* e = matcher.Start(s, pattern.data())) {
      lua_pushinteger(lua, e - text.data() + (e == s ? 1 : 0));
      lua_replace(lua, lua_upvalueindex(3));
      return matcher.PushCaptures(s, e, true);
    }
  }
  return 0;
}

int GMatch(lua_State* lua) {
  Argument(lua, 1);
  Argument(lua, 2);
  lua_settop(lua, 2);
  lua_pushinteger(lua, 0);
  lua_pushcclosure(lua, Guarded<NextMatch>, 3);
  return 1;
}

class DepthGuard {
 public:
  explicit DepthGuard(lua_State* lua) : depth_(State::From(lua).pattern_depth()) {
    if (++*depth_ > kCallDepthMax) {
      --*depth_;
      luaL_error(lua, "string.gsub nested more than %d deep", kCallDepthMax);
    }
  }
  ~DepthGuard() { --*depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  int* depth_;
};

// Appends what replaces one match, by argument 3: text with %0…%9, a table or a function.
void AppendReplacement(lua_State* lua, Matcher* matcher, const char* s, const char* e, std::string* out) {
  size_t size = 0;
  const int type = lua_type(lua, 3);
  if (type == LUA_TSTRING || type == LUA_TNUMBER) {
    const char* text = lua_tolstring(lua, 3, &size);
    for (size_t i = 0; i < size; ++i) {
      if (text[i] != '%') {
        out->push_back(text[i]);
      } else if (++i < size && isdigit(static_cast<unsigned char>(text[i])) != 0) {
        if (text[i] == '0') {
          out->append(s, e);
          continue;
        }
        matcher->PushCapture(text[i] - '1', s, e);
        out->append(CheckText(lua, lua_gettop(lua), "string.gsub", "capture"));
        lua_pop(lua, 1);
      } else if (i < size) {
        out->push_back(text[i]);
      }
    }
    return;
  }
  if (type == LUA_TTABLE) {
    matcher->PushCapture(0, s, e);
    lua_gettable(lua, 3);
  } else {
    lua_pushvalue(lua, 3);
    lua_call(lua, matcher->PushCaptures(s, e, true), 1);
  }
  if (lua_toboolean(lua, -1) == 0) {
    out->append(s, e);
  } else if (lua_isstring(lua, -1) == 0) {
    luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
  } else {
    const char* text = lua_tolstring(lua, -1, &size);
    out->append(text, size);
  }
  lua_pop(lua, 1);
}

int GSub(lua_State* lua) {
  const std::string_view text = Argument(lua, 1);
  std::string_view pattern = Argument(lua, 2);
  const int type = lua_type(lua, 3);
  luaL_argcheck(lua, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                "string/function/table expected");
  const lua_Integer most = luaL_optinteger(lua, 4, static_cast<lua_Integer>(text.size()) + 1);
  lua_settop(lua, 3);
  const DepthGuard depth(lua);
  const bool anchored = !pattern.empty() && pattern[0] == '^';
  pattern.remove_prefix(anchored ? 1 : 0);
  Matcher matcher(lua, text, pattern);
  const size_t bytes_max = State::From(lua).limits().memory_bytes;
  const char* s = text.data();
  const char* const end = s + text.size();
  std::string out;
  lua_Integer count = 0;
  while (count < most) {
    const char* e = matcher.Start(s, pattern.data());
    if (e != nullptr) {
      ++count;
      AppendReplacement(lua, &matcher, s, e, &out);
    }
    if (out.size() > bytes_max) {
      return luaL_error(lua, "not enough memory");
    }
    if (e != nullptr && e > s) {
      s = e;
    } else if (s < end) {
      out.push_back(*s++);
    } else {
      break;
    }
    if (anchored) {
      break;
    }
  }
  out.append(s, end);
  PushText(lua, out);
  lua_pushinteger(lua, count);
  return 2;
}

// NOLINTEND(clang-analyzer-core.NullDereference,clang-analyzer-core.NonNullParamChecker)

}  // namespace

void OpenPatterns(lua_State* lua) {
  static constexpr luaL_Reg kFunctions[] = {{"find", Guarded<Find>},
                                            {"match", Guarded<Match>},
                                            {"gmatch", Guarded<GMatch>},
                                            {"gsub", Guarded<GSub>},
                                            {nullptr, nullptr}};
  lua_getglobal(lua, "string");
  luaL_register(lua, nullptr, kFunctions);
  lua_pushnil(lua);
  lua_setfield(lua, -2, "gfind");
  lua_pop(lua, 1);
}

}  // namespace weir::lua
