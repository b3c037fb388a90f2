// info(): adds labels of info series to the elements of a vector (semantics 2.9). Which info series may go with which element
// (metric name, instance, job) is found when series appear; a tick picks the newest sample of each.

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <unordered_map>

#include "core/engine/nodes/nodes.h"

namespace weir::engine {
namespace {

using promql::ValueType;

constexpr uint32_t kNone = 0xffffffff;

class InfoNode final : public Node {
 public:
  InfoNode(InfoSpec spec, NodePtr base, NodePtr info)
      : Node(ValueType::kVector, {std::move(base), std::move(info)}), spec_(std::move(spec)) {
    for (const Matcher& m : spec_.data_matchers) {
      may_be_missing_ = may_be_missing_ && m.MatchesEmpty();
    }
  }
  std::string Describe() const override { return "info"; }

 protected:
  void Reset() override {
    base_.clear();
    info_.clear();
    keys_.clear();
    key_of_.clear();
    candidates_.clear();
    candidate_of_.clear();
    slots_.clear();
  }

  void Extend(Context& ctx) override {
    instance_ = ctx.store.Pin("instance");
    job_ = ctx.store.Pin("job");
    LabelSetTable& table = ctx.labels();
    for (size_t i = base_.size(); i < input(0).size(); ++i) {
      BaseSlot slot;
      slot.key = KeyOf(table, input(0).labels(i));
      const std::string_view name = NameOf(ctx, input(0).labels(i));
      slot.passes = std::all_of(spec_.name_matchers.begin(), spec_.name_matchers.end(),
                                [&](const Matcher& m) { return m.Matches(name); });
      base_.push_back(std::move(slot));
    }
    for (size_t i = info_.size(); i < input(1).size(); ++i) {
      const LabelSetId labels = input(1).labels(i);
      const uint32_t key = KeyOf(table, labels);
      const SymbolId name = table.Value(labels, ctx.name_symbol);
      auto [it, inserted] =
          candidate_of_.try_emplace(uint64_t{key} << 32 | name, static_cast<uint32_t>(candidates_.size()));
      if (inserted) {
        candidates_.emplace_back();
        keys_[key].candidates.push_back(it->second);
      }
      info_.push_back({key, it->second});
    }
  }

  void Compute(Context& ctx) override {
    ClearValues();
    const Node& base = input(0);
    const Node& info = input(1);
    if (std::none_of(base.present().begin(), base.present().end(), [](uint8_t p) { return p != 0; })) {
      return;
    }
    FindReachable();
    for (Candidate& c : candidates_) {
      c.slot = kNone;
    }
    for (uint32_t i = 0; i < info_.size(); ++i) {
      if (!info.present()[i] || !Reachable(info_[i].key)) {
        continue;
      }
      Candidate& c = candidates_[info_[i].candidate];
      if (c.slot == kNone || info.values()[i] > info.values()[c.slot]) {
        c.slot = i;
      } else if (info.values()[i] == info.values()[c.slot]) {
        const auto text = [&](uint32_t slot) {
          return SetText(ctx.labels().ToLabels(info.labels(slot))) + " @ " +
                 std::to_string(std::llround(info.values()[slot] * 1000));
        };
        SetError(InvalidError("found duplicate series for info metric: existing " + text(c.slot) + ", new " + text(i)));
        return;
      }
    }
    for (uint32_t i = 0; i < base_.size() && error().ok(); ++i) {
      if (base.present()[i]) {
        Combine(ctx, i);
      }
    }
    CheckUnique(ctx, true);
  }

 private:
  struct BaseSlot {
    uint32_t key = 0;
    bool passes = false;           // is an info series itself
    std::vector<uint32_t> chosen;  // info slots that went into the result
    uint32_t slot = kNone;         // the result's
  };
  struct InfoSlot {
    uint32_t key;
    uint32_t candidate;
  };
  // Info series of one metric name and one key; the newest sample counts.
  struct Candidate {
    uint32_t slot = kNone;
  };
  struct Key {
    SymbolId instance;
    SymbolId job;
    std::vector<uint32_t> candidates;
  };

  uint32_t KeyOf(LabelSetTable& table, LabelSetId labels) {
    const SymbolId instance = table.Value(labels, instance_);
    const SymbolId job = table.Value(labels, job_);
    auto [it, inserted] = key_of_.try_emplace(uint64_t{instance} << 32 | job, static_cast<uint32_t>(keys_.size()));
    if (inserted) {
      keys_.push_back({instance, job, {}});
    }
    return it->second;
  }

  // Prometheus selects info series by the values that each identifying label has among the elements which have the same of them.
  static uint32_t Presence(const Key& key) {
    return (key.instance != kEmptySymbol ? 1U : 0U) | (key.job != kEmptySymbol ? 2U : 0U);
  }
  void FindReachable() {
    for (auto& set : instances_) {
      set.clear();
    }
    for (auto& set : jobs_) {
      set.clear();
    }
    const auto mark = [](std::vector<bool>* set, SymbolId id) {
      if (id >= set->size()) {
        set->resize(id + size_t{1});
      }
      (*set)[id] = true;
    };
    for (size_t i = 0; i < base_.size(); ++i) {
      if (input(0).present()[i] && !base_[i].passes) {
        const Key& key = keys_[base_[i].key];
        mark(&instances_[Presence(key)], key.instance);
        mark(&jobs_[Presence(key)], key.job);
      }
    }
  }
  bool Reachable(uint32_t index) const {
    const Key& key = keys_[index];
    const uint32_t presence = Presence(key);
    const auto has = [](const std::vector<bool>& set, SymbolId id) { return id < set.size() && set[id]; };
    return presence != 0 && has(instances_[presence], key.instance) && has(jobs_[presence], key.job);
  }

  void Combine(Context& ctx, uint32_t i) {
    BaseSlot& base = base_[i];
    chosen_.clear();
    if (!base.passes) {
      for (uint32_t c : keys_[base.key].candidates) {
        if (candidates_[c].slot != kNone) {
          chosen_.push_back(candidates_[c].slot);
        }
      }
      if (chosen_.empty() && !may_be_missing_) {
        return;
      }
    }
    if (base.slot == kNone || base.chosen != chosen_) {
      LabelSetId labels = kEmptyLabelSet;
      if (!Enrich(ctx, input(0).labels(i), chosen_, &labels)) {
        return;
      }
      auto [it, inserted] = slots_.try_emplace(uint64_t{i} << 32 | labels, 0);
      if (inserted) {
        it->second = AddSlot(labels, input(0).drop_name(i));
        values_.push_back(0);
        present_.push_back(0);
        if (!histograms_.empty()) {
          histograms_.emplace_back();
        }
      }
      base.slot = it->second;
      base.chosen = chosen_;
    }
    if (input(0).histogram(i)) {
      SetHistogram(base.slot, input(0).histogram(i));
    } else {
      SetFloat(base.slot, input(0).values()[i]);
    }
  }

  // RETURNS: false with an error when two info series disagree.
  bool Enrich(Context& ctx, LabelSetId base, const std::vector<uint32_t>& chosen, LabelSetId* out) {
    std::map<std::string, std::string, std::less<>> added;
    const Labels own = ctx.labels().ToLabels(base);
    for (uint32_t slot : chosen) {
      for (const LabelView& l : ctx.labels().ToLabels(input(1).labels(slot))) {
        if (l.name == kMetricName || !Copied(l.name)) {
          continue;
        }
        const auto it = added.find(l.name);
        if (it != added.end() && it->second != l.value) {
          SetError(InvalidError("conflicting label: " + std::string(l.name)));
          return false;
        }
        if (own.Get(l.name).empty()) {
          added.insert_or_assign(std::string(l.name), l.value);
        }
      }
    }
    *out = base;
    for (const auto& [name, value] : added) {
      *out = ctx.labels().With(*out, ctx.labels().Intern(name), ctx.labels().Intern(value));
    }
    return true;
  }
  bool Copied(std::string_view name) const {
    return spec_.data_matchers.empty() || std::any_of(spec_.data_matchers.begin(), spec_.data_matchers.end(),
                                                      [&](const Matcher& m) { return m.name() == name; });
  }

  InfoSpec spec_;
  bool may_be_missing_ = true;  // an element without info series passes
  SymbolId instance_ = kEmptySymbol;
  SymbolId job_ = kEmptySymbol;
  std::vector<BaseSlot> base_;
  std::vector<uint32_t> chosen_;  // for the element at hand; reused
  std::vector<InfoSlot> info_;
  std::vector<Key> keys_;
  std::unordered_map<uint64_t, uint32_t> key_of_;  // instance and job -> key
  std::vector<Candidate> candidates_;
  std::unordered_map<uint64_t, uint32_t> candidate_of_;  // key and metric name -> candidate
  std::unordered_map<uint64_t, uint32_t> slots_;         // slot of the base and labels -> result slot
  std::vector<bool> instances_[4];                       // by Presence: values among the present elements
  std::vector<bool> jobs_[4];
};

}  // namespace

NodePtr MakeInfo(InfoSpec spec, NodePtr base, NodePtr info) {
  return std::make_shared<InfoNode>(std::move(spec), std::move(base), std::move(info));
}

}  // namespace weir::engine
