#pragma once
// A fixed crew of threads for work that is cut into equal parts: Run() hands every member its number and comes back when all are
// done. The caller is member 0, so a crew of one has no thread at all. A hand-over costs microseconds: parts should be longer.

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace weir {

class ForkJoin {
 public:
  explicit ForkJoin(uint32_t members);
  ~ForkJoin();
  ForkJoin(const ForkJoin&) = delete;
  ForkJoin& operator=(const ForkJoin&) = delete;

  uint32_t members() const { return static_cast<uint32_t>(threads_.size()) + 1; }
  // Calls work(member) on every member's thread, 0 being the caller's. What was written before the call is seen inside, and
  // what was written inside is seen after it. THREAD: one caller at a time; not from inside.
  void Run(const std::function<void(uint32_t member)>& work);
  // Run without the caller, who goes on: calls work(member) for members from 1 on and does not wait for them. REQUIRES: `work` lives
  // until Join, and nothing else is called before. THREAD: as Run.
  void Start(const std::function<void(uint32_t member)>& work);
  // Returns when all members are done, as after Run.
  void Join();
  // While there is a series of calls with little between them: members then look out for the next for some 0.3 ms before they let go
  // of their cores, since to wake them costs more than the part of a small piece. Not where there are fewer cores than members.
  // THREAD: as Run.
  void Stay(bool stay);

 private:
  void Loop(uint32_t member);

  const std::function<void(uint32_t)>* work_ = nullptr;  // null: the crew goes home
  std::atomic<uint32_t> round_{0};
  std::atomic<uint32_t> busy_{0};
  std::atomic<bool> stay_{false};
  std::vector<std::thread> threads_;
};

}  // namespace weir
