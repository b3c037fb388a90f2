#include "core/base/state_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

namespace weir {
namespace {

constexpr char kLockName[] = "weir.lock";
constexpr std::string_view kPrefix = "tape-";
constexpr std::string_view kSuffix = ".rows";

std::string ErrnoText() { return std::generic_category().message(errno); }

// RETURNS: whether NewFile makes such names: the prefix, a number, the suffix.
bool IsOurs(std::string_view name) {
  if (name.size() <= kPrefix.size() + kSuffix.size() || !name.starts_with(kPrefix) || !name.ends_with(kSuffix)) {
    return false;
  }
  const std::string_view number = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  return std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

ScratchFile::~ScratchFile() {
  ::unlink(path_.c_str());
  ::close(fd_);
}

Status ScratchFile::Write(uint64_t offset, const void* data, size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::pwrite(fd_, from, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return UnavailableError("write " + path_ + ": " + ErrnoText());
    }
    from += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<size_t>(n);
  }
  return {};
}

Status ScratchFile::Read(uint64_t offset, void* data, size_t bytes) const {
  char* to = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::pread(fd_, to, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return UnavailableError("read " + path_ + ": " + ErrnoText());
    }
    if (n == 0) {
      return {Code::kCorrupt, "read " + path_ + ": ends at or before byte " + std::to_string(offset) +
                                  ", was made with " + std::to_string(bytes_)};
    }
    to += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<size_t>(n);
  }
  return {};
}

void ScratchFile::WillRead(uint64_t offset, uint64_t bytes) const {
  ::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
}

Status ScratchFile::CheckWhole() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) {
    return UnavailableError("stat " + path_ + ": " + ErrnoText());
  }
  if (static_cast<uint64_t>(info.st_size) != bytes_) {
    return {Code::kCorrupt, path_ + " has " + std::to_string(info.st_size) + " bytes, was made with " +
                                std::to_string(bytes_) + ": only weir may write to it"};
  }
  return {};
}

uint64_t ScratchFile::DiskBytes() const {
  constexpr uint64_t kUnit = 512;
  struct stat info {};
  return ::fstat(fd_, &info) == 0 ? static_cast<uint64_t>(info.st_blocks) * kUnit : 0;
}

bool ScratchFile::GiveBackEnd(uint64_t bytes) {
  bytes_ -= std::min(bytes, bytes_);
  return ::ftruncate(fd_, static_cast<off_t>(bytes_)) == 0 && bytes_ > 0;
}

Result<std::shared_ptr<StateDirectory>> StateDirectory::Open(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return UnavailableError("state directory " + path + ": cannot be made: " + ErrnoText());
  }
  const std::string lock_path = path + "/" + kLockName;
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) {
    return UnavailableError("state directory " + path + ": cannot be written to: " + ErrnoText());
  }
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    const int why = errno;
    ::close(lock);
    return UnavailableError("state directory " + path + ": " +
                            (why == EWOULDBLOCK ? "another weir is using it; give each its own"
                                                : "cannot be locked: " + std::generic_category().message(why)));
  }
  auto directory = std::shared_ptr<StateDirectory>(new StateDirectory(path, lock));
  directory->RemoveLeftovers();
  return directory;
}

StateDirectory::~StateDirectory() { ::close(lock_); }

void StateDirectory::RemoveLeftovers() const {
  DIR* entries = ::opendir(path_.c_str());
  if (entries == nullptr) {
    return;
  }
  while (const dirent* entry = ::readdir(entries)) {
    if (IsOurs(entry->d_name)) {
      ::unlinkat(::dirfd(entries), entry->d_name, 0);
    }
  }
  ::closedir(entries);
}

Result<std::unique_ptr<ScratchFile>> StateDirectory::NewFile(uint64_t bytes) {
  const std::string path =
      path_ + "/" + std::string(kPrefix) + std::to_string(next_.fetch_add(1)) + std::string(kSuffix);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) {
    return UnavailableError("make " + path + ": " + ErrnoText());
  }
  auto file = std::make_unique<ScratchFile>(path, fd, bytes);
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    return UnavailableError("make " + path + ": " + ErrnoText());
  }
  return file;
}

}  // namespace weir
