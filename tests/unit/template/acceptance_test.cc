// Every label and annotation template of the acceptance rule files parses and expands without an error.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>

#include "tests/unit/template/expand.h"

namespace weir::tmpl {
namespace {

// Collects every scalar that holds an action; ConfigMaps carry whole files in one scalar, which must parse as well.
void Collect(const YAML::Node& node, std::vector<std::string>* texts) {
  if (node.IsScalar() && node.Scalar().find("{{") != std::string::npos) {
    texts->push_back(node.Scalar());
  }
  if (node.IsSequence()) {
    for (const auto& child : node) {
      Collect(child, texts);
    }
  }
  if (node.IsMap()) {
    for (const auto& child : node) {
      Collect(child.second, texts);
    }
  }
}

TEST(Acceptance, EveryTemplateOfTheRuleFilesExpands) {
  const char* given = std::getenv("WEIR_ACCEPTANCE_DIR");
  const std::filesystem::path folder =
      std::filesystem::path(given != nullptr ? given : "../shared/acceptance") / "rules";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << folder << " is not there; set WEIR_ACCEPTANCE_DIR";
  }
  const QueryFn query = [](const std::string&, int64_t) -> Result<std::vector<QueryResult>> {
    return std::vector<QueryResult>{{{}, 0.25}};
  };
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::vector<std::string> texts;
    for (const YAML::Node& document : YAML::LoadAllFromFile(entry.path().string())) {
      Collect(document, &texts);
    }
    for (const std::string& text : texts) {
      auto parsed = Template::Parse("__alert_A", text);
      ASSERT_TRUE(parsed.ok()) << entry.path() << ": " << parsed.status().message();
      auto out = parsed->Expand(SampleData(), kNowMs, query);
      ASSERT_TRUE(out.ok()) << entry.path() << ": " << out.status().message();
      EXPECT_EQ(out->find("{{"), std::string::npos);
      ++count;
    }
  }
  EXPECT_GE(count, 10U);  // files of the operator and ConfigMaps carry many templates in one scalar
}

}  // namespace
}  // namespace weir::tmpl
