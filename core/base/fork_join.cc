#include "core/base/fork_join.h"

namespace weir {
namespace {

// Work often comes in bursts: a short look before a thread lets go of its core, some microseconds, or longer when more is to come.
constexpr int kSpins = 400;
constexpr int kSpinsToStay = 20000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

template <typename Done>
void Wait(const std::atomic<uint32_t>& value, const std::atomic<bool>& stay, Done done) {
  for (int i = 0; i < kSpins || (i < kSpinsToStay && stay.load(std::memory_order_relaxed)); ++i) {
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

ForkJoin::ForkJoin(uint32_t members) {
  for (uint32_t member = 1; member < members; ++member) {
    threads_.emplace_back([this, member] { Loop(member); });
  }
}

ForkJoin::~ForkJoin() {
  work_ = nullptr;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void ForkJoin::Stay(bool stay) {
  stay_.store(stay && members() <= std::thread::hardware_concurrency(), std::memory_order_relaxed);
}

void ForkJoin::Run(const std::function<void(uint32_t)>& work) {
  Start(work);
  work(0);
  Join();
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
  Wait(busy_, stay_, [](uint32_t busy) { return busy == 0; });
}

void ForkJoin::Loop(uint32_t member) {
  uint32_t round = 0;
  for (;;) {
    Wait(round_, stay_, [round](uint32_t now) { return now != round; });
    ++round;
    if (work_ == nullptr) {
      return;
    }
    (*work_)(member);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      busy_.notify_one();
    }
  }
}

}  // namespace weir
