// Leaves of the graph: instant selectors, range functions over a selector or a subquery, `@`, absent, and the cleanup of
// delayed name removal.

#include <algorithm>
#include <limits>
#include <utility>

#include "core/engine/annotations.h"
#include "core/engine/nodes/nodes.h"
#include "core/engine/subquery.h"

namespace weir::engine {
namespace {

using promql::ValueType;
using window::RecordKind;

// What a window's notes say, in words.
template <typename Annotate>
void AnnotateNotes(const Node* origin, uint32_t notes, uint8_t part, std::string_view name, Annotate annotate) {
  const auto tell = [&](uint32_t note, bool info, std::string text) {
    if ((notes & note) != 0) {
      annotate({origin, info, part, std::move(text), {}});
    }
  };
  tell(window::kMixedFloatsHistograms, false, annotations::MixedFloatsHistograms(name));
  tell(window::kMixedExponentialCustom, false, annotations::MixedExponentialCustom(name));
  tell(window::kNotCounter, false, annotations::NotCounter(name));
  tell(window::kNotGauge, false, annotations::NotGauge(name));
  tell(window::kMismatchedBoundsAdd, true, annotations::MismatchedBounds("addition"));
  tell(window::kMismatchedBoundsSub, true, annotations::MismatchedBounds("subtraction"));
  tell(window::kMismatchedBoundsAgg, true, annotations::MismatchedBounds("aggregation"));
  tell(window::kResetCollisionAgg, false, annotations::ResetCollision("aggregation"));
  tell(window::kHistogramsIgnored, true, annotations::HistogramIgnoredInMixedRange(name));
  tell(window::kStartOverlap, false, annotations::StartTimeOverlap(name));
}

// The newest sample at or before T − offset, unless it is stale or older than the lookback (semantics 1.2).
class InstantSelectorNode final : public Node {
 public:
  explicit InstantSelectorNode(InstantSpec spec) : Node(ValueType::kVector, {}), spec_(std::move(spec)) {
    one_name_ = spec_.set->one_name;
  }
  std::string Describe() const override {
    switch (spec_.what) {
      case SampleField::kTime:
        return "timestamp(selector)";
      case SampleField::kStartTime:
        return "start_timestamp(selector)";
      case SampleField::kValue:
        break;
    }
    return spec_.smoothed ? "selector smoothed" : "selector";
  }

 protected:
  uint64_t SourceVersion(Context&) override { return spec_.set->Version() + spec_.set->members.size(); }
  uint64_t SourceGeneration() const override { return spec_.set->generation; }
  bool TimeDependent() const override { return true; }

  void Extend(Context& ctx) override {
    const auto& members = spec_.set->members;
    for (size_t i = labels_.size(); i < members.size(); ++i) {
      LabelSetId labels = ctx.store.at(members[i]).labels;
      if (spec_.what != SampleField::kValue && !spec_.of_info) {
        AddSlotDroppingName(ctx, labels);
      } else {
        AddSlot(labels, false);
      }
    }
  }

  void Compute(Context& ctx) override {
    ClearValues();
    const int64_t end = ctx.t_ms - spec_.offset_ms;
    if (spec_.smoothed) {
      ComputeSmoothed(ctx, end);
      return;
    }
    const int64_t oldest = end - ctx.options.lookback_ms;
    for (size_t i = 0; i < labels_.size(); ++i) {
      const window::SeriesWindow& series = ctx.store.at(spec_.set->members[i]).window;
      int64_t t = series.last_t_ms();
      double v = series.last_v();
      const HistogramRef* h = series.rich() == nullptr ? nullptr : series.last_histogram();
      int64_t index = -1;
      if (t > end) {
        index = series.ring().LastAtOrBefore(end);
        if (index < 0) {
          continue;
        }
        const window::Record& record = series.ring().At(static_cast<uint32_t>(index));
        t = series.ring().Time(static_cast<uint32_t>(index));
        v = record.v;
        h = record.kind() == RecordKind::kHistogram ? &series.HistogramOf(record) : nullptr;
      }
      if (t <= oldest || (h == nullptr && IsStaleNaN(v))) {
        continue;
      }
      switch (spec_.what) {
        case SampleField::kTime:
          if (spec_.of_info && h != nullptr) {
            SetError(InvalidError("info sample should be float"));
            return;
          }
          SetFloat(i, static_cast<double>(t) / 1000);
          break;
        case SampleField::kStartTime:
          SetFloat(i, static_cast<double>(index < 0 ? series.last_start_ms()
                                                    : series.StartOf(static_cast<uint32_t>(index))) /
                          1000);
          break;
        case SampleField::kValue:
          if (h != nullptr && spec_.statistics) {
            const uint32_t at = index < 0 ? series.ring().size() - 1 : static_cast<uint32_t>(index);
            SetHistogram(i, std::make_shared<FloatHistogram>(window::ReadStatistics(series, at, oldest)));
          } else if (h != nullptr) {
            SetHistogram(i, *h);
          } else {
            SetFloat(i, v);
          }
      }
    }
    if (spec_.what != SampleField::kValue && !spec_.of_info && !one_name_) {
      CheckUnique(ctx);
    }
  }

 private:
  void ComputeSmoothed(Context& ctx, int64_t end) {
    const int64_t lookback = ctx.options.lookback_ms;
    for (size_t i = 0; i < labels_.size(); ++i) {
      const window::SeriesWindow& series = ctx.store.at(spec_.set->members[i]).window;
      window::Window w;
      uint32_t cursor = 0;
      if (!window::FindWindow(series, end - lookback, end + lookback, &cursor, &w)) {
        continue;
      }
      window::RichResult result;
      uint32_t notes = 0;
      if (window::SmoothedInstant(window::PointsOf(w), end, &result, &notes)) {
        if (result.h) {
          SetHistogram(i, std::move(result.h));
        } else {
          SetFloat(i, result.v);
        }
      }
      if (notes != 0) {
        AnnotateNotes(this, notes, 0, NameOf(ctx, labels_[i]), [this](Annotation a) { Annotate(std::move(a)); });
      }
    }
  }

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
    if (spec_.producer && spec_.producer->replayed) {
      spec_.producer->Replay(ctx, ctx.t_ms - spec_.offset_ms, spec_.range_ms);
    } else if (spec_.producer) {
      spec_.producer->RefreshAt(ctx, ctx.t_ms - spec_.offset_ms);
    }
    return spec_.set->Version() + spec_.set->members.size();
  }
  uint64_t SourceGeneration() const override { return spec_.set->generation; }
  bool TimeDependent() const override { return true; }
  void Reset() override {
    cursors_.clear();
    doubtful_.clear();
    doubtful_known_ = 0;
  }

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
    if (IsCounterFunction()) {
      FindDoubtful(ctx);
    }
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
      const std::vector<int64_t> steps = SubquerySteps(end, spec_.range_ms, spec_.producer->step_ms());
      const bool at_end_alone = !steps.empty() && steps.front() == end;
      spec_.producer->AnnotationsIn(start, end, [&](const Annotation& a) {
        if (!a.over_steps || !at_end_alone) {
          Annotate(a);
        }
      });
    }
    const int64_t from = spec_.anchored || spec_.smoothed ? start - ctx.options.lookback_ms : start;
    const int64_t until = spec_.smoothed ? end + ctx.options.lookback_ms : end;
    if (spec_.keeps_name && spec_.producer && spec_.producer->mixes_names()) {
      TakeNames(ctx, from, until);
    }
    std::vector<double> scratch;
    w.scratch = &scratch;
    w.lookback_ms = ctx.options.lookback_ms;
    w.eval_ms = ctx.t_ms;
    w.statistics = spec_.statistics;
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
      if (series.window.rich() != nullptr && window::IsRich(w, spec_.rich, ctx.options.use_start_timestamps)) {
        ComputeRich(ctx, w, i);
        continue;
      }
      present_[i] = spec_.kernel(w, &values_[i]) ? 1 : 0;
    }
    if (spec_.is_quantile && !(w.param[0] >= 0 && w.param[0] <= 1) &&
        std::find(present_.begin(), present_.end(), 1) != present_.end()) {
      Warn(1, annotations::InvalidQuantile(w.param[0]));
    }
    TellDoubtful(ctx);
    if (!spec_.keeps_name && !one_name_) {
      CheckUnique(ctx);
    }
  }

 private:
  // Of the samples of a window it is the first that says whether the name goes.
  void TakeNames(Context& ctx, int64_t from, int64_t until) {
    std::vector<uint8_t> drops;
    bool same = true;
    for (size_t i = 0; i < labels_.size(); ++i) {
      const window::SeriesWindow& series = ctx.store.at(spec_.set->members[i]).window;
      window::Window w;
      const bool any = window::FindWindow(series, from, until, &cursors_[i], &w);
      drops.push_back(any ? spec_.producer->DropAt(i, series.ring().Time(w.first)) : drop_name(i));
      same = same && (drops.back() != 0) == drop_name(i);
    }
    if (same) {
      return;
    }
    const std::vector<LabelSetId> labels = labels_;
    Renumbered();
    for (size_t i = 0; i < labels.size(); ++i) {
      AddSlot(labels[i], drops[i] != 0);
    }
    ClearValues();
  }
  void ComputeRich(Context& ctx, const window::Window& w, size_t slot) {
    window::RichResult result;
    uint32_t notes = 0;
    const bool found =
        spec_.anchored || spec_.smoothed
            ? window::EvaluateRichExtended(w, spec_.rich, spec_.kernel, spec_.smoothed, &result, &notes)
            : window::EvaluateRich(w, spec_.rich, spec_.kernel, ctx.options.use_start_timestamps, &result, &notes);
    if (found && result.h) {
      SetHistogram(slot, std::move(result.h));
    } else if (found) {
      SetFloat(slot, result.v);
    }
    if (notes != 0) {
      AnnotateNotes(this, notes, spec_.part, Name(ctx, slot), [this](Annotation a) { Annotate(std::move(a)); });
    }
  }
  std::string_view Name(Context& ctx, size_t slot) const {
    return NameOf(ctx, ctx.store.at(spec_.set->members[slot]).labels);
  }
  std::string_view Type(Context& ctx, size_t slot) const {
    const LabelSetId labels = ctx.store.at(spec_.set->members[slot]).labels;
    return ctx.labels().Text(ctx.labels().Value(labels, ctx.type_symbol));
  }
  bool IsCounterFunction() const {
    return spec_.rich == window::RangeFunction::kRate || spec_.rich == window::RangeFunction::kIncrease;
  }
  // Slots whose name does not end as counters' do; all of them or none when there is one name.
  void FindDoubtful(Context& ctx) {
    for (size_t i = std::exchange(doubtful_known_, labels_.size()); i < labels_.size(); ++i) {
      if (spec_.set->one_name && i > 0 && !ctx.options.type_and_unit_labels) {
        if (!doubtful_.empty()) {
          doubtful_.push_back(static_cast<uint32_t>(i));
        }
        continue;
      }
      const std::string_view name = Name(ctx, i);
      const std::string_view type = Type(ctx, i);
      const bool counter = ctx.options.type_and_unit_labels ? type == "counter" || type == "histogram"
                                                            : annotations::LooksLikeCounter(name);
      if (!name.empty() && !counter) {
        doubtful_.push_back(static_cast<uint32_t>(i));
      }
    }
  }
  void TellDoubtful(Context& ctx) {
    for (uint32_t slot : doubtful_) {
      if (present_[slot] && !histogram(slot)) {
        Info(spec_.part, ctx.options.type_and_unit_labels
                             ? annotations::PossibleNonCounterLabel(Name(ctx, slot), Type(ctx, slot))
                             : annotations::PossibleNonCounter(Name(ctx, slot)));
        if (spec_.set->one_name && !ctx.options.type_and_unit_labels) {
          return;
        }
      }
    }
  }

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
  std::vector<uint32_t> doubtful_;
  size_t doubtful_known_ = 0;
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
    TakeValues(*child_);
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
  void MarkLabels(std::vector<bool>* live) const override {
    Node::MarkLabels(live);
    child_->MarkLabels(live);
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
    TakeValues(*child_);
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
    TakeValues(input(0));
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
NodePtr MakeHeldWindow(RangeSpec spec, std::vector<NodePtr> params, int64_t at_ms, int64_t ready_ms) {
  return std::make_shared<HeldWindowNode>(std::move(spec), std::move(params), at_ms, ready_ms);
}
NodePtr MakeAtTick(NodePtr child) { return std::make_shared<AtTickNode>(std::move(child)); }
NodePtr MakeLine(NodePtr slope, NodePtr value, NodePtr ahead, int64_t at_ms) {
  return std::make_shared<LineNode>(std::move(slope), std::move(value), std::move(ahead), at_ms);
}
NodePtr MakeAbsent(NodePtr child, LabelSetId labels) { return std::make_shared<AbsentNode>(std::move(child), labels); }
NodePtr MakeCleanup(NodePtr child) { return std::make_shared<CleanupNode>(std::move(child)); }

}  // namespace weir::engine
