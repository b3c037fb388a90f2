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
  uint64_t Shape() const {
    uint64_t shape = 0;
    for (const Node* node : nodes_) {
      shape += node->size() + (node->generation() << 32);
    }
    return shape;
  }
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
  Arming(const Horizon& horizon, const Node& root, const Findings& found)
      : horizon_(horizon), walk_(root), found_(found), bounds_(walk_.nodes().size()), keep_(walk_.nodes().size()) {}

  std::optional<Arms> Run() {
    std::vector<Span> wanted(found_.present.size(), Span::Any());
    for (size_t slot = 0; slot < wanted.size(); ++slot) {
      if (!found_.present[slot]) {
        wanted[slot] = Span::Absent();
      }
    }
    BoundAll(false);
    horizon_.links = &links_;
    horizon_.linked = &linked_;
    if (std::none_of(walk_.nodes().begin(), walk_.nodes().end(), [](const Node* node) { return node->MayLink(); })) {
      LetGo(&wanted);
    }
    for (int round = 0; round < kRoundsMax; ++round) {
      Restrict(wanted);
      BoundAll(true);
      if (!LetGo(&wanted)) {
        return Take();
      }
    }
    wanted.assign(wanted.size(), Span::Nothing());
    Restrict(wanted);
    BoundAll(true);
    return Take();
  }

 private:
  // Looked at before each node: an evaluation in a yield may have found more.
  bool OutOfShape() {
    out_of_shape_ = out_of_shape_ || walk_.Shape() != found_.shape;
    return out_of_shape_;
  }
  std::optional<Arms> Take() {
    if (out_of_shape_) {
      return std::nullopt;
    }
    Arms arms{std::move(triggers_), std::move(links_), {}};
    for (uint32_t link = 0; link < arms.links.size(); ++link) {
      const std::vector<TriggerLink::Member>& members = arms.links[link].members;
      for (uint32_t member = 0; member < members.size(); ++member) {
        arms.places.push_back({members[member].series, link, member});
      }
      horizon_.ctx.MayYield(link);
    }
    size_t compared = 0;
    std::sort(arms.places.begin(), arms.places.end(), [&](const LinkPlace& a, const LinkPlace& b) {
      constexpr size_t kComparesPerYield = 16384;
      if (++compared % kComparesPerYield == 0) {
        horizon_.ctx.yield();
      }
      return a.series < b.series;
    });
    return arms;
  }

  // Asks for nothing where what was asked for is not kept. RETURNS: whether there was such a slot.
  bool LetGo(std::vector<Span>* wanted) const {
    if (out_of_shape_) {
      return false;
    }
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
      horizon_.ctx.yield();
      if (OutOfShape()) {
        return;
      }
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
    if (with_triggers && !OutOfShape()) {
      Merge();
    }
  }

  void Restrict(const std::vector<Span>& wanted) {
    if (OutOfShape()) {
      return;
    }
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
      horizon_.ctx.yield();
      if (OutOfShape()) {
        return;
      }
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
  const Findings& found_;
  bool out_of_shape_ = false;
  std::vector<Bounds> bounds_;  // by place in the walk
  std::vector<std::vector<Span>> keep_;
  std::vector<Trigger> triggers_;
  std::vector<TriggerLink> links_;
  std::unordered_map<const Node*, std::vector<double>> linked_;
};

}  // namespace

uint64_t ShapeOf(const Node& root) { return Walk(root).Shape(); }

std::optional<Arms> ArmPlan(const Horizon& horizon, const Node& root, const Findings& found) {
  return Arming(horizon, root, found).Run();
}

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
