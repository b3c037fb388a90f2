#pragma once
// The status line of `weir run`: on a terminal the last row shows samples/s, series, rules, tick time and alerts while log lines
// scroll above it; without a terminal one log line a minute says the same. Main thread only.

#include <cstdint>

#include "core/runtime/runtime.h"

namespace weir::cli {

class StatusLine {
 public:
  // Looks whether standard error is a terminal.
  StatusLine();
  // Gives the last row back.
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  // Shows `figures` when it is time. UNITS: now_ns of a monotonic clock.
  void Update(const runtime::Figures& figures, int64_t now_ns);

 private:
  void Draw(const runtime::Figures& figures, double samples_per_second);

  const bool terminal_;
  int rows_ = 0;  // for which the last row was set apart
  int64_t shown_ns_ = 0;
  uint64_t shown_samples_ = 0;
  bool shown_ = false;
};

}  // namespace weir::cli
