#pragma once
// A fixed crew of threads for work that is cut into equal parts: Run() has every part done by some thread and comes back when all
// are. The caller is member 0, so a crew of one has no thread at all. A hand-over costs microseconds: parts should be longer.
//
// Where other processes want the cores, members come late or are stopped in the middle of a part. Nobody waits for a member that has not
// come: the caller does its part. What the caller loses by waiting for one in the middle of its part, beyond a little that members
// have saved it before, is a debt; while there is one the crew is left alone, until work of ten times as long was done by the caller.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace weir {

class ForkJoin {
 public:
  // `eager`: the crew takes part whatever that costs; for tests.
  explicit ForkJoin(uint32_t members, bool eager = false);
  ~ForkJoin();
  ForkJoin(const ForkJoin&) = delete;
  ForkJoin& operator=(const ForkJoin&) = delete;

  uint32_t members() const { return static_cast<uint32_t>(threads_.size()) + 1; }
  // Calls work(part) once for every part in [0, members()), at once if the members come; 0 on the caller's thread, the others on
  // any. What was written before the call is seen inside, and what was written inside is seen after it. THREAD: one caller at a time;
  // not from inside.
  void Run(const std::function<void(uint32_t part)>& work);
  // Has the members that come call work(member), 1 or more, while the caller goes on. REQUIRES: `work` lives until Join, and nothing
  // else is called before. THREAD: as Run.
  void Start(const std::function<void(uint32_t member)>& work);
  // Returns when no member is inside `work`; those that have not come yet will not.
  void Join();
  // Around a series of calls with little between them, of which the caller does what the members do not: members look out for the
  // next call for a while before they let go of their cores. Not where there are fewer cores than members. THREAD: as Run.
  void BeginSeries() { stay_.store(fits_ && !alone(), std::memory_order_relaxed); }
  void EndSeries() { stay_.store(false, std::memory_order_relaxed); }
  // Counts the time until it goes as work that the caller did alone, if there is a debt. THREAD: as Run.
  class Alone {
   public:
    explicit Alone(ForkJoin* crew);
    ~Alone();
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

   private:
    ForkJoin* crew_;  // null: not counted
    int64_t began_ns_ = 0;
  };
  // RETURNS: whether there is a debt: Run does all parts on the caller's thread, and whoever can do without Start does. THREAD: as
  // Run.
  bool alone() const { return debt_ns_ > 0 && !eager_; }

 private:
  // One a member, apart in memory.
  struct alignas(64) Turn {
    std::atomic<uint32_t> taken{0};  // the last round of which the member's part was begun or given up
  };
  void Loop(uint32_t member);
  // RETURNS: whether the part was nobody's yet; it is the caller's of Take then.
  bool Take(uint32_t member, uint32_t round) {
    uint32_t before = round - 1;
    return turns_[member].taken.compare_exchange_strong(before, round, std::memory_order_acq_rel,
                                                        std::memory_order_relaxed);
  }
  void Done();
  // Waits for those inside.
  void Await();

  const std::function<void(uint32_t)>* work_ = nullptr;  // read by who has the part of a member alone
  const bool eager_;
  const bool fits_;  // a core for each
  std::atomic<uint32_t> round_{0};
  std::atomic<uint32_t> busy_{0};  // parts that are not done
  std::atomic<bool> stay_{false};
  std::atomic<bool> going_home_{false};
  bool counting_ = false;  // somebody counts already
  int64_t debt_ns_ = 0;
  int64_t saved_ns_ = 0;  // is lost before there is a debt
  std::unique_ptr<Turn[]> turns_;
  std::vector<std::thread> threads_;
};

}  // namespace weir
