#pragma once
// What `weir check` and `weir explain` need: everything that can be wrong with a file is found without starting anything. Rules
// are planned by a real engine, so what is accepted here will load.

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
// RETURNS: the plans of all rules of the file, as text; empty when there are errors. `name`: only rules of this name, "" = all.
std::string ExplainFile(const std::string& path, const std::string& name, CheckOutcome* outcome);

}  // namespace weir::runtime
