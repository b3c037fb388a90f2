#include "core/base/process_memory.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>

#include "core/base/files.h"

namespace weir {
namespace {

constexpr uint64_t kTextBytesMax = 64 << 10;
// What version 1 shows where nobody set a limit is near 2^63, less a page.
constexpr uint64_t kNoLimit = uint64_t{1} << 60;

// RETURNS: 0 for "max", for what is no limit, and for a file that is not there.
uint64_t ReadLimit(const std::string& path) {
  const Result<std::string> text = ReadFile(path, kTextBytesMax);
  uint64_t bytes = 0;
  if (!text.ok() || std::from_chars(text->data(), text->data() + text->size(), bytes).ec != std::errc()) {
    return 0;
  }
  return bytes < kNoLimit ? bytes : 0;
}

// RETURNS: the smallest limit from the group up to the root of its hierarchy. A container often sees its own group as the root.
uint64_t SmallestLimit(const std::string& hierarchy, std::string group, const char* file) {
  uint64_t smallest = 0;
  while (true) {
    if (group == "/") {
      group.clear();
    }
    const uint64_t limit = ReadLimit(hierarchy + group + "/" + file);
    smallest = limit != 0 && (smallest == 0 || limit < smallest) ? limit : smallest;
    if (group.empty()) {
      return smallest;
    }
    const size_t slash = group.rfind('/');
    group.resize(slash == std::string::npos ? 0 : slash);
  }
}

}  // namespace

ProcessMemory ReadProcessMemory() {
  ProcessMemory memory;
  const Result<std::string> text = ReadFile("/proc/self/statm", kTextBytesMax);
  if (!text.ok()) {
    return memory;
  }
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const char* at = text->data();
  const char* const end = at + text->size();
  for (uint64_t* bytes : {&memory.virtual_bytes, &memory.resident_bytes, &memory.file_backed_bytes}) {
    uint64_t pages = 0;
    const auto read = std::from_chars(at, end, pages);
    if (read.ec != std::errc() || read.ptr == end) {
      return {};
    }
    *bytes = pages * page;
    at = read.ptr + 1;
  }
  return memory;
}

uint64_t ResidentBytes() { return ReadProcessMemory().resident_bytes; }

void MapLargeBlocks() {
  constexpr int kLargeBytes = 256 << 10;
  constexpr int kTrimBytes = 128 << 10;  // of free memory at the end of the heap
  (void)mallopt(M_MMAP_THRESHOLD, kLargeBytes);
  (void)mallopt(M_TRIM_THRESHOLD, kTrimBytes);
}

void ReturnFreeMemory() { malloc_trim(0); }

uint64_t ContainerMemoryMax(const std::string& root) {
  const Result<std::string> text = ReadFile(root + "/proc/self/cgroup", kTextBytesMax);
  if (!text.ok()) {
    return 0;
  }
  uint64_t smallest = 0;
  std::string_view rest = *text;
  while (!rest.empty()) {  // `0::/path` is version 2, `4:memory:/path` version 1
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) {
      continue;
    }
    const std::string controllers = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    const std::string group(line.substr(second + 1));
    uint64_t limit = 0;
    if (controllers == ",,") {
      limit = SmallestLimit(root + "/sys/fs/cgroup", group, "memory.max");
    } else if (controllers.find(",memory,") != std::string::npos) {
      limit = SmallestLimit(root + "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
    }
    smallest = limit != 0 && (smallest == 0 || limit < smallest) ? limit : smallest;
  }
  return smallest;
}

}  // namespace weir
