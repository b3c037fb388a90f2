#include "core/base/fork_join.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <thread>
#include <vector>

namespace weir {
namespace {

TEST(ForkJoin, EveryMemberWorksOnceAndItsWorkIsSeenAfterwards) {
  ForkJoin crew(4);
  std::vector<int> done(4);
  for (int round = 1; round <= 500; ++round) {
    crew.Run([&](uint32_t member) { ++done[member]; });
    ASSERT_EQ(done, std::vector<int>(4, round));
  }
}

TEST(ForkJoin, CallsInARowAreAllDoneWhetherMembersStayOrNot) {
  ForkJoin crew(2);
  std::vector<int> done(2);
  for (int i = 0; i < 500; ++i) {
    crew.Stay(i / 100 % 2 == 0);
    crew.Run([&](uint32_t member) { ++done[member]; });
  }
  EXPECT_EQ(done, std::vector<int>(2, 500));
}

TEST(ForkJoin, MembersAreThreadsAndTheCallerIsTheFirst) {
  ForkJoin crew(3);
  std::vector<std::thread::id> ids(3);
  crew.Run([&](uint32_t member) { ids[member] = std::this_thread::get_id(); });
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_EQ(std::set<std::thread::id>(ids.begin(), ids.end()).size(), 3U);
}

TEST(ForkJoin, TheCallerGoesOnWhileTheOthersWork) {
  ForkJoin crew(3);
  std::vector<int> done(3);
  const std::function<void(uint32_t)> work = [&](uint32_t member) { ++done[member]; };
  for (int round = 1; round <= 300; ++round) {
    crew.Start(work);
    ++done[0];
    crew.Join();
    ASSERT_EQ(done, std::vector<int>(3, round));
    crew.Join();  // nobody is at work: nothing to wait for
  }
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
