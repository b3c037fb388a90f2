#include "core/runtime/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

namespace weir::runtime {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// RETURNS: total and resident pages; false where there is no /proc.
bool ReadPages(unsigned long long* total, unsigned long long* resident) {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) {
    return false;
  }
  const bool read = std::fscanf(file, "%llu %llu", total, resident) == 2;
  std::fclose(file);
  return read;
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
    unsigned long long total_pages = 0;
    unsigned long long resident_pages = 0;
    if (ReadPages(&total_pages, &resident_pages)) {
      const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
      resident.Set(static_cast<double>(resident_pages) * page);
      virtual_bytes.Set(static_cast<double>(total_pages) * page);
    }
  });
}

}  // namespace weir::runtime
