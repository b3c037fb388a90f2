#pragma once
// The directory that one process keeps its working files in. Whoever opens it owns it until it is destroyed: a second
// process is refused. Files made here live as long as their object; what a process that died left behind is removed when
// the next one opens the directory. Only names that this class makes are ever removed. Any thread.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/base/status.h"

namespace weir {

// A file of bytes at offsets. What was never written reads as zeros and takes no room on the disk. One thread. Every error
// names the file and what the system said.
class ScratchFile {
 public:
  ScratchFile(std::string path, int fd, uint64_t bytes) : path_(std::move(path)), fd_(fd), bytes_(bytes) {}
  ~ScratchFile();  // removes the file
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  const std::string& path() const { return path_; }
  Status Write(uint64_t offset, const void* data, size_t bytes);
  // ERRORS: kCorrupt when the file ends before: somebody has cut it.
  Status Read(uint64_t offset, void* data, size_t bytes) const;
  // Asks for these bytes to be brought near; does not wait.
  void WillRead(uint64_t offset, uint64_t bytes) const;
  // ERRORS: kCorrupt when the file is no longer as long as it was made.
  Status CheckWhole() const;
  // RETURNS: what it takes on the disk.
  uint64_t DiskBytes() const;
  // Gives the last `bytes` of the file back, of one that nobody reads any more: the kernel takes its time for a large file, and whoever
  // cannot wait that long gives it back in parts. RETURNS: whether there is more.
  bool GiveBackEnd(uint64_t bytes);

 private:
  std::string path_;
  int fd_;
  uint64_t bytes_;
};

class StateDirectory {
 public:
  // Makes the directory, for its owner alone, if it is not there. ERRORS: kUnavailable when it cannot be made, written to, or
  // belongs to a running process; each names the path.
  static Result<std::shared_ptr<StateDirectory>> Open(const std::string& path);
  ~StateDirectory();
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;

  const std::string& path() const { return path_; }
  // RETURNS: a new file of that many zero bytes; it takes room only where it is written.
  Result<std::unique_ptr<ScratchFile>> NewFile(uint64_t bytes);

 private:
  StateDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  void RemoveLeftovers() const;

  std::string path_;
  int lock_;
  std::atomic<uint64_t> next_{1};
};

}  // namespace weir
