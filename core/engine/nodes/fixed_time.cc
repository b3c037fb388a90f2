// What is evaluated at another time than the evaluation's: `@` with a time, `@ start()` inside subqueries that are replayed, and
// what only half of an expression is fixed by: predict_linear() and functions with parameters over a window at a fixed time.

#include <algorithm>
#include <utility>

#include "core/engine/annotations.h"
#include "core/engine/nodes/nodes.h"
#include "core/engine/subquery.h"

namespace weir::engine {
namespace {

using promql::ValueType;

constexpr std::string_view kFixedTime = "a part of it is evaluated at a time of its own";

class AtNode final : public Node {
 public:
  AtNode(NodePtr child, int64_t at_ms, int64_t ready_ms)
      : Node(child->type(), {}), child_(std::move(child)), at_ms_(at_ms), ready_ms_(ready_ms) {
    one_name_ = child_->one_name();
  }
  std::string Describe() const override { return "@"; }
  std::string_view WhyAtTicksOnly() const override { return kFixedTime; }
  void MarkLabels(LabelMarks* marks) const override {
    Node::MarkLabels(marks);
    child_->MarkLabels(marks);
  }

 protected:
  uint64_t SourceVersion(Context& ctx) override { return frozen_ ? 0 : ctx.epoch; }
  bool TimeDependent() const override { return !frozen_; }

  void Compute(Context& ctx) override {
    if (frozen_) {
      SetError(frozen_error_);
      annotations_ = told_;
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
    TakeValues(ctx, *child_);
    told_.clear();
    CollectAnnotations(*child_, &told_);
    annotations_ = told_;
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
  std::vector<Annotation> told_;  // annotations of everything below
};

// A function of floats over a window at a fixed time whose parameters are those of the tick: the node holds the window's samples.
class HeldWindowNode final : public Node {
 public:
  HeldWindowNode(RangeSpec spec, std::vector<NodePtr> params, int64_t at_ms, int64_t ready_ms)
      : Node(ValueType::kVector, std::move(params)), spec_(std::move(spec)), at_ms_(at_ms), ready_ms_(ready_ms) {
    every_.thinning = window::Thinning::kNever;
    every_.read = true;
  }
  std::string Describe() const override { return spec_.function + " @"; }
  std::string_view WhyAtTicksOnly() const override { return kFixedTime; }
  size_t Bytes() const override {
    size_t bytes = Node::Bytes();
    for (const Held& held : held_) {
      bytes += sizeof(Held) + held.floats.HeapBytes();
    }
    return bytes;
  }

 protected:
  uint64_t SourceVersion(Context& ctx) override { return held_for_good_ ? 0 : ctx.epoch; }
  uint64_t SourceGeneration() const override { return held_for_good_ ? generation_ : spec_.set->generation; }
  void Reset() override { held_.clear(); }

  void Extend(Context& ctx) override {
    for (size_t i = labels_.size(); !held_for_good_ && i < spec_.set->members.size(); ++i) {
      AddSlotDroppingName(ctx, ctx.store.at(spec_.set->members[i]).labels);
    }
  }

  void Compute(Context& ctx) override {
    const int64_t end = at_ms_ - spec_.offset_ms;
    const int64_t start = end - spec_.range_ms;
    if (!held_for_good_) {
      Hold(ctx, start, end);
      held_for_good_ = ctx.t_ms >= ready_ms_;
      generation_ = spec_.set->generation;
    }
    annotations_ = told_;
    ClearValues();
    if (!held_error_.ok()) {
      SetError(held_error_);
      return;
    }
    window::Window w;
    std::vector<double> scratch;
    w.scratch = &scratch;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      w.param[i] = input(i).scalar();
    }
    bool any = false;
    for (size_t i = 0; i < held_.size(); ++i) {
      ctx.MayYield(i);
      uint32_t cursor = 0;
      if (!window::FindWindow(held_[i].floats, start, end, &cursor, &w)) {
        continue;
      }
      if (!any && spec_.check != nullptr) {
        Status status = spec_.check(w.param);
        if (!status.ok()) {
          SetError(std::move(status));
          return;
        }
      }
      any = true;
      present_[i] = spec_.kernel(w, &values_[i]) ? 1 : 0;
      if (held_[i].histograms) {
        Info(spec_.part, annotations::HistogramIgnoredInMixedRange(NameOf(ctx, labels_[i])));
      }
    }
    if (spec_.is_quantile && any && !(w.param[0] >= 0 && w.param[0] <= 1)) {
      Warn(1, annotations::InvalidQuantile(w.param[0]));
    }
    CheckUnique(ctx);
  }

 private:
  struct Held {
    window::SeriesWindow floats;
    bool histograms = false;  // there were some, too
  };

  void Hold(Context& ctx, int64_t start, int64_t end) {
    held_.clear();
    held_.resize(labels_.size());
    told_.clear();
    held_error_ = Status();
    if (spec_.producer) {
      held_error_ = spec_.producer->ErrorIn(start, end);
      spec_.producer->AnnotationsIn(start, end, [this](const Annotation& a) { told_.push_back(a); });
    }
    for (size_t i = 0; i < held_.size(); ++i) {
      const window::SeriesWindow& series = ctx.store.at(spec_.set->members[i]).window;
      window::Window w;
      uint32_t cursor = 0;
      if (!window::FindWindow(series, std::max(start, series.complete_since_ms()), end, &cursor, &w)) {
        continue;
      }
      for (const window::Point& p : window::PointsOf(w)) {
        if (p.h != nullptr) {
          held_[i].histograms = true;
        } else {
          held_[i].floats.Append(every_, p.t_ms, p.v);
        }
      }
    }
  }

  RangeSpec spec_;
  int64_t at_ms_;
  int64_t ready_ms_;
  window::Profile every_;
  std::vector<Held> held_;
  bool held_for_good_ = false;
  uint64_t generation_ = 0;  // of the set, when the samples were taken
  Status held_error_;
  std::vector<Annotation> told_;  // by the steps of a subquery
};

// The child at the tick, whatever time is evaluated for it.
class AtTickNode final : public Node {
 public:
  explicit AtTickNode(NodePtr child) : Node(child->type(), {}), child_(std::move(child)) {
    one_name_ = child_->one_name();
  }
  std::string Describe() const override { return "@ start()"; }
  std::string_view WhyAtTicksOnly() const override { return kFixedTime; }
  void MarkLabels(LabelMarks* marks) const override {
    Node::MarkLabels(marks);
    child_->MarkLabels(marks);
  }

 protected:
  uint64_t SourceVersion(Context& ctx) override { return ctx.epoch; }
  bool TimeDependent() const override { return true; }
  void Compute(Context& ctx) override {
    const int64_t t_ms = std::exchange(ctx.t_ms, ctx.query_ms);
    child_->Evaluate(ctx);
    ctx.t_ms = t_ms;
    if (generation_of_child_ != child_->generation()) {
      generation_of_child_ = child_->generation();
      Renumbered();
    }
    for (size_t i = labels_.size(); i < child_->size(); ++i) {
      AddSlot(child_->labels(i), child_->drop_name(i));
    }
    TakeValues(ctx, *child_);
    CollectAnnotations(*child_, &annotations_);
    SetError(child_->error());
  }

 private:
  NodePtr child_;
  uint64_t generation_of_child_ = 0;
};

class LineNode final : public Node {
 public:
  LineNode(NodePtr slope, NodePtr value, NodePtr ahead, int64_t at_ms)
      : Node(ValueType::kVector, {std::move(slope), std::move(value), std::move(ahead)}), at_ms_(at_ms) {
    one_name_ = inputs_[0]->one_name();
  }
  std::string Describe() const override { return "predict_linear @"; }
  std::string_view WhyAtTicksOnly() const override { return kFixedTime; }

 protected:
  bool TimeDependent() const override { return true; }
  void Extend(Context&) override {
    for (size_t i = labels_.size(); i < input(1).size(); ++i) {
      AddSlot(input(1).labels(i), input(1).drop_name(i));
    }
  }
  void Compute(Context& ctx) override {
    ClearValues();
    const double ahead = input(2).scalar() + static_cast<double>(ctx.t_ms - at_ms_) / 1000;
    for (size_t i = 0; i < labels_.size(); ++i) {
      if (input(1).present()[i]) {
        SetFloat(i, input(0).values()[i] * ahead + input(1).values()[i]);
      }
    }
  }

 private:
  int64_t at_ms_;
};

}  // namespace

NodePtr MakeAt(NodePtr child, int64_t at_ms, int64_t ready_ms) {
  return std::make_shared<AtNode>(std::move(child), at_ms, ready_ms);
}
NodePtr MakeHeldWindow(RangeSpec spec, std::vector<NodePtr> params, int64_t at_ms, int64_t ready_ms) {
  return std::make_shared<HeldWindowNode>(std::move(spec), std::move(params), at_ms, ready_ms);
}
NodePtr MakeAtTick(NodePtr child) { return std::make_shared<AtTickNode>(std::move(child)); }
NodePtr MakeLine(NodePtr slope, NodePtr value, NodePtr ahead, int64_t at_ms) {
  return std::make_shared<LineNode>(std::move(slope), std::move(value), std::move(ahead), at_ms);
}

}  // namespace weir::engine
