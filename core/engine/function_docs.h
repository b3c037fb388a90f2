#pragma once
// docs/FUNCTIONS.md: every PromQL function from the row that the parser checks calls against, and what the engine keeps for it
// from the row that plans it. Pure.

#include <string>

namespace weir::engine {

std::string FunctionsMarkdown();

}  // namespace weir::engine
