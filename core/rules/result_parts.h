#pragma once
// The samples of a group's tick on their way to the sinks. They are handed over in parts, so that a tick with many samples needs
// memory for one part only, if the sinks are as fast. Engine's thread only.

#include "core/plugin/plugin.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace weir::rules {

class RuleOutput;

inline constexpr size_t kPartSamplesMax = 2048;  // a part's samples; some 600 kB with their labels
inline constexpr size_t kPartAlertsMax = 512;    // the same for alerts

class ResultParts {
 public:
  ResultParts(RuleOutput* output, std::string group, int64_t tick_ms)
      : output_(output), group_(std::move(group)), tick_ms_(tick_ms) {}
  ResultParts(const ResultParts&) = delete;
  ResultParts& operator=(const ResultParts&) = delete;

  void Add(plugin::ResultSample sample);
  // Some so many are about to be added.
  void Expect(size_t samples);
  // Hands over what is left.
  void Finish();

 private:
  // RETURNS: the part that is being filled.
  plugin::SampleResults& Part();

  RuleOutput* output_;
  std::string group_;
  int64_t tick_ms_;
  std::shared_ptr<plugin::SampleResults> part_;
  size_t expected_ = 0;
};

}  // namespace weir::rules
