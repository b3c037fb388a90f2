#pragma once
// What RE2 leaves out of Go's regexp package: the texts of errors, and replacements with $1, ${name} and $$ put in
// (Regexp.Expand). For relabelling, label_replace and templates. Pure functions, thread-safe.

#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace weir {

// RETURNS: what Go says of an expression that does not compile: `error parsing regexp: missing closing ): `(a``.
std::string RegexpError(const re2::RE2& regexp);

// The groups of one match, views into the text: the whole match, then group 1 and so on; null data where a group took no
// part in the match.
using RegexpGroups = std::vector<std::string_view>;

// Looks for the first match that begins at byte `from` or later. RETURNS: whether there is one.
bool MatchRegexp(const re2::RE2& regexp, std::string_view text, size_t from, RegexpGroups* groups);

// Appends `replacement` with $1, ${1}, $name, ${name} and $$ put in, by Go's rules: the longest name wins ($1x is the group
// named "1x"), what names no group is empty, and a dollar that begins no reference stays.
void AppendExpanded(const re2::RE2& regexp, std::string_view replacement, const RegexpGroups& groups, std::string* out);

}  // namespace weir
