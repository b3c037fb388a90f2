#include "core/engine/engine.h"

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "core/base/fork_join.h"
#include "core/base/prefetch.h"
#include "core/engine/arming.h"
#include "core/engine/explain.h"
#include "core/engine/planner.h"
#include "core/promql/parser.h"

namespace weir::engine {

using promql::ValueType;

struct Engine::Impl {
  struct Plan {
    NodePtr root;
    std::vector<PlannedDemand> demands;
    std::vector<Site> sites;
    int64_t interval_ms = 0;
    int64_t query_offset_ms = 0;
    bool between = false;
    bool live = false;
    std::vector<Node*> leaves;  // where a crew computes them ahead
    // What BeginArm has found.
    struct Begun {
      uint64_t number = 0;
      int64_t t_ms = 0;
      uint64_t structure = 0;
      bool failed = false;
      Findings found;
    };
    Begun begun = {};
  };

  explicit Impl(Options o)
      : options(o), store(o), crew(o.shards, o.always_share), ctx{store,
                                                                  options,
                                                                  store.Pin(kMetricName),
                                                                  store.Pin("__type__"),
                                                                  store.Pin("__unit__"),
                                                                  store.Pin(kBucketLabel)} {
    ctx.yield = [this] { Yield(); };
    ctx.crew = &crew;
    ctx.ahead = &ahead;
    store.BeforeChange([this](bool all) {
      ahead.Rest();
      if (all) {
        ahead.Abandon();
      }
    });
  }

  void Yield() {
    if (inside_yield || evaluating_between) {
      return;
    }
    if (yielding_allowed) {
      inside_yield = true;
      store.SetAside(true);
      yield();
      store.SetAside(false);
      inside_yield = false;
    }
    ahead.Start();
  }

  // RETURNS: how far behind its tick a plan may be evaluated.
  int64_t QueryOffsetMax() const {
    int64_t most = 0;
    for (const Plan& plan : plans) {
      most = plan.live ? std::max(most, plan.query_offset_ms) : most;
    }
    return most;
  }

  // RETURNS: the earliest time that a hidden evaluation still to be done reads, as of now_ms.
  int64_t NextDue(int64_t now_ms) {
    int64_t due = std::numeric_limits<int64_t>::max();
    for (auto& [key, weak] : graph.producers) {
      if (auto producer = weak.lock()) {
        due = std::min(due, producer->NextDue(now_ms, floor_ms));
      }
    }
    for (const Graph::Fixed& fixed : graph.fixed) {
      due = std::min(due, fixed.at_ms);
    }
    return due;
  }

  // Runs the hidden evaluations that are ready at t_ms: the earliest first, at one time subqueries from the inside out, then
  // `@` nodes.
  void RunReady(int64_t t_ms) {
    for (;;) {
      std::shared_ptr<SubqueryProducer> next;
      int64_t next_due = 0;
      int64_t next_ready = std::numeric_limits<int64_t>::max();
      for (auto& [key, weak] : graph.producers) {
        auto producer = weak.lock();
        if (!producer) {
          continue;
        }
        const int64_t due = producer->NextDue(t_ms, floor_ms);
        const int64_t ready = producer->Ready(due);
        if (ready < next_ready || (next && ready == next_ready && producer->depth < next->depth)) {
          next = std::move(producer);
          next_due = due;
          next_ready = ready;
        }
      }
      auto fixed = std::min_element(graph.fixed.begin(), graph.fixed.end(),
                                    [](const auto& a, const auto& b) { return a.ready_ms < b.ready_ms; });
      if (fixed != graph.fixed.end() && fixed->ready_ms < next_ready) {
        if (fixed->ready_ms > t_ms) {
          return;
        }
        NodePtr node = fixed->node.lock();
        ctx.t_ms = fixed->ready_ms;
        graph.fixed.erase(fixed);
        if (node) {
          node->Evaluate(ctx);
        }
        continue;
      }
      if (!next || next_ready > t_ms) {
        return;
      }
      next->Run(ctx, next_due);
    }
  }

  void MarkLabels(LabelMarks* marks) {
    for (const LabelHolder* holder : holders) {
      holder->MarkLabels(marks);
      ctx.yield();
    }
    std::vector<const Node*> stack;
    std::unordered_set<const Node*> seen;
    for (const Plan& plan : plans) {
      if (plan.live) {
        stack.push_back(plan.root.get());
      }
    }
    for (const auto& [key, weak] : graph.producers) {
      if (auto producer = weak.lock()) {
        stack.push_back(&producer->inner());
      }
    }
    while (!stack.empty()) {
      const Node* node = stack.back();
      stack.pop_back();
      if (!seen.insert(node).second) {
        continue;
      }
      node->MarkLabels(marks);
      ctx.yield();
      for (const NodePtr& in : node->inputs()) {
        stack.push_back(in.get());
      }
    }
  }

  // Brings graph and store in line after plans came or went. Cheap when nothing changed.
  void Settle() {
    if (inside_yield) {
      return;
    }
    if (sweep) {
      sweep = false;
      Sweep();
    }
    store.Refresh();
  }

  void BeforeAppend() {
    if (inside_yield) {
      ahead.Rest();
    } else {
      Settle();
      ++ctx.epoch;
    }
  }

  // Of rules, which may append while leaves are computed, and others.
  void BeforeAppendTo(SeriesId series) {
    BeforeAppend();
    if ((ahead.active() || !store.triggers().empty()) && !inside_yield && !store.WrittenByRules(series)) {
      store.SetWrittenByRules(series);
    }
  }

  // RETURNS: the leaves at and below a node, in the order in which Evaluate comes to them.
  static std::vector<Node*> LeavesOf(Node* root) {
    std::unordered_set<Node*> seen;
    std::vector<Node*> leaves;
    const auto collect = [&](auto&& self, Node* node) -> void {
      if (!seen.insert(node).second) {
        return;
      }
      for (const NodePtr& in : node->inputs()) {
        self(self, in.get());
      }
      if (node->Source() != nullptr) {
        leaves.push_back(node);
      }
    };
    collect(collect, root);
    return leaves;
  }

  void BeginAhead(std::span<const PlanId> ids, int64_t t_ms) {
    size_t slots = 0;
    for (const PlanId id : ids) {
      for (const Node* node : plans[id].leaves) {
        slots += node->size();
      }
    }
    ahead.End();
    if (slots < crew.members() * size_t{options.slots_per_yield}) {
      return;
    }
    for (const PlanId id : ids) {
      for (Node* node : plans[id].leaves) {
        // A leaf of several plans goes ahead for the first.
        if (!node->waits_ahead() && node->GoAhead(ctx, ahead.Next(t_ms - plans[id].query_offset_ms))) {
          ahead.Keep();
        }
      }
    }
    ahead.Begin(options.slots_per_yield);
  }

  void Sweep() {
    std::erase_if(graph.nodes, [](const auto& entry) { return entry.second.expired(); });
    std::erase_if(graph.producers, [](const auto& entry) { return entry.second.expired(); });
    std::erase_if(graph.fixed, [](const auto& entry) { return entry.node.expired(); });
    std::erase_if(between.nodes, [](const auto& entry) { return entry.second.expired(); });
    std::erase_if(between.producers, [](const auto& entry) { return entry.second.expired(); });
    std::erase_if(between.fixed, [](const auto& entry) { return entry.node.expired(); });
    store.MarkChanged();
  }

  void TellCrossings() {
    if (!sharing && store.triggers().any_crossed() && on_crossing) {
      ++ctx.epoch;
      on_crossing();
    }
  }

  // Plans that may be evaluated in a yield share nodes with each other: none of them yields.
  void EvaluateRoot(Plan& plan, int64_t t_ms) {
    if (!plan.between) {
      ctx.t_ms = ctx.query_ms = t_ms - plan.query_offset_ms;
      plan.root->Evaluate(ctx);
      return;
    }
    if (inside_yield) {
      ahead.Rest();
      ++ctx.epoch;
    }
    const int64_t t_before_ms = std::exchange(ctx.t_ms, t_ms - plan.query_offset_ms);
    const int64_t query_before_ms = std::exchange(ctx.query_ms, t_ms - plan.query_offset_ms);
    ctx.between = evaluating_between = true;
    plan.root->Evaluate(ctx);
    ctx.between = evaluating_between = false;
    ctx.t_ms = t_before_ms;
    ctx.query_ms = query_before_ms;
  }

  void BeginArm(PlanId id, Triggers::Plan* armed, int64_t t_ms) {
    Plan& plan = plans[id];
    store.triggers().BeginArm(armed, t_ms - plan.query_offset_ms);
    EvaluateRoot(plan, t_ms);
    plan.begun = {
        ++begun, t_ms, store.generation(), !plan.root->error().ok(), {plan.root->present(), ShapeOf(*plan.root)}};
  }

  // RETURNS: none when it has come to nothing: the plan was begun to be armed once more, or is given up.
  std::optional<Arms> ArmBegun(PlanId id, int64_t until_ms) {
    const Plan& plan = plans[id];
    Triggers::Plan* armed = store.triggers().Find(id);
    const uint64_t number = plan.begun.number;
    std::optional<Arms> arms;
    if (plan.begun.structure == store.generation()) {
      const Horizon horizon{ctx, plan.begun.t_ms - plan.query_offset_ms, until_ms - plan.query_offset_ms, &armed->late};
      arms = plan.begun.failed ? Arms() : ArmPlan(horizon, *plan.root, Findings(plan.begun.found));
    }
    if (plan.begun.number != number) {
      return std::nullopt;
    }
    if (!arms) {
      store.triggers().GiveUp(armed);
    }
    return arms;
  }

  Evaluation Read(Node& root, const std::vector<Site>& sites) {
    Evaluation out;
    out.status = root.error();
    out.type = root.type();
    for (const Site& site : sites) {
      if (site.in_subquery) {
        continue;
      }
      for (const Annotation& a : site.node->annotations()) {
        Tell(a, sites, &out.remarks);
      }
    }
    if (!out.status.ok()) {
      return out;
    }
    switch (root.type()) {
      case ValueType::kScalar:
        out.scalar = root.scalar();
        break;
      case ValueType::kString:
        out.text = root.text();
        break;
      default:
        out.vector = VectorView(root.size(), root.present().data(), root.values().data(),
                                root.histograms().empty() ? nullptr : root.histograms().data(), root.labels().data(),
                                root.generation());
        out.order = root.order();
    }
    return out;
  }

  SeriesStats StatsOf(std::span<const Store::SharedLoad> loads) const {
    SeriesStats stats = store.Stats(loads);
    for (const auto& [key, weak] : graph.nodes) {
      if (auto node = weak.lock()) {
        ++stats.nodes;
        stats.node_bytes += node->Bytes();
      }
    }
    return stats;
  }

  // Adds an annotation with the place of its part in the expression; each text once.
  static void Tell(const Annotation& a, const std::vector<Site>& sites, std::vector<Remark>* out) {
    if (std::any_of(out->begin(), out->end(), [&](const Remark& r) { return r.text == a.text; })) {
      return;
    }
    const auto site = std::find_if(sites.begin(), sites.end(), [&](const Site& s) { return s.node.get() == a.origin; });
    const bool known = site != sites.end() && a.part < site->offsets.size();
    out->push_back({a.info, a.text, a.detail, known ? site->offsets[a.part] : 0});
  }

  Options options;
  Store store;
  ForkJoin crew;
  Context ctx;
  LeavesAhead ahead{&ctx, &crew};
  std::optional<ForkJoin::Alone> tick_alone;
  Graph graph;
  // Of the plans that are evaluated between ticks: what they find there must not show at a tick, not even in the order of slots.
  Graph between;
  std::function<void()> on_crossing;
  std::unordered_set<const LabelHolder*> holders;
  std::vector<Plan> plans;
  int64_t floor_ms = std::numeric_limits<int64_t>::min();
  bool sweep = false;  // plans were removed since the last Settle
  NodePtr once;        // keeps the nodes of the last one-off evaluation: its view refers to them
  std::function<void()> yield = [] {};
  bool sharing = false;  // shards take samples in at once; those of eager alerts wait until they rest
  bool yielding_allowed = false;
  bool inside_yield = false;
  bool evaluating_between = false;
  uint64_t begun = 0;  // counts BeginArm
};

Engine::Engine(Options options) : impl_(std::make_unique<Impl>(options)) {}
Engine::~Engine() = default;

Result<PlanId> Engine::AddPlan(const promql::Expr& expr, const Grid& grid) {
  Times times;
  times.interval_ms = grid.interval_ms;
  times.phase_ms = grid.phase_ms - grid.query_offset_ms;
  if (grid.interval_ms == 0) {
    for (int64_t t : grid.times) {
      times.points.push_back(t - grid.query_offset_ms);
    }
  }
  Planner planner(impl_->ctx, grid.between ? impl_->between : impl_->graph, nullptr, grid.bounds, grid.between,
                  grid.max_error);
  auto root = planner.PlanRoot(expr, times);
  if (!root.ok()) {
    impl_->Sweep();
    return root.status();
  }
  Impl::Plan plan{std::move(*root),
                  planner.TakeDemands(),
                  planner.TakeSites(),
                  grid.interval_ms,
                  grid.query_offset_ms,
                  grid.between,
                  true,
                  {}};
  const auto unused =
      std::find_if(impl_->plans.begin(), impl_->plans.end(), [](const Impl::Plan& other) { return !other.live; });
  const auto id = static_cast<PlanId>(unused - impl_->plans.begin());
  if (plan.between && WhyAtTicksOnly(*plan.root).empty()) {
    impl_->store.triggers().Add(id, SetsRead(*plan.root));
  }
  if (impl_->crew.members() > 1) {
    plan.leaves = Impl::LeavesOf(plan.root.get());
  }
  if (unused == impl_->plans.end()) {
    impl_->plans.push_back(std::move(plan));
  } else {
    *unused = std::move(plan);
  }
  return id;
}

void Engine::RemovePlan(PlanId plan) {
  impl_->store.triggers().Remove(plan);
  impl_->plans[plan] = Impl::Plan{};
  impl_->sweep = true;  // once for all plans of a reload
}

std::vector<PlanFacts> Engine::Facts(std::span<const PlanId> ids) const {
  impl_->Settle();
  std::unordered_map<const Node*, std::vector<PlanId>> users;
  std::unordered_map<const SeriesSet*, std::vector<PlanId>> readers;
  const auto add = [](std::vector<PlanId>& plans, PlanId id) {
    if (plans.empty() || plans.back() != id) {
      plans.push_back(id);
    }
  };
  for (PlanId id = 0; id < impl_->plans.size(); ++id) {
    for (const Site& site : impl_->plans[id].sites) {
      add(users[site.node.get()], id);
    }
    for (const PlannedDemand& demand : impl_->plans[id].demands) {
      add(readers[demand.set.get()], id);
    }
  }
  std::vector<PlanFacts> all;
  for (PlanId id : ids) {
    const Impl::Plan& plan = impl_->plans[id];
    PlanFacts& facts = all.emplace_back();
    facts.plan = id;
    facts.tick_ms = plan.interval_ms;
    for (const Site& site : plan.sites) {
      facts.parts.push_back({site.offsets[0], site.end, site.node.get(), users[site.node.get()]});
    }
    for (const PlannedDemand& d : plan.demands) {
      WindowFacts window{d.text,
                         std::string(d.reader),
                         *d.demand,
                         d.step_ms,
                         d.replayed,
                         readers[d.set.get()],
                         impl_->options.tape_margin_ms};
      std::erase(window.others, id);
      facts.windows.push_back(std::move(window));
    }
  }
  return all;
}

std::vector<PlanLoad> Engine::Loads(std::span<const std::vector<PlanId>> groups, SeriesStats* stats) const {
  impl_->Settle();
  std::vector<uint32_t> group_of(impl_->plans.size(),
                                 kNoPlan);  // plans outside count as a group each: they are somebody else
  for (size_t g = 0; g < groups.size(); ++g) {
    for (PlanId plan : groups[g]) {
      group_of[plan] = static_cast<uint32_t>(g);
    }
  }
  using Use = std::pair<uintptr_t, uint32_t>;  // of a set (its id) or a node (its address), by a group
  std::vector<Use> readers;
  std::vector<Use> holders;
  for (PlanId id = 0; id < impl_->plans.size(); ++id) {
    const uint32_t group = group_of[id] == kNoPlan ? static_cast<uint32_t>(groups.size()) + id : group_of[id];
    for (const PlannedDemand& demand : impl_->plans[id].demands) {
      readers.emplace_back(demand.set->id, group);
    }
    for (const Site& site : impl_->plans[id].sites) {
      holders.emplace_back(reinterpret_cast<uintptr_t>(site.node.get()), group);
    }
  }
  const auto order = [](std::vector<Use>* uses) {
    std::sort(uses->begin(), uses->end());
    uses->erase(std::unique(uses->begin(), uses->end()), uses->end());
  };
  order(&readers);
  order(&holders);
  std::vector<PlanLoad> loads(groups.size());
  // `who`: without repetition.
  const auto add = [&loads](std::span<const uint32_t> who, size_t series, size_t bytes) {
    for (const uint32_t group : who) {
      if (group < loads.size()) {
        loads[group].series += series;
        loads[group].bytes += bytes;
        loads[group].own_bytes += who.size() == 1 ? bytes : 0;
      }
    }
  };
  const std::vector<Store::SharedLoad> by_profile = impl_->store.LoadByProfile(impl_->crew, impl_->ctx.yield);
  if (stats != nullptr) {
    *stats = impl_->StatsOf(by_profile);
  }
  std::vector<uint32_t> who;
  for (const Store::SharedLoad& load : by_profile) {
    who.clear();
    for (const uint32_t set : *load.sets) {
      for (auto it = std::lower_bound(readers.begin(), readers.end(), Use(set, 0));
           it != readers.end() && it->first == set; ++it) {
        who.push_back(it->second);
      }
    }
    std::sort(who.begin(), who.end());
    who.erase(std::unique(who.begin(), who.end()), who.end());
    add(who, load.series, load.series * sizeof(Series) + load.bytes);
  }
  for (size_t i = 0; i < holders.size();) {
    const uintptr_t node = holders[i].first;
    for (who.clear(); i < holders.size() && holders[i].first == node; ++i) {
      who.push_back(holders[i].second);
    }
    add(who, 0, reinterpret_cast<const Node*>(node)->Bytes());
  }
  return loads;
}

int64_t Engine::LongestWindowMs() const { return impl_->store.LongestMs(); }
LabelSetTable& Engine::labels() { return impl_->store.labels(); }
const LabelSetTable& Engine::labels() const { return impl_->store.labels(); }
const Options& Engine::options() const { return impl_->options; }

void Engine::AddLabelHolder(const LabelHolder* holder) { impl_->holders.insert(holder); }
void Engine::RemoveLabelHolder(const LabelHolder* holder) { impl_->holders.erase(holder); }

SeriesId Engine::Intern(LabelSetId labels) {
  impl_->Settle();
  return impl_->store.Intern(labels);
}
void Engine::SetAdmitting(bool admitting) { impl_->store.SetAdmitting(admitting); }
bool Engine::admitting() const { return impl_->store.admitting(); }
void Engine::OnGrowth(std::function<void()> handler) { impl_->store.OnGrowth(std::move(handler)); }
uint32_t Engine::SeriesOfSource(uint32_t source) const { return impl_->store.SeriesOfSource(source); }
bool Engine::IsRead(SeriesId series) const {
  impl_->Settle();
  return impl_->store.profile_of(series).read;
}
uint64_t Engine::structure_generation() const {
  impl_->Settle();
  return impl_->store.generation();
}
uint64_t Engine::plans_generation() const {
  impl_->Settle();
  return impl_->store.plans_generation();
}
LabelSetId Engine::SeriesLabels(SeriesId series) const { return impl_->store.at(series).labels; }
int64_t Engine::LastTime(SeriesId series) const { return impl_->store.at(series).window.last_t_ms(); }

AppendOutcome Engine::Append(SeriesId series, int64_t t_ms, double v, int64_t start_ms) {
  impl_->BeforeAppendTo(series);
  const AppendOutcome outcome =
      impl_->store.Append(series, t_ms, v, impl_->options.use_start_timestamps ? start_ms : 0);
  impl_->TellCrossings();
  return outcome;
}

AppendOutcome Engine::AppendHistogram(SeriesId series, int64_t t_ms, const HistogramRef& histogram, int64_t start_ms) {
  impl_->BeforeAppendTo(series);
  const AppendOutcome outcome =
      impl_->store.AppendHistogram(series, t_ms, histogram, impl_->options.use_start_timestamps ? start_ms : 0, false);
  impl_->TellCrossings();
  return outcome;
}

void Engine::AdvanceTo(int64_t t_ms) {
  impl_->Settle();
  impl_->RunReady(t_ms);
}

Evaluation Engine::Evaluate(PlanId id, int64_t t_ms) {
  Impl::Plan& plan = impl_->plans[id];
  const int64_t at = t_ms - plan.query_offset_ms;
  AdvanceTo(at);
  impl_->EvaluateRoot(plan, t_ms);
  return impl_->Read(*plan.root, plan.sites);
}

BetweenFacts Engine::Between(PlanId plan) const {
  const Node& root = *impl_->plans[plan].root;
  return {WhyAtTicksOnly(root), PartsWithoutBounds(root)};
}

Evaluation Engine::EvaluateBetween(PlanId id, int64_t t_ms) {
  impl_->Settle();
  Impl::Plan& plan = impl_->plans[id];
  impl_->EvaluateRoot(plan, t_ms);
  return impl_->Read(*plan.root, plan.sites);
}

void Engine::Arm(std::span<const PlanId> plans, int64_t from_ms, int64_t until_ms) {
  impl_->Settle();
  Triggers& triggers = impl_->store.triggers();
  std::vector<std::pair<PlanId, Arms>> ready;
  std::vector<uint64_t> numbers;
  for (const PlanId id : plans) {
    Triggers::Plan* armed = triggers.Find(id);
    if (armed == nullptr) {
      continue;
    }
    if (!armed->arming || impl_->plans[id].begun.t_ms != from_ms) {
      impl_->BeginArm(id, armed, from_ms);
    }
    if (std::optional<Arms> arms = impl_->ArmBegun(id, until_ms)) {
      ready.emplace_back(id, std::move(*arms));
      numbers.push_back(impl_->plans[id].begun.number);
    }
  }
  std::vector<PlanId> done;
  for (size_t i = 0; i < ready.size(); ++i) {
    auto& [id, arms] = ready[i];
    if (impl_->plans[id].begun.number == numbers[i]) {
      Triggers::Arm(triggers.Find(id), std::move(arms), until_ms - impl_->plans[id].query_offset_ms);
      done.push_back(id);
    }
  }
  triggers.Armed(done);
  impl_->TellCrossings();
}

void Engine::BeginArm(PlanId id, int64_t t_ms) {
  impl_->Settle();
  if (Triggers::Plan* armed = impl_->store.triggers().Find(id); armed != nullptr) {
    impl_->BeginArm(id, armed, t_ms);
  }
}

size_t Engine::ArmSeries(PlanId plan) const {
  size_t series = 0;
  for (const PlannedDemand& demand : impl_->plans[plan].demands) {
    series += demand.set->members.size();
  }
  return series;
}

bool Engine::ReadsRules(PlanId plan) const {
  for (const PlannedDemand& demand : impl_->plans[plan].demands) {
    for (const window::Profile* profile : demand.set->profiles) {
      if (profile->written_by_rules) {
        return true;
      }
    }
  }
  return false;
}

void Engine::OnCrossing(std::function<void()> handler) { impl_->on_crossing = std::move(handler); }
int64_t Engine::EndTogether(int64_t now_ms, int64_t patience_ms) {
  const int64_t next_ms = impl_->store.triggers().EndTogether(now_ms, patience_ms);
  impl_->TellCrossings();
  return next_ms;
}
bool Engine::AwaitsBuckets(PlanId plan) const {
  const Triggers::Plan* armed = impl_->store.triggers().Find(plan);
  return armed != nullptr && std::any_of(armed->torn.begin(), armed->torn.end(), [armed](const Triggers::Torn& torn) {
           return armed->links[torn.link].torn();
         });
}
std::vector<Crossing> Engine::TakeCrossings() { return impl_->store.triggers().Take(); }

void Engine::IgnoreCrossing(PlanId plan) { impl_->store.triggers().Find(plan)->crossed = false; }
int64_t Engine::CrossedMs(PlanId plan) const { return impl_->store.triggers().Find(plan)->crossed_ms; }

std::string Engine::TriggerText(PlanId plan, SeriesId series) const {
  return impl_->store.triggers().Text(plan, series);
}

void Engine::Release(int64_t t_ms) {
  impl_->Settle();
  const int64_t due = impl_->NextDue(t_ms);
  impl_->floor_ms = std::min(t_ms - impl_->QueryOffsetMax(), due - 1);
  impl_->store.SetFloor(impl_->floor_ms, impl_->ctx.yield);
}

Evaluation Engine::EvaluateOnce(const promql::Expr& expr, int64_t t_ms) {
  impl_->Settle();
  AdvanceTo(t_ms);
  Planner planner(impl_->ctx, impl_->graph, &t_ms, std::nullopt);
  auto root = planner.PlanRoot(expr, Times{0, 0, {t_ms}});
  if (!root.ok()) {
    Evaluation out;
    out.status = root.status();
    return out;
  }
  impl_->once = std::move(*root);
  impl_->ctx.t_ms = impl_->ctx.query_ms = t_ms;
  impl_->once->Evaluate(impl_->ctx);
  return impl_->Read(*impl_->once, planner.TakeSites());
}

size_t Engine::Expire(int64_t t_ms) {
  ++impl_->ctx.epoch;
  size_t expired = impl_->store.Expire(t_ms - impl_->QueryOffsetMax(), impl_->options.lookback_ms, impl_->ctx.yield);
  impl_->once.reset();
  impl_->store.CollectLabels([this](LabelMarks* marks) { impl_->MarkLabels(marks); }, impl_->ctx.yield);
  return expired;
}

SeriesStats Engine::Stats() const { return impl_->StatsOf(impl_->store.LoadByProfile(impl_->crew, impl_->ctx.yield)); }

uint32_t Engine::shards() const { return impl_->options.shards; }

void Engine::OnShards(bool together, size_t pieces, const std::function<void(uint32_t shard, size_t piece)>& work) {
  impl_->BeforeAppend();
  ForkJoin& crew = impl_->crew;
  if (together && !crew.alone()) {
    impl_->sharing = true;
    crew.Run([&](uint32_t shard) {
      for (size_t piece = 0; piece < pieces; ++piece) {
        work(shard, piece);
      }
    });
    impl_->sharing = false;
    return;
  }
  const ForkJoin::Alone counted(&crew);
  for (size_t piece = 0; piece < pieces; ++piece) {
    for (uint32_t shard = 0; shard < shards(); ++shard) {
      work(shard, piece);
    }
  }
}

ShardWriter::ShardWriter(Engine* engine, uint32_t shard) : engine_(engine->impl_.get()), shard_(shard) {}

bool ShardWriter::admitting() const { return engine_->store.admitting(); }
void ShardWriter::Begin() { engine_->BeforeAppend(); }

bool ShardWriter::WouldRead(Views labels) const { return engine_->store.AnySetMatches(labels); }

bool ShardWriter::HasLabels(SeriesId series, Views labels) const {
  const LabelSetId set = engine_->store.at(series).labels;
  if (set == kNoLabelSet) {
    return false;
  }
  const LabelSetTable& table = engine_->store.labels();
  const LabelPairs own = table.Pairs(set);
  return std::equal(own.begin(), own.end(), labels.begin(), labels.end(),
                    [&table](const LabelPair& pair, const auto& view) {
                      return table.Text(pair.name) == view.first && table.Text(pair.value) == view.second;
                    });
}

bool ShardWriter::SameSince(SeriesId series, uint32_t generation) const {
  return engine_->store.SameSince(series, generation);
}
bool ShardWriter::IsRead(SeriesId series) const { return engine_->store.profile_of(series).read; }

bool ShardWriter::Draft(Views labels, SeriesDrafts* drafts) const { return engine_->store.Draft(labels, drafts); }
SeriesId ShardWriter::Intern(const SeriesDrafts& drafts, size_t draft, uint32_t source) {
  return engine_->store.InternFor(shard_, drafts, draft, source);
}
SeriesId ShardWriter::Intern(Views labels, uint32_t source) { return engine_->store.InternFor(shard_, labels, source); }
Refusal ShardWriter::Refuses(uint32_t source) const { return engine_->store.Refuses(source); }
bool ShardWriter::TracksSources() const { return engine_->store.tracks_sources(); }
void ShardWriter::Seen(SeriesId series, uint32_t source) { engine_->store.Seen(series, source); }
bool ShardWriter::AnyWatched() const { return !engine_->store.triggers().empty(); }
bool ShardWriter::IsWatched(SeriesId series) const { return engine_->store.profile_of(series).watched; }
bool ShardWriter::Owns(SeriesId series) const { return engine_->store.Owns(shard_, series); }
void ShardWriter::Prefetch(SeriesId series) const { PrefetchForWrite(&engine_->store.at(series)); }
void ShardWriter::PrefetchAppend(SeriesId series) const { engine_->store.at(series).window.PrefetchAppend(); }
uint64_t ShardWriter::structure_generation() const { return engine_->store.generation(); }
uint64_t ShardWriter::plans_generation() const { return engine_->store.plans_generation(); }

AppendOutcome ShardWriter::Append(SeriesId series, int64_t t_ms, double v, int64_t start_ms) {
  const AppendOutcome outcome =
      engine_->store.AppendFor(shard_, series, t_ms, v, engine_->options.use_start_timestamps ? start_ms : 0);
  engine_->TellCrossings();
  return outcome;
}

AppendOutcome ShardWriter::AppendHistogram(SeriesId series, int64_t t_ms, const HistogramRef& histogram,
                                           int64_t start_ms) {
  const AppendOutcome outcome = engine_->store.AppendHistogramFor(
      shard_, series, t_ms, histogram, engine_->options.use_start_timestamps ? start_ms : 0, false);
  engine_->TellCrossings();
  return outcome;
}

void Engine::BeginTick(std::span<const PlanId> plans, int64_t t_ms) {
  impl_->Settle();
  ForkJoin& crew = impl_->crew;
  crew.BeginSeries();
  impl_->tick_alone.emplace(&crew);
  if (crew.members() > 1 && !crew.alone()) {
    impl_->BeginAhead(plans, t_ms);
  }
}

void Engine::EndTick() {
  impl_->ahead.End();
  impl_->tick_alone.reset();
  impl_->crew.EndSeries();
}

void Engine::SetYield(std::function<void()> yield) { impl_->yield = std::move(yield); }

void Engine::BeginYielding() {
  impl_->Settle();
  impl_->yielding_allowed = true;
}

void Engine::EndYielding() {
  impl_->store.TakeAside(impl_->ctx.yield);
  impl_->yielding_allowed = false;
  ++impl_->ctx.epoch;
}

int64_t Engine::ReadsUntil(int64_t t_ms) const { return impl_->store.ReadsUntil(t_ms); }
void Engine::MayYield(size_t i) {
  constexpr size_t kResultsPerYield = 32;
  if (i % kResultsPerYield == 0) {
    impl_->Yield();
  }
}

}  // namespace weir::engine
