#include "core/model/matcher.h"

#include <absl/container/flat_hash_set.h>
#include <re2/re2.h>

#include <vector>

#include "core/model/labels.h"
#include "core/model/regexp.h"

namespace weir {
namespace {

constexpr int64_t kProgramBytesMax = 64 << 20;  // RE2 refuses a pattern whose program would need more
constexpr std::string_view kMetaCharacters = "\\.+*?()|[]{}^$";

bool IsLiteral(std::string_view text) { return text.find_first_of(kMetaCharacters) == std::string_view::npos; }

// RETURNS: the alternatives of `a|b|c` or `(a|b|c)`, empty when `regex` is not made of literals only.
std::vector<std::string_view> LiteralAlternatives(std::string_view regex) {
  if (regex.size() >= 2 && regex.front() == '(' && regex.back() == ')') {
    regex = regex.substr(1, regex.size() - 2);
  }
  std::vector<std::string_view> out;
  while (true) {
    const size_t bar = regex.find('|');
    const std::string_view part = regex.substr(0, bar);
    if (!IsLiteral(part)) {
      return {};
    }
    out.push_back(part);
    if (bar == std::string_view::npos) {
      return out;
    }
    regex.remove_prefix(bar + 1);
  }
}

}  // namespace

// A compiled regular expression, in the cheapest form that gives the same answers.
struct Matcher::Program {
  enum class Form : unsigned char { kRegex, kAlternatives, kSurrounded };
  Form form = Form::kRegex;
  absl::flat_hash_set<std::string> alternatives;
  // kSurrounded: prefix, then what .* (`rest_min` 0) or .+ (1) takes, then suffix.
  std::string prefix;
  std::string suffix;
  size_t rest_min = 0;
  std::unique_ptr<const RE2> regex;

  bool Matches(std::string_view value) const {
    switch (form) {
      case Form::kAlternatives:
        return alternatives.contains(absl::string_view(value.data(), value.size()));
      case Form::kSurrounded:
        return value.size() >= prefix.size() + suffix.size() + rest_min && value.starts_with(prefix) &&
               value.ends_with(suffix);
      case Form::kRegex:
        break;
    }
    return RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *regex);
  }

  // Recognises `prefix.*suffix` and `prefix.+suffix`.
  bool Surround(std::string_view pattern) {
    const size_t dot = pattern.find('.');
    if (dot == std::string_view::npos || dot + 1 >= pattern.size() ||
        (pattern[dot + 1] != '*' && pattern[dot + 1] != '+')) {
      return false;
    }
    const std::string_view before = pattern.substr(0, dot);
    const std::string_view after = pattern.substr(dot + 2);
    if (!IsLiteral(before) || !IsLiteral(after)) {
      return false;
    }
    form = Form::kSurrounded;
    prefix = before;
    suffix = after;
    rest_min = pattern[dot + 1] == '+' ? 1 : 0;
    return true;
  }
};

Result<Matcher> Matcher::Create(MatchType type, std::string name, std::string value) {
  Matcher out;
  out.type_ = type;
  out.name_ = std::move(name);
  out.value_ = std::move(value);
  if (type == MatchType::kEqual || type == MatchType::kNotEqual) {
    return out;
  }
  auto program = std::make_shared<Program>();
  if (!IsValidUtf8(out.value_)) {
    return InvalidError("error parsing regexp: invalid UTF-8: " + GoQuote(out.value_));
  }
  if (const auto alternatives = LiteralAlternatives(out.value_); !alternatives.empty()) {
    program->form = Program::Form::kAlternatives;
    for (const std::string_view alternative : alternatives) {
      program->alternatives.emplace(alternative);
    }
  } else if (!program->Surround(out.value_)) {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_dot_nl(true);
    options.set_max_mem(kProgramBytesMax);
    // Compiled without the anchors in its text: `a)|(b` must not become valid by being wrapped.
    program->regex = std::make_unique<RE2>(out.value_, options);
    if (!program->regex->ok()) {
      return InvalidError(RegexpError(*program->regex));
    }
  }
  out.program_ = std::move(program);
  return out;
}

bool Matcher::Matches(std::string_view value) const {
  switch (type_) {
    case MatchType::kEqual:
      return value == value_;
    case MatchType::kNotEqual:
      return value != value_;
    case MatchType::kRegex:
      return program_->Matches(value);
    case MatchType::kNotRegex:
      return !program_->Matches(value);
  }
  return false;
}

std::string Matcher::ToString() const {
  std::string out = IsLegacyLabelName(name_) ? name_ : GoQuote(name_);
  return out.append(MatchTypeText(type_)).append(GoQuote(value_));
}

std::string_view MatchTypeText(MatchType type) {
  switch (type) {
    case MatchType::kEqual:
      return "=";
    case MatchType::kNotEqual:
      return "!=";
    case MatchType::kRegex:
      return "=~";
    case MatchType::kNotRegex:
      return "!~";
  }
  return "";
}

}  // namespace weir
