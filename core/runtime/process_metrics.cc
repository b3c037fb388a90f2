#include "core/runtime/process_metrics.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace weir::runtime {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// Sets total, resident and file-backed resident pages. RETURNS: false where there is no /proc.
bool ReadPages(uint64_t* total, uint64_t* resident, uint64_t* of_files) {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) {
    return false;
  }
  char line[128];
  const bool read = std::fgets(line, sizeof(line), file) != nullptr;
  std::fclose(file);
  if (!read) {
    return false;
  }
  const char* at = line;
  const char* end = line + std::strlen(line);
  for (uint64_t* pages : {total, resident, of_files}) {
    const auto read = std::from_chars(at, end, *pages);
    if (read.ec != std::errc() || read.ptr == end) {
      return false;
    }
    at = read.ptr + 1;
  }
  return true;
}

}  // namespace

uint64_t ResidentBytes() {
  uint64_t total = 0;
  uint64_t resident = 0;
  uint64_t of_files = 0;
  return ReadPages(&total, &resident, &of_files) ? resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

void AddProcessMetrics(MetricRegistry& registry, int64_t start_ms) {
  registry.GetGauge("process_start_time_seconds", "When the process started.")
      .Set(static_cast<double>(start_ms) / 1000);
  Gauge& cpu = registry.GetGauge("process_cpu_seconds_total", "User and system time of the process.");
  Gauge& resident = registry.GetGauge("process_resident_memory_bytes", "Resident memory of the process.");
  Gauge& virtual_bytes = registry.GetGauge("process_virtual_memory_bytes", "Virtual memory of the process.");
  Gauge& code = registry.GetGauge("weir_code_bytes", "Resident memory of the program and its libraries.");
  Gauge& heap_free = registry.GetGauge("weir_heap_free_bytes", "Heap that is free for the next allocation.");
  registry.OnCollect([&cpu, &resident, &virtual_bytes, &code, &heap_free] {
    rusage usage{};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
      cpu.Set(Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
    }
    uint64_t total_pages = 0;
    uint64_t resident_pages = 0;
    uint64_t code_pages = 0;
    if (ReadPages(&total_pages, &resident_pages, &code_pages)) {
      const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
      resident.Set(static_cast<double>(resident_pages) * page);
      virtual_bytes.Set(static_cast<double>(total_pages) * page);
      code.Set(static_cast<double>(code_pages) * page);
    }
    heap_free.Set(static_cast<double>(mallinfo2().fordblks));
  });
}

}  // namespace weir::runtime
