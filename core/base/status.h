#pragma once
// Status and Result<T>: how every room reports failure. A Status is ok (one null pointer) or carries a
// code that says whose fault it is and whether a retry helps, and a message for people. Messages about a
// user's file start with file:line:col; the offending value stands last. No exceptions cross a room's door.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weir {

enum class Code : unsigned char {
  kOk,
  kInvalid,      // the user or caller is wrong; retrying does not help
  kNotFound,     // what was named does not exist
  kUnavailable,  // a peer or resource is not there now; retry
  kTimeout,      // took too long; retry
  kLimit,        // one of our own bounds was reached
  kCorrupt,      // bytes that should be ours are damaged
  kUnsupported,  // valid, but this build of weir does not evaluate it
  kInternal,     // our bug
};

std::string_view CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(Code code, std::string message);
  Status(const Status& other);
  Status& operator=(const Status& other);
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;
  ~Status() = default;

  bool ok() const { return state_ == nullptr; }
  Code code() const { return state_ ? state_->code : Code::kOk; }
  std::string_view message() const { return state_ ? std::string_view(state_->message) : std::string_view(); }
  // RETURNS: true for kUnavailable and kTimeout.
  bool IsRetryable() const;
  // RETURNS: the same status with `prefix` put in front of its message; ok stays ok.
  Status WithPrefix(std::string_view prefix) const;

 private:
  struct State {
    Code code;
    std::string message;
  };
  std::unique_ptr<State> state_;
};

Status InvalidError(std::string message);
Status NotFoundError(std::string message);
Status UnavailableError(std::string message);
Status LimitError(std::string message);
Status UnsupportedError(std::string message);
Status InternalError(std::string message);

// A value or the reason why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  // REQUIRES: ok().
  T& value() { return *value_; }
  const T& value() const { return *value_; }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

[[noreturn]] void AssertFailed(const char* file, int line, const char* expression);

}  // namespace weir

#define WEIR_CONCAT_(a, b) a##b
#define WEIR_CONCAT(a, b) WEIR_CONCAT_(a, b)
// Leaves the function with the status unless it is ok.
#define WEIR_RETURN_IF_ERROR(expression)        \
  do {                                          \
    ::weir::Status weir_status_ = (expression); \
    if (!weir_status_.ok())                     \
      return weir_status_;                      \
  } while (false)
// Declares `declaration` from a Result's value, or leaves the function with its status.
#define WEIR_ASSIGN_OR_RETURN(declaration, expression)     \
  auto WEIR_CONCAT(weir_result_, __LINE__) = (expression); \
  if (!WEIR_CONCAT(weir_result_, __LINE__).ok())           \
    return WEIR_CONCAT(weir_result_, __LINE__).status();   \
  declaration = std::move(*WEIR_CONCAT(weir_result_, __LINE__))
// Stays on in release builds: a broken invariant stops the process rather than giving wrong values.
#define WEIR_ASSERT(expression) ((expression) ? void(0) : ::weir::AssertFailed(__FILE__, __LINE__, #expression))
