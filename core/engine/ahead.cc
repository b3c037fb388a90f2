#include "core/engine/ahead.h"

#include <algorithm>
#include <utility>

#include "core/engine/node.h"

namespace weir::engine {

LeavesAhead::LeavesAhead(Context* ctx, ForkJoin* crew)
    : ctx_(ctx), crew_(crew), work_([this](uint32_t member) {
        while (!stop_.load(std::memory_order_relaxed) && RunOne(member)) {
        }
      }) {}

AheadTask* LeavesAhead::Next(int64_t t_ms) {
  if (kept_ == tasks_.size()) {
    tasks_.emplace_back().left.resize(crew_->members());
  }
  AheadTask& task = tasks_[kept_];
  task.t_ms = t_ms;
  for (std::vector<uint32_t>& left : task.left) {
    left.clear();
  }
  return &task;
}

void LeavesAhead::Begin(size_t slots_per_piece) {
  for (size_t i = 0; i < kept_; ++i) {
    AheadTask& task = tasks_[i];
    uint32_t pieces = 0;
    for (size_t from = 0; from < task.slots; from += slots_per_piece, ++pieces) {
      pieces_.push_back({&task, from, std::min(task.slots, from + slots_per_piece)});
    }
    task.unfinished.store(pieces, std::memory_order_relaxed);
  }
  Start();
}

void LeavesAhead::Start() {
  if (!running_ && Busy()) {
    running_ = true;
    stop_.store(false, std::memory_order_relaxed);
    crew_->Start(work_);
  }
}

void LeavesAhead::Rest() {
  if (running_) {
    stop_.store(true, std::memory_order_relaxed);
    crew_->Join();
    running_ = false;
  }
}

bool LeavesAhead::RunOne(uint32_t member) {
  if (!Busy()) {
    return false;
  }
  const uint32_t number = next_.fetch_add(1, std::memory_order_relaxed);
  if (number >= pieces_.size()) {
    return false;
  }
  const Piece& piece = pieces_[number];
  piece.task->node->AheadSlots(*ctx_, *piece.task, {piece.from, piece.to, member}, &piece.task->left[member]);
  piece.task->unfinished.fetch_sub(1, std::memory_order_release);
  return true;
}

bool LeavesAhead::Finish(const AheadTask& task) {
  const auto done = [&task] { return task.unfinished.load(std::memory_order_acquire) == 0; };
  while (!done() && RunOne(0)) {
    ctx_->yield();
  }
  if (!done()) {
    Rest();  // nothing is left to begin: others are in the last pieces
  }
  return done();
}

void LeavesAhead::End() {
  Rest();
  for (size_t i = 0; i < kept_; ++i) {
    tasks_[i].node->ForgetAhead();
  }
  kept_ = 0;
  pieces_.clear();
  next_.store(0, std::memory_order_relaxed);
}

}  // namespace weir::engine
