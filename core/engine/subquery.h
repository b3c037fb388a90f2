#pragma once
// A subquery is a hidden recording: its inner expression is evaluated at every multiple of the step that some window will
// read, and the results are samples of hidden series, which an ordinary range node reads. One evaluation per inner step,
// where Prometheus evaluates range/step of them at every tick.

#include <deque>
#include <set>
#include <unordered_map>

#include "core/engine/node.h"

namespace weir::engine {

class SubqueryProducer {
 public:
  SubqueryProducer(NodePtr inner, std::shared_ptr<SeriesSet> out, int64_t step_ms)
      : inner_(std::move(inner)), out_(std::move(out)), step_ms_(step_ms) {}

  // Windows that end at `times` − offset and are range long will be read.
  void AddTimes(const Times& times, int64_t offset_ms, int64_t range_ms);
  // RETURNS: the next time to run at, INT64_MAX when none. `floor_ms`: nothing at or before it is needed.
  int64_t NextDue(int64_t now_ms, int64_t floor_ms);
  // Evaluates the inner expression at t_ms and appends. A second run at the same time replaces the first.
  void Run(Context& ctx, int64_t t_ms);
  // Runs again at the current tick if what the inner expression reads has changed since (a rule recorded a sample).
  void RefreshAt(Context& ctx, int64_t end_ms);
  // Evaluates the inner expression anew at every step of (end − range, end] and puts that in the place of all that was there: for
  // an expression that reads the tick itself (`@ start()`) or past its own time, which is another one at every tick.
  void Replay(Context& ctx, int64_t end_ms, int64_t range_ms);
  // RETURNS: the first error of an inner step in (start, end], ok if none.
  Status ErrorIn(int64_t start_ms, int64_t end_ms) const;

  // Calls tell(annotation) for what inner steps in (start, end] had to say.
  template <typename Tell>
  void AnnotationsIn(int64_t start_ms, int64_t end_ms, Tell tell) const {
    for (const auto& [t, annotation] : annotations_) {
      if (t > start_ms && t <= end_ms) {
        tell(annotation);
      }
    }
  }

  // Samples of one label set are one series; some may be without the name that they carry for delayed name removal. RETURNS:
  // whether there are such series now.
  bool mixes_names() const { return !drop_changes_.empty(); }
  // RETURNS: whether the name of a member's sample at t_ms goes at the end.
  bool DropAt(size_t member, int64_t t_ms) const;

  SeriesSet& out() { return *out_; }
  const Node& inner() const { return *inner_; }
  int64_t step_ms() const { return step_ms_; }
  bool periodic() const { return periodic_; }
  // RETURNS: when the next run can be made, given its time: not before every `@` inside has passed.
  int64_t Ready(int64_t due_ms) const {
    return due_ms == INT64_MAX           ? due_ms
           : !reads_series && !periodic_ ? INT64_MIN
           : due_ms < not_before_ms      ? not_before_ms
                                         : due_ms;
  }
  int64_t not_before_ms = INT64_MIN;  // the latest `@` inside
  bool reads_series = true;
  bool replayed = false;  // by Replay at each tick, never when a step is due
  int depth = 0;          // producers inside the inner expression have a smaller one

 private:
  NodePtr inner_;
  std::shared_ptr<SeriesSet> out_;
  int64_t step_ms_;
  bool periodic_ = false;
  int64_t reach_ms_ = 0;      // longest offset + range read
  std::set<int64_t> points_;  // to run at, when not periodic
  int64_t last_run_ms_ = INT64_MIN;
  uint64_t last_version_ = 0;
  // Appends a slot of the inner node to its hidden series.
  void Record(Context& ctx, int64_t t_ms, size_t slot);
  void NoteDrop(uint32_t member, int64_t t_ms, bool drop);
  void ForgetDrops(int64_t until_ms);
  std::unordered_map<LabelSetId, uint32_t> member_of_;  // labels -> place among the members of out_
  uint64_t series_generation_ = 0;
  std::vector<uint32_t> slot_members_;
  // Members whose flag changed within reach: from when on which; out_->drop has the newest.
  std::unordered_map<SeriesId, std::vector<std::pair<int64_t, bool>>> drop_changes_;
  uint64_t slot_generation_ = 0;
  std::deque<std::pair<int64_t, Status>> errors_;
  std::deque<std::pair<int64_t, Annotation>> annotations_;
};

// RETURNS: every multiple of step in (end − range, end], as Prometheus starts them (semantics 1.5).
std::vector<int64_t> SubquerySteps(int64_t end_ms, int64_t range_ms, int64_t step_ms);

}  // namespace weir::engine
