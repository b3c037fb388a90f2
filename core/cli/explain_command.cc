#include <cstdio>
#include <filesystem>

#include "core/cli/commands.h"
#include "core/model/duration.h"
#include "core/runtime/check.h"

namespace weir::cli {
namespace {

bool ReadInterval(const char* option, const std::string& text, int64_t* ms) {
  const Result<int64_t> read = ParseDurationMs(text);
  if (!read.ok() || *read <= 0) {
    std::fprintf(stderr, "%s: \"%s\" is no duration above 0, want for example 15s or 1m\n", option, text.c_str());
    return false;
  }
  *ms = *read;
  return true;
}

// Whether what is no file was meant to be one.
bool LooksLikePath(const std::string& text) {
  return text.ends_with(".yml") || text.ends_with(".yaml") || text.ends_with(".json");
}

}  // namespace

int ExplainCommand(const ExplainOptions& options) {
  runtime::ExplainRequest request;
  request.rule = options.rule;
  if (!ReadInterval("--scrape-interval", options.scrape_interval, &request.scrape_interval_ms) ||
      !ReadInterval("--interval", options.interval, &request.evaluation_interval_ms)) {
    return 1;
  }
  std::error_code error;
  const bool file = std::filesystem::exists(options.subject, error) || LooksLikePath(options.subject);
  if (!file && !options.rule.empty()) {
    std::fprintf(stderr, "--rule: \"%s\" is no file\n", options.subject.c_str());
    return 1;
  }
  runtime::CheckOutcome outcome;
  const std::string text = file ? runtime::ExplainFile(options.subject, request, &outcome)
                                : runtime::ExplainExpr(options.subject, request, &outcome);
  if (!outcome.ok()) {
    if (!file) {
      std::fputs("not a file, and as an expression:\n", stderr);
    }
    for (const std::string& line : outcome.errors) {
      std::fprintf(stderr, "%s\n", line.c_str());
    }
    return 1;
  }
  if (text.empty()) {
    std::fprintf(stderr, options.rule.empty() ? "%s: no rules\n" : "%s: no rule named \"%s\"\n",
                 options.subject.c_str(), options.rule.c_str());
    return 1;
  }
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace weir::cli
