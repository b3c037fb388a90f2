// Leaves of the graph: instant selectors, range functions over a selector or a subquery, absent, and the cleanup of delayed name
// removal.

#include <algorithm>
#include <limits>
#include <utility>

#include "core/base/prefetch.h"
#include "core/engine/annotations.h"
#include "core/engine/leaf_bounds.h"
#include "core/engine/nodes/nodes.h"
#include "core/engine/subquery.h"
#include "core/window/tape_folds.h"

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

// Computes the slots that the crew has left, in order, one by one.
template <typename Work>
void ForLeft(Context& ctx, const std::vector<uint32_t>& left, Work work) {
  for (size_t i = 0; i < left.size(); ++i) {
    ctx.MayYield(i);
    work(left[i], left[i] + size_t{1}, 0, nullptr);
  }
}

// Computes the slots of a leaf with the whole crew. work(from, to, member, left) adds slots to `left` that only the engine's thread
// may compute (histograms, annotations, labels); where there is one thread it is null. Those follow.
template <typename Work>
void ForSlots(Context& ctx, size_t slots, Work work) {
  if (ctx.crew->members() == 1) {
    ctx.ForSlots(0, slots, [&](size_t from, size_t to, uint32_t) { work(from, to, 0, nullptr); });
    return;
  }
  std::vector<std::vector<uint32_t>> left(ctx.crew->members());
  ctx.ForSlots(0, slots, [&](size_t from, size_t to, uint32_t member) { work(from, to, member, &left[member]); });
  std::vector<uint32_t> all;
  for (const std::vector<uint32_t>& own : left) {
    all.insert(all.end(), own.begin(), own.end());
  }
  std::sort(all.begin(), all.end());
  ForLeft(ctx, all, work);
}

// RETURNS: a number that changes with what a leaf over the set reads.
uint64_t VersionOf(const Context& ctx, const SeriesSet& set) {
  return set.Version() + set.members.size() + (ctx.between ? ctx.store.watched_aside() : 0);
}

// Bounds of a leaf's slots, one by one.
template <typename Bound>
void BoundMembers(Context& ctx, const SeriesSet& set, size_t slots, const std::vector<Span>* keep,
                  std::vector<Trigger>* triggers, Bounds* out, Bound bound) {
  constexpr size_t kAhead = 8;
  Store& store = ctx.store;
  out->slots.reserve(slots);
  for (size_t i = 0; i < slots; ++i) {
    ctx.MayYield(i);
    const SeriesId id = set.members[i];
    // Nothing is asked of what may be anything, whatever its window holds.
    if (keep != nullptr && (*keep)[i].any()) {
      triggers->push_back(Trigger::Never(id));
      out->slots.push_back(Span::Any());
      continue;
    }
    if (i + 2 * kAhead < slots) {
      PrefetchForRead(&store.at(set.members[i + 2 * kAhead]));
      const window::Ring& soon = store.at(set.members[i + kAhead]).window.ring();
      soon.Prefetch(soon.first_number());
    }
    Trigger trigger = Trigger::Always(id);
    out->slots.push_back(bound(store.at(id), LeafKeep{id, keep == nullptr ? nullptr : &(*keep)[i], &trigger}));
    if (keep != nullptr) {
      triggers->push_back(trigger);
    }
  }
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
  const SeriesSet* Source() const override { return spec_.set.get(); }
  std::string_view WhyAtTicksOnly() const override {
    return spec_.smoothed ? "smoothed reads past its evaluation time" : std::string_view();
  }
  bool HasBounds() const override { return spec_.what != SampleField::kStartTime && !spec_.of_info; }
  void AheadSlots(Context& ctx, const AheadTask& task, AheadPiece piece, std::vector<uint32_t>* left) override {
    ComputeSlots(ctx, piece.from, piece.to, task.t_ms - spec_.offset_ms, left);
  }
  void BoundLeaf(const Horizon& horizon, const std::vector<Span>* keep, std::vector<Trigger>* triggers,
                 Bounds* out) const override {
    const LeafTimes times{horizon.from_ms - spec_.offset_ms, horizon.until_ms - spec_.offset_ms,
                          horizon.ctx.options.lookback_ms};
    BoundMembers(horizon.ctx, *spec_.set, size(), keep, triggers, out, [&](const Series& series, const LeafKeep& leaf) {
      return !HasBounds()                       ? BoundUnknown(leaf)
             : spec_.what == SampleField::kTime ? BoundTime(series.window, times, leaf)
                                                : BoundLast(series.window, times, false, leaf);
    });
  }

 protected:
  uint64_t SourceVersion(Context& ctx) override { return VersionOf(ctx, *spec_.set); }
  uint64_t SourceGeneration() const override { return spec_.set->generation; }
  bool TimeDependent() const override { return true; }

  void Extend(Context& ctx) override {
    const auto& members = spec_.set->members;
    MakeRoom(ctx, members.size());
    for (size_t i = labels_.size(); i < members.size(); ++i) {
      LabelSetId labels = ctx.store.at(members[i]).labels;
      if (spec_.what != SampleField::kValue && !spec_.of_info) {
        AddSlotDroppingName(ctx, labels);
      } else {
        AddSlot(labels, false);
      }
      ctx.MayYieldNew(i);
    }
  }

  bool CanGoAhead(Context&, int64_t) override { return !spec_.smoothed; }

  void Compute(Context& ctx) override {
    std::vector<uint32_t> left_ahead;
    const bool ready = TakeAhead(&left_ahead);
    const int64_t end = ctx.t_ms - spec_.offset_ms;
    if (spec_.smoothed) {
      ComputeSmoothed(ctx, end);
      return;
    }
    const auto compute = [&](size_t from, size_t to, uint32_t, std::vector<uint32_t>* left) {
      ComputeSlots(ctx, from, to, end, left);
    };
    if (ready) {
      ForLeft(ctx, left_ahead, compute);
    } else {
      ForSlots(ctx, labels_.size(), compute);
    }
    if (error().ok() && spec_.what != SampleField::kValue && !spec_.of_info && !one_name_) {
      CheckUnique(ctx);
    }
  }

 private:
  // `left`: takes the slots whose sample is a histogram; null: they are computed, too.
  void ComputeSlots(Context& ctx, size_t from, size_t to, int64_t end, std::vector<uint32_t>* left) {
    constexpr size_t kAhead = 16;
    const int64_t oldest = end - ctx.options.lookback_ms;
    for (size_t i = from; i < to; ++i) {
      if (i + kAhead < to) {
        PrefetchForRead(&ctx.store.at(spec_.set->members[i + kAhead]));
      }
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
      if (h != nullptr && left != nullptr) {
        left->push_back(static_cast<uint32_t>(i));
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
  }

  void ComputeSmoothed(Context& ctx, int64_t end) {
    const int64_t lookback = ctx.options.lookback_ms;
    for (size_t i = 0; i < labels_.size(); ++i) {
      ctx.MayYield(i);
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
  const SeriesSet* Source() const override { return spec_.set.get(); }
  std::string_view WhyAtTicksOnly() const override {
    return spec_.producer   ? "the steps of a subquery are evaluated when the stream has passed them"
           : spec_.smoothed ? "smoothed reads past its evaluation time"
                            : std::string_view();
  }
  bool HasBounds() const override {
    static constexpr window::Kernel kBounded[] = {window::Rate,         window::Increase,        window::Delta,
                                                  window::LastOverTime, window::MaxOverTime,     window::MinOverTime,
                                                  window::AvgOverTime,  window::QuantileOverTime};
    return std::find(std::begin(kBounded), std::end(kBounded), spec_.kernel) != std::end(kBounded) || Fold();
  }
  void BoundLeaf(const Horizon& horizon, const std::vector<Span>* keep, std::vector<Trigger>* triggers,
                 Bounds* out) const override {
    const LeafTimes times{horizon.from_ms - spec_.offset_ms, horizon.until_ms - spec_.offset_ms, spec_.range_ms};
    Store& store = horizon.ctx.store;
    const std::optional<SampleFold> fold = Fold();
    const double q = spec_.kernel == window::QuantileOverTime ? FixedParam(horizon) : 0;
    BoundMembers(horizon.ctx, *spec_.set, size(), keep, triggers, out, [&](const Series& series, const LeafKeep& leaf) {
      if (spec_.kernel == window::Rate || spec_.kernel == window::Increase) {
        return BoundIncrease(series.window, times, store.profile(series.profile).count_resets,
                             spec_.kernel == window::Rate, leaf);
      }
      if (spec_.kernel == window::Delta) {
        return BoundDelta(series.window, times, leaf);
      }
      if (spec_.kernel == window::LastOverTime) {
        return BoundLast(series.window, times, true, leaf);
      }
      if (spec_.kernel == window::MaxOverTime || spec_.kernel == window::MinOverTime) {
        return BoundExtreme(series.window, times, spec_.kernel == window::MinOverTime, leaf);
      }
      if (spec_.kernel == window::AvgOverTime) {
        return BoundAverage(series.window, times, leaf);
      }
      if (spec_.kernel == window::QuantileOverTime) {
        return BoundQuantile(series.window, times, q, leaf);
      }
      return fold ? BoundSamples(series.window, times, *fold, leaf) : BoundUnknown(leaf);
    });
  }
  std::optional<CounterWindows> Counters() const override {
    if (spec_.kernel != window::Rate && spec_.kernel != window::Increase) {
      return std::nullopt;
    }
    return CounterWindows{spec_.set.get(), spec_.range_ms, spec_.offset_ms};
  }
  void AheadSlots(Context& ctx, const AheadTask& task, AheadPiece piece, std::vector<uint32_t>* left) override {
    window::Window w = WindowAt(ctx, task.t_ms);
    w.scratch = &scratch_[piece.member];
    ComputeSlots(ctx, w, {piece.from, piece.to}, ReachOf(ctx, w), {}, left);
  }
  size_t Bytes() const override {
    size_t bytes = Node::Bytes() + cursors_.capacity() * sizeof(uint32_t);
    for (const std::vector<double>& scratch : scratch_) {
      bytes += scratch.capacity() * sizeof(double);
    }
    for (const window::TapeReader& reader : readers_) {
      bytes += reader.HeapBytes();
    }
    for (const auto& folds : folds_) {
      bytes += folds->HeapBytes();
    }
    return bytes;
  }

 private:
  std::optional<SampleFold> Fold() const {
    static constexpr std::pair<window::Kernel, SampleFold> kFolds[] = {{window::PresentOverTime, SampleFold::kPresent},
                                                                       {window::CountOverTime, SampleFold::kCount},
                                                                       {window::SumOverTime, SampleFold::kSum},
                                                                       {window::Changes, SampleFold::kChanges},
                                                                       {window::Resets, SampleFold::kResets},
                                                                       {window::Irate, SampleFold::kIrate},
                                                                       {window::Idelta, SampleFold::kIdelta}};
    for (const auto& [kernel, fold] : kFolds) {
      if (kernel == spec_.kernel) {
        return fold;
      }
    }
    return std::nullopt;
  }
  // RETURNS: the first parameter if it is a constant, else NaN.
  double FixedParam(const Horizon& horizon) const {
    if (inputs_.empty() || !input(0).inputs().empty()) {
      return NormalNaN();
    }
    Bounds bounds;
    input(0).Bound(horizon, {}, &bounds);
    const Span& span = bounds.slots[0];
    return span.lo == span.hi && !span.nan ? span.lo : NormalNaN();
  }

 protected:
  uint64_t SourceVersion(Context& ctx) override {
    if (spec_.producer && spec_.producer->replayed) {
      spec_.producer->Replay(ctx, ctx.t_ms - spec_.offset_ms, spec_.range_ms);
    } else if (spec_.producer) {
      spec_.producer->RefreshAt(ctx, ctx.t_ms - spec_.offset_ms);
    }
    return VersionOf(ctx, *spec_.set);
  }
  uint64_t SourceGeneration() const override { return spec_.set->generation; }
  bool TimeDependent() const override { return true; }
  void Reset() override {
    cursors_.clear();
    readers_.clear();
    doubtful_.clear();
    doubtful_known_ = 0;
  }

  void Extend(Context& ctx) override {
    const auto& members = spec_.set->members;
    if (one_name_ && !spec_.producer && !spec_.keeps_name && !ctx.options.delayed_name_removal) {
      KeepNames(members.size());
    }
    MakeRoom(ctx, members.size());
    for (size_t i = size(); i < members.size(); ++i) {
      LabelSetId labels = ctx.store.at(members[i]).labels;
      if (spec_.keeps_name) {
        AddSlot(labels, !spec_.set->drop.empty() && spec_.set->drop[i] != 0);
      } else {
        AddSlotDroppingName(ctx, labels);
      }
      ctx.MayYieldNew(i);
    }
    ResizeTo(ctx, members.size(), {}, &cursors_);
    if (IsCounterFunction()) {
      FindDoubtful(ctx);
    }
  }

  // Windows in rings, of functions without parameters, whose scratch memory is there.
  bool CanGoAhead(Context& ctx, int64_t t_ms) override {
    if (spec_.producer || spec_.smoothed || spec_.bounded.kind != window::BoundedKind::kNone ||
        spec_.check != nullptr || cursors_.size() != size() ||
        (spec_.tape != window::TapeKind::kNone && Store::FindTape(*spec_.set, t_ms - spec_.offset_ms - spec_.range_ms,
                                                                  spec_.range_ms + spec_.offset_ms, spec_.tape))) {
      return false;
    }
    scratch_.resize(ctx.crew->members());
    return true;
  }

  void Compute(Context& ctx) override {
    std::vector<uint32_t> left_ahead;
    const bool ready = TakeAhead(&left_ahead);
    window::Window w = WindowAt(ctx, ctx.t_ms);
    const int64_t start = w.start_ms;
    const int64_t end = w.end_ms;
    const Reach reach = ReachOf(ctx, w);
    for (size_t i = 0; i < inputs_.size(); ++i) {
      w.param[i] = input(i).scalar();
    }
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
    if (spec_.keeps_name && spec_.producer && spec_.producer->mixes_names()) {
      TakeNames(ctx, reach.from_ms, reach.until_ms);
    }
    Taped taped;
    if (spec_.bounded.kind != window::BoundedKind::kNone) {
      taped.bounded = Store::FindBounded(*spec_.set, start, spec_.range_ms, spec_.bounded);
    } else if (spec_.tape != window::TapeKind::kNone) {
      Status status = SeekTape(ctx, start, end, &taped);
      if (!status.ok()) {
        SetError(std::move(status));
        return;
      }
    }
    if (spec_.check != nullptr) {
      // Parameters are looked at with the first window: no samples, no error.
      Status status = spec_.check(w.param);
      if (!status.ok() && AnyWindow(ctx, reach.from_ms, reach.until_ms)) {
        SetError(std::move(status));
        return;
      }
    }
    scratch_.resize(ctx.crew->members());
    const auto compute = [&](size_t first, size_t last, uint32_t member, std::vector<uint32_t>* left) {
      window::Window own = w;
      own.scratch = &scratch_[member];
      ComputeSlots(ctx, own, {first, last}, reach, taped, left);
    };
    if (ready) {
      ForLeft(ctx, left_ahead, compute);
    } else {
      ForSlots(ctx, size(), compute);
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
  struct Slots {
    size_t first;
    size_t last;
  };
  // Of the samples that are looked at.
  struct Reach {
    int64_t from_ms;
    int64_t until_ms;
  };
  window::Window WindowAt(const Context& ctx, int64_t t_ms) const {
    window::Window w;
    w.lookback_ms = ctx.options.lookback_ms;
    w.eval_ms = t_ms;
    w.statistics = spec_.statistics;
    w.end_ms = t_ms - spec_.offset_ms;
    w.start_ms = w.end_ms - spec_.range_ms;
    return w;
  }
  Reach ReachOf(const Context& ctx, const window::Window& w) const {
    return {spec_.anchored || spec_.smoothed ? w.start_ms - ctx.options.lookback_ms : w.start_ms,
            spec_.smoothed ? w.end_ms + ctx.options.lookback_ms : w.end_ms};
  }
  // RETURNS: the samples of the window that count, as FindWindow.
  bool Find(const window::SeriesWindow& series, size_t slot, Reach reach, window::Window* w) {
    const int64_t whole = spec_.needs_all ? std::max(reach.from_ms, series.complete_since_ms()) : reach.from_ms;
    const int64_t start = w->start_ms;
    const int64_t end = w->end_ms;
    const bool found = window::FindWindow(series, whole, reach.until_ms, &cursors_[slot], w);
    w->start_ms = start;
    w->end_ms = end;
    return found;
  }
  bool AnyWindow(Context& ctx, int64_t from, int64_t until) {
    window::Window w;
    for (size_t i = 0; i < size(); ++i) {
      ctx.MayYield(i);
      if (Find(ctx.store.at(spec_.set->members[i]).window, i, {from, until}, &w)) {
        return true;
      }
    }
    return false;
  }
  // What tapes have of this evaluation's windows; null: they are in the rings.
  struct Taped {
    const window::TapeReader* reader = nullptr;
    const window::TapeFolds* folds = nullptr;
    std::shared_ptr<const window::BoundedRows> bounded;
  };
  // `left`: takes the slots with histograms; null: they are computed, too.
  void ComputeSlots(Context& ctx, window::Window& w, Slots slots, Reach reach, const Taped& taped,
                    std::vector<uint32_t>* left) {
    uint32_t last_profile = std::numeric_limits<uint32_t>::max();
    bool counts_changes = false;
    for (size_t i = slots.first; i < slots.last; ++i) {
      Prefetch(ctx, i, slots.last);
      const Series& series = ctx.store.at(spec_.set->members[i]);
      const bool rich = series.window.rich() != nullptr;
      if (taped.folds != nullptr && (!rich || window::HoldsMixed(spec_.tape))) {
        if (rich && left != nullptr) {
          left->push_back(static_cast<uint32_t>(i));
          continue;
        }
        present_[i] = taped.folds->Evaluate(spec_.kernel, i, w, series.window, &values_[i]) ? 1 : 0;
        if (rich && Find(series.window, i, reach, &w) && window::IsMixed(w)) {
          AnnotateNotes(this, window::kHistogramsIgnored, spec_.part, Name(ctx, i),
                        [this](Annotation a) { Annotate(std::move(a)); });
        }
        continue;
      }
      if (!Find(series.window, i, reach, &w)) {
        continue;
      }
      if (taped.reader != nullptr) {
        w.on_tape = taped.reader->Edge(i, &w.edge.t_ms, &w.edge.v, &w.edge.ordinal) &&
                    (w.edge.t_ms < series.window.ring().Time(w.first) || (rich && window::HoldsMixed(spec_.tape)));
      }
      if (taped.bounded != nullptr) {
        TakeEdge(*taped.bounded, i, series.window, &w);
      }
      if (series.profile != last_profile) {
        last_profile = series.profile;
        const window::Profile& profile = ctx.store.profile(last_profile);
        w.reset_list = profile.count_resets;
        counts_changes = profile.count_changes;
      }
      w.changes_list = counts_changes && series.window.thinned();
      if (rich && !(w.on_tape && window::HoldsMixed(spec_.tape)) &&
          window::IsRich(w, spec_.rich, ctx.options.use_start_timestamps)) {
        if (left != nullptr) {
          left->push_back(static_cast<uint32_t>(i));
        } else {
          w.on_tape = w.on_tape && taped.bounded == nullptr;  // they have given back what they had
          ComputeRich(ctx, w, i);
        }
        continue;
      }
      present_[i] = spec_.kernel(w, &values_[i]) ? 1 : 0;
    }
  }
  // The left end of the window, unless the ring has it.
  void TakeEdge(const window::BoundedRows& rows, size_t slot, const window::SeriesWindow& series,
                window::Window* w) const {
    window::BoundedRows::Edge edge;
    if (!rows.FindEdge(spec_.set->members[slot], w->start_ms, &edge)) {
      return;
    }
    const window::Ring& ring = series.ring();
    w->on_tape = edge.merged ? ring.Time(0) > w->start_ms : edge.t_ms < ring.Time(w->first);
    w->edge = {
        edge.t_ms,           edge.v, edge.ordinal, edge.resets, edge.resets_until_ms, edge.merged, edge.mass_between,
        edge.samples_between};
  }
  // Of the samples of a window it is the first that says whether the name goes.
  void TakeNames(Context& ctx, int64_t from, int64_t until) {
    std::vector<uint8_t> drops;
    bool same = true;
    for (size_t i = 0; i < labels_.size(); ++i) {
      ctx.MayYield(i);
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
  // Brings the reader of the tape that has a row from `start` on to this window, if there is such a tape.
  Status SeekTape(Context& ctx, int64_t start, int64_t end, Taped* taped) {
    const auto tape = Store::FindTape(*spec_.set, start, spec_.range_ms + spec_.offset_ms, spec_.tape);
    if (!tape) {
      readers_.clear();
      folds_.clear();
      return {};
    }
    if (window::IsFold(spec_.tape)) {
      auto found = std::find_if(folds_.begin(), folds_.end(), [&](const auto& f) { return f->tape() == tape; });
      if (found == folds_.end()) {
        found = folds_.insert(found, window::TapeFolds::Of(tape));
      }
      taped->folds = found->get();
      return (*found)->Advance(start, end, spec_.set->members, ctx.yield);
    }
    auto found = std::find_if(readers_.begin(), readers_.end(), [&](const auto& r) { return r.tape() == tape; });
    if (found == readers_.end()) {
      found = readers_.emplace(found, tape);
    }
    taped->reader = &*found;
    return found->Seek(start, spec_.set->members, ctx.yield);
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
    for (size_t i = std::exchange(doubtful_known_, size()); i < size(); ++i) {
      ctx.MayYield(i);
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
  void Prefetch(Context& ctx, size_t slot, size_t end) const {
    const auto& members = spec_.set->members;
    if (slot + 16 < end) {
      PrefetchForRead(&ctx.store.at(members[slot + 16]));
    }
    if (slot + 8 < end) {
      ctx.store.at(members[slot + 8]).window.ring().Prefetch(cursors_[slot + 8]);
    }
  }

  RangeSpec spec_;
  std::vector<uint32_t> cursors_;
  // One for each grid of starts: rules of several intervals share the node.
  std::vector<window::TapeReader> readers_;
  std::vector<std::unique_ptr<window::TapeFolds>> folds_;
  std::vector<std::vector<double>> scratch_;  // of kernels that sort, by member of the crew
  std::vector<uint32_t> doubtful_;
  size_t doubtful_known_ = 0;
};

class AbsentNode final : public Node {
 public:
  AbsentNode(NodePtr child, LabelSetId labels) : Node(ValueType::kVector, {std::move(child)}), set_(labels) {
    one_name_ = true;
  }
  std::string Describe() const override { return "absent"; }
  bool HasBounds() const override { return true; }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override {
    Span span = Span::Of(1);
    bool sure = false;
    bool any = false;
    for (const Span& child : in[0]->slots) {
      sure = sure || !child.absent;
      any = any || child.present();
    }
    span.absent = any;
    out->slots.assign(size(), sure ? Span::Absent() : span);
  }
  void Restrict(const Horizon&, std::span<const Bounds* const> in, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    if (keep[0].any()) {
      return;
    }
    // One that stays is enough; the others may do as they like.
    for (size_t i = 0; i < in[0]->slots.size() && !keep[0].nothing(); ++i) {
      if (!in[0]->slots[i].absent) {
        (*keep_in[0])[i].absent = false;
        return;
      }
    }
    RestrictAll(keep, keep_in);
  }
  void MarkLabels(LabelMarks* marks) const override {
    Node::MarkLabels(marks);
    Mark({set_}, marks);
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
  bool HasBounds() const override { return true; }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override { *out = *in[0]; }
  void Restrict(const Horizon&, std::span<const Bounds* const>, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    RestrictSame(keep, keep_in[0]);
  }

 protected:
  void Extend(Context& ctx) override {
    for (size_t i = labels_.size(); i < input(0).size(); ++i) {
      AddSlot(input(0).drop_name(i) ? ctx.DropName(input(0).labels(i)) : input(0).labels(i), false);
      ctx.MayYieldNew(i);
    }
  }
  void Compute(Context& ctx) override {
    TakeValues(ctx, input(0));
    order_ = input(0).order();
    CheckUnique(ctx, true);
  }
};

}  // namespace

NodePtr MakeInstantSelector(InstantSpec spec) { return std::make_shared<InstantSelectorNode>(std::move(spec)); }
NodePtr MakeRange(RangeSpec spec, std::vector<NodePtr> params) {
  return std::make_shared<RangeNode>(std::move(spec), std::move(params));
}
NodePtr MakeAbsent(NodePtr child, LabelSetId labels) { return std::make_shared<AbsentNode>(std::move(child), labels); }
NodePtr MakeCleanup(NodePtr child) { return std::make_shared<CleanupNode>(std::move(child)); }

}  // namespace weir::engine
