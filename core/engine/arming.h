#pragma once
// Arming: from a plan's graph to the triggers of the series it reads (trigger.h).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/engine/node.h"

namespace weir::engine {

// What an evaluation has found, for arming.
struct Findings {
  std::vector<uint8_t> present;  // slots of the root
  uint64_t shape = 0;            // see ShapeOf
};
// RETURNS: a number that changes when a node at or below the root gets slots or numbers them anew.
uint64_t ShapeOf(const Node& root);
// RETURNS: triggers and links for evaluations in [from, until] that shall find no slot of `root` present that is absent in
// `found`, by an evaluation at from_ms; valid as long as no sample crosses them that came since then, those between pieces of
// this included (Context::yield). None when the graph has another shape by now, which an evaluation of something else may give it.
std::optional<Arms> ArmPlan(const Horizon& horizon, const Node& root, const Findings& found);

// RETURNS: why a plan with this root can be evaluated at ticks only; "" if at any time.
std::string WhyAtTicksOnly(const Node& root);
// RETURNS: the parts, as explain shows them, that every sample below them has to be taken for a crossing for; each once.
std::vector<std::string> PartsWithoutBounds(const Node& root);
// RETURNS: the sets that a plan reads, sorted.
std::vector<uint32_t> SetsRead(const Node& root);

}  // namespace weir::engine
