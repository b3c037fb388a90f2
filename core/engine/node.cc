#include "core/engine/node.h"

#include <algorithm>
#include <unordered_set>

namespace weir::engine {

const HistogramRef Node::kNoHistogram;

LabelSetId Context::DropName(LabelSetId id) {
  const SymbolId names[] = {name_symbol, type_symbol, unit_symbol};
  return labels().Without(id, names);
}

void Node::DropNames(Context& ctx) {
  labels_.reserve(named_slots_);
  for (size_t i = 0; i < named_slots_; ++i) {
    labels_.push_back(ctx.DropName(named_labels(ctx, i)));
    ctx.MayYield(i);
  }
  named_ = false;
  names_dropped_ = true;
}

void Node::EvaluateNamed(Context& ctx) {
  if (computed_ && epoch_ == ctx.epoch && t_ms_ == ctx.t_ms) {
    return;
  }
  bool fresh = computed_ && (t_ms_ == ctx.t_ms || !TimeDependent());
  bool reset = reset_pending_ || source_generation_ != SourceGeneration();
  for (size_t i = 0; i < inputs_.size(); ++i) {
    Node& in = *inputs_[i];
    if (IgnoresNames()) {
      in.EvaluateNamed(ctx);
    } else {
      in.Evaluate(ctx);
    }
    if (!in.error_.ok()) {
      epoch_ = ctx.epoch;
      t_ms_ = ctx.t_ms;
      computed_ = true;
      reset_pending_ = reset;
      seen_[i].version = ~0ULL;  // an error is never taken for a value later
      SetError(in.error_);
      annotations_.clear();
      ++version_;
      return;
    }
    reset = reset || seen_[i].generation != in.generation_;
    fresh = fresh && seen_[i].version == in.version_;
    seen_[i] = {in.generation_, in.version_};
  }
  uint64_t source = SourceVersion(ctx);
  if (ahead_ != nullptr) {
    const bool done = ctx.ahead->Finish(*ahead_);
    ahead_ = done && !reset && ahead_->t_ms == ctx.t_ms && ahead_->version == source ? ahead_ : nullptr;
  }
  fresh = fresh && source == source_version_ && !reset;
  source_version_ = source;
  epoch_ = ctx.epoch;
  t_ms_ = ctx.t_ms;
  if (fresh) {
    return;
  }
  computed_ = true;
  error_ = Status();
  annotations_.clear();
  if (reset) {
    reset_pending_ = false;
    source_generation_ = SourceGeneration();
    Renumbered();
    Reset();
  }
  Extend(ctx);
  Compute(ctx);
  ahead_ = nullptr;
  ctx.yield();
  if (!histograms_.empty()) {
    histograms_.resize(size());  // slots may have been made behind the last histogram
  }
  ++version_;
}

bool Node::GoAhead(Context& ctx, AheadTask* task) {
  const SeriesSet* set = Source();
  if (set == nullptr || !inputs_.empty() || reset_pending_ || source_generation_ != SourceGeneration() ||
      size() != set->members.size() || !CanGoAhead(ctx, task->t_ms)) {
    return false;
  }
  for (const window::Profile* profile : set->profiles) {
    if (profile->written_by_rules) {
      return false;
    }
  }
  task->node = this;
  task->version = SourceVersion(ctx);
  task->slots = size();
  ahead_ = task;
  computed_ = false;
  ClearValues();
  return true;
}

bool Node::TakeAhead(std::vector<uint32_t>* left) {
  if (ahead_ == nullptr) {
    ClearValues();
    return false;
  }
  for (const std::vector<uint32_t>& own : ahead_->left) {
    left->insert(left->end(), own.begin(), own.end());
  }
  std::sort(left->begin(), left->end());
  return true;
}

void Node::Bound(const Horizon&, std::span<const Bounds* const>, Bounds* out) const {
  const bool vector = type_ == promql::ValueType::kVector;
  out->slots.assign(vector ? size() : 1, Span::Any());
  out->open = vector;
}

void Node::Restrict(const Horizon&, std::span<const Bounds* const>, const std::vector<Span>& keep,
                    std::span<std::vector<Span>* const> keep_in) const {
  RestrictAll(keep, keep_in);
}

void Node::BoundLeaf(const Horizon& horizon, const std::vector<Span>*, std::vector<Trigger>*, Bounds* out) const {
  Bound(horizon, {}, out);
}

void Node::RestrictSame(const std::vector<Span>& keep, std::vector<Span>* keep_in) {
  for (size_t i = 0; i < keep.size(); ++i) {
    (*keep_in)[i].Restrict(keep[i]);
  }
}

void Node::RestrictAll(const std::vector<Span>& keep, std::span<std::vector<Span>* const> keep_in) {
  if (std::all_of(keep.begin(), keep.end(), [](const Span& span) { return span.any(); })) {
    return;
  }
  for (std::vector<Span>* in : keep_in) {
    in->assign(in->size(), Span::Nothing());
  }
}

void Node::SetError(Status status) { error_ = std::move(status); }

void Node::Renumbered() {
  labels_.clear();
  named_slots_ = 0;
  drop_.clear();
  twins_.clear();
  twins_of_ = 0;
  ++generation_;
}

void Node::MakeRoom(Context& ctx, size_t slots) {
  if (slots < Context::kCopiedPerYield) {
    return;
  }
  if (!named_) {
    GrowTo(ctx, slots, &labels_);
  }
  GrowTo(ctx, slots, &values_);
  GrowTo(ctx, slots, &present_);
  if (values_.size() < slots) {
    ResizeTo(ctx, slots, 0.0, &values_);
    ResizeTo(ctx, slots, uint8_t{0}, &present_);
  }
}

uint32_t Node::AddSlot(LabelSetId labels, bool drop) {
  auto slot = static_cast<uint32_t>(labels_.size());
  if (slot == labels_.capacity()) {
    labels_.reserve(slot + slot / 8 + 8);  // doubling leaves half of a large node's places unused
  }
  labels_.push_back(labels);
  if (drop || !drop_.empty()) {
    drop_.resize(slot);
    drop_.push_back(drop ? 1 : 0);
  }
  return slot;
}

uint32_t Node::AddSlotDroppingName(Context& ctx, LabelSetId labels) {
  return ctx.options.delayed_name_removal ? AddSlot(labels, true) : AddSlot(ctx.DropName(labels), false);
}

void Node::ClearValues() {
  values_.resize(size());
  present_.assign(size(), 0);
  histograms_.clear();
}

void Node::TakeValues(Context& ctx, const Node& in) {
  CopyTo(ctx, in.values_, &values_);
  CopyTo(ctx, in.present_, &present_);
  CopyTo(ctx, in.histograms_, &histograms_);
}

void Node::SetHistogram(size_t slot, HistogramRef h) {
  if (histograms_.size() < size()) {
    histograms_.resize(size());
  }
  histograms_[slot] = std::move(h);
  values_[slot] = 0;
  present_[slot] = 1;
}

void Node::Annotate(Annotation annotation) {
  for (const Annotation& a : annotations_) {
    if (a.text == annotation.text) {
      return;
    }
  }
  annotations_.push_back(std::move(annotation));
}

std::string_view Node::NameOf(Context& ctx, LabelSetId labels) {
  return ctx.labels().Text(ctx.labels().Value(labels, ctx.name_symbol));
}

void CollectAnnotations(const Node& root, std::vector<Annotation>* out) {
  std::unordered_set<const Node*> seen;
  std::vector<const Node*> stack{&root};
  while (!stack.empty()) {
    const Node* node = stack.back();
    stack.pop_back();
    if (!seen.insert(node).second) {
      continue;
    }
    out->insert(out->end(), node->annotations().begin(), node->annotations().end());
    for (const NodePtr& in : node->inputs()) {
      stack.push_back(in.get());
    }
  }
}

void Node::CheckUnique(Context& ctx, bool always) {
  if ((ctx.options.delayed_name_removal && !always) || !error_.ok()) {
    return;
  }
  if (twins_of_ != labels_.size()) {
    twins_of_ = labels_.size();
    twins_.clear();
    std::vector<uint64_t> keys;
    keys.reserve(labels_.size());
    for (size_t i = 0; i < labels_.size(); ++i) {
      keys.push_back(uint64_t{labels_[i]} << 32 | i);
      ctx.MayYield(i);
    }
    size_t compared = 0;
    std::sort(keys.begin(), keys.end(), [&](uint64_t a, uint64_t b) {
      ctx.MayYield(compared++);
      return a < b;
    });
    for (size_t i = 1; i < keys.size(); ++i) {
      if (keys[i] >> 32 != keys[i - 1] >> 32) {
        continue;
      }
      if (twins_.empty() || labels_[twins_.back()[0]] != keys[i] >> 32) {
        twins_.push_back({static_cast<uint32_t>(keys[i - 1])});
      }
      twins_.back().push_back(static_cast<uint32_t>(keys[i]));
    }
  }
  for (const auto& group : twins_) {
    int present = 0;
    for (uint32_t slot : group) {
      present += present_[slot];
    }
    if (present > 1) {
      SetError(InvalidError("vector cannot contain metrics with the same labelset"));
      return;
    }
  }
}

void Node::Mark(const std::vector<LabelSetId>& ids, LabelMarks* marks) {
  for (LabelSetId id : ids) {
    marks->Add(id);
  }
}

size_t Node::Bytes() const {
  return sizeof(*this) + labels_.capacity() * sizeof(LabelSetId) + drop_.capacity() +
         values_.capacity() * sizeof(double) + present_.capacity() + order_.capacity() * sizeof(uint32_t) +
         histograms_.capacity() * sizeof(HistogramRef);
}

}  // namespace weir::engine
