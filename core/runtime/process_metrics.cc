#include "core/runtime/process_metrics.h"

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

// RETURNS: total and resident pages; false where there is no /proc.
bool ReadPages(uint64_t* total, uint64_t* resident) {
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
  const char* end = line + std::strlen(line);
  const auto first = std::from_chars(line, end, *total);
  if (first.ec != std::errc() || first.ptr == end) {
    return false;
  }
  return std::from_chars(first.ptr + 1, end, *resident).ec == std::errc();
}

}  // namespace

void AddProcessMetrics(MetricRegistry& registry, int64_t start_ms) {
  registry.GetGauge("process_start_time_seconds", "When the process started.")
      .Set(static_cast<double>(start_ms) / 1000);
  Gauge& cpu = registry.GetGauge("process_cpu_seconds_total", "User and system time of the process.");
  Gauge& resident = registry.GetGauge("process_resident_memory_bytes", "Resident memory of the process.");
  Gauge& virtual_bytes = registry.GetGauge("process_virtual_memory_bytes", "Virtual memory of the process.");
  registry.OnCollect([&cpu, &resident, &virtual_bytes] {
    rusage usage{};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
      cpu.Set(Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
    }
    uint64_t total_pages = 0;
    uint64_t resident_pages = 0;
    if (ReadPages(&total_pages, &resident_pages)) {
      const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
      resident.Set(static_cast<double>(resident_pages) * page);
      virtual_bytes.Set(static_cast<double>(total_pages) * page);
    }
  });
}

}  // namespace weir::runtime
