#pragma once
// Memory for very many small blocks of few sizes that grow together, as the rings of series do. A run of pages holds cells of one
// size only and is free for any other size as soon as its last cell came back, so that what one size has left is not lost between
// the cells of another, as it is in a general heap. Blocks of different kinds have lanes of their own: cells that stay would keep the
// runs of those that go. Runs that nobody wants for long go back to the kernel. One thread at a time.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace weir {

class CellPool {
  struct Run;

 public:
  static constexpr size_t kRunBytes = 32 << 10;

  // Cells that are likely to grow and go together.
  class Lane {
   public:
    // RETURNS: an uninitialised cell, aligned to 16 bytes.
    void* Take(uint32_t size_class) { return pool_->Take(this, size_class); }

   private:
    friend class CellPool;
    explicit Lane(CellPool* pool) : pool_(pool) {}
    CellPool* pool_;
    uint64_t taken_ = 0;      // from the pool's common lane, where the first cells are
    std::vector<Run*> open_;  // by size class: runs with a free cell
  };

  // `cell_bytes`: what each size class has; multiples of 16, at most kRunBytes.
  explicit CellPool(std::span<const uint32_t> cell_bytes);
  // Cells that have not been given back are gone, too.
  ~CellPool();
  CellPool(const CellPool&) = delete;
  CellPool& operator=(const CellPool&) = delete;

  // RETURNS: a new lane, which lives as long as the pool.
  Lane* AddLane();
  // Gives a cell back to the pool it was taken from. THREAD: that pool's.
  static void Give(void* cell);

  // Gives free runs back that were in reserve all the time since the last call.
  void ReleaseIdle();

  // RETURNS: bytes of cells in use, and bytes of all pages that have been written to and are kept.
  size_t used_bytes() const { return used_bytes_; }
  size_t held_bytes() const { return held_bytes_; }

 private:
  struct Cell;
  struct Region;
  struct SizeClass {
    uint32_t bytes;
    uint32_t cells;  // of a run
  };

  void* Take(Lane* lane, uint32_t size_class);
  void Return(Run* run, Cell* cell);
  Run* TakeRun();
  void KeepOrRelease(Run* run);
  void Release(Run* run);
  void AddRegion();
  static void Link(Run** list, Run* run);
  static void Unlink(Run** list, Run* run);

  std::vector<SizeClass> classes_;
  Lane common_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Region*> regions_;
  Run* kept_ = nullptr;      // free runs whose pages are still there
  Run* released_ = nullptr;  // free runs whose pages the kernel has
  size_t runs_kept_ = 0;
  size_t runs_idle_ = 0;  // the least that runs_kept_ was since ReleaseIdle
  size_t runs_used_ = 0;
  size_t used_bytes_ = 0;
  size_t held_bytes_ = 0;
};

}  // namespace weir
