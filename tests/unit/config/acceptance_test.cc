// Real input: the acceptance configurations and rule files, when they are there.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/config/config.h"
#include "tests/unit/config/test_plugins.h"

namespace weir::config {
namespace {

std::vector<std::string> AcceptanceFiles(const std::string& folder) {
  const char* given = std::getenv("WEIR_ACCEPTANCE_DIR");
  const std::filesystem::path root = std::filesystem::path(given == nullptr ? "../shared/acceptance" : given) / folder;
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root, error)) {
    out.push_back(entry.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

// Every byte of the expression stands where ExprPlaces says.
void ExpectEveryByteFound(const Rule& rule, const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line + "\n");
  }
  for (size_t i = 0; i < rule.expr.size(); ++i) {
    const std::string where = rule.places.Where(i).substr(path.size() + 1);
    const size_t line = std::stoul(where);
    const size_t column = std::stoul(where.substr(where.find(':') + 1));
    ASSERT_EQ(lines.at(line - 1).at(column - 1), rule.expr[i]) << rule.where << " byte " << i << " at " << where;
  }
}

TEST(Acceptance, EveryRuleFileLoads) {
  const auto files = AcceptanceFiles("rules");
  if (files.empty()) {
    GTEST_SKIP() << "no acceptance rule files; set WEIR_ACCEPTANCE_DIR";
  }
  EXPECT_EQ(files.size(), 7u);
  size_t rules = 0;
  for (const std::string& path : files) {
    const RuleFileOutcome out = LoadRuleFile(path);
    EXPECT_EQ(out.errors, std::vector<std::string>()) << path;
    for (const RuleGroup& group : out.file.groups) {
      for (const Rule& rule : group.rules) {
        ++rules;
        EXPECT_NE(rule.tree, nullptr) << rule.where;
        ExpectEveryByteFound(rule, path);
      }
    }
  }
  EXPECT_EQ(rules, 80u);
}

TEST(Acceptance, EveryConfigurationLoads) {
  const auto files = AcceptanceFiles("prometheus");
  if (files.empty()) {
    GTEST_SKIP() << "no acceptance configurations; set WEIR_ACCEPTANCE_DIR";
  }
  EXPECT_EQ(files.size(), 5u);
  for (const std::string& path : files) {
    const ConfigOutcome out = LoadConfig(path, TestPlugins());
    EXPECT_EQ(out.errors, std::vector<std::string>()) << path;
    EXPECT_FALSE(out.config.not_applied.empty()) << path;
  }
}

}  // namespace
}  // namespace weir::config
