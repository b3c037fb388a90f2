#pragma once
// Appends whole lines to a file: a write that fails halfway (disk full) is taken back, so that a reader never sees a
// part of a line and a retry writes none twice. Rotates by size: path.1 is the newest old file. Confined to one
// thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace weir::file {

struct LineWriterOptions {
  std::string path;
  uint64_t rotate_bytes = 0;  // 0: never
  int rotate_keep = 5;        // old files
};

class LineWriter {
 public:
  explicit LineWriter(LineWriterOptions options) : options_(std::move(options)) {}
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Opens for appending, readable by its owner only when new. ERRORS: kUnavailable, names path and cause.
  Status Open();
  // Appends `lines`, all or nothing. ERRORS: kUnavailable; try again later.
  Status Append(std::string_view lines);

 private:
  Status Rotate();
  void Close();

  LineWriterOptions options_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  bool regular_ = false;  // a pipe or device cannot be cut or rotated
};

}  // namespace weir::file
