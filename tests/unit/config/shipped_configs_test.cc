// Every configuration in configs/ loads with the plug-ins of this build, and its rule files are right.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "core/config/config.h"

namespace weir::config {
namespace {

TEST(ShippedConfigs, Load) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator("configs")) {
    if (entry.path().extension() == ".yml") {
      paths.push_back(entry.path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  ASSERT_FALSE(paths.empty());
  for (const std::string& path : paths) {
    const ConfigOutcome out = LoadConfig(path, plugin::Plugins());
    EXPECT_EQ(out.errors, std::vector<std::string>()) << path;
    EXPECT_TRUE(out.config.not_applied.empty()) << path << ": " << out.config.not_applied[0].key;
    const RuleFilesOutcome rules = LoadRuleFiles(out.config);
    EXPECT_EQ(rules.errors, std::vector<std::string>()) << path;
    EXPECT_EQ(rules.warnings, std::vector<std::string>()) << path;
    EXPECT_FALSE(rules.files.empty()) << path;
  }
}

TEST(ShippedRulePacks, GroupsHaveNamesOfTheirOwn) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("configs/rules")) {
    const RuleFileOutcome out = LoadRuleFile(entry.path().string());
    EXPECT_EQ(out.errors, std::vector<std::string>());
    for (const RuleGroup& group : out.file.groups) {
      names.push_back(group.name);
    }
  }
  ASSERT_FALSE(names.empty());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace weir::config
