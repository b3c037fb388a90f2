// Binary operators. Join keys are made when slots appear; a tick walks the sides in slot order as Prometheus does
// (semantics 3.5), with one array of "who holds this key" instead of a hash table. Result slots are made when a pair first meets.

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "core/engine/annotations.h"
#include "core/engine/nodes/nodes.h"
#include "core/engine/span_arithmetic.h"
#include "core/model/go_math.h"
#include "core/model/label_set_places.h"

namespace weir::engine {
namespace {

using promql::BinaryOp;
using promql::IsComparison;
using promql::MatchCardinality;
using promql::ValueType;
using promql::VectorMatching;

constexpr uint32_t kNone = 0xffffffff;

bool DropsName(BinaryOp op) { return op <= BinaryOp::kAtan2; }

bool Compare(BinaryOp op, double l, double r) {
  switch (op) {
    case BinaryOp::kEq:
      return l == r;
    case BinaryOp::kNe:
      return l != r;
    case BinaryOp::kLt:
      return l < r;
    case BinaryOp::kLe:
      return l <= r;
    case BinaryOp::kGt:
      return l > r;
    default:
      return l >= r;
  }
}

// An element of an operation on floats. RETURNS: whether the element stays.
bool Element(BinaryOp op, double l, double r, double* out) {
  if (IsComparison(op)) {
    *out = l;
    return Compare(op, l, r);
  }
  *out = ScalarBinary(op, l, r);
  return true;
}

// RETURNS: how far apart two values are, as a part of their size.
double Distance(double a, double b) {
  const double apart = std::fabs(a - b) / (std::fabs(a) + std::fabs(b));
  return std::isnan(apart) ? 0 : apart;
}

bool IsTrim(BinaryOp op) { return op == BinaryOp::kTrimUpper || op == BinaryOp::kTrimLower; }

struct Operand {
  double v = 0;
  const FloatHistogram* h = nullptr;
};

// What an operation with a histogram on a side gives (semantics 3.4).
struct ElementResult {
  bool compatible = false;  // else the pair is dropped
  bool keep = false;
  HistogramRef h;
  std::string warning;
  std::string info;
};

ElementResult HistogramElement(BinaryOp op, const Operand& l, const Operand& r) {
  ElementResult out;
  if (l.h != nullptr && r.h != nullptr && (op == BinaryOp::kEq || op == BinaryOp::kNe)) {
    out.compatible = true;
    out.keep = l.h->Equals(*r.h) == (op == BinaryOp::kEq);
    return out;  // the caller keeps the left one
  }
  if (l.h != nullptr && r.h != nullptr && (op == BinaryOp::kAdd || op == BinaryOp::kSub)) {
    auto result = std::make_shared<FloatHistogram>(*l.h);
    const std::string_view operation = op == BinaryOp::kAdd ? "addition" : "subtraction";
    Result<CombineInfo> info = op == BinaryOp::kAdd ? result->Add(*r.h) : result->Sub(*r.h);
    if (!info.ok()) {
      out.warning = annotations::IncompatibleBucketLayout(promql::BinaryOpText(op));
      return out;
    }
    out.info = info->nhcb_bounds_reconciled ? annotations::MismatchedBounds(operation) : "";
    if (info->counter_reset_collision) {
      out.warning = annotations::ResetCollision(operation);
      return out;  // a warning takes the element with it, as in Prometheus
    }
    if (op == BinaryOp::kSub) {
      result->hint = CounterResetHint::kGauge;
    }
    result->Compact(0);
    out.h = std::move(result);
  } else if (op == BinaryOp::kMul && (l.h == nullptr) != (r.h == nullptr)) {
    auto result = std::make_shared<FloatHistogram>(l.h != nullptr ? *l.h : *r.h);
    result->Mul(l.h != nullptr ? r.v : l.v);
    result->Compact(0);
    out.h = std::move(result);
  } else if (l.h != nullptr && r.h == nullptr && (op == BinaryOp::kDiv || IsTrim(op))) {
    auto result = std::make_shared<FloatHistogram>(*l.h);
    if (op == BinaryOp::kDiv) {
      result->Div(r.v);
      result->Compact(0);
    } else {
      result->Trim(r.v, op == BinaryOp::kTrimUpper ? TrimSide::kKeepBelow : TrimSide::kKeepAbove);
    }
    out.h = std::move(result);
  } else {
    out.info = annotations::IncompatibleTypes(l.h != nullptr ? "histogram" : "float", promql::BinaryOpText(op),
                                              r.h != nullptr ? "histogram" : "float");
    return out;
  }
  out.compatible = true;
  out.keep = true;
  return out;
}

class ScalarBinaryNode final : public Node {
 public:
  ScalarBinaryNode(BinaryOp op, NodePtr l, NodePtr r)
      : Node(ValueType::kScalar, {std::move(l), std::move(r)}), op_(op) {}
  std::string Describe() const override { return std::string(promql::BinaryOpText(op_)); }
  bool HasBounds() const override { return true; }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override {
    const Span& l = in[0]->slots[0];
    const Span& r = in[1]->slots[0];
    const bool constant = !l.nan && !r.nan && l.lo == l.hi && r.lo == r.hi;
    out->slots.assign(1, constant ? Span::Of(ScalarBinary(op_, l.lo, r.lo)) : SpanOf(op_, true, l, r));
  }

 protected:
  void Compute(Context&) override { scalar_ = ScalarBinary(op_, input(0).scalar(), input(1).scalar()); }

 private:
  BinaryOp op_;
};

class VectorScalarNode final : public Node {
 public:
  VectorScalarNode(BinaryOp op, bool return_bool, NodePtr vector, NodePtr scalar, bool scalar_left)
      : Node(ValueType::kVector, {std::move(vector), std::move(scalar)}),
        op_(op),
        return_bool_(return_bool),
        scalar_left_(scalar_left) {
    one_name_ = inputs_[0]->one_name();
  }
  std::string Describe() const override { return std::string(promql::BinaryOpText(op_)) + " scalar"; }
  bool HasBounds() const override {
    return op_ != BinaryOp::kMod && op_ != BinaryOp::kPow && op_ != BinaryOp::kAtan2 && !IsTrim(op_);
  }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override {
    const Span& scalar = in[1]->slots[0];
    out->slots.reserve(size());
    for (const Span& of : in[0]->slots) {
      Span span = !HasBounds()   ? Span::Any()
                  : Mirrors()    ? SpanOf(Mirrored(op_), return_bool_, of, scalar)
                  : scalar_left_ ? SpanOf(op_, return_bool_, scalar, of)
                                 : SpanOf(op_, return_bool_, of, scalar);
      span.absent = span.absent || of.absent;
      out->slots.push_back(of.present() ? span : Span::Absent());
    }
  }
  void Restrict(const Horizon&, std::span<const Bounds* const> in, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    if (!HasBounds()) {
      RestrictAll(keep, keep_in);
      return;
    }
    // A scalar moves by itself or by what cannot be held.
    const SpanOperand scalar{in[1]->slots[0], true};
    for (size_t i = 0; i < keep.size(); ++i) {
      const SpanOperand of{in[0]->slots[i], false};
      Span keep_of;
      Span keep_scalar;
      if (scalar_left_ && !Mirrors()) {
        SplitKeep(op_, return_bool_, keep[i], scalar, of, &keep_scalar, &keep_of);
      } else {
        SplitKeep(scalar_left_ ? Mirrored(op_) : op_, return_bool_, keep[i], of, scalar, &keep_of, &keep_scalar);
      }
      (*keep_in[0])[i].Restrict(keep_of);
      if (keep[i].nothing()) {
        (*keep_in[1])[0] = Span::Nothing();
      }
    }
  }
  double Slack(size_t slot) const override {
    return IsComparison(op_) && input(0).present()[slot] ? Distance(input(0).values()[slot], input(1).scalar()) : 0;
  }

 protected:
  void Extend(Context& ctx) override {
    const bool drops = DropsName(op_) || return_bool_;
    MakeRoom(ctx, input(0).size());
    for (size_t i = labels_.size(); i < input(0).size(); ++i) {
      if (drops) {
        AddSlotDroppingName(ctx, input(0).labels(i));
      } else {
        AddSlot(input(0).labels(i), input(0).drop_name(i));
      }
      ctx.MayYieldNew(i);
    }
  }

  void Compute(Context& ctx) override {
    const auto& in = input(0).values();
    const double scalar = input(1).scalar();
    present_ = input(0).present();
    values_.resize(labels_.size());
    histograms_.clear();
    last_info_.clear();
    for (size_t i = 0; i < values_.size(); ++i) {
      ctx.MayYield(i);
      if (!present_[i]) {
        continue;
      }
      if (input(0).histogram(i) || IsTrim(op_)) {
        ComputeHistogram(i, scalar);
        continue;
      }
      const double l = scalar_left_ ? scalar : in[i];
      const double r = scalar_left_ ? in[i] : scalar;
      bool keep = Element(op_, l, r, &values_[i]);
      if (return_bool_) {
        values_[i] = keep ? 1 : 0;
        continue;
      }
      if (IsComparison(op_)) {
        values_[i] = in[i];
      }
      present_[i] = keep ? 1 : 0;
    }
    if (!last_info_.empty()) {
      Info(0, last_info_);  // of many, Prometheus tells the last
    }
    if (!one_name_ && (DropsName(op_) || return_bool_)) {
      CheckUnique(ctx);
    }
  }

 private:
  // A filter gives the vector's value, on whichever side it stands.
  bool Mirrors() const { return scalar_left_ && IsComparison(op_); }
  void ComputeHistogram(size_t i, double scalar) {
    Operand vector{input(0).values()[i], input(0).histogram(i).get()};
    Operand other{scalar, nullptr};
    ElementResult result = scalar_left_ ? HistogramElement(op_, other, vector) : HistogramElement(op_, vector, other);
    present_[i] = 0;
    if (!result.info.empty()) {
      last_info_ = std::move(result.info);
    }
    if (result.compatible && return_bool_) {
      SetFloat(i, result.keep ? 1 : 0);
    } else if (result.keep) {
      SetHistogram(i, std::move(result.h));
    }
  }

  BinaryOp op_;
  bool return_bool_;
  bool scalar_left_;
  std::string last_info_;
};

// Join keys of one side: slot -> key number, numbers shared by both sides.
class JoinKeys {
 public:
  explicit JoinKeys(const VectorMatching& matching) : on_(matching.on), label_names_(matching.labels) {}
  void Clear() {
    index_.Clear();
    key_labels_.clear();
    left_.clear();
    right_.clear();
  }
  void Extend(Context& ctx, const Node& l, const Node& r) {
    if (names_.empty()) {
      for (const std::string& name : label_names_) {
        names_.push_back(ctx.store.Pin(name));
      }
      if (!on_) {
        names_.push_back(ctx.name_symbol);
      }
    }
    Extend(ctx, l, &left_);
    Extend(ctx, r, &right_);
  }
  const std::vector<uint32_t>& left() const { return left_; }
  const std::vector<uint32_t>& right() const { return right_; }
  size_t size() const { return key_labels_.size(); }
  LabelSetId labels(uint32_t key) const { return key_labels_[key]; }
  const std::vector<LabelSetId>& labels() const { return key_labels_; }
  size_t Bytes() const {
    return (left_.capacity() + right_.capacity() + key_labels_.capacity()) * sizeof(uint32_t) + index_.Bytes();
  }

 private:
  void Extend(Context& ctx, const Node& side, std::vector<uint32_t>* keys) {
    GrowTo(ctx, side.size(), keys);
    for (size_t i = keys->size(); i < side.size(); ++i) {
      LabelSetId labels = side.labels(i);
      LabelSetId key = on_ ? (names_.empty() ? kEmptyLabelSet : ctx.labels().Keep(labels, names_))
                           : ctx.labels().Without(labels, names_);
      const uint32_t number = index_.FindOrSet(key, static_cast<uint32_t>(key_labels_.size()));
      if (number == key_labels_.size()) {
        key_labels_.push_back(key);
      }
      keys->push_back(number);
      ctx.MayYieldNew(i);
    }
  }

  bool on_;
  std::vector<std::string> label_names_;
  std::vector<SymbolId> names_;
  LabelSetPlaces index_;
  std::vector<LabelSetId> key_labels_;
  std::vector<uint32_t> left_;
  std::vector<uint32_t> right_;
};

bool AnyPresent(const Node& node) {
  return std::any_of(node.present().begin(), node.present().end(), [](uint8_t p) { return p != 0; });
}

class VectorVectorNode final : public Node {
 public:
  VectorVectorNode(BinaryOp op, bool return_bool, const VectorMatching& matching, NodePtr l, NodePtr r)
      : Node(ValueType::kVector, {std::move(l), std::move(r)}),
        op_(op),
        return_bool_(return_bool),
        matching_(matching),
        swapped_(matching.cardinality == MatchCardinality::kOneToMany),
        keys_(matching) {}
  std::string Describe() const override { return std::string(promql::BinaryOpText(op_)) + " vector"; }
  bool HasBounds() const override {
    return op_ != BinaryOp::kMod && op_ != BinaryOp::kPow && op_ != BinaryOp::kAtan2 && !IsTrim(op_) &&
           !matching_.fill_left && !matching_.fill_right;
  }
  void Bound(const Horizon& horizon, std::span<const Bounds* const> in, Bounds* out) const override {
    if (!HasBounds() || too_many_pairs_) {
      Node::Bound(horizon, in, out);
      return;
    }
    out->slots.assign(size(), Span::Absent());
    for (const Meeting& meeting : meetings_) {
      const Span& l = Of(in, 0, meeting);
      const Span& r = Of(in, 1, meeting);
      if (!l.present() || !r.present()) {
        continue;
      }
      Span span = SpanOf(op_, return_bool_, l, r);
      const bool sure = !span.absent && !l.absent && !r.absent;
      span.absent = out->slots[meeting.slot].absent && !sure;
      out->slots[meeting.slot].Add(span);
      out->slots[meeting.slot].absent = span.absent;
    }
  }
  void Restrict(const Horizon&, std::span<const Bounds* const> in, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    if (!HasBounds() || too_many_pairs_) {
      RestrictAll(keep, keep_in);
      return;
    }
    for (const Meeting& meeting : meetings_) {
      Span l;
      Span r;
      SplitKeep(op_, return_bool_, keep[meeting.slot], {Of(in, 0, meeting), false}, {Of(in, 1, meeting), false}, &l,
                &r);
      (*keep_in[0])[swapped_ ? meeting.one : meeting.many].Restrict(l);
      (*keep_in[1])[swapped_ ? meeting.many : meeting.one].Restrict(r);
    }
  }
  size_t Bytes() const override {
    return Node::Bytes() + keys_.Bytes() + pair_.capacity() * sizeof(Pair) + first_.capacity() * sizeof(uint32_t) +
           slots_.size() * 32;
  }
  void MarkLabels(LabelMarks* marks) const override {
    Node::MarkLabels(marks);
    Mark(keys_.labels(), marks);
  }

 protected:
  void Reset() override {
    keys_.Clear();
    pair_.clear();
    first_.clear();
    slots_.clear();
    fill_pair_.clear();
    meetings_.clear();
    met_many_ = met_one_ = 0;
  }
  void Extend(Context& ctx) override {
    keys_.Extend(ctx, many(), one());
    if (ctx.between && (met_many_ != many().size() || met_one_ != one().size())) {
      MeetAll(ctx);
    }
  }

  void Compute(Context& ctx) override {
    // group_right swaps the sides but not the fills: as in Prometheus, fill_right always fills the "one" side.
    const auto& fill_many = matching_.fill_left;
    const auto& fill_one = matching_.fill_right;
    ClearValues();
    last_.text.clear();
    const bool any_many = AnyPresent(many());
    const bool any_one = AnyPresent(one());
    if ((!any_many && !any_one) || ((!any_many || !any_one) && !fill_many && !fill_one)) {
      return;
    }
    if (!HoldKeys(ctx)) {
      return;
    }
    FillWith(ctx, keys_.size(), uint8_t{0}, &matched_);
    FillWith(ctx, labels_.size(), uint8_t{0}, &touched_);
    ResizeTo(ctx, many().size(), Pair(), &pair_);
    const bool grouped = matching_.cardinality != MatchCardinality::kOneToOne;
    size_t slots = labels_.size();
    for (uint32_t i = 0; i < many().size() && error().ok(); ++i) {
      ctx.MayYield(i);
      if (labels_.size() >= slots + Context::kNewSlotsPerYield) {
        slots = labels_.size();
        ctx.yield();
      }
      if (!many().present()[i]) {
        continue;
      }
      const uint32_t key = keys_.left()[i];
      const uint32_t partner = holder_[key];
      if (partner == kNone && !fill_one) {
        continue;
      }
      Emit(ctx, key, many().labels(i), Side(many(), i), partner,
           partner == kNone ? Filled(*fill_one) : Side(one(), partner), &pair_[i], grouped);
    }
    if (fill_many) {
      ResizeTo(ctx, one().size(), Pair(), &fill_pair_);
      for (uint32_t i = 0; i < one().size() && error().ok(); ++i) {
        ctx.MayYield(i);
        const uint32_t key = one().present()[i] ? keys_.right()[i] : kNone;
        if (key != kNone && !matched_[key]) {
          Emit(ctx, key, keys_.labels(key), Filled(*fill_many), i, Side(one(), i), &fill_pair_[i], grouped);
        }
      }
    }
    if (!last_.text.empty()) {
      Annotate(last_);  // of many, Prometheus tells the last
    }
    CheckUnique(ctx);
  }

 private:
  struct Pair {
    uint32_t partner = kNone - 1;
    uint32_t slot = kNone;
  };

  // Slots of either side that have the same key, and where their result goes.
  struct Meeting {
    uint32_t many;
    uint32_t one;
    uint32_t slot;
  };
  // The span of an operand, 0 the left one.
  const Span& Of(std::span<const Bounds* const> in, size_t side, const Meeting& meeting) const {
    return in[side]->slots[(side == 1) == swapped_ ? meeting.many : meeting.one];
  }
  void MeetAll(Context& ctx) {
    constexpr size_t kMeetingsMax = 8;  // for a slot: more is no join that rules make
    met_many_ = many().size();
    met_one_ = one().size();
    meetings_.clear();
    std::vector<std::vector<uint32_t>> by_key(keys_.size());
    for (uint32_t i = 0; i < met_one_; ++i) {
      by_key[keys_.right()[i]].push_back(i);
    }
    for (uint32_t i = 0; i < met_many_; ++i) {
      for (uint32_t partner : by_key[keys_.left()[i]]) {
        meetings_.push_back({i, partner, SlotOf(ctx, keys_.left()[i], many().labels(i), partner)});
      }
      too_many_pairs_ = meetings_.size() > kMeetingsMax * (met_many_ + met_one_);
      if (too_many_pairs_) {
        return;
      }
    }
  }

  Node& many() { return input(swapped_ ? 1 : 0); }
  Node& one() { return input(swapped_ ? 0 : 1); }

  // Finds who holds each key on the "one" side. RETURNS: false with an error when two do.
  bool HoldKeys(Context& ctx) {
    FillWith(ctx, keys_.size(), kNone, &holder_);
    for (uint32_t i = 0; i < one().size(); ++i) {
      ctx.MayYield(i);
      if (!one().present()[i]) {
        continue;
      }
      uint32_t& holder = holder_[keys_.right()[i]];
      if (holder != kNone) {
        std::string a = SetText(ctx.labels().ToLabels(one().labels(holder)));
        std::string b = SetText(ctx.labels().ToLabels(one().labels(i)));
        if (b < a) {
          std::swap(a, b);
        }
        SetError(InvalidError("found duplicate series for the match group " +
                              SetText(ctx.labels().ToLabels(keys_.labels(keys_.right()[i]))) + " on the " +
                              (swapped_ ? "left" : "right") + " hand-side of the operation: [" + a + ", " + b +
                              "];many-to-many matching not allowed: matching labels must be unique on one side"));
        return false;
      }
      holder = i;
    }
    return true;
  }

  struct Element {
    double v;
    HistogramRef h;
  };
  static Element Side(const Node& node, uint32_t slot) { return {node.values()[slot], node.histogram(slot)}; }
  static Element Filled(double v) { return {v, nullptr}; }

  void Emit(Context& ctx, uint32_t key, LabelSetId many_labels, const Element& of_many, uint32_t partner,
            const Element& of_one, Pair* pair, bool grouped) {
    const Element& l = swapped_ ? of_one : of_many;
    const Element& r = swapped_ ? of_many : of_one;
    double value = 0;
    HistogramRef histogram;
    bool keep = false;
    if (l.h || r.h || IsTrim(op_)) {
      ElementResult result = HistogramElement(op_, {l.v, l.h.get()}, {r.v, r.h.get()});
      if (!result.warning.empty() || !result.info.empty()) {
        const bool info = result.warning.empty();
        last_ = {this, info, 0, info ? std::move(result.info) : std::move(result.warning), {}};
      }
      if (!result.compatible) {
        return;
      }
      keep = result.keep;
      histogram = IsComparison(op_) ? l.h : std::move(result.h);
    } else {
      keep = engine::Element(op_, l.v, r.v, &value);
    }
    if (return_bool_) {
      value = keep ? 1 : 0;
      histogram = nullptr;
      keep = true;
    }
    if (pair->partner != partner || pair->slot == kNone) {
      *pair = {partner, SlotOf(ctx, key, many_labels, partner)};
    }
    const uint32_t slot = pair->slot;
    if (grouped ? touched_[slot] != 0 : matched_[key] != 0) {
      SetError(InvalidError(grouped ? "multiple matches for labels: grouping labels must ensure unique matches"
                                    : "multiple matches for labels: many-to-one matching must be explicit "
                                      "(group_left/group_right)"));
      return;
    }
    touched_[slot] = 1;
    matched_[key] = 1;
    if (histogram && keep) {
      SetHistogram(slot, std::move(histogram));
      return;
    }
    values_[slot] = value;
    present_[slot] = keep ? 1 : 0;
  }

  // RETURNS: the result slot of a pair, made on first sight. `partner` kNone: the filled-in side.
  uint32_t SlotOf(Context& ctx, uint32_t key, LabelSetId labels, uint32_t partner) {
    LabelSetTable& table = ctx.labels();
    if (DropsName(op_)) {
      labels = ctx.DropName(labels);
    }
    if (matching_.cardinality == MatchCardinality::kOneToOne) {
      std::vector<SymbolId> names;
      for (const std::string& name : matching_.labels) {
        names.push_back(table.Intern(name));
      }
      labels =
          matching_.on ? (names.empty() ? kEmptyLabelSet : table.Keep(labels, names)) : table.Without(labels, names);
    }
    LabelSetId from = partner == kNone ? keys_.labels(key) : one().labels(partner);
    for (const std::string& name : matching_.include) {
      SymbolId symbol = table.Intern(name);
      labels = table.With(labels, symbol, table.Value(from, symbol));
    }
    if (return_bool_ && !ctx.options.delayed_name_removal) {
      labels = ctx.DropName(labels);
    }
    if (key >= first_.size()) {
      first_.resize(keys_.size(), kNone);
    }
    uint32_t* slot = &first_[key];
    if (*slot != kNone && labels_[*slot] != labels) {
      slot = &slots_.try_emplace(uint64_t{key} << 32 | labels, kNone).first->second;
    }
    if (*slot == kNone) {
      *slot = AddSlot(labels, return_bool_ && ctx.options.delayed_name_removal);
      values_.push_back(0);
      present_.push_back(0);
      touched_.push_back(0);
      if (!histograms_.empty()) {
        histograms_.push_back(nullptr);
      }
    }
    return *slot;
  }

  BinaryOp op_;
  bool return_bool_;
  VectorMatching matching_;
  bool swapped_;
  JoinKeys keys_;
  std::vector<Meeting> meetings_;  // with Context::between: every pair that can meet
  size_t met_many_ = 0;
  size_t met_one_ = 0;
  bool too_many_pairs_ = false;
  std::vector<uint32_t> holder_;                  // key -> slot of the "one" side
  std::vector<uint8_t> matched_;                  // by key
  std::vector<uint8_t> touched_;                  // by result slot
  std::vector<Pair> pair_;                        // slot of the "many" side -> its last partner and their result
  std::vector<Pair> fill_pair_;                   // slot of the "one" side without partner -> result
  std::vector<uint32_t> first_;                   // key -> the first result slot of it
  std::unordered_map<uint64_t, uint32_t> slots_;  // key and labels -> the others
  Annotation last_;
};

class SetOperatorNode final : public Node {
 public:
  SetOperatorNode(BinaryOp op, const VectorMatching& matching, NodePtr l, NodePtr r)
      : Node(ValueType::kVector, {std::move(l), std::move(r)}), op_(op), keys_(matching) {
    one_name_ = op != BinaryOp::kOr && inputs_[0]->one_name();
  }
  std::string Describe() const override { return std::string(promql::BinaryOpText(op_)); }
  size_t Bytes() const override { return Node::Bytes() + keys_.Bytes() + source_.capacity() * sizeof(uint32_t); }
  bool HasBounds() const override { return true; }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override {
    const std::vector<Held> held = HeldKeys(in);
    out->slots.reserve(size());
    for (size_t i = 0; i < size(); ++i) {
      const uint32_t side = source_[i] & 1;
      const uint32_t slot = source_[i] >> 1;
      Span span = in[side]->slots[slot];
      if (op_ != BinaryOp::kOr || side == 1) {
        const Held& key = held[side == 1 ? keys_.right()[slot] : keys_.left()[slot]];
        const bool by_held = op_ == BinaryOp::kAnd;
        if (by_held ? !key.may : key.sure != kNone) {
          span = Span::Absent();
        } else {
          span.absent = span.absent || (by_held ? key.sure == kNone : key.may);
        }
      }
      out->slots.push_back(span);
    }
  }
  void Restrict(const Horizon&, std::span<const Bounds* const> in, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    const std::vector<Held> held = HeldKeys(in);
    const size_t decider = op_ == BinaryOp::kOr ? 0 : 1;
    std::vector<Span> of_key(held.size());  // what the deciding side is to keep to
    for (size_t i = 0; i < size(); ++i) {
      const uint32_t side = source_[i] & 1;
      const uint32_t slot = source_[i] >> 1;
      if (op_ == BinaryOp::kOr && side == 0) {
        (*keep_in[0])[slot].Restrict(keep[i]);
        continue;
      }
      if (keep[i].any()) {
        continue;
      }
      const uint32_t key = side == 1 ? keys_.right()[slot] : keys_.left()[slot];
      (*keep_in[side])[slot].Restrict(
          Decide(in[side]->slots[slot], input(side).Slack(slot), held[key], keep[i], &of_key[key]));
    }
    const std::vector<uint32_t>& keys = decider == 0 ? keys_.left() : keys_.right();
    for (uint32_t i = 0; i < keys.size(); ++i) {
      const Span& want = of_key[keys[i]];
      // One that stays is enough to hold a key.
      if (want.absent || want.nothing() || held[keys[i]].sure == i) {
        (*keep_in[decider])[i].Restrict(want);
      }
    }
  }
  double Slack(size_t slot) const override {
    const uint32_t side = source_[slot] & 1;
    return input(side).Slack(source_[slot] >> 1);
  }
  void MarkLabels(LabelMarks* marks) const override {
    Node::MarkLabels(marks);
    Mark(keys_.labels(), marks);
  }

 protected:
  void Reset() override {
    keys_.Clear();
    source_.clear();
    left_done_ = right_done_ = 0;
  }
  void Extend(Context& ctx) override {
    keys_.Extend(ctx, input(0), input(1));
    Take(ctx, input(0), 0, &left_done_);
    if (op_ == BinaryOp::kOr) {
      Take(ctx, input(1), 1, &right_done_);
    }
  }
  void Compute(Context& ctx) override {
    ClearValues();
    const bool by_left = op_ == BinaryOp::kOr;  // which side decides about the other
    const Node& decider = input(by_left ? 0 : 1);
    const auto& decider_keys = by_left ? keys_.left() : keys_.right();
    FillWith(ctx, keys_.size(), uint8_t{0}, &held_);
    for (size_t i = 0; i < decider.size(); ++i) {
      ctx.MayYield(i);
      if (decider.present()[i]) {
        held_[decider_keys[i]] = 1;
      }
    }
    for (size_t i = 0; i < source_.size(); ++i) {
      ctx.MayYield(i);
      const uint32_t side = source_[i] & 1;
      const uint32_t slot = source_[i] >> 1;
      if (!input(side).present()[slot]) {
        continue;
      }
      if (op_ == BinaryOp::kOr) {
        present_[i] = side == 0 || !held_[keys_.right()[slot]] ? 1 : 0;
      } else {
        present_[i] = (held_[keys_.left()[slot]] != 0) == (op_ == BinaryOp::kAnd) ? 1 : 0;
      }
      values_[i] = input(side).values()[slot];
      if (present_[i] && input(side).histogram(slot)) {
        SetHistogram(i, input(side).histogram(slot));
      }
    }
    if (op_ == BinaryOp::kOr) {
      CheckUnique(ctx);
    }
  }

 private:
  // Whether some slot of the deciding side may hold a key, one that surely does, and the least slack of those that do not.
  struct Held {
    bool may = false;
    uint32_t sure = kNone;
    double slack = 1;
  };
  std::vector<Held> HeldKeys(std::span<const Bounds* const> in) const {
    const size_t decider = op_ == BinaryOp::kOr ? 0 : 1;
    const std::vector<uint32_t>& keys = decider == 0 ? keys_.left() : keys_.right();
    std::vector<Held> held(keys_.size());
    for (uint32_t i = 0; i < keys.size(); ++i) {
      Held& key = held[keys[i]];
      const Span& span = in[decider]->slots[i];
      key.may = key.may || span.present();
      key.sure = key.sure == kNone && !span.absent ? i : key.sure;
      key.slack = std::min(key.slack, input(decider).Slack(i));
    }
    return held;
  }
  // RETURNS: what the slot itself is to keep to; narrows what those of its key on the deciding side are.
  Span Decide(const Span& reach, double slack, const Held& key, const Span& keep, Span* of_key) const {
    if (keep.nothing()) {
      *of_key = Span::Nothing();
      return keep;
    }
    Span present = Span::Any();
    present.absent = false;
    const bool by_held = op_ == BinaryOp::kAnd;
    // Absent now, and either side can see to that.
    if (keep.absent && (!reach.present() || (by_held ? !key.may : key.sure != kNone))) {
      const bool key_can = by_held ? !key.may : key.sure != kNone;
      if (key_can && (reach.present() || key.slack > slack)) {
        of_key->Restrict(by_held ? Span::Absent() : present);
        return Span::Any();
      }
      return Span::Absent();
    }
    if (!keep.absent) {
      of_key->Restrict(by_held ? present : Span::Absent());
    }
    return keep;
  }
  void Take(Context& ctx, const Node& side, uint32_t which, size_t* done) {
    const size_t slots = labels_.size() + side.size() - *done;
    MakeRoom(ctx, slots);
    GrowTo(ctx, slots, &source_);
    for (; *done < side.size(); ++*done) {
      ctx.MayYield(*done);
      AddSlot(side.labels(*done), side.drop_name(*done));
      source_.push_back(static_cast<uint32_t>(*done) << 1 | which);
    }
  }

  BinaryOp op_;
  JoinKeys keys_;
  std::vector<uint32_t> source_;  // result slot -> input slot and side
  size_t left_done_ = 0;
  size_t right_done_ = 0;
  std::vector<uint8_t> held_;
};

}  // namespace

std::string SetText(const Labels& labels) {
  std::string out = "{";
  for (const LabelView& l : labels) {
    if (out.size() > 1) {
      out += ", ";
    }
    out.append(IsLegacyLabelName(l.name) ? std::string(l.name) : GoQuote(l.name)).append("=").append(GoQuote(l.value));
  }
  return out + "}";
}

double ScalarBinary(BinaryOp op, double l, double r) {
  switch (op) {
    case BinaryOp::kAdd:
      return l + r;
    case BinaryOp::kSub:
      return l - r;
    case BinaryOp::kMul:
      return l * r;
    case BinaryOp::kDiv:
      return l / r;
    case BinaryOp::kMod:
      return std::fmod(l, r);
    case BinaryOp::kPow:
      return GoPow(l, r);
    case BinaryOp::kAtan2:
      return std::atan2(l, r);
    default:
      return Compare(op, l, r) ? 1 : 0;
  }
}

NodePtr MakeScalarBinary(BinaryOp op, NodePtr l, NodePtr r) {
  return std::make_shared<ScalarBinaryNode>(op, std::move(l), std::move(r));
}
NodePtr MakeVectorScalar(BinaryOp op, bool return_bool, NodePtr vector, NodePtr scalar, bool scalar_left) {
  return std::make_shared<VectorScalarNode>(op, return_bool, std::move(vector), std::move(scalar), scalar_left);
}
NodePtr MakeVectorVector(BinaryOp op, bool return_bool, const VectorMatching& matching, NodePtr l, NodePtr r) {
  return std::make_shared<VectorVectorNode>(op, return_bool, matching, std::move(l), std::move(r));
}
NodePtr MakeSetOperator(BinaryOp op, const VectorMatching& matching, NodePtr l, NodePtr r) {
  return std::make_shared<SetOperatorNode>(op, matching, std::move(l), std::move(r));
}

}  // namespace weir::engine
