#include "core/base/fork_join.h"

#include <algorithm>
#include <ctime>

#include "core/base/clock.h"

namespace weir {
namespace {

// Work often comes in bursts: a short look before a thread lets go of its core, some microseconds, or longer when more is to come.
constexpr int kSpins = 400;
constexpr int kSpinsToStay = 20000;
constexpr int kSpinsForOthers = 4000;

constexpr int64_t kAlonePerLost = 10;      // so waiting costs one part in so many of the time at most
constexpr int64_t kWaitFreeNs = 100000;    // members that are not disturbed take that long now and then
constexpr int64_t kDebtMaxNs = 100000000;  // of the caller's work
constexpr int64_t kSavedMaxNs = 4000000;   // the length of a slice that another process gets
constexpr int64_t kSavedShare = 4;         // of what members do, one part in so many counts

// RETURNS: CPU time of this thread: what it did, whoever else had the core meanwhile.
int64_t ThreadNs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000 + now.tv_nsec;
}

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

template <typename Done>
void Wait(const std::atomic<uint32_t>& value, const std::atomic<bool>& stay, int spins_to_stay, Done done) {
  for (int i = 0; i < kSpins || (i < spins_to_stay && stay.load(std::memory_order_relaxed)); ++i) {
    if (done(value.load(std::memory_order_acquire))) {
      return;
    }
    Pause();
  }
  for (uint32_t seen = value.load(std::memory_order_acquire); !done(seen);
       seen = value.load(std::memory_order_acquire)) {
    value.wait(seen, std::memory_order_acquire);
  }
}

}  // namespace

ForkJoin::ForkJoin(uint32_t members, bool eager)
    : eager_(eager), fits_(members <= std::thread::hardware_concurrency()), turns_(std::make_unique<Turn[]>(members)) {
  for (uint32_t member = 1; member < members; ++member) {
    threads_.emplace_back([this, member] { Loop(member); });
  }
}

ForkJoin::~ForkJoin() {
  going_home_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

ForkJoin::Alone::Alone(ForkJoin* crew) : crew_(crew->alone() && !crew->counting_ ? crew : nullptr) {
  if (crew_ != nullptr) {
    crew_->counting_ = true;
    began_ns_ = SystemClock().MonotonicNs();
  }
}

ForkJoin::Alone::~Alone() {
  if (crew_ != nullptr) {
    crew_->counting_ = false;
    crew_->debt_ns_ -= SystemClock().MonotonicNs() - began_ns_;
  }
}

void ForkJoin::Run(const std::function<void(uint32_t)>& work) {
  if (alone()) {
    const Alone counted(this);
    for (uint32_t part = 0; part < members(); ++part) {
      work(part);
    }
    return;
  }
  if (threads_.empty()) {
    work(0);
    return;
  }
  const int64_t began_ns = ThreadNs();
  Start(work);
  work(0);
  const int64_t part_ns = ThreadNs() - began_ns;
  const uint32_t round = round_.load(std::memory_order_relaxed);
  int64_t by_members = 0;
  for (uint32_t part = 1; part < members(); ++part) {
    if (Take(part, round)) {
      work(part);
      Done();
    } else {
      ++by_members;
    }
  }
  // Parts are never quite equal, least of all those that touch new memory.
  const int64_t saved_ns = std::min(kSavedMaxNs, saved_ns_ + by_members * part_ns / kSavedShare);
  saved_ns_ = saved_ns + part_ns / 2;
  Await();
  saved_ns_ = std::min(saved_ns_, saved_ns);
}

void ForkJoin::Start(const std::function<void(uint32_t)>& work) {
  if (!threads_.empty()) {
    work_ = &work;
    busy_.store(static_cast<uint32_t>(threads_.size()), std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
  }
}

void ForkJoin::Join() {
  const uint32_t round = round_.load(std::memory_order_relaxed);
  for (uint32_t member = 1; member < members(); ++member) {
    if (Take(member, round)) {
      Done();
    }
  }
  Await();
}

void ForkJoin::Await() {
  if (busy_.load(std::memory_order_acquire) == 0) {
    return;
  }
  const int64_t began_ns = SystemClock().MonotonicNs();
  Wait(busy_, stay_, kSpinsForOthers, [](uint32_t busy) { return busy == 0; });
  const int64_t lost_ns = SystemClock().MonotonicNs() - began_ns - kWaitFreeNs;
  if (lost_ns <= 0) {
    return;
  }
  const int64_t paid_ns = std::min(saved_ns_, lost_ns);
  saved_ns_ -= paid_ns;
  debt_ns_ = std::min(kDebtMaxNs, std::max<int64_t>(0, debt_ns_) + kAlonePerLost * (lost_ns - paid_ns));
}

void ForkJoin::Done() {
  if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    busy_.notify_one();
  }
}

void ForkJoin::Loop(uint32_t member) {
  uint32_t round = 0;
  for (;;) {
    Wait(round_, stay_, kSpinsToStay, [round](uint32_t now) { return now != round; });
    round = round_.load(std::memory_order_acquire);
    if (going_home_.load(std::memory_order_relaxed)) {
      return;
    }
    if (Take(member, round)) {
      (*work_)(member);
      Done();
    }
  }
}

}  // namespace weir
