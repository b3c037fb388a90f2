#pragma once
// Leaves of a tick, computed by the crew ahead of their turn. What a leaf reads (windows at the tick's time) is settled when the tick
// begins, unless a rule of the same tick writes it, while what rules do with leaves (aggregations, joins, results) has an order
// and is one thread's. So the other members compute leaves piece by piece, in the order in which they will be asked for, and the
// engine's thread goes on with rules; where it needs a leaf that is not ready, it computes pieces, too. A leaf counts only if
// nothing that it reads has changed since (its version), else it is computed in its turn: values are those of one thread.
// THREAD: the engine's, but for pieces. Whoever changes what pieces read lets the crew rest before.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "core/base/fork_join.h"

namespace weir::engine {

class Node;
struct Context;

struct AheadTask {
  Node* node = nullptr;
  int64_t t_ms = 0;
  uint64_t version = 0;  // of what the node reads
  size_t slots = 0;
  std::vector<std::vector<uint32_t>> left;  // by member: slots that only the engine's thread may compute
  std::atomic<uint32_t> unfinished{0};      // pieces
};

// Slots [from, to) of a task, for a member of the crew.
struct AheadPiece {
  size_t from;
  size_t to;
  uint32_t member;
};

class LeavesAhead {
 public:
  LeavesAhead(Context* ctx, ForkJoin* crew);

  // RETURNS: a task for a leaf at t_ms, to be filled in by Node::GoAhead and kept by Keep(). REQUIRES: between End() and Begin(), in the
  // order of turns.
  AheadTask* Next(int64_t t_ms);
  // The node of the task that Next() returned waits for it.
  void Keep() { ++kept_; }
  // Sets the crew to work on what was kept.
  void Begin(size_t slots_per_piece);
  // The crew goes on with what is left. Cheap when it does already, or nothing is left.
  void Start();
  // Returns when no member is inside a piece; none begins one until Start().
  void Rest();
  // What is not done yet is left to its turn, until the next Begin. REQUIRES: resting.
  void Abandon() { next_.store(static_cast<uint32_t>(pieces_.size()), std::memory_order_relaxed); }
  // Has the pieces of the task computed, by this thread where no other has begun them; yields between them. RETURNS: false when they
  // were abandoned.
  bool Finish(const AheadTask& task);
  // Nodes wait no more.
  void End();
  // RETURNS: whether a tick has begun with tasks.
  bool active() const { return kept_ > 0; }
  // RETURNS: whether there is something left for the crew.
  bool Busy() const { return next_.load(std::memory_order_relaxed) < pieces_.size(); }

 private:
  struct Piece {
    AheadTask* task;
    size_t from;
    size_t to;
  };
  // Computes the next piece. RETURNS: false when none is left.
  bool RunOne(uint32_t member);

  Context* ctx_;
  ForkJoin* crew_;
  const std::function<void(uint32_t)> work_;
  std::deque<AheadTask> tasks_;  // used again at every tick, with the memory they have
  size_t kept_ = 0;              // of them, in this tick
  std::vector<Piece> pieces_;
  std::atomic<uint32_t> next_{0};  // piece
  std::atomic<bool> stop_{false};
  bool running_ = false;
};

}  // namespace weir::engine
