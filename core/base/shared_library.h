#pragma once
// Libraries that few processes need, opened when they are first asked for: a library that is linked costs its relocations, its
// tables and those of all that it needs, in a process that never calls it. One that was opened stays open. Thread-safe, but for
// what Find is given.

#include <string>

#include "core/base/status.h"

namespace weir {

class SharedLibrary {
 public:
  // Opens the library of this name, e.g. "libcurl.so.4". ERRORS: status().
  explicit SharedLibrary(const char* name);
  // ERRORS: kNotFound: the library, or a function that was looked for, is not installed.
  const Status& status() const { return status_; }
  // RETURNS: null when there is none; status() tells of it then.
  template <typename Function>
  Function Find(const char* name) {
    return reinterpret_cast<Function>(Symbol(name));
  }

 private:
  void* Symbol(const char* name);

  std::string name_;
  void* handle_;
  Status status_;
};

}  // namespace weir

// A member of a struct whose member `opened` is a SharedLibrary: the library's function of this name.
#define WEIR_LIBRARY_FUNCTION(name) decltype(&::name) name = opened.Find<decltype(&::name)>(#name)
