#include "core/base/cell_pool.h"

#include <cstring>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace weir {
namespace {

constexpr uint32_t kSizes[] = {16, 48, 1024, 16384};

// Cells of all sizes come and go at random; each is full of its own byte all the time, so that two can share no place.
TEST(CellPool, CellsNeverOverlap) {
  CellPool pool(kSizes);
  CellPool::Lane* lane = pool.AddLane();
  std::mt19937 random(1);
  std::map<char*, std::pair<uint32_t, char>> live;
  size_t used = 0;
  for (int i = 0; i < 20000; ++i) {
    if (live.empty() || random() % 5 < (i / 4000 % 2 == 0 ? 3 : 2)) {
      const uint32_t size_class = random() % 4;
      auto* cell = static_cast<char*>(lane->Take(size_class));
      ASSERT_EQ(reinterpret_cast<uintptr_t>(cell) % 16, 0U);
      const auto mark = static_cast<char>(random());
      std::memset(cell, mark, kSizes[size_class]);
      ASSERT_TRUE(live.emplace(cell, std::pair(size_class, mark)).second);
      used += kSizes[size_class];
    } else {
      auto it = std::next(live.begin(), static_cast<int>(random() % live.size() % 50));
      const auto [size_class, mark] = it->second;
      for (uint32_t at = 0; at < kSizes[size_class]; ++at) {
        ASSERT_EQ(it->first[at], mark);
      }
      used -= kSizes[size_class];
      CellPool::Give(it->first);
      live.erase(it);
    }
    ASSERT_EQ(pool.used_bytes(), used);
    ASSERT_GE(pool.held_bytes(), used);
  }
}

// What blocks that grow together leave behind serves their next size.
TEST(CellPool, BlocksThatGrowTogetherLeaveNoHoles) {
  const std::vector<uint32_t> sizes = {32, 64, 96, 128, 160, 192, 224, 256};
  CellPool pool(sizes);
  CellPool::Lane* lane = pool.AddLane();
  std::vector<void*> blocks(20000, nullptr);
  for (uint32_t size_class = 0; size_class < sizes.size(); ++size_class) {
    for (void*& block : blocks) {
      void* larger = lane->Take(size_class);
      if (block != nullptr) {
        CellPool::Give(block);
      }
      block = larger;
    }
  }
  EXPECT_EQ(pool.used_bytes(), blocks.size() * 256);
  EXPECT_LT(static_cast<double>(pool.held_bytes()), 1.1 * static_cast<double>(pool.used_bytes()));
}

// One in twenty stays as it is.
TEST(CellPool, ALaneKeepsWhatStaysFromWhatGrows) {
  const std::vector<uint32_t> sizes = {32, 64, 96, 128, 160, 192, 224, 256};
  const auto held_when = [&](bool apart) {
    CellPool pool(sizes);
    CellPool::Lane* growing = pool.AddLane();
    CellPool::Lane* staying = apart ? pool.AddLane() : growing;
    std::vector<void*> blocks(200000, nullptr);
    for (uint32_t size_class = 0; size_class < sizes.size(); ++size_class) {
      for (size_t i = 0; i < blocks.size(); ++i) {
        const bool stays = i % 20 == 0;
        if (stays && size_class > 0) {
          continue;
        }
        void* larger = (stays ? staying : growing)->Take(size_class);
        if (blocks[i] != nullptr) {
          CellPool::Give(blocks[i]);
        }
        blocks[i] = larger;
      }
    }
    return static_cast<double>(pool.held_bytes()) / static_cast<double>(pool.used_bytes());
  };
  EXPECT_GT(held_when(false), 1.1);
  EXPECT_LT(held_when(true), 1.05);
}

TEST(CellPool, GivesMemoryBackThatNobodyWants) {
  CellPool pool(kSizes);
  CellPool::Lane* lane = pool.AddLane();
  std::vector<void*> cells;
  for (int i = 0; i < 10000; ++i) {
    cells.push_back(lane->Take(2));
    std::memset(cells.back(), 1, kSizes[2]);
  }
  for (void* cell : cells) {
    CellPool::Give(cell);
  }
  EXPECT_EQ(pool.used_bytes(), 0U);
  EXPECT_LT(pool.held_bytes(), size_t{1} << 20);
  // And has it again.
  void* cell = lane->Take(3);
  std::memset(cell, 2, kSizes[3]);
  CellPool::Give(cell);
}

TEST(CellPool, WhatStaysInReserveIsReleasedAtTheSecondLook) {
  CellPool pool(kSizes);
  CellPool::Lane* lane = pool.AddLane();
  void* cell = lane->Take(2);
  std::memset(cell, 1, kSizes[2]);
  CellPool::Give(cell);
  const size_t held = pool.held_bytes();
  EXPECT_GT(held, 0U);
  pool.ReleaseIdle();  // it came back since the last look
  EXPECT_EQ(pool.held_bytes(), held);
  CellPool::Give(lane->Take(2));
  pool.ReleaseIdle();  // it was wanted
  EXPECT_EQ(pool.held_bytes(), held);
  pool.ReleaseIdle();
  EXPECT_EQ(pool.held_bytes(), 0U);
  CellPool::Give(lane->Take(2));
}

TEST(CellPool, APageIsCountedWhenItIsWrittenTo) {
  CellPool pool(kSizes);
  CellPool::Lane* lane = pool.AddLane();
  EXPECT_EQ(pool.held_bytes(), 0U);
  void* cell = lane->Take(1);
  EXPECT_EQ(pool.held_bytes(), 48U);
  CellPool::Give(cell);
  lane->Take(0);
  EXPECT_EQ(pool.held_bytes(), 48U);
}

}  // namespace
}  // namespace weir
