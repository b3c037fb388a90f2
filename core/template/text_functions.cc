// Text: regular expressions, case, addresses, links.

#include "core/template/functions.h"

#include <algorithm>

#include <re2/re2.h>

#include "core/base/http_server.h"
#include "core/model/regexp.h"
#include "core/template/ast.h"
#include "core/template/letters.h"
#include "core/template/lexer.h"

namespace weir::tmpl {
namespace {

Result<std::unique_ptr<RE2>> CompileRegex(const std::string& pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  auto regex = std::make_unique<RE2>(pattern, options);
  if (!regex->ok()) {
    return InvalidError(RegexpError(*regex));
  }
  return regex;
}

Result<Value> Match(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const auto regex, CompileRegex(arguments[0].text));
  return Value::Bool(RE2::PartialMatch(arguments[1].text, *regex));
}

Result<Value> ReplaceAll(Context, Arguments arguments) {
  WEIR_ASSIGN_OR_RETURN(const auto regex, CompileRegex(arguments[0].text));
  const std::string& text = arguments[2].text;
  RegexpGroups groups;
  std::string out;
  size_t last_end = 0;
  for (size_t pos = 0; pos <= text.size();) {
    if (!MatchRegexp(*regex, text, pos, &groups)) {
      break;
    }
    const size_t begin = static_cast<size_t>(groups[0].data() - text.data()), end = begin + groups[0].size();
    out.append(text, last_end, begin - last_end);
    if (end > last_end || begin == 0) {  // an empty match right behind the previous one does not count
      AppendExpanded(*regex, arguments[1].text, groups, &out);
    }
    last_end = end;
    size_t after = pos;
    if (pos < text.size()) {
      ReadRune(text, &after);
    } else {
      ++after;
    }
    pos = std::max(after, end);
    if (out.size() > kOutputBytesMax) {
      return LimitError("text of more than " + std::to_string(kOutputBytesMax) + " bytes");
    }
  }
  out.append(text, last_end, std::string::npos);
  return Value::String(std::move(out));
}

// A mark that stands between two letters does not end a word: o'neil, a.b.
bool IsInsideMark(char32_t rune) {
  return rune == '\'' || rune == 0x2019 || rune == '.' || rune == ':' || rune == 0xb7;
}

// The first letter of each word that has two cases becomes upper case; digits and underscores before it do not count.
Result<Value> Title(Context, Arguments arguments) {
  const std::string& text = arguments[0].text;
  std::string out;
  bool in_word = false;
  bool titled = false;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t rune = ReadRune(text, &pos);
    AppendRune(&out, titled ? rune : ToUpperRune(rune));
    size_t ahead = pos;
    const bool bridged = in_word && IsInsideMark(rune) && pos < text.size() && IsWordRune(ReadRune(text, &ahead));
    in_word = IsWordRune(rune) || bridged;
    titled = in_word && (titled || ToUpperRune(rune) != ToLowerRune(rune));
  }
  return Value::String(std::move(out));
}

template <char32_t (*convert)(char32_t)>
Result<Value> MapRunes(Context, Arguments arguments) {
  const std::string& text = arguments[0].text;
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    AppendRune(&out, convert(ReadRune(text, &pos)));
  }
  return Value::String(std::move(out));
}

Result<Value> SafeHtml(Context, Arguments arguments) { return arguments[0]; }

Result<Value> UrlQueryEscapeOne(Context, Arguments arguments) {
  return Value::String(UrlQueryEscape(arguments[0].text));
}

// host:port, [v6]:port. RETURNS: false when the text is not of that form.
bool SplitHostPort(std::string_view text, std::string* host, std::string* port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return false;
  }
  std::string_view name = text.substr(0, colon);
  if (!text.empty() && text[0] == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos || close + 1 != colon) {
      return false;
    }
    name = text.substr(1, close - 1);
  } else if (name.find(':') != std::string_view::npos) {
    return false;
  }
  if (name.find_first_of("[]") != std::string_view::npos ||
      text.substr(colon + 1).find_first_of("[]") != std::string_view::npos) {
    return false;
  }
  *host = name;
  *port = text.substr(colon + 1);
  return true;
}

bool IsIpv4(std::string_view text) {
  int parts = 0;
  for (;; ++parts) {
    const size_t dot = std::min(text.find('.'), text.size());
    const std::string_view part = text.substr(0, dot);
    const bool digits =
        !part.empty() && part.size() <= 3 && part.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits || (part.size() > 1 && part[0] == '0') || std::stoi(std::string(part)) > 255) {
      return false;
    }
    if (dot == text.size()) {
      return parts == 3;
    }
    text.remove_prefix(dot + 1);
  }
}

bool IsIpv6(std::string_view text) {
  int groups = 0;
  bool gap = false;
  size_t pos = 0;
  if (text.substr(0, 2) == "::") {
    gap = true;
    pos = 2;
  }
  while (pos < text.size()) {
    const size_t colon = std::min(text.find(':', pos), text.size());
    const std::string_view part = text.substr(pos, colon - pos);
    if (colon == text.size() && part.find('.') != std::string_view::npos) {
      return IsIpv4(part) && (gap ? groups <= 5 : groups == 6);
    }
    if (part.empty() || part.size() > 4 || part.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
      return false;
    }
    ++groups;
    pos = colon + 1;
    if (colon == text.size()) {
      break;
    }
    if (pos < text.size() && text[pos] == ':') {
      if (gap) {
        return false;
      }
      gap = true;
      ++pos;
    } else if (pos >= text.size()) {
      return false;  // ends in one colon
    }
  }
  return gap ? groups < 8 : groups == 8;
}

Result<Value> StripPort(Context, Arguments arguments) {
  std::string host, port;
  return Value::String(SplitHostPort(arguments[0].text, &host, &port) ? host : arguments[0].text);
}

Result<Value> StripDomain(Context, Arguments arguments) {
  std::string host, port;
  if (!SplitHostPort(arguments[0].text, &host, &port)) {
    host = arguments[0].text;
    port.clear();
  }
  if (IsIpv4(host) || IsIpv6(host)) {
    return arguments[0];
  }
  host = host.substr(0, host.find('.'));
  if (port.empty()) {
    return Value::String(std::move(host));
  }
  return Value::String((host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + port);
}

Result<Value> GraphLink(Context, Arguments arguments) {
  return Value::String("/graph?g0.expr=" + UrlQueryEscape(arguments[0].text) + "&g0.tab=0");
}
Result<Value> TableLink(Context, Arguments arguments) {
  return Value::String("/graph?g0.expr=" + UrlQueryEscape(arguments[0].text) + "&g0.tab=1");
}
Result<Value> ExternalUrl(Context context, Arguments) { return Value::String(context.data->external_url); }
Result<Value> PathPrefix(Context context, Arguments) {
  const std::string& url = context.data->external_url;
  const size_t scheme = url.find("://");
  const size_t host = scheme == std::string::npos ? 0 : scheme + 3;
  const size_t path = std::min(url.find('/', host), url.size());
  return Value::String(UrlDecode(std::string_view(url).substr(path, url.find_first_of("?#", path) - path), false));
}

constexpr Function kRows[] = {
    {"externalURL", "", ExternalUrl},
    {"graphLink", "s", GraphLink},
    {"match", "ss", Match},
    {"pathPrefix", "", PathPrefix},
    {"reReplaceAll", "sss", ReplaceAll},
    {"safeHtml", "s", SafeHtml},
    {"stripDomain", "s", StripDomain},
    {"stripPort", "s", StripPort},
    {"tableLink", "s", TableLink},
    {"title", "s", Title},
    {"toLower", "s", MapRunes<ToLowerRune>},
    {"toUpper", "s", MapRunes<ToUpperRune>},
    {"urlQueryEscape", "s", UrlQueryEscapeOne},
};

}  // namespace

std::span<const Function> TextFunctions() { return kRows; }

}  // namespace weir::tmpl
