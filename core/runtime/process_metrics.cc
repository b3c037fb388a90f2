#include "core/runtime/process_metrics.h"

#include <malloc.h>
#include <sys/resource.h>

#include <cstdint>

#include "core/base/process_memory.h"

namespace weir::runtime {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

void AddProcessMetrics(MetricRegistry& registry, int64_t start_ms) {
  registry.GetGauge("process_start_time_seconds", "When the process started.")
      .Set(static_cast<double>(start_ms) / 1000);
  Gauge& cpu = registry.GetTotal("process_cpu_seconds_total", "User and system time of the process.");
  Gauge& resident = registry.GetGauge("process_resident_memory_bytes", "Resident memory of the process.");
  Gauge& virtual_bytes = registry.GetGauge("process_virtual_memory_bytes", "Virtual memory of the process.");
  Gauge& code = registry.GetGauge("weir_code_bytes", "Resident memory of the program and its libraries.");
  Gauge& heap_free = registry.GetGauge("weir_heap_free_bytes", "Heap that is free for the next allocation.");
  registry.OnCollect([&cpu, &resident, &virtual_bytes, &code, &heap_free] {
    rusage usage{};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
      cpu.Set(Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
    }
    const ProcessMemory memory = ReadProcessMemory();
    if (memory.resident_bytes > 0) {
      resident.Set(static_cast<double>(memory.resident_bytes));
      virtual_bytes.Set(static_cast<double>(memory.virtual_bytes));
      code.Set(static_cast<double>(memory.file_backed_bytes));
    }
    heap_free.Set(static_cast<double>(mallinfo2().fordblks));
  });
}

}  // namespace weir::runtime
