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
int ExplainCommand(const std::string& file, const std::string& name);

struct TestOptions {
  std::vector<std::string> paths;
  bool one_by_one = false;
  bool show_unsupported = false;
};
// 0 when no eval failed, 1 otherwise.
int TestCommand(const TestOptions& options);

int ConfigDocsCommand(const std::string& output);

std::string VersionText();  // of `weir --version`
std::string VersionNumber();
std::string Commit();
std::string Compiler();

}  // namespace weir::cli
