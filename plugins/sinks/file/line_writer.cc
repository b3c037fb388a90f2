#include "plugins/sinks/file/line_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace weir::file {
namespace {

Status Failed(const std::string& what, const std::string& path) {
  return UnavailableError(what + " " + path + ": " + strerror(errno));
}

}  // namespace

LineWriter::~LineWriter() { Close(); }

void LineWriter::Close() {
  if (descriptor_ >= 0) {
    close(descriptor_);
    descriptor_ = -1;
  }
}

Status LineWriter::Open() {
  Close();
  descriptor_ = open(options_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  struct stat about {};
  if (descriptor_ < 0 || fstat(descriptor_, &about) != 0) {
    return Failed("open", options_.path);
  }
  regular_ = S_ISREG(about.st_mode);
  size_ = static_cast<uint64_t>(about.st_size);
  return Status();
}

Status LineWriter::Rotate() {
  for (int i = options_.rotate_keep; i >= 1; --i) {
    const std::string from = i == 1 ? options_.path : options_.path + "." + std::to_string(i - 1);
    const std::string to = options_.path + "." + std::to_string(i);
    if (rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
      return Failed("rotate", from);
    }
  }
  if (options_.rotate_keep == 0 && unlink(options_.path.c_str()) != 0 && errno != ENOENT) {
    return Failed("rotate", options_.path);
  }
  return Open();
}

Status LineWriter::Append(std::string_view lines) {
  if (descriptor_ < 0) {
    WEIR_RETURN_IF_ERROR(Open());
  }
  if (regular_ && options_.rotate_bytes > 0 && size_ > 0 && size_ + lines.size() > options_.rotate_bytes) {
    WEIR_RETURN_IF_ERROR(Rotate());
  }
  size_t written = 0;
  while (written < lines.size()) {
    const ssize_t n = write(descriptor_, lines.data() + written, lines.size() - written);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      Status failed = Failed("write", options_.path);
      if (regular_ && written > 0 && ftruncate(descriptor_, static_cast<off_t>(size_)) != 0) {
        return Failed("take back a partial line of", options_.path);
      }
      return failed;
    }
    written += static_cast<size_t>(n);
  }
  size_ += lines.size();
  return Status();
}

}  // namespace weir::file
