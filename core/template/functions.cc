#include "core/template/functions.h"

#include <algorithm>

namespace weir::tmpl {

const Function* FindFunction(std::string_view name) {
  for (const auto rows : {NumberFunctions(), SampleFunctions(), TextFunctions(), GoFunctions()}) {
    const auto found = std::lower_bound(rows.begin(), rows.end(), name,
                                        [](const Function& row, std::string_view wanted) { return row.name < wanted; });
    if (found != rows.end() && found->name == name) {
      return &*found;
    }
  }
  return nullptr;
}

bool IsFunction(std::string_view name) { return FindFunction(name) != nullptr; }

}  // namespace weir::tmpl
