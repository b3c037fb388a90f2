#pragma once
// The kept-sample ring of one series: 16-byte records in time order, the only per-sample state that survives a sample.
// All windows and offsets on the series read this ring at different places. What is kept is the profile's choice:
// every sample, or (thinned) per pane between two cuts the first and the last one or two, which is all that the rate
// family, counts and instant selectors need at a cut to be exact. Records are addressed by index (0 = oldest) and by
// absolute number, which does not change when older ones leave. One thread. Cost: 32 bytes and what is kept.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/base/cell_pool.h"
#include "core/base/prefetch.h"
#include "core/base/status.h"

namespace weir::window {

enum class RecordKind : uint32_t { kFloat = 0, kStale = 1, kHistogram = 2 };

struct Record {
  double v = 0;        // of kHistogram: the bits are its place in the series' list of histograms
  uint32_t dt_ms = 0;  // after the ring's base time
  uint32_t ordinal_and_kind =
      0;  // 29 bits: samples seen before this one (stale markers do not count); pinned; 2 bits: kind

  RecordKind kind() const { return static_cast<RecordKind>(ordinal_and_kind >> 30); }
  uint32_t ordinal() const { return ordinal_and_kind & kOrdinalMask; }
  // Thinning leaves it: something about histograms changes between it and a neighbour.
  bool pinned() const { return (ordinal_and_kind & kPinned) != 0; }
  static constexpr uint32_t kOrdinalMask = (1U << 29) - 1;
  static constexpr uint32_t kPinned = 1U << 29;
};
static_assert(sizeof(Record) == 16);

// The records that rings have room for: a few more each time, then an eighth more, as fits the runs of a pool. What is longer than
// the last comes from the heap.
inline constexpr auto kRingCapacities = [] {
  constexpr uint32_t kRun = CellPool::kRunBytes / sizeof(Record);
  std::array<uint32_t, 34> capacities{};
  uint32_t last = 0;
  for (uint32_t& capacity : capacities) {
    last += last < 16 ? 2 : last / 8;
    last = last < 32 ? last : kRun / (kRun / last);
    capacity = last;
  }
  return capacities;
}();
static_assert(kRingCapacities.back() == 512);
// The size classes of a pool for rings.
inline constexpr auto kRingCellBytes = [] {
  std::array<uint32_t, kRingCapacities.size()> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = kRingCapacities[i] * sizeof(Record);
  }
  return bytes;
}();

class Ring {
 public:
  Ring() = default;
  ~Ring() { Release(); }
  Ring(Ring&& other) noexcept { Swap(other); }
  Ring& operator=(Ring&& other) noexcept {
    Swap(other);
    return *this;
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // REQUIRES: i < size().
  const Record& At(uint32_t i) const {
    uint32_t p = head_ + i;
    return data_[p >= capacity_ ? p - capacity_ : p];
  }
  int64_t Time(uint32_t i) const { return base_ms_ + At(i).dt_ms; }
  double Value(uint32_t i) const { return At(i).v; }
  // RETURNS: the absolute number of record 0.
  uint32_t first_number() const { return first_number_; }
  size_t HeapBytes() const { return size_t{capacity_} * sizeof(Record); }
  // RETURNS: whether the next Push has to make room.
  bool full() const { return size_ == capacity_; }
  uint32_t flags() const { return flags_; }
  void SetFlags(uint32_t flags) { flags_ = flags & 0xf; }

  // REQUIRES: t_ms is after the newest record. `cells`: of a pool with kRingCellBytes; null: the heap.
  void Push(int64_t t_ms, double v, uint32_t ordinal, RecordKind kind, CellPool::Lane* cells) {
    if (size_ == 0) {
      base_ms_ = t_ms;
    }
    if (t_ms - base_ms_ > UINT32_MAX) {
      Rebase(t_ms);
    }
    if (size_ == capacity_) {
      Grow(cells);
    }
    uint32_t p = head_ + size_;
    p = p >= capacity_ ? p - capacity_ : p;
    data_[p] = {v, static_cast<uint32_t>(t_ms - base_ms_),
                (ordinal & Record::kOrdinalMask) | (static_cast<uint32_t>(kind) << 30)};
    ++size_;
  }
  void PopOldest() {
    if (++head_ == capacity_) {
      head_ = 0;
    }
    --size_;
    ++first_number_;
  }
  void PopNewest() { --size_; }
  // REQUIRES: i < size().
  void Pin(uint32_t i) { Mutable(i).ordinal_and_kind |= Record::kPinned; }
  // Removes the record `from_end` places before the newest one (1 = the one before it); the later ones move up.
  void RemoveFromEnd(uint32_t from_end) {
    for (uint32_t i = size_ - 1 - from_end; i + 1 < size_; ++i) {
      Mutable(i) = At(i + 1);
    }
    --size_;
  }

  // RETURNS: index of the newest record at or before t_ms, or -1. Looks from the newest end: right edges are near it.
  int64_t LastAtOrBefore(int64_t t_ms) const {
    int64_t i = static_cast<int64_t>(size_) - 1;
    for (int step = 0; i >= 0 && step < 8; ++step, --i) {
      if (Time(static_cast<uint32_t>(i)) <= t_ms) {
        return i;
      }
    }
    int64_t low = i;
    for (int64_t step = 8; low >= 0 && Time(static_cast<uint32_t>(low)) > t_ms; step *= 2) {
      i = low - 1;
      low -= step;
    }
    low = std::max<int64_t>(low, -1);
    while (low < i) {  // the answer lies in [low, i]
      int64_t middle = (low + i + 1) / 2;
      if (Time(static_cast<uint32_t>(middle)) <= t_ms) {
        low = middle;
      } else {
        i = middle - 1;
      }
    }
    return low;
  }
  // RETURNS: index of the oldest record after t_ms, or size().
  uint32_t FirstAfter(int64_t t_ms) const {
    uint32_t low = 0;
    uint32_t high = size_;
    while (low < high) {
      uint32_t middle = (low + high) / 2;
      if (Time(middle) <= t_ms) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
  // As FirstAfter, for an answer that is not before `from` and likely near it.
  uint32_t FirstAfter(int64_t t_ms, uint32_t from) const {
    uint32_t low = from;
    uint32_t high = from;
    for (uint32_t step = 1; high < size_ && Time(high) <= t_ms; step *= 2) {
      low = high + 1;
      high = size_ - high > step ? high + step : size_;
    }
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (Time(middle) <= t_ms) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
  // As FirstAfter, starting at a cursor (absolute number) left by an earlier, not later, call: one step a tick.
  uint32_t FirstAfter(int64_t t_ms, uint32_t* cursor) const {
    uint32_t i = *cursor - first_number_;
    if (i > size_ || (i > 0 && Time(i - 1) > t_ms)) {
      i = FirstAfter(t_ms);
    } else {
      while (i < size_ && Time(i) <= t_ms) {
        ++i;
      }
    }
    *cursor = first_number_ + i;
    return i;
  }

  // Asks for the cache line that the next Push looks at and writes.
  void PrefetchNewest() const {
    if (size_ > 0) {
      const Record* newest = &At(size_ - 1);
      PrefetchForWrite(newest);
      PrefetchForWrite(newest + 1);
    }
  }
  // Asks for the cache lines of the record a cursor stands at and of the newest one.
  void Prefetch(uint32_t cursor) const {
    const uint32_t i = cursor - first_number_;
    if (i < size_) {
      PrefetchForRead(&At(i));
      PrefetchForRead(&At(size_ - 1));
    }
  }

  // Makes room for an eighth more records.
  void Grow(CellPool::Lane* cells) { Move(capacity_ + (capacity_ < 16 ? 1 : capacity_ / 8), cells); }
  // Gives room back that is not used any more, if it is most of it.
  void ShrinkIfSparse(CellPool::Lane* cells) {
    if (capacity_ > 16 && size_ < capacity_ / 2) {
      Move(size_ + size_ / 8 + 2, cells);
    }
  }
  // Keeps the records for which keep(index) is true; the others leave, and numbers are counted from the oldest one as before.
  template <typename Keep>
  void Filter(Keep keep) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < size_; ++i) {
      if (keep(i)) {
        if (kept != i) {
          Mutable(kept) = At(i);
        }
        ++kept;
      }
    }
    size_ = kept;
  }

  void Clear() {
    Release();
    data_ = nullptr;
    capacity_ = head_ = size_ = 0;
    pooled_ = 0;
  }

 private:
  Record& Mutable(uint32_t i) {
    uint32_t p = head_ + i;
    return data_[p >= capacity_ ? p - capacity_ : p];
  }
  void Swap(Ring& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(base_ms_, other.base_ms_);
    const uint32_t capacity = capacity_;
    const uint32_t pooled = pooled_;
    const uint32_t flags = flags_;
    capacity_ = other.capacity_;
    pooled_ = other.pooled_;
    flags_ = other.flags_;
    other.capacity_ = capacity;
    other.pooled_ = pooled;
    other.flags_ = flags;
    std::swap(head_, other.head_);
    std::swap(size_, other.size_);
    std::swap(first_number_, other.first_number_);
  }
  // data_ is not valid after it.
  void Release() {
    if (pooled_ != 0) {
      CellPool::Give(data_);
    } else {
      std::free(data_);
    }
  }
  // Room for `capacity` records or some more.
  void Move(uint32_t capacity, CellPool::Lane* cells) {
    const auto size = std::lower_bound(kRingCapacities.begin(), kRingCapacities.end(), capacity);
    const bool pooled = cells != nullptr && size != kRingCapacities.end();
    capacity = size != kRingCapacities.end() ? *size : capacity;
    WEIR_ASSERT(capacity < 1U << 27);
    auto* data = static_cast<Record*>(pooled ? cells->Take(static_cast<uint32_t>(size - kRingCapacities.begin()))
                                             : std::malloc(capacity * sizeof(Record)));
    WEIR_ASSERT(data != nullptr);
    uint32_t front = size_ < capacity_ - head_ ? size_ : capacity_ - head_;
    if (size_ > 0) {
      std::memcpy(static_cast<void*>(data), data_ + head_, front * sizeof(Record));
      std::memcpy(static_cast<void*>(data + front), data_, (size_ - front) * sizeof(Record));
    }
    Release();
    data_ = data;
    capacity_ = capacity;
    pooled_ = pooled ? 1 : 0;
    head_ = 0;
  }
  // Moves the base so that t_ms fits. Records further than 2^32 ms (49 days) before t_ms are dropped: no window is longer.
  void Rebase(int64_t t_ms) {
    while (size_ > 0 && t_ms - Time(0) > UINT32_MAX) {
      PopOldest();
    }
    int64_t base = size_ > 0 ? Time(0) : t_ms;
    auto shift = static_cast<uint64_t>(base - base_ms_);
    for (uint32_t i = 0; i < size_; ++i) {
      Mutable(i).dt_ms -= static_cast<uint32_t>(shift);
    }
    base_ms_ = base;
  }

  Record* data_ = nullptr;
  int64_t base_ms_ = 0;
  uint32_t capacity_ : 27 = 0;
  uint32_t pooled_ : 1 = 0;  // data_ is a cell of a pool
  uint32_t flags_ : 4 = 0;
  uint32_t head_ = 0;
  uint32_t size_ = 0;
  uint32_t first_number_ = 0;
};
static_assert(sizeof(Ring) == 32);

}  // namespace weir::window
