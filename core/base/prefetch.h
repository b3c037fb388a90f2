#pragma once
// Asks for a cache line ahead of its use. The empty statement keeps a function whose only effect is prefetching from being
// taken for one without effect, whose calls the compiler drops.

namespace weir {

[[gnu::always_inline]] inline void PrefetchForRead(const void* address) {
  __builtin_prefetch(address, 0);
  asm volatile("");
}

[[gnu::always_inline]] inline void PrefetchForWrite(const void* address) {
  __builtin_prefetch(address, 1);
  asm volatile("");
}

}  // namespace weir
