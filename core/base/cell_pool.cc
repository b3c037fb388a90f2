#include "core/base/cell_pool.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "core/base/status.h"

namespace weir {
namespace {

constexpr size_t kRegionBytes = 1 << 20;  // and its alignment: a cell's address tells its region
constexpr size_t kHeaderBytes = 4096;
constexpr size_t kRunsPerRegion = (kRegionBytes - kHeaderBytes) / CellPool::kRunBytes;
// Free runs that stay at hand: this many, and a share of those in use.
constexpr size_t kRunsKept = 4;
constexpr size_t kKeptShare = 64;
// Cells of a lane that come from the common one, as all do while the pool is small: runs of its own would be mostly empty.
constexpr uint32_t kCommonCells = 256;
constexpr size_t kSmallPoolBytes = 1 << 20;

}  // namespace

struct CellPool::Cell {
  Cell* next;
};

struct CellPool::Run {
  Run* next;
  Run* previous;
  Cell* free;           // cells that came back
  Lane* lane;           // whose cells these are
  uint32_t size_class;  // of them
  uint32_t used;        // cells
  uint32_t made;        // cells that were ever taken since the run got its size
  uint32_t touched;     // bytes from the start that have pages
};

struct CellPool::Region {
  CellPool* pool;
  Run runs[kRunsPerRegion];

  static Region* Of(void* cell) {
    return reinterpret_cast<Region*>(reinterpret_cast<uintptr_t>(cell) & ~(uintptr_t{kRegionBytes} - 1));
  }
  static char* FirstCell(Run* run) {
    auto* region = Of(run);
    return reinterpret_cast<char*>(region) + kHeaderBytes + static_cast<size_t>(run - region->runs) * kRunBytes;
  }
  Run* RunOf(void* cell) {
    const auto offset = static_cast<size_t>(static_cast<char*>(cell) - reinterpret_cast<char*>(this));
    return &runs[(offset - kHeaderBytes) / kRunBytes];
  }
};

CellPool::CellPool(std::span<const uint32_t> cell_bytes) : common_(this) {
  static_assert(sizeof(Region) <= kHeaderBytes);
  for (const uint32_t bytes : cell_bytes) {
    WEIR_ASSERT(bytes % 16 == 0 && bytes >= 16 && bytes <= kRunBytes);
    classes_.push_back({bytes, static_cast<uint32_t>(kRunBytes / bytes)});
  }
}

CellPool::~CellPool() {
  for (Region* region : regions_) {
    ASAN_UNPOISON_MEMORY_REGION(region, kRegionBytes);
    ::munmap(region, kRegionBytes);
  }
}

CellPool::Lane* CellPool::AddLane() {
  lanes_.push_back(std::unique_ptr<Lane>(new Lane(this)));
  return lanes_.back().get();
}

void* CellPool::Take(Lane* lane, uint32_t size_class) {
  if (lane->taken_ < kCommonCells || used_bytes_ < kSmallPoolBytes) {
    ++lane->taken_;
    lane = &common_;
  }
  lane->open_.resize(classes_.size());
  const SizeClass& of = classes_[size_class];
  Run** open = &lane->open_[size_class];
  if (*open == nullptr) {
    Run* fresh = TakeRun();
    fresh->lane = lane;
    fresh->size_class = size_class;
    Link(open, fresh);
  }
  Run* run = *open;
  Cell* cell = run->free;
  if (cell != nullptr) {
    ASAN_UNPOISON_MEMORY_REGION(cell, of.bytes);
    run->free = cell->next;
  } else {
    cell = reinterpret_cast<Cell*>(Region::FirstCell(run) + size_t{run->made} * of.bytes);
    ASAN_UNPOISON_MEMORY_REGION(cell, of.bytes);
    ++run->made;
    if (const uint32_t touched = run->made * of.bytes; touched > run->touched) {
      held_bytes_ += touched - run->touched;
      run->touched = touched;
    }
  }
  if (++run->used == of.cells) {
    Unlink(open, run);
  }
  used_bytes_ += of.bytes;
  return cell;
}

void CellPool::Give(void* cell) {
  Region* region = Region::Of(cell);
  region->pool->Return(region->RunOf(cell), static_cast<Cell*>(cell));
}

void CellPool::Return(Run* run, Cell* cell) {
  const SizeClass& of = classes_[run->size_class];
  Run** open = &run->lane->open_[run->size_class];
  used_bytes_ -= of.bytes;
  if (run->used == of.cells) {
    Link(open, run);  // first in the list: the fullest run is filled, so that others may drain
  }
  cell->next = run->free;
  run->free = cell;
  ASAN_POISON_MEMORY_REGION(cell, of.bytes);
  if (--run->used == 0) {
    Unlink(open, run);
    KeepOrRelease(run);
  }
}

CellPool::Run* CellPool::TakeRun() {
  if (kept_ == nullptr && released_ == nullptr) {
    AddRegion();
  }
  Run** list = kept_ != nullptr ? &kept_ : &released_;
  runs_kept_ -= kept_ != nullptr ? 1 : 0;
  runs_idle_ = std::min(runs_idle_, runs_kept_);
  ++runs_used_;
  Run* run = *list;
  Unlink(list, run);
  run->free = nullptr;
  run->made = 0;
  return run;
}

void CellPool::KeepOrRelease(Run* run) {
  --runs_used_;
  if (runs_kept_ < kRunsKept + runs_used_ / kKeptShare) {
    ++runs_kept_;
    Link(&kept_, run);
    return;
  }
  Release(run);
}

void CellPool::ReleaseIdle() {
  for (; runs_idle_ > 0; --runs_idle_) {
    Run* run = kept_;
    Unlink(&kept_, run);
    --runs_kept_;
    Release(run);
  }
  runs_idle_ = runs_kept_;
}

void CellPool::Release(Run* run) {
  ::madvise(Region::FirstCell(run), kRunBytes, MADV_DONTNEED);
  held_bytes_ -= run->touched;
  run->touched = 0;
  Link(&released_, run);
}

void CellPool::AddRegion() {
  void* mapped =
      ::mmap(nullptr, 2 * kRegionBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    throw std::bad_alloc();
  }
  auto* start = static_cast<char*>(mapped);
  char* aligned = reinterpret_cast<char*>(Region::Of(start + kRegionBytes - 1));
  if (aligned != start) {
    ::munmap(start, static_cast<size_t>(aligned - start));
  }
  if (char* end = aligned + kRegionBytes; end != start + 2 * kRegionBytes) {
    ::munmap(end, static_cast<size_t>(start + 2 * kRegionBytes - end));
  }
  auto* region = new (aligned) Region{};
  region->pool = this;
  regions_.push_back(region);
  for (size_t i = kRunsPerRegion; i > 0; --i) {
    Run* run = &region->runs[i - 1];
    ASAN_POISON_MEMORY_REGION(Region::FirstCell(run), kRunBytes);
    Link(&released_, run);
  }
}

void CellPool::Link(Run** list, Run* run) {
  run->previous = nullptr;
  run->next = *list;
  if (*list != nullptr) {
    (*list)->previous = run;
  }
  *list = run;
}

void CellPool::Unlink(Run** list, Run* run) {
  (run->previous != nullptr ? run->previous->next : *list) = run->next;
  if (run->next != nullptr) {
    run->next->previous = run->previous;
  }
}

}  // namespace weir
