#include "core/base/status.h"

#include <cstdio>
#include <cstdlib>

namespace weir {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kInvalid:
      return "invalid";
    case Code::kNotFound:
      return "not found";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kTimeout:
      return "timeout";
    case Code::kLimit:
      return "limit";
    case Code::kCorrupt:
      return "corrupt";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kInternal:
      return "internal";
  }
  return "unknown";
}

Status::Status(Code code, std::string message)
    : state_(code == Code::kOk ? nullptr : std::make_unique<State>(State{code, std::move(message)})) {}

Status::Status(const Status& other) : state_(other.state_ ? std::make_unique<State>(*other.state_) : nullptr) {}

Status& Status::operator=(const Status& other) {
  if (this != &other) {
    state_ = other.state_ ? std::make_unique<State>(*other.state_) : nullptr;
  }
  return *this;
}

bool Status::IsRetryable() const { return code() == Code::kUnavailable || code() == Code::kTimeout; }

Status Status::WithPrefix(std::string_view prefix) const {
  if (ok()) {
    return {};
  }
  return {code(), std::string(prefix) + state_->message};
}

Status InvalidError(std::string message) { return {Code::kInvalid, std::move(message)}; }
Status NotFoundError(std::string message) { return {Code::kNotFound, std::move(message)}; }
Status UnavailableError(std::string message) { return {Code::kUnavailable, std::move(message)}; }
Status LimitError(std::string message) { return {Code::kLimit, std::move(message)}; }
Status UnsupportedError(std::string message) { return {Code::kUnsupported, std::move(message)}; }
Status InternalError(std::string message) { return {Code::kInternal, std::move(message)}; }

void AssertFailed(const char* file, int line, const char* expression) {
  std::fprintf(stderr, "weir: internal error: %s:%d: %s does not hold\n", file, line, expression);
  std::abort();
}

}  // namespace weir
