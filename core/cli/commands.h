#pragma once
// The subcommands of the weir program. Each returns the process's exit status and writes to standard output and error.

#include <string>
#include <vector>

namespace weir::cli {

struct RunOptions {
  std::string config = "weir.yml";
  std::string listen;                 // over the file's
  std::vector<std::string> features;  // besides the file's
  std::string log_level = "info";
};
// 0 after an orderly end, 1 when something could not start, 2 for a bad configuration (nothing has listened then).
int RunCommand(const RunOptions& options);

// 0 when all files are fine, 1 otherwise.
int CheckCommand(const std::vector<std::string>& files);

struct ExplainOptions {
  std::string subject;  // a file or an expression
  std::string rule;
  std::string scrape_interval = "15s";
  std::string interval = "1m";
};
// 0, or 1 when the subject is neither a good file nor a good expression, or has no such rule.
int ExplainCommand(const ExplainOptions& options);

struct TestOptions {
  std::vector<std::string> paths;
  bool one_by_one = false;
  bool show_unsupported = false;
};
// 0 when no eval failed, 1 otherwise.
int TestCommand(const TestOptions& options);

int ConfigDocsCommand(const std::string& output);
int FunctionDocsCommand(const std::string& output);

std::string VersionText();  // of `weir --version`
std::string VersionNumber();
std::string Commit();
std::string Compiler();

}  // namespace weir::cli
