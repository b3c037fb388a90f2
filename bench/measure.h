#pragma once
// What benchmarks measure themselves by.

#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>

namespace weir::bench {

// RETURNS: a clock of the system, in milliseconds: CLOCK_MONOTONIC, or CPU time of the thread or the process.
inline double ClockMs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// RETURNS: CPU time of the calling thread.
inline double CpuMs() { return ClockMs(CLOCK_THREAD_CPUTIME_ID); }

// RETURNS: resident memory of the process, 0 where the kernel does not say.
inline double ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  file >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// From now on the peak is counted anew, where the kernel allows it.
inline void ResetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

// RETURNS: the most memory that was resident at once, 0 where the kernel does not say.
inline double PeakResidentBytes() {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    if (double kib = 0; word == "VmHWM:" && file >> kib) {
      return kib * 1024;
    }
  }
  return 0;
}

}  // namespace weir::bench
