#include "core/base/fork_join.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <set>
#include <thread>
#include <vector>

namespace weir {
namespace {

TEST(ForkJoin, EveryPartIsDoneOnceAndIsSeenAfterwards) {
  ForkJoin crew(4, true);
  std::vector<int> done(4);
  for (int round = 1; round <= 500; ++round) {
    crew.Run([&](uint32_t member) { ++done[member]; });
    ASSERT_EQ(done, std::vector<int>(4, round));
  }
}

TEST(ForkJoin, CallsInARowAreAllDoneWhetherMembersStayOrNot) {
  ForkJoin crew(2, true);
  std::vector<int> done(2);
  for (int i = 0; i < 500; ++i) {
    if (i % 200 == 0) {
      crew.BeginSeries();
    } else if (i % 100 == 0) {
      crew.EndSeries();
    }
    crew.Run([&](uint32_t part) { ++done[part]; });
  }
  EXPECT_EQ(done, std::vector<int>(2, 500));
}

TEST(ForkJoin, MembersAreThreadsAndTheCallerIsTheFirst) {
  ForkJoin crew(3, true);
  std::vector<std::thread::id> ids(3);
  std::atomic<int> here{0};
  const std::function<void(uint32_t)> work = [&](uint32_t member) {
    ids[member] = std::this_thread::get_id();
    ++here;
  };
  crew.Start(work);
  while (here < 2) {
    std::this_thread::yield();
  }
  crew.Join();
  crew.Run([&](uint32_t part) { ids[0] = part == 0 ? std::this_thread::get_id() : ids[0]; });
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_EQ(std::set<std::thread::id>(ids.begin(), ids.end()).size(), 3U);
}

TEST(ForkJoin, AfterJoinNobodyIsAtWorkAndWhoHasNotComeDoesNot) {
  ForkJoin crew(3, true);
  std::vector<int> begun(3);
  std::vector<int> done(3);
  const std::function<void(uint32_t)> work = [&](uint32_t member) {
    ++begun[member];
    std::this_thread::yield();
    ++done[member];
  };
  for (int round = 1; round <= 300; ++round) {
    crew.Start(work);
    ++begun[0];
    ++done[0];
    crew.Join();
    ASSERT_EQ(done, begun);
    ASSERT_EQ(done[0], round);
    ASSERT_LE(std::max(done[1], done[2]), round);
    crew.Join();  // nobody is at work: nothing to wait for
  }
}

void SleepMs(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

TEST(ForkJoin, TheCallerDoesThePartsOfMembersThatDoNotCome) {
  ForkJoin crew(2, true);
  std::thread::id by;
  for (int i = 0; i < 1000 && by != std::this_thread::get_id();
       ++i) {  // part 0 takes no time: a member is seldom there by then
    crew.Run([&](uint32_t part) { by = part == 1 ? std::this_thread::get_id() : by; });
  }
  EXPECT_EQ(by, std::this_thread::get_id());
}

TEST(ForkJoin, WhatIsLostByWaitingIsMadeUpForAlone) {
  ForkJoin crew(2);
  std::atomic<bool> inside{false};
  const std::function<void(uint32_t)> slow = [&](uint32_t) {
    inside = true;
    SleepMs(5);
  };
  EXPECT_FALSE(crew.alone());
  crew.Start(slow);
  while (!inside) {
    std::this_thread::yield();
  }
  crew.Join();
  ASSERT_TRUE(crew.alone());
  std::set<std::thread::id> threads;
  crew.Run([&](uint32_t) { threads.insert(std::this_thread::get_id()); });
  EXPECT_EQ(threads, std::set<std::thread::id>{std::this_thread::get_id()});
  EXPECT_TRUE(crew.alone());
  for (int i = 0; i < 100 && crew.alone(); ++i) {
    const ForkJoin::Alone counted(&crew);
    const ForkJoin::Alone inner(&crew);  // counts nothing: the other does
    SleepMs(5);
  }
  EXPECT_FALSE(crew.alone());
}

TEST(ForkJoin, AnEagerCrewIsNeverLeftAlone) {
  ForkJoin crew(2, true);
  std::atomic<bool> inside{false};
  const std::function<void(uint32_t)> slow = [&](uint32_t) {
    inside = true;
    SleepMs(5);
  };
  crew.Start(slow);
  while (!inside) {
    std::this_thread::yield();
  }
  crew.Join();
  EXPECT_FALSE(crew.alone());
}

TEST(ForkJoin, ACrewOfOneIsTheCaller) {
  ForkJoin crew(1);
  int calls = 0;
  crew.Run([&](uint32_t member) { calls += member == 0 ? 1 : 100; });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(crew.members(), 1U);
}

}  // namespace
}  // namespace weir
