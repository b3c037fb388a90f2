#include "core/base/files.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace weir {
namespace {

std::string ErrnoText() { return std::generic_category().message(errno); }

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

bool WriteAll(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return false;
    }
    content.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const FileDescriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) {
    ::fsync(fd.get());
  }
}

}  // namespace

Result<std::string> ReadFile(const std::string& path, uint64_t bytes_max) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) {
    const std::string message = "read " + path + ": " + ErrnoText();
    return errno == ENOENT ? NotFoundError(message) : UnavailableError(message);
  }
  std::string content;
  char chunk[65536];
  while (true) {
    const ssize_t n = ::read(fd.get(), chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return UnavailableError("read " + path + ": " + ErrnoText());
    }
    if (n == 0) {
      return content;
    }
    if (content.size() + static_cast<size_t>(n) > bytes_max) {
      return LimitError("read " + path + ": larger than " + std::to_string(bytes_max) + " bytes");
    }
    content.append(chunk, static_cast<size_t>(n));
  }
}

Status WriteFileAtomically(const std::string& path, std::string_view content) {
  const std::string neighbour = path + ".new";
  const FileDescriptor fd(::open(neighbour.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (fd.get() < 0) {
    return UnavailableError("write " + neighbour + ": " + ErrnoText());
  }
  if (!WriteAll(fd.get(), content) || ::fsync(fd.get()) != 0) {
    const std::string why = ErrnoText();
    ::unlink(neighbour.c_str());
    return UnavailableError("write " + neighbour + ": " + why);
  }
  if (::rename(neighbour.c_str(), path.c_str()) != 0) {
    const std::string why = ErrnoText();
    ::unlink(neighbour.c_str());
    return UnavailableError("rename " + neighbour + " to " + path + ": " + why);
  }
  SyncDirectoryOf(path);
  return Status();
}

std::vector<std::string> ExpandPattern(const std::string& pattern) {
  std::vector<std::string> paths;
  glob_t found{};
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      paths.emplace_back(found.gl_pathv[i]);
    }
  }
  ::globfree(&found);
  return paths;
}

}  // namespace weir
