// Leaves of the graph: instant selectors, range functions over a selector or a subquery, `@`, absent, and the cleanup of
// delayed name removal.

#include <algorithm>
#include <limits>

#include "core/engine/nodes/nodes.h"
#include "core/engine/subquery.h"

namespace weir::engine {
namespace {

using promql::ValueType;
using window::RecordKind;

// The newest sample at or before T − offset, unless it is stale or older than the lookback (semantics 1.2).
class InstantSelectorNode final : public Node {
 public:
  explicit InstantSelectorNode(InstantSpec spec) : Node(ValueType::kVector, {}), spec_(std::move(spec)) {
    one_name_ = spec_.set->one_name;
  }
  std::string Describe() const override { return spec_.timestamps ? "timestamp(selector)" : "selector"; }

 protected:
  uint64_t SourceVersion(Context&) override { return spec_.set->Version() + spec_.set->members.size(); }
  uint64_t SourceGeneration() const override { return spec_.set->generation; }
  bool TimeDependent() const override { return true; }

  void Extend(Context& ctx) override {
    const auto& members = spec_.set->members;
    for (size_t i = labels_.size(); i < members.size(); ++i) {
      LabelSetId labels = ctx.store.at(members[i]).labels;
      if (spec_.timestamps) {
        AddSlotDroppingName(ctx, labels);
      } else {
        AddSlot(labels, false);
      }
    }
  }

  void Compute(Context& ctx) override {
    ClearValues();
    const int64_t end = ctx.t_ms - spec_.offset_ms;
    const int64_t oldest = end - ctx.options.lookback_ms;
    for (size_t i = 0; i < labels_.size(); ++i) {
      const window::SeriesWindow& series = ctx.store.at(spec_.set->members[i]).window;
      int64_t t = series.last_t_ms();
      double v = series.last_v();
      if (t > end) {
        int64_t index = series.ring().LastAtOrBefore(end);
        if (index < 0) {
          continue;
        }
        t = series.ring().Time(static_cast<uint32_t>(index));
        v = series.ring().Value(static_cast<uint32_t>(index));
      }
      if (t <= oldest || IsStaleNaN(v)) {
        continue;
      }
      values_[i] = spec_.timestamps ? static_cast<double>(t) / 1000 : v;
      present_[i] = 1;
    }
    if (spec_.timestamps && !one_name_) {
      CheckUnique(ctx);
    }
  }

 private:
  InstantSpec spec_;
};

class RangeNode final : public Node {
 public:
  RangeNode(RangeSpec spec, std::vector<NodePtr> params)
      : Node(ValueType::kVector, std::move(params)), spec_(std::move(spec)) {
    one_name_ = spec_.set->one_name || (spec_.producer && spec_.producer->inner().one_name());
  }
  std::string Describe() const override { return spec_.function; }
  size_t Bytes() const override { return Node::Bytes() + cursors_.capacity() * sizeof(uint32_t); }

 protected:
  uint64_t SourceVersion(Context& ctx) override {
    if (spec_.producer) {
      spec_.producer->RefreshAt(ctx, ctx.t_ms - spec_.offset_ms);
    }
    return spec_.set->Version() + spec_.set->members.size();
  }
  uint64_t SourceGeneration() const override { return spec_.set->generation; }
  bool TimeDependent() const override { return true; }
  void Reset() override { cursors_.clear(); }

  void Extend(Context& ctx) override {
    const auto& members = spec_.set->members;
    for (size_t i = labels_.size(); i < members.size(); ++i) {
      LabelSetId labels = ctx.store.at(members[i]).labels;
      if (spec_.keeps_name) {
        AddSlot(labels, !spec_.set->drop.empty() && spec_.set->drop[i] != 0);
      } else {
        AddSlotDroppingName(ctx, labels);
      }
    }
    cursors_.resize(members.size());
  }

  void Compute(Context& ctx) override {
    ClearValues();
    window::Window w;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      w.param[i] = input(i).scalar();
    }
    bool checked = spec_.check == nullptr;  // parameters are looked at with the first window: no samples, no error
    const int64_t end = ctx.t_ms - spec_.offset_ms;
    const int64_t start = end - spec_.range_ms;
    if (spec_.producer) {
      Status status = spec_.producer->ErrorIn(start, end);
      if (!status.ok()) {
        SetError(std::move(status));
        return;
      }
    }
    const int64_t from = spec_.anchored || spec_.smoothed ? start - ctx.options.lookback_ms : start;
    const int64_t until = spec_.smoothed ? end + ctx.options.lookback_ms : end;
    std::vector<double> scratch;
    w.scratch = &scratch;
    w.lookback_ms = ctx.options.lookback_ms;
    w.eval_ms = ctx.t_ms;
    uint32_t last_profile = std::numeric_limits<uint32_t>::max();
    bool counts_changes = false;
    for (size_t i = 0; i < labels_.size(); ++i) {
      Prefetch(ctx, i);
      const Series& series = ctx.store.at(spec_.set->members[i]);
      const int64_t whole = spec_.needs_all ? std::max(from, series.window.complete_since_ms()) : from;
      if (!window::FindWindow(series.window, whole, until, &cursors_[i], &w)) {
        continue;
      }
      if (!checked) {
        checked = true;
        Status status = spec_.check(w.param);
        if (!status.ok()) {
          SetError(std::move(status));
          return;
        }
      }
      if (series.profile != last_profile) {
        last_profile = series.profile;
        const window::Profile& profile = ctx.store.profile(last_profile);
        w.reset_list = profile.count_resets;
        counts_changes = profile.count_changes;
      }
      w.changes_list = counts_changes && series.window.thinned();
      w.start_ms = start;
      w.end_ms = end;
      present_[i] = spec_.kernel(w, &values_[i]) ? 1 : 0;
    }
    if (!spec_.keeps_name && !one_name_) {
      CheckUnique(ctx);
    }
  }

 private:
  // A slot's series and the two ends of its ring lie anywhere in memory: ask for them some slots ahead.
  void Prefetch(Context& ctx, size_t slot) const {
    const auto& members = spec_.set->members;
    if (slot + 16 < members.size()) {
      const char* series = reinterpret_cast<const char*>(&ctx.store.at(members[slot + 16]));
      __builtin_prefetch(series);
      __builtin_prefetch(series + 64);
    }
    if (slot + 8 < members.size()) {
      ctx.store.at(members[slot + 8]).window.ring().Prefetch(cursors_[slot + 8]);
    }
  }

  RangeSpec spec_;
  std::vector<uint32_t> cursors_;
};

class AtNode final : public Node {
 public:
  AtNode(NodePtr child, int64_t at_ms, int64_t ready_ms)
      : Node(child->type(), {}), child_(std::move(child)), at_ms_(at_ms), ready_ms_(ready_ms) {
    one_name_ = child_->one_name();
  }
  std::string Describe() const override { return "@"; }
  void MarkLabels(std::vector<bool>* live) const override {
    Node::MarkLabels(live);
    child_->MarkLabels(live);
  }

 protected:
  uint64_t SourceVersion(Context& ctx) override { return frozen_ ? 0 : ctx.epoch; }
  bool TimeDependent() const override { return !frozen_; }

  void Compute(Context& ctx) override {
    if (frozen_) {
      SetError(frozen_error_);
      return;
    }
    int64_t tick = ctx.t_ms;
    ctx.t_ms = at_ms_;
    child_->Evaluate(ctx);
    ctx.t_ms = tick;
    if (generation_of_child_ != child_->generation()) {
      generation_of_child_ = child_->generation();
      Renumbered();
    }
    for (size_t i = labels_.size(); i < child_->size(); ++i) {
      AddSlot(child_->labels(i), child_->drop_name(i));
    }
    values_ = child_->values();
    present_ = child_->present();
    frozen_ = tick >= ready_ms_;
    frozen_error_ = child_->error();
    SetError(child_->error());
  }

 private:
  NodePtr child_;
  int64_t at_ms_;
  int64_t ready_ms_;
  uint64_t generation_of_child_ = 0;
  bool frozen_ = false;
  Status frozen_error_;
};

class AbsentNode final : public Node {
 public:
  AbsentNode(NodePtr child, LabelSetId labels) : Node(ValueType::kVector, {std::move(child)}), set_(labels) {
    one_name_ = true;
  }
  std::string Describe() const override { return "absent"; }
  void MarkLabels(std::vector<bool>* live) const override {
    Node::MarkLabels(live);
    Mark({set_}, live);
  }

 protected:
  void Extend(Context&) override {
    if (labels_.empty()) {
      AddSlot(set_, false);
    }
  }
  void Compute(Context&) override {
    ClearValues();
    const auto& present = input(0).present();
    bool any = std::any_of(present.begin(), present.end(), [](uint8_t p) { return p != 0; });
    values_[0] = 1;
    present_[0] = any ? 0 : 1;
  }

 private:
  LabelSetId set_;
};

class CleanupNode final : public Node {
 public:
  explicit CleanupNode(NodePtr child) : Node(ValueType::kVector, {std::move(child)}) {}
  std::string Describe() const override { return "drop names"; }

 protected:
  void Extend(Context& ctx) override {
    for (size_t i = labels_.size(); i < input(0).size(); ++i) {
      AddSlot(input(0).drop_name(i) ? ctx.DropName(input(0).labels(i)) : input(0).labels(i), false);
    }
  }
  void Compute(Context& ctx) override {
    values_ = input(0).values();
    present_ = input(0).present();
    order_ = input(0).order();
    CheckUnique(ctx, true);
  }
};

}  // namespace

NodePtr MakeInstantSelector(InstantSpec spec) { return std::make_shared<InstantSelectorNode>(std::move(spec)); }
NodePtr MakeRange(RangeSpec spec, std::vector<NodePtr> params) {
  return std::make_shared<RangeNode>(std::move(spec), std::move(params));
}
NodePtr MakeAt(NodePtr child, int64_t at_ms, int64_t ready_ms) {
  return std::make_shared<AtNode>(std::move(child), at_ms, ready_ms);
}
NodePtr MakeAbsent(NodePtr child, LabelSetId labels) { return std::make_shared<AbsentNode>(std::move(child), labels); }
NodePtr MakeCleanup(NodePtr child) { return std::make_shared<CleanupNode>(std::move(child)); }

}  // namespace weir::engine
