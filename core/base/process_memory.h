#pragma once
// The memory of this process as the kernel counts it, and the bound at which the kernel would kill it. Thread-safe.

#include <cstdint>
#include <string>

namespace weir {

// UNITS: bytes. All 0 where there is no /proc.
struct ProcessMemory {
  uint64_t virtual_bytes = 0;
  uint64_t resident_bytes = 0;
  uint64_t file_backed_bytes = 0;  // of the resident ones: the program and its libraries
};
ProcessMemory ReadProcessMemory();
// RETURNS: resident memory in bytes, 0 where it cannot be read. Costs some microseconds.
uint64_t ResidentBytes();
// From here on blocks of a quarter of a megabyte and more, such as decoded bodies of requests, are mapped by themselves and go back to
// the kernel when they are freed; the heaps of the threads that have taken some would keep them.
void MapLargeBlocks();
// Gives pages that the heap holds without need back to the kernel; what is free between blocks in use is among them. Walks the
// whole heap: milliseconds for some hundred megabytes.
void ReturnFreeMemory();
// RETURNS: the smallest memory limit of the control groups (version 1 or 2) that this process is in, in bytes; 0: none is set.
// `root`: where /proc and /sys are found, for tests.
uint64_t ContainerMemoryMax(const std::string& root = "");

}  // namespace weir
