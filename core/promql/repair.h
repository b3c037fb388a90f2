#pragma once
// Repairs: for slips that people make often, the change of the text that most likely says what was meant. Each is
// only a proposal; the parser offers it when the changed text parses. Pure functions; private to this room.

#include <string>
#include <string_view>
#include <vector>

#include "core/promql/ast.h"
#include "core/promql/token_reader.h"

namespace weir::promql {

// A character no token starts with (`&&`, `||`, `!`), or a text that ends too early.
std::vector<Edit> RepairCharacter(std::string_view text, int pos);
// A token that cannot stand where it does (`=` for `==`, `<>` for `!=`).
std::vector<Edit> RepairToken(std::string_view text, const Token& token);
// A word that lacks its quotes or parentheses.
std::vector<Edit> RepairBareWord(const Token& token, std::string_view before, std::string_view after);
// `f(x) by (l)`: grouping belongs to an aggregation. `end` is where the grouping ends.
std::vector<Edit> RepairGrouping(std::string_view text, const Expr& operand, bool without,
                                 const std::vector<std::string>& labels, int end);
// An unknown function: the nearest name.
std::vector<Edit> RepairFunctionName(const Token& name);
// A range vector was wanted, `arg` is an instant vector.
std::vector<Edit> RepairMissingRange(std::string_view text, const Expr& arg);
// An instant vector was wanted, `arg` is a range vector.
std::vector<Edit> RepairExtraRange(std::string_view text, const Expr& arg);

}  // namespace weir::promql
