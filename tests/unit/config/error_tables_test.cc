#include "tests/unit/config/error_tables.h"

#include <gtest/gtest.h>

#include "core/config/config.h"
#include "tests/unit/config/test_plugins.h"

namespace weir::config {
namespace {

TEST(ErrorTables, RuleFiles) {
  const std::vector<ErrorCase> cases = ReadErrorTable("rule_errors.txt");
  ASSERT_GE(cases.size(), 30u);
  for (const ErrorCase& c : cases) {
    EXPECT_EQ(ParseRuleFile("r.yml", c.text).errors, c.lines) << c.name;
  }
}

TEST(ErrorTables, Configurations) {
  const std::vector<ErrorCase> cases = ReadErrorTable("config_errors.txt");
  ASSERT_GE(cases.size(), 40u);
  for (const ErrorCase& c : cases) {
    EXPECT_EQ(ParseConfig("w.yml", c.text, TestPlugins(), TestEnvironment()).errors, c.lines) << c.name;
  }
}

}  // namespace
}  // namespace weir::config
