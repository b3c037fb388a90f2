#include "core/engine/arming.h"

#include <algorithm>
#include <unordered_map>

namespace weir::engine {
namespace {

// What is let go in one round can take others with it in the next, by shared parts.
constexpr int kRoundsMax = 4;

// A graph with its nodes in an order in which inputs come first.
class Walk {
 public:
  explicit Walk(const Node& root) { Visit(root); }
  const std::vector<const Node*>& nodes() const { return nodes_; }
  size_t Place(const Node& node) const { return places_.at(&node); }
  // RETURNS: whether there is a leaf at or below the node at this place.
  bool ReadsSeries(size_t place) const { return reads_[place] != 0; }

 private:
  void Visit(const Node& node) {
    if (places_.contains(&node)) {
      return;
    }
    for (const NodePtr& in : node.inputs()) {
      Visit(*in);
    }
    uint8_t reads = node.Source() != nullptr ? 1 : 0;
    for (const NodePtr& in : node.inputs()) {
      reads |= reads_[Place(*in)];
    }
    places_.emplace(&node, nodes_.size());
    nodes_.push_back(&node);
    reads_.push_back(reads);
  }

  std::vector<const Node*> nodes_;
  std::vector<uint8_t> reads_;
  std::unordered_map<const Node*, size_t> places_;
};

class Arming {
 public:
  Arming(const Horizon& horizon, const Node& root)
      : horizon_(horizon), walk_(root), root_(root), bounds_(walk_.nodes().size()), keep_(walk_.nodes().size()) {}

  Arms Run() {
    std::vector<Span> wanted(root_.size(), Span::Any());
    for (size_t slot = 0; slot < wanted.size(); ++slot) {
      if (!root_.present()[slot]) {
        wanted[slot] = Span::Absent();
      }
    }
    BoundAll(false);
    horizon_.links = &links_;
    if (std::none_of(walk_.nodes().begin(), walk_.nodes().end(), [](const Node* node) { return node->MayLink(); })) {
      LetGo(&wanted);
    }
    for (int round = 0; round < kRoundsMax; ++round) {
      Restrict(wanted);
      BoundAll(true);
      if (!LetGo(&wanted)) {
        return {std::move(triggers_), std::move(links_)};
      }
    }
    wanted.assign(wanted.size(), Span::Nothing());
    Restrict(wanted);
    BoundAll(true);
    return {std::move(triggers_), std::move(links_)};
  }

 private:
  // Asks for nothing where what was asked for is not kept. RETURNS: whether there was such a slot.
  bool LetGo(std::vector<Span>* wanted) const {
    bool open = false;
    for (const Bounds& bounds : bounds_) {
      open = open || bounds.open;
    }
    const std::vector<Span>& reach = bounds_.back().slots;
    bool any = false;
    for (size_t slot = 0; slot < wanted->size(); ++slot) {
      Span& span = (*wanted)[slot];
      if (!span.nothing() && (open || (!span.any() && !span.Holds(reach[slot])))) {
        span = Span::Nothing();
        any = true;
      }
    }
    return any;
  }

  void BoundAll(bool with_triggers) {
    triggers_.clear();
    std::vector<const Bounds*> in;
    for (size_t place = 0; place < walk_.nodes().size(); ++place) {
      const Node& node = *walk_.nodes()[place];
      Bounds& out = bounds_[place];
      out.slots.clear();
      out.open = false;
      if (node.Source() != nullptr) {
        node.BoundLeaf(horizon_, with_triggers ? &keep_[place] : nullptr, &triggers_, &out);
        continue;
      }
      in.clear();
      for (const NodePtr& input : node.inputs()) {
        in.push_back(&bounds_[walk_.Place(*input)]);
      }
      node.Bound(horizon_, in, &out);
    }
    if (with_triggers) {
      Merge();
    }
  }

  void Restrict(const std::vector<Span>& wanted) {
    for (size_t place = 0; place < walk_.nodes().size(); ++place) {
      keep_[place].assign(Slots(*walk_.nodes()[place]), Span::Any());
    }
    if (!wanted.empty()) {
      keep_.back() = wanted;
    }
    links_.clear();
    // What appears by the time alone is seen with the next sample of any series.
    bool open = false;
    for (const Bounds& bounds : bounds_) {
      open = open || bounds.open;
    }
    std::vector<const Bounds*> in;
    std::vector<std::vector<Span>*> keep_in;
    for (size_t place = walk_.nodes().size(); place-- > 0;) {
      const Node& node = *walk_.nodes()[place];
      if (!open && !walk_.ReadsSeries(place) && node.type() == promql::ValueType::kVector &&
          std::any_of(keep_[place].begin(), keep_[place].end(), [](const Span& span) { return span.nothing(); })) {
        open = true;
        links_.clear();
        place = walk_.nodes().size();
        continue;
      }
      if (open) {
        keep_[place].assign(keep_[place].size(), Span::Nothing());
      }
      in.clear();
      keep_in.clear();
      for (const NodePtr& input : node.inputs()) {
        in.push_back(&bounds_[walk_.Place(*input)]);
        keep_in.push_back(&keep_[walk_.Place(*input)]);
      }
      node.Restrict(horizon_, in, keep_[place], keep_in);
    }
  }

  static size_t Slots(const Node& node) { return node.type() == promql::ValueType::kVector ? node.size() : 1; }

  // A series may be read by several leaves.
  void Merge() {
    const auto by_series = [](const Trigger& a, const Trigger& b) { return a.series < b.series; };
    if (!std::is_sorted(triggers_.begin(), triggers_.end(), by_series)) {
      std::sort(triggers_.begin(), triggers_.end(), by_series);
    }
    size_t kept = 0;
    for (const Trigger& trigger : triggers_) {
      if (kept > 0 && triggers_[kept - 1].series == trigger.series) {
        triggers_[kept - 1].Restrict(trigger);
      } else {
        triggers_[kept++] = trigger;
      }
    }
    triggers_.resize(kept);
  }

  Horizon horizon_;
  const Walk walk_;
  const Node& root_;
  std::vector<Bounds> bounds_;  // by place in the walk
  std::vector<std::vector<Span>> keep_;
  std::vector<Trigger> triggers_;
  std::vector<TriggerLink> links_;
};

}  // namespace

Arms ArmPlan(const Horizon& horizon, Node& root) { return Arming(horizon, root).Run(); }

std::string WhyAtTicksOnly(const Node& root) {
  const Walk walk(root);
  for (const Node* node : walk.nodes()) {
    if (!node->WhyAtTicksOnly().empty()) {
      return std::string(node->WhyAtTicksOnly());
    }
  }
  return SetsRead(root).empty() ? "it reads no series" : "";
}

std::vector<std::string> PartsWithoutBounds(const Node& root) {
  const Walk walk(root);
  std::vector<std::string> parts;
  for (const Node* node : walk.nodes()) {
    std::string part = node->Describe();
    if (!node->HasBounds() && std::find(parts.begin(), parts.end(), part) == parts.end()) {
      parts.push_back(std::move(part));
    }
  }
  return parts;
}

std::vector<uint32_t> SetsRead(const Node& root) {
  const Walk walk(root);
  std::vector<uint32_t> sets;
  for (const Node* node : walk.nodes()) {
    if (node->Source() != nullptr) {
      sets.push_back(node->Source()->id);
    }
  }
  std::sort(sets.begin(), sets.end());
  sets.erase(std::unique(sets.begin(), sets.end()), sets.end());
  return sets;
}

}  // namespace weir::engine
