// fuzz: links config plugin
// Rule files and configurations are read without a crash, and every place they name lies in the text.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/config/config.h"
#include "core/config/rule_file.h"

namespace {

void CheckPlaces(const weir::config::RuleFile& file) {
  for (const weir::config::RuleGroup& group : file.groups) {
    for (const weir::config::Rule& rule : group.rules) {
      for (size_t i = 0; i <= rule.expr.size(); i += 7) {
        if (rule.places.Where(i).empty()) {
          std::abort();
        }
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckPlaces(weir::config::ParseRuleFile("f", text, weir::promql::ParserOptions::All()).file);
  const weir::config::Environment nothing = [](const std::string&) { return std::optional<std::string>(); };
  // Secret files named by the input must not be opened here.
  if (text.find("_file") == std::string_view::npos) {
    weir::config::ParseConfig("f", text, {}, nothing);
  }
  return 0;
}
