#pragma once
// From encoded label sets to the engine's series. Senders repeat their series in the same order, so every known label set (an
// alias) remembers which one followed it last time: the next one is predicted and verified by its 128-bit hash; only a miss
// probes the hash index, and labels are parsed, checked and interned once per alias. One resolver serves one shard, on its thread.
// A known series costs about 10 ns and no allocation; 40 bytes an alias.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine/engine.h"
#include "core/plugin/plugin.h"

namespace weir::ingest {

// Times beyond this are nonsense; arithmetic on all others cannot overflow.
inline constexpr int64_t kTimeMsMax = int64_t{1} << 53;

struct ResolverLimits {
  uint32_t labels_max = 128;
  uint32_t name_bytes_max = 1024;
  uint32_t value_bytes_max = 8192;
  uint32_t block_bytes_max = 64 << 10;  // one encoded label set
  uint32_t aliases_max = 8000000;       // beyond, label sets are resolved anew every time
  uint32_t streams_max = 100000;        // beyond, streams have no prediction
  int64_t future_max_ms = 10 * 60000;   // samples later than now plus this are rejected
  int64_t alias_idle_ms = 20 * 60000;   // an alias unseen for this long (at most twice) is forgotten
};

// Why a label set is not a series.
enum class InvalidReason : uint8_t {
  kMalformed,
  kTooLarge,
  kTooManyLabels,
  kNoMetricName,
  kEmptyName,
  kNameTooLong,
  kValueTooLong,
  kNotUtf8,
  kDuplicateName,
};
inline constexpr size_t kInvalidReasons = 9;
std::string_view InvalidReasonText(InvalidReason reason);

// Totals since the start, except where noted. Samples unless a name says series.
struct ResolverStats {
  uint64_t written = 0;
  uint64_t duplicates = 0;
  uint64_t conflicts = 0;  // same time, other value
  uint64_t out_of_order = 0;
  uint64_t too_far_ahead = 0;  // or beyond kTimeMsMax either way
  uint64_t over_series_limit = 0;
  uint64_t over_source_limit = 0;
  uint64_t memory_short = 0;  // of new series while memory was
  uint64_t ignored = 0;       // of series that no rule reads
  uint64_t of_invalid_series = 0;
  std::array<uint64_t, kInvalidReasons> invalid_series{};  // label sets parsed and refused, by reason
  uint64_t unsorted_series = 0;                            // label sets that had to be sorted
  uint64_t predicted = 0;                                  // series found by prediction …
  uint64_t probed = 0;                                     // … by the index …
  uint64_t parsed = 0;                                     // … or by parsing labels (new, or after a change of rules)
  uint64_t aliases = 0;                                    // now
  uint64_t streams = 0;                                    // now
  uint64_t alias_bytes = 0;                                // now
};

// Some series of a batch, in its order, and where each stands there.
struct Part {
  std::span<const plugin::SampleBatch::Series> series;
  std::span<const uint32_t> places;
};

class Resolver {
 public:
  explicit Resolver(engine::Engine* engine, ResolverLimits limits = {}, uint32_t shard = 0);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Resolves every series of the batch and appends its samples. A bad series or sample costs itself only.
  // RETURNS: what became of the samples; `first_error` names the first rejected one.
  plugin::IngestOutcome Apply(const plugin::SampleBatch& batch, std::string_view stream, int64_t now_ms);
  // The same for a part of the batch, inside Engine::OnShards. Series that the engine's thread has to make are only prepared:
  // left() tells them afterwards.
  plugin::IngestOutcome Apply(const plugin::SampleBatch& batch, const Part& part, std::string_view stream,
                              int64_t now_ms);
  struct Left {
    uint32_t series = 0;  // its place in the batch
    uint32_t draft = 0;   // what was prepared
  };
  const std::vector<Left>& left() const;
  // Does what was left, one series a call, in the order in which new series shall join; adds to `outcome`. Outside of OnShards.
  void ApplyLeft(const plugin::SampleBatch& batch, const Left& left, int64_t now_ms, plugin::IngestOutcome* outcome);
  // What was left has been done: what was prepared for it goes.
  void ForgetDrafts();
  // RETURNS: whether there ever was a series of another shard: label sets that are equal but written differently.
  bool saw_foreign() const;
  // RETURNS: where in the last batch the outcome's first_error and first_invalid are from, by index of the series.
  uint32_t first_error_at() const;
  uint32_t first_invalid_at() const;
  // RETURNS: the newest time among the samples of the last Apply that were not rejected as too far ahead, ignored series
  // included; INT64_MIN when there was none. For watermarks.
  int64_t newest_ms() const;
  // The stream is gone: its cursor is forgotten.
  void ForgetStream(std::string_view stream);
  ResolverStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::ingest
