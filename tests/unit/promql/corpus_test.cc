// Expressions that other people wrote: conformance scripts, the seed queries, rule files. They are read from folders
// beside the project (WEIR_PROMQLTEST_DIR, WEIR_ACCEPTANCE_DIR); without these the tests are skipped.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/model/duration.h"
#include "core/promql/parser.h"

namespace weir::promql {
namespace {

namespace fs = std::filesystem;

fs::path Folder(const char* variable, const char* fallback) {
  const char* set = std::getenv(variable);
  return set != nullptr ? set : fallback;
}

std::vector<fs::path> FilesIn(const fs::path& folder, std::string_view extension) {
  std::vector<fs::path> files;
  if (fs::exists(folder)) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() == extension) {
        files.push_back(entry.path());
      }
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Prometheus prints infinity with a sign, which reads as an operator before `^` and grows when printed again.
bool PrintsStably(std::string_view text) { return text.find("Inf") == std::string_view::npos; }

void ExpectParses(const std::string& text, const ParserOptions& options, const std::string& where) {
  const ParseOutcome outcome = ParseExpr(text, options);
  ASSERT_TRUE(outcome.expr) << where << ": " << text << ": " << outcome.errors.front().ToString();
  const std::string printed = Print(*outcome.expr);
  const ParseOutcome again = ParseExpr(printed, options);
  ASSERT_TRUE(again.expr) << where << ": " << text << ": printed " << printed << ": "
                          << again.errors.front().ToString();
  if (PrintsStably(printed)) {
    EXPECT_EQ(Print(*again.expr), printed) << where << ": " << text;
  }
}

struct Eval {
  std::string where;
  std::string text;
  ParserOptions options = ParserOptions::All();
  bool may_fail = false;
};

int64_t ToMs(const std::string& text) {
  const Result<int64_t> duration = ParseDurationMs(text);
  return duration.ok() ? *duration : static_cast<int64_t>(std::atof(text.c_str()) * 1000);
}

// Takes the next word off the front.
std::string TakeWord(std::string_view* text) {
  constexpr std::string_view kSpace = " \t\r";
  text->remove_prefix(std::min(text->find_first_not_of(kSpace), text->size()));
  const size_t end = std::min(text->find_first_of(kSpace), text->size());
  std::string word(text->substr(0, end));
  text->remove_prefix(end);
  return word;
}

// Reads `eval instant at T EXPR` or `eval range from A to B step S EXPR`. RETURNS: false for any other line.
bool ReadEval(std::string_view line, Eval* eval) {
  const std::string verb = TakeWord(&line);
  const std::string kind = TakeWord(&line);
  if (!verb.starts_with("eval") || (kind != "instant" && kind != "range")) {
    return false;
  }
  eval->may_fail = verb == "eval_fail";
  TakeWord(&line);  // at, from
  const int64_t from_ms = ToMs(TakeWord(&line));
  if (kind == "range") {
    TakeWord(&line);  // to
    eval->options.range_ms = ToMs(TakeWord(&line)) - from_ms;
    TakeWord(&line);  // step
    eval->options.step_ms = ToMs(TakeWord(&line));
  }
  eval->text = line;
  return true;
}

std::vector<Eval> ReadEvals(const fs::path& path) {
  std::vector<Eval> evals;
  std::ifstream in(path);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    Eval eval;
    eval.where = path.filename().string() + ":" + std::to_string(number);
    std::string_view words = line;
    if (ReadEval(line, &eval)) {
      evals.push_back(eval);
    } else if (!evals.empty() && TakeWord(&words) == "expect" && TakeWord(&words) == "fail") {
      evals.back().may_fail = true;
    }
  }
  return evals;
}

TEST(Corpus, ConformanceScripts) {
  const auto files = FilesIn(Folder("WEIR_PROMQLTEST_DIR", "../shared/promqltest"), ".test");
  if (files.empty()) {
    GTEST_SKIP() << "no conformance scripts: set WEIR_PROMQLTEST_DIR";
  }
  size_t parsed = 0;
  size_t refused = 0;
  for (const fs::path& file : files) {
    for (const Eval& eval : ReadEvals(file)) {
      if (eval.may_fail && !ParseExpr(eval.text, eval.options).expr) {
        ++refused;
        continue;
      }
      ExpectParses(eval.text, eval.options, eval.where);
      ++parsed;
    }
  }
  EXPECT_GT(parsed, 1000u);
  RecordProperty("parsed", static_cast<int>(parsed));
  RecordProperty("refused", static_cast<int>(refused));
}

TEST(Corpus, SeriesOfConformanceScripts) {
  const auto files = FilesIn(Folder("WEIR_PROMQLTEST_DIR", "../shared/promqltest"), ".test");
  if (files.empty()) {
    GTEST_SKIP() << "no conformance scripts: set WEIR_PROMQLTEST_DIR";
  }
  size_t parsed = 0;
  for (const fs::path& file : files) {
    std::ifstream in(file);
    std::string line;
    bool loading = false;
    while (std::getline(in, line)) {
      const size_t begin = line.find_first_not_of(" \t");
      if (begin == std::string::npos) {
        loading = false;
      } else if (line.compare(begin, 4, "load") == 0) {
        loading = true;
      } else if (loading && line[begin] != '#') {
        const auto series = ParseSeriesDescription(line);
        EXPECT_TRUE(series.ok()) << file.filename() << ": " << line << ": " << series.status().message();
        ++parsed;
      }
    }
  }
  EXPECT_GT(parsed, 500u);
}

TEST(Corpus, SeedQueries) {
  const fs::path path = Folder("WEIR_ACCEPTANCE_DIR", "../shared/acceptance") / "queries" / "seed-queries.yml";
  if (!fs::exists(path)) {
    GTEST_SKIP() << "no seed queries: set WEIR_ACCEPTANCE_DIR";
  }
  const YAML::Node root = YAML::LoadFile(path.string());
  for (const char* list : {"valid", "query_only"}) {
    ASSERT_GT(root[list].size(), 0u);
    for (const YAML::Node& query : root[list]) {
      ExpectParses(query.as<std::string>(), {}, list);
    }
  }
  ASSERT_GT(root["invalid"].size(), 0u);
  for (const YAML::Node& query : root["invalid"]) {
    const ParseOutcome outcome = ParseExpr(query["expr"].as<std::string>());
    ASSERT_FALSE(outcome.expr) << query["expr"];
    EXPECT_GT(outcome.errors.front().column, 1);
    EXPECT_EQ(outcome.errors.front().fix, query["fix"].as<std::string>());
  }
}

// Looks for `expr` keys anywhere: plain rule files, PrometheusRule objects and ConfigMaps with rule files as text.
size_t ParseExprsUnder(const YAML::Node& node, const std::string& where) {
  size_t found = 0;
  if (node.IsSequence()) {
    for (const YAML::Node& item : node) {
      found += ParseExprsUnder(item, where);
    }
  } else if (node.IsMap()) {
    for (const auto& entry : node) {
      const auto key = entry.first.as<std::string>();
      if (key == "expr") {
        ExpectParses(entry.second.as<std::string>(), {}, where);
        ++found;
      } else if (entry.second.IsScalar() && entry.second.as<std::string>().find("groups:") != std::string::npos) {
        found += ParseExprsUnder(YAML::Load(entry.second.as<std::string>()), where);
      } else {
        found += ParseExprsUnder(entry.second, where);
      }
    }
  }
  return found;
}

TEST(Corpus, RuleFiles) {
  const auto files = FilesIn(Folder("WEIR_ACCEPTANCE_DIR", "../shared/acceptance") / "rules", ".yml");
  const auto more = FilesIn(Folder("WEIR_ACCEPTANCE_DIR", "../shared/acceptance") / "rules", ".yaml");
  if (files.empty() && more.empty()) {
    GTEST_SKIP() << "no rule files: set WEIR_ACCEPTANCE_DIR";
  }
  for (const auto& list : {files, more}) {
    for (const fs::path& file : list) {
      size_t found = 0;
      for (const YAML::Node& document : YAML::LoadAllFromFile(file.string())) {
        found += ParseExprsUnder(document, file.filename().string());
      }
      EXPECT_GT(found, 0u) << file;
    }
  }
}

}  // namespace
}  // namespace weir::promql
