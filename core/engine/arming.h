#pragma once
// Arming: from a plan's graph to the triggers of the series it reads (trigger.h).

#include <string>
#include <vector>

#include "core/engine/node.h"

namespace weir::engine {

// RETURNS: triggers and links for evaluations in [from, until] that shall find no slot of `root` present that is absent
// now; valid as long as no sample crosses them. REQUIRES: the root was evaluated at from_ms.
Arms ArmPlan(const Horizon& horizon, Node& root);

// RETURNS: why a plan with this root can be evaluated at ticks only; "" if at any time.
std::string WhyAtTicksOnly(const Node& root);
// RETURNS: the parts, as explain shows them, that every sample below them has to be taken for a crossing for; each once.
std::vector<std::string> PartsWithoutBounds(const Node& root);
// RETURNS: the sets that a plan reads, sorted.
std::vector<uint32_t> SetsRead(const Node& root);

}  // namespace weir::engine
