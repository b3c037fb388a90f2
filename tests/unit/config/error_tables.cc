#include "tests/unit/config/error_tables.h"

#include <fstream>

namespace weir::config {

std::vector<ErrorCase> ReadErrorTable(const std::string& name) {
  std::ifstream file("tests/unit/config/data/" + name);
  std::vector<ErrorCase> cases;
  bool expected = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("=== ")) {
      cases.push_back({line.substr(4), "", {}});
      expected = false;
    } else if (cases.empty()) {
      continue;  // the comment in front of the first case
    } else if (line == "--- expected") {
      expected = true;
    } else if (!expected) {
      cases.back().text.append(line).append("\n");
    } else if (!line.empty()) {
      cases.back().lines.push_back(line);
    }
  }
  return cases;
}

}  // namespace weir::config
