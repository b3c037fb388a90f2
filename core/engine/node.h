#pragma once
// One node of the dataflow graph. A node has slots (positions with a fixed label set), and at a tick a value and a
// presence byte per slot. Structure work (labels, groups, joins) happens in Extend(), only for slots that are new;
// Compute() is arithmetic over arrays. Evaluate() does both as needed and remembers the last tick. Engine thread only.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/fork_join.h"
#include "core/engine/ahead.h"
#include "core/engine/store.h"

namespace weir::engine {

// What nodes are handed: the shard's tables and the tick.
struct Context {
  Store& store;
  const Options& options;
  SymbolId name_symbol;
  SymbolId type_symbol;
  SymbolId unit_symbol;
  SymbolId le_symbol;
  int64_t t_ms = 0;
  int64_t query_ms = 0;      // the tick that is evaluated, also while a subquery is replayed at earlier times for it
  bool between = false;      // of a plan that has triggers: joins make their slots for what is not present yet, too
  uint64_t epoch = 0;        // changes with every append and every tick: nothing evaluated in this epoch can be stale
  ForkJoin* crew = nullptr;  // one member a shard
  LeavesAhead* ahead = nullptr;         // what the crew may be busy with
  std::function<void()> yield = [] {};  // lets samples in, none of which this evaluation can see

  LabelSetTable& labels() { return store.labels(); }
  // RETURNS: the set without __name__, __type__ and __unit__.
  LabelSetId DropName(LabelSetId id);
  // Calls work(begin, end, member) for ranges that together are [begin, end), at once on all members of the crew, and yields
  // between them; on this thread alone while the crew computes leaves ahead. Work on a slot touches nothing but that slot and what
  // is the member's own.
  template <typename Work>
  void ForSlots(size_t begin, size_t end, Work work) {
    const size_t members = ahead->Busy() || crew->alone() ? 1 : crew->members();
    const size_t together = members * std::size_t{options.slots_per_yield} * kYieldsPerHandOver;
    while (members > 1 && end - begin >= members * options.slots_per_yield) {
      const size_t stop = std::min(end, begin + together);
      const size_t share = (stop - begin + members - 1) / members;
      ahead->Rest();
      crew->Run([&](uint32_t member) {
        const size_t from = std::min(stop, begin + member * share);
        work(from, std::min(stop, from + share), member);
      });
      begin = stop;
      yield();
    }
    const size_t step = options.slots_per_yield;
    for (; begin < end; begin = std::min(end, (begin / step + 1) * step)) {
      work(begin, std::min(end, (begin / step + 1) * step), 0);
      yield();
    }
  }
  // As MayYield, of loops that make slots: labels are looked up and tables grow.
  void MayYieldNew(size_t slot) {
    if ((slot & (std::min<size_t>(options.slots_per_yield, kNewSlotsPerYield) - 1)) == 0) {
      yield();
    }
  }
  static constexpr size_t kNewSlotsPerYield = 64;  // some 0.05 ms
  // Some 0.4 ms of windows: long against a hand-over, short against the patience of samples.
  static constexpr size_t kYieldsPerHandOver = 8;
  static constexpr size_t kCopiedPerYield = 8192;  // elements of a vector
  // For loops over slots: yields once in so many of them (Options::slots_per_yield), at a moment when no slot is half done.
  void MayYield(size_t slot) {
    if ((slot & (options.slots_per_yield - 1)) == 0) {
      yield();
    }
  }
};

// Makes room for so many elements, with yields: many are copied piece by piece.
template <typename T>
void GrowTo(Context& ctx, size_t size, std::vector<T>* of) {
  if (of->capacity() >= size) {
    return;
  }
  std::vector<T> larger;
  larger.reserve(of->empty() ? size : size + size / 8);
  for (size_t from = 0; from < of->size(); from += Context::kCopiedPerYield) {
    const auto begin = of->begin() + static_cast<ptrdiff_t>(from);
    const size_t count = std::min(Context::kCopiedPerYield, of->size() - from);
    larger.insert(larger.end(), begin, begin + static_cast<ptrdiff_t>(count));
    ctx.yield();
  }
  of->swap(larger);
}
// As of->resize(size, value), with yields.
template <typename T>
void ResizeTo(Context& ctx, size_t size, const T& value, std::vector<T>* of) {
  if (size <= of->size() + Context::kCopiedPerYield) {
    of->resize(size, value);
    return;
  }
  GrowTo(ctx, size, of);
  while (of->size() < size) {
    of->resize(std::min(size, of->size() + Context::kCopiedPerYield), value);
    ctx.yield();
  }
}
// As of->assign(size, value), with yields.
template <typename T>
void FillWith(Context& ctx, size_t size, const T& value, std::vector<T>* of) {
  of->clear();
  ResizeTo(ctx, size, value, of);
}
// As *of = from, with yields.
template <typename T>
void CopyTo(Context& ctx, const std::vector<T>& from, std::vector<T>* of) {
  if (from.size() <= Context::kCopiedPerYield) {
    *of = from;
    return;
  }
  ResizeTo(ctx, from.size(), T(), of);
  for (size_t at = 0; at < from.size(); at += Context::kCopiedPerYield) {
    const size_t count = std::min(Context::kCopiedPerYield, from.size() - at);
    std::copy_n(from.begin() + static_cast<ptrdiff_t>(at), count, of->begin() + static_cast<ptrdiff_t>(at));
    ctx.yield();
  }
}

// Which group each slot belongs to: two bytes a slot while there are no more than 65,536 groups, else four.
class SlotGroups {
 public:
  size_t size() const { return wide_.empty() ? narrow_.size() : wide_.size(); }
  uint32_t operator[](size_t slot) const { return wide_.empty() ? narrow_[slot] : wide_[slot]; }
  size_t Bytes() const { return narrow_.capacity() * sizeof(narrow_[0]) + wide_.capacity() * sizeof(wide_[0]); }
  // Makes room for so many slots, with yields.
  void GrowTo(Context& ctx, size_t slots) {
    if (wide_.empty()) {
      engine::GrowTo(ctx, slots, &narrow_);
    } else {
      engine::GrowTo(ctx, slots, &wide_);
    }
  }
  void Add(uint32_t group) {
    if (wide_.empty() && group > UINT16_MAX) {
      wide_.reserve(narrow_.capacity());
      wide_.assign(narrow_.begin(), narrow_.end());
      narrow_ = {};
    }
    if (wide_.empty() && group <= UINT16_MAX) {
      narrow_.push_back(static_cast<uint16_t>(group));
    } else {
      wide_.push_back(group);
    }
  }
  void Clear() {
    narrow_.clear();
    wide_.clear();
  }

 private:
  std::vector<uint16_t> narrow_;
  std::vector<uint32_t> wide_;
};

class Node;
using NodePtr = std::shared_ptr<Node>;

// Something worth telling about an evaluation, as Prometheus's annotations (semantics 3.6).
struct Annotation {
  const Node* origin = nullptr;  // whose part of an expression it is about
  bool info = false;             // else a warning
  uint8_t part = 0;              // 0: that whole part; n: its n-th argument
  std::string text;
  std::string detail;  // follows the text where the position is shown, too
  // Of a part of a subquery: not worth telling where the only step is at the very end of the range.
  bool over_steps = false;
};

// What rate() and increase() read. UNITS: milliseconds.
struct CounterWindows {
  const SeriesSet* set;
  int64_t range_ms;
  int64_t offset_ms;
};

class Node {
 public:
  Node(promql::ValueType type, std::vector<NodePtr> inputs)
      : type_(type), inputs_(std::move(inputs)), seen_(inputs_.size()) {}
  virtual ~Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Brings the node to ctx.t_ms. Afterwards error() tells, else the values are there.
  void Evaluate(Context& ctx) {
    EvaluateNamed(ctx);
    if (named_ && error_.ok()) {
      DropNames(ctx);
    }
  }
  // The same for one that asks for no labels(), only for named_labels().
  void EvaluateNamed(Context& ctx);

  promql::ValueType type() const { return type_; }
  const Status& error() const { return error_; }
  uint64_t generation() const { return generation_; }  // changes when slots were renumbered
  uint64_t version() const { return version_; }        // changes when values may have

  size_t size() const { return named_ ? named_slots_ : labels_.size(); }
  LabelSetId labels(size_t slot) const {
    WEIR_ASSERT(!named_);
    return labels_[slot];
  }
  // RETURNS: labels(), or, of a node that is named(), the same with the labels that DropName takes away: those of its series.
  LabelSetId named_labels(const Context& ctx, size_t slot) const {
    return named_ ? ctx.store.at(Source()->members[slot]).labels : labels_[slot];
  }
  bool named() const { return named_; }
  bool drop_name(size_t slot) const { return !drop_.empty() && drop_[slot] != 0; }
  const std::vector<LabelSetId>& labels() const {
    WEIR_ASSERT(!named_);
    return labels_;
  }
  const std::vector<double>& values() const { return values_; }
  const std::vector<uint8_t>& present() const { return present_; }
  // Histograms by slot; empty when no slot holds one, null where a slot holds a float (or nothing). The value is 0 there.
  const std::vector<HistogramRef>& histograms() const { return histograms_; }
  const HistogramRef& histogram(size_t slot) const {
    return slot < histograms_.size() ? histograms_[slot] : kNoHistogram;
  }
  // Of the last evaluation.
  const std::vector<Annotation>& annotations() const { return annotations_; }
  bool one_name() const { return one_name_; }
  double scalar() const { return scalar_; }
  const std::string& text() const { return text_; }
  // Present slots in output order, for what sorts; empty: no order.
  const std::vector<uint32_t>& order() const { return order_; }
  const std::vector<NodePtr>& inputs() const { return inputs_; }

  // One line for explain.
  virtual std::string Describe() const = 0;
  virtual size_t Bytes() const;
  // --- trigger values (trigger.h); the node has been evaluated ---
  // The series that a leaf reads; null of other nodes.
  virtual const SeriesSet* Source() const { return nullptr; }
  // RETURNS: why what is evaluated here at other times than ticks would not be what Prometheus finds there; "" if it would.
  virtual std::string_view WhyAtTicksOnly() const { return {}; }
  // RETURNS: whether Bound says more than that anything may happen.
  virtual bool HasBounds() const { return false; }
  // What the slots may become when the inputs' are bounded by `in`.
  virtual void Bound(const Horizon& horizon, std::span<const Bounds* const> in, Bounds* out) const;
  // Narrows `keep_in` so that this node is likely to keep to `keep`. Where `keep` asks for nothing every input of the slot must be
  // asked for nothing, too.
  virtual void Restrict(const Horizon& horizon, std::span<const Bounds* const> in, const std::vector<Span>& keep,
                        std::span<std::vector<Span>* const> keep_in) const;
  // RETURNS: whether Restrict may leave links: then what Bound finds before it says too little.
  virtual bool MayLink() const { return false; }
  // RETURNS: how far an absent slot is from being present, as a part; 0 when it is not known. Which side of `and` is asked to
  // keep the result absent hangs on it.
  virtual double Slack(size_t) const { return 0; }
  // Of a leaf: Bound, with a trigger for each of its series that keeps to `keep`; null: without sample and trigger.
  virtual void BoundLeaf(const Horizon& horizon, const std::vector<Span>* keep, std::vector<Trigger>* triggers,
                         Bounds* out) const;

  // RETURNS: of rate() and increase(), the windows of its counters; null of others.
  virtual std::optional<CounterWindows> Counters() const { return std::nullopt; }
  // RETURNS: of sum(), the slot that each slot of its input goes to; null of others.
  virtual const SlotGroups* SumGroups() const { return nullptr; }

  // --- ahead of its turn (ahead.h) ---
  // Gets a leaf ready for being computed at task->t_ms by AheadSlots, if that is all there is to do: no slot is new, and rules write
  // nothing that it reads. Its values are gone. RETURNS: whether it waits for the task now.
  bool GoAhead(Context& ctx, AheadTask* task);
  void ForgetAhead() { ahead_ = nullptr; }
  bool waits_ahead() const { return ahead_ != nullptr; }
  // Computes slots; `left`: takes those that only the engine's thread may compute. THREAD: any, as Context::ForSlots. `ctx` tells of
  // the engine, not of the evaluation.
  virtual void AheadSlots(Context&, const AheadTask&, AheadPiece, std::vector<uint32_t>*) {}

  // Marks every label set the node holds.
  virtual void MarkLabels(LabelMarks* marks) const { Mark(labels_, marks); }

 protected:
  static void Mark(const std::vector<LabelSetId>& ids, LabelMarks* marks);
  // RestrictSame: slot by slot. RestrictAll: every input slot keeps to nothing if some slot here is not free.
  static void RestrictSame(const std::vector<Span>& keep, std::vector<Span>* keep_in);
  static void RestrictAll(const std::vector<Span>& keep, std::span<std::vector<Span>* const> keep_in);
  // RETURNS: whether the node asks its input for named_labels() alone.
  virtual bool IgnoresNames() const { return false; }
  // Of a leaf whose slots are its series without their names: while nobody asks for labels() it has none of its own, and the sets
  // without names are made when somebody does. A sum over many series never needs them.
  void KeepNames(size_t slots) {
    named_ = named_ || (labels_.empty() && !names_dropped_);
    named_slots_ = slots;
  }
  // A number that changes when what the node reads besides its inputs changed.
  virtual uint64_t SourceVersion(Context&) { return 0; }
  virtual uint64_t SourceGeneration() const { return 0; }
  // Whether the value depends on the tick's time by itself.
  virtual bool TimeDependent() const { return false; }
  // Forgets all slots; Extend follows.
  virtual void Reset() {}
  // Adds slots for what is new in the inputs. Labels only.
  virtual void Extend(Context&) {}
  virtual void Compute(Context&) = 0;
  // RETURNS: whether AheadSlots computes the node at t_ms as it stands; called with no slot new.
  virtual bool CanGoAhead(Context&, int64_t) { return false; }
  // In Compute(): values and presence are ready but for the slots that were left, which are added to `left` in order. RETURNS:
  // false when there is nothing ready; the slots are cleared then.
  bool TakeAhead(std::vector<uint32_t>* left);
  // What Evaluate of the inputs happens at; a subquery or `@` node evaluates its own children.
  void SetError(Status status);
  // The node renumbered its slots in Compute(): consumers start anew.
  void Renumbered();

  Node& input(size_t i) { return *inputs_[i]; }
  const Node& input(size_t i) const { return *inputs_[i]; }
  // Adds a slot; drop: the name goes at the end of the expression (delayed name removal).
  uint32_t AddSlot(LabelSetId labels, bool drop);
  // Adds a slot whose metric name goes now, or is flagged in delayed mode.
  uint32_t AddSlotDroppingName(Context& ctx, LabelSetId labels);
  // Sizes values_ and present_ to the slots; present_ cleared, no histograms.
  void ClearValues();
  // Makes room for so many slots, with yields: a large node is copied, and new memory is touched, piece by piece.
  void MakeRoom(Context& ctx, size_t slots);
  // Values, presence and histograms are those of `in`. REQUIRES: as many slots.
  void TakeValues(Context& ctx, const Node& in);
  void SetFloat(size_t slot, double v) {
    values_[slot] = v;
    present_[slot] = 1;
  }
  // REQUIRES: ClearValues() or TakeValues() before, in this Compute().
  void SetHistogram(size_t slot, HistogramRef h);
  // Once per part and text.
  void Warn(uint8_t part, std::string text) { Annotate({this, false, part, std::move(text), {}}); }
  void Info(uint8_t part, std::string text) { Annotate({this, true, part, std::move(text), {}}); }
  void Annotate(Annotation annotation);
  // RETURNS: the metric name of a set, "" if it has none.
  static std::string_view NameOf(Context& ctx, LabelSetId labels);
  // Error if two present slots have equal labels (not checked in delayed mode unless `always`).
  void CheckUnique(Context& ctx, bool always = false);

  promql::ValueType type_;
  std::vector<NodePtr> inputs_;
  std::vector<LabelSetId> labels_;
  std::vector<uint8_t> drop_;
  std::vector<double> values_;
  std::vector<uint8_t> present_;
  std::vector<HistogramRef> histograms_;
  std::vector<Annotation> annotations_;
  std::vector<uint32_t> order_;
  double scalar_ = 0;
  std::string text_;
  bool one_name_ = false;  // all slots have equal metric names: dropping them keeps labels unique

 private:
  void DropNames(Context& ctx);

  static const HistogramRef kNoHistogram;
  struct Seen {
    uint64_t generation = 0;
    uint64_t version = 0;
  };
  std::vector<Seen> seen_;
  uint64_t source_version_ = ~0ULL;
  uint64_t source_generation_ = 0;
  int64_t t_ms_ = INT64_MIN;
  uint64_t epoch_ = 0;
  uint64_t generation_ = 1;
  uint64_t version_ = 0;
  size_t named_slots_ = 0;  // while named_
  bool computed_ = false;
  bool named_ = false;          // labels_ is empty: see KeepNames
  bool names_dropped_ = false;  // somebody has asked for labels()
  bool reset_pending_ = false;  // an input's error kept a reset from being done
  AheadTask* ahead_ = nullptr;  // whose values are waited for; in Compute(): that are ready
  Status error_;
  // Groups of slots with equal labels; made again when slots were added.
  std::vector<std::vector<uint32_t>> twins_;
  size_t twins_of_ = 0;
};

// Appends the annotations of `root` and everything below it.
void CollectAnnotations(const Node& root, std::vector<Annotation>* out);

}  // namespace weir::engine
