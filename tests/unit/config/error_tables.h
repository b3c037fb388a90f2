#pragma once
// Tables of texts and of what is said about them, one file a table:
//   === name of the case
//   the text
//   --- expected
//   the lines, in order
// Used by tests only; a table that cannot be read is a test failure.

#include <string>
#include <vector>

namespace weir::config {

struct ErrorCase {
  std::string name;
  std::string text;
  std::vector<std::string> lines;
};

// `name`: a file of this folder's data/.
std::vector<ErrorCase> ReadErrorTable(const std::string& name);

}  // namespace weir::config
