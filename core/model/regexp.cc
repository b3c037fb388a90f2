#include "core/model/regexp.h"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>

#include "core/model/labels.h"

namespace weir {
namespace {

constexpr size_t kNumberDigitsMax = 9;  // Go takes longer ones for names

std::string_view ErrorText(RE2::ErrorCode code) {
  switch (code) {
    case RE2::ErrorBadEscape:
      return "invalid escape sequence";
    case RE2::ErrorBadCharClass:
      return "invalid character class";
    case RE2::ErrorBadCharRange:
      return "invalid character class range";
    case RE2::ErrorMissingBracket:
      return "missing closing ]";
    case RE2::ErrorMissingParen:
      return "missing closing )";
    case RE2::ErrorUnexpectedParen:
      return "unexpected )";
    case RE2::ErrorTrailingBackslash:
      return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument:
      return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize:
      return "invalid repeat count";
    case RE2::ErrorRepeatOp:
      return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp:
      return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadUTF8:
      return "invalid UTF-8";
    case RE2::ErrorBadNamedCapture:
      return "invalid named capture";
    case RE2::ErrorPatternTooLarge:
      return "expression nests too deeply or is too large";
    default:
      return "invalid expression";
  }
}

// RETURNS: the bytes of the letter, digit or underscore (of any script) at the start of `text`, 0 when another stands there.
size_t NameRuneSize(std::string_view text) {
  static const RE2 other_script(R"([\pL\p{Nd}])");
  uint32_t rune = 0;
  const size_t size = text.empty() ? 0 : DecodeRune(text, &rune);
  if (size > 1) {
    return RE2::FullMatch(re2::StringPiece(text.data(), size), other_script) ? size : 0;
  }
  const bool letter = (rune >= 'a' && rune <= 'z') || (rune >= 'A' && rune <= 'Z');
  return letter || (rune >= '0' && rune <= '9') || rune == '_' ? size : 0;
}

// One `$name` or `${name}`.
struct Reference {
  std::string_view name;
  size_t size = 0;  // bytes behind the dollar; 0 when there is no reference
};

// `text` stands behind a dollar.
Reference ParseReference(std::string_view text) {
  const size_t start = text.starts_with('{') ? 1 : 0;
  size_t end = start;
  while (const size_t size = NameRuneSize(text.substr(end))) {
    end += size;
  }
  if (end == start || (start == 1 && !text.substr(end).starts_with('}'))) {
    return {};
  }
  return {text.substr(start, end - start), end + start};
}

// RETURNS: what the group of that number or name took; empty when there is none.
std::string_view GroupText(const RE2& regexp, std::string_view name, const RegexpGroups& groups) {
  size_t index = groups.size();
  const bool number = name.find_first_not_of("0123456789") == std::string_view::npos &&
                      name.size() <= kNumberDigitsMax && (name.size() == 1 || name[0] != '0');
  if (number) {
    std::from_chars(name.data(), name.data() + name.size(), index);
  } else if (const auto at = regexp.NamedCapturingGroups().find(std::string(name));
             at != regexp.NamedCapturingGroups().end()) {
    index = static_cast<size_t>(at->second);
  }
  return index < groups.size() ? groups[index] : std::string_view();
}

}  // namespace

std::string RegexpError(const RE2& regexp) {
  return "error parsing regexp: " + std::string(ErrorText(regexp.error_code())) + ": `" + regexp.error_arg() + "`";
}

bool MatchRegexp(const RE2& regexp, std::string_view text, size_t from, RegexpGroups* groups) {
  std::vector<re2::StringPiece> found(static_cast<size_t>(regexp.NumberOfCapturingGroups()) + 1);
  if (!regexp.Match(re2::StringPiece(text.data(), text.size()), from, text.size(), RE2::UNANCHORED, found.data(),
                    static_cast<int>(found.size()))) {
    return false;
  }
  groups->resize(found.size());
  std::transform(found.begin(), found.end(), groups->begin(),
                 [](const re2::StringPiece& group) { return std::string_view(group.data(), group.size()); });
  return true;
}

void AppendExpanded(const RE2& regexp, std::string_view replacement, const RegexpGroups& groups, std::string* out) {
  for (;;) {
    const size_t dollar = replacement.find('$');
    out->append(replacement.substr(0, dollar));
    if (dollar == std::string_view::npos) {
      return;
    }
    replacement.remove_prefix(dollar + 1);
    if (replacement.starts_with('$')) {
      out->push_back('$');
      replacement.remove_prefix(1);
      continue;
    }
    const Reference reference = ParseReference(replacement);
    if (reference.size == 0) {
      out->push_back('$');
      continue;
    }
    out->append(GroupText(regexp, reference.name, groups));
    replacement.remove_prefix(reference.size);
  }
}

}  // namespace weir
