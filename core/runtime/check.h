#pragma once
// What `weir check` and `weir explain` need: everything that can be wrong with a file is found without starting anything. Rules
// are planned by a real engine, so what is accepted here will load.

#include <cstdint>
#include <string>
#include <vector>

namespace weir::runtime {

struct CheckOutcome {
  std::vector<std::string> errors;   // `file:line:col: …`
  std::vector<std::string> notices;  // worth knowing: keys that do not apply, patterns without files
  std::string kind;                  // "rule file" or "configuration"
  size_t groups = 0;
  size_t rules = 0;
  bool ok() const { return errors.empty(); }
};

// Checks a rule file or a configuration (found out from its keys) with the rule files that it names.
CheckOutcome CheckFile(const std::string& path);

struct ExplainRequest {
  std::string rule;                        // only rules of this name; "": all
  int64_t scrape_interval_ms = 15000;      // that figures are given for
  int64_t evaluation_interval_ms = 60000;  // of an expression by itself; rules have that of their group
};
// RETURNS: the plans of the rules of the file, as text; empty when there are errors, or no such rule.
std::string ExplainFile(const std::string& path, const ExplainRequest& request, CheckOutcome* outcome);
// The same of one expression; every feature of the language is on.
std::string ExplainExpr(const std::string& text, const ExplainRequest& request, CheckOutcome* outcome);

}  // namespace weir::runtime
