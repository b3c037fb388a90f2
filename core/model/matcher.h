#pragma once
// A label matcher: name, operator, value. Regular expressions are RE2, anchored at both ends, and a dot
// matches newline (semantics 1.6). Thread-compatible; Matches is const and safe to share.

#include <memory>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace weir {

enum class MatchType : unsigned char { kEqual, kNotEqual, kRegex, kNotRegex };

class Matcher {
 public:
  static Result<Matcher> Create(MatchType type, std::string name, std::string value);

  MatchType type() const { return type_; }
  const std::string& name() const { return name_; }
  const std::string& value() const { return value_; }
  // A missing label is "".
  bool Matches(std::string_view value) const;
  bool MatchesEmpty() const { return Matches(""); }
  // RETURNS: `name=~"value"` as PromQL prints it.
  std::string ToString() const;
  friend bool operator==(const Matcher& a, const Matcher& b) {
    return a.type_ == b.type_ && a.name_ == b.name_ && a.value_ == b.value_;
  }

 private:
  Matcher() = default;
  MatchType type_ = MatchType::kEqual;
  std::string name_;
  std::string value_;
  struct Program;
  std::shared_ptr<const Program> program_;  // regular expressions only; shared by copies, compiled programs are large
};

std::string_view MatchTypeText(MatchType type);

}  // namespace weir
