#pragma once
// A state directory for a test, removed at the end.

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "core/base/state_directory.h"

namespace weir::test {

class TemporaryState {
 public:
  TemporaryState() {
    std::string path = (std::filesystem::temp_directory_path() / "weir-state-XXXXXX").string();
    WEIR_ASSERT(::mkdtemp(path.data()) != nullptr);
    path_ = path;
    auto opened = StateDirectory::Open(path_);
    WEIR_ASSERT(opened.ok());
    directory_ = *opened;
  }
  ~TemporaryState() {
    directory_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryState(const TemporaryState&) = delete;
  TemporaryState& operator=(const TemporaryState&) = delete;

  const std::string& path() const { return path_; }
  const std::shared_ptr<StateDirectory>& directory() const { return directory_; }

 private:
  std::string path_;
  std::shared_ptr<StateDirectory> directory_;
};

}  // namespace weir::test
