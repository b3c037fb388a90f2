#include "core/base/shared_library.h"

#include <dlfcn.h>

namespace weir {

SharedLibrary::SharedLibrary(const char* name) : name_(name), handle_(::dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) {
    const char* why = ::dlerror();
    status_ = NotFoundError(why != nullptr ? why : name_ + ": cannot be opened");
  }
}

void* SharedLibrary::Symbol(const char* name) {
  void* symbol = handle_ == nullptr ? nullptr : ::dlsym(handle_, name);
  if (symbol == nullptr && status_.ok()) {
    status_ = NotFoundError(name_ + ": has no function " + name);
  }
  return symbol;
}

}  // namespace weir
