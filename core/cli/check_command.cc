#include <cstdio>

#include "core/base/files.h"
#include "core/cli/commands.h"
#include "core/config/config.h"
#include "core/engine/function_docs.h"
#include "core/runtime/check.h"

namespace weir::cli {
namespace {

void PrintProblems(const runtime::CheckOutcome& outcome) {
  for (const std::string& notice : outcome.notices) {
    std::fprintf(stderr, "note: %s\n", notice.c_str());
  }
  for (const std::string& error : outcome.errors) {
    std::fprintf(stderr, "%s\n", error.c_str());
  }
}

// To a file, or to standard output without one. RETURNS: the exit status.
int WriteDocument(const std::string& text, const std::string& output) {
  if (output.empty()) {
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  if (const Status status = WriteFileAtomically(output, text); !status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}

}  // namespace

int CheckCommand(const std::vector<std::string>& files) {
  int code = 0;
  for (const std::string& file : files) {
    const runtime::CheckOutcome outcome = runtime::CheckFile(file);
    PrintProblems(outcome);
    if (!outcome.ok()) {
      std::printf("%s: %zu error%s\n", file.c_str(), outcome.errors.size(), outcome.errors.size() == 1 ? "" : "s");
      code = 1;
      continue;
    }
    std::printf("%s: ok, a %s with %zu rules in %zu groups\n", file.c_str(), outcome.kind.c_str(), outcome.rules,
                outcome.groups);
  }
  return code;
}

int ConfigDocsCommand(const std::string& output) {
  return WriteDocument(config::GenerateConfigurationMarkdown(plugin::Plugins()), output);
}

int FunctionDocsCommand(const std::string& output) { return WriteDocument(engine::FunctionsMarkdown(), output); }

}  // namespace weir::cli
