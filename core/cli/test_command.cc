#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/base/files.h"
#include "core/cli/commands.h"
#include "core/promqltest/streaming.h"

namespace weir::cli {
namespace {

// RETURNS: the scripts that the arguments name: files as they are, of directories every .test file, sorted.
Result<std::vector<std::string>> FindScripts(const std::vector<std::string>& paths) {
  std::vector<std::string> scripts;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      scripts.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (std::filesystem::recursive_directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
      if (it->path().extension() == ".test") {
        found.push_back(it->path().string());
      }
    }
    if (found.empty()) {
      return NotFoundError(path + ": no .test file in this directory");
    }
    std::sort(found.begin(), found.end());
    scripts.insert(scripts.end(), found.begin(), found.end());
  }
  return scripts;
}

}  // namespace

int TestCommand(const TestOptions& options) {
  const Result<std::vector<std::string>> scripts = FindScripts(options.paths);
  if (!scripts.ok()) {
    std::fprintf(stderr, "%s\n", std::string(scripts.status().message()).c_str());
    return 1;
  }
  promqltest::StreamingEvaluator evaluator(options.one_by_one ? promqltest::StreamingMode::kOneByOne
                                                              : promqltest::StreamingMode::kTogether);
  promqltest::ScriptRunner runner(&evaluator);
  bool unreadable = false;
  for (const std::string& script : *scripts) {
    const Result<std::string> text = ReadFile(script);
    const Status status = text.ok() ? runner.Run(*text, script) : text.status();
    if (!status.ok()) {
      std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
      unreadable = true;
    }
  }
  runner.Finish();
  for (const promqltest::Failure& failure : runner.failures()) {
    std::printf("%s:%d: %s\n%s\n", failure.file.c_str(), failure.line, failure.expr.c_str(), failure.detail.c_str());
  }
  for (const promqltest::Failure& miss : runner.decided_by_rounding()) {
    std::printf("decided by a rounding, not counted: %s:%d: %s\n%s\n", miss.file.c_str(), miss.line, miss.expr.c_str(),
                miss.detail.c_str());
  }
  if (options.show_unsupported) {
    for (const std::string& skip : runner.skips()) {
      std::printf("not run: %s\n", skip.c_str());
    }
  }
  std::printf("%s\n", runner.Summary().c_str());
  return runner.counts().failed > 0 || unreadable ? 1 : 0;
}

}  // namespace weir::cli
