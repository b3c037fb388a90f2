#pragma once
// Batches on their way into the engine's shards. A series belongs to the shard that the hash of its encoded labels says; each
// shard has a resolver of its own and applies its part of every batch on its own thread, all batches of a call in order and without
// a lock. Series that are new follow with all shards at rest, in the order of the batches, which is thus their order of arrival
// whatever the number of shards. With one shard this is the resolver and nothing else. THREAD: the engine's.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/ingest/resolver.h"

namespace weir::ingest {

// The series of a batch by shard, side by side so that a shard reads no line of memory that is another's: shard s has
// [ends[s - 1], ends[s]), in the order of the batch. REQUIRES: the batch, whose bytes they refer to.
struct Parts {
  std::vector<plugin::SampleBatch::Series> series;
  std::vector<uint32_t> places;  // of these series in the batch
  std::vector<uint32_t> ends;
  Part Of(uint32_t shard) const {
    const uint32_t from = shard == 0 ? 0 : ends[shard - 1];
    const uint32_t count = ends[shard] - from;
    return {{series.data() + from, count}, {places.data() + from, count}};
  }
};
// THREAD: any; sources' threads do it before they queue a batch.
Parts PartsOf(const plugin::SampleBatch& batch, uint32_t shards);

class Intake {
 public:
  struct Item {
    const plugin::SampleBatch* batch = nullptr;
    std::string_view stream;
    int64_t now_ms = 0;
    const Parts* parts = nullptr;  // null: made here
    // Results.
    plugin::IngestOutcome outcome;
    int64_t newest_ms = 0;  // as Resolver::newest_ms
  };

  Intake(engine::Engine* engine, ResolverLimits limits);

  // Applies the batches in order. Only a series that comes under several hashes (its labels in another order) to several shards
  // has its samples under a hash that is not its owner's applied last.
  void Apply(std::span<Item> items);
  // RETURNS: whether there ever was such a series: then batches had better come one by one, to keep its samples in order.
  bool saw_strays() const { return saw_strays_; }
  void ForgetStream(std::string_view stream);
  ResolverStats stats() const;

 private:
  // A series of a batch that its shard could not do alone.
  struct Left {
    uint32_t series;
    uint32_t shard;
    uint32_t draft;
  };
  // What was made of a part of one batch. Places are indexes of series in the batch.
  struct PartResult {
    plugin::IngestOutcome outcome;
    int64_t newest_ms = INT64_MIN;
    uint32_t error_at = UINT32_MAX;    // where the outcome's first_error is from
    uint32_t invalid_at = UINT32_MAX;  // … and its first_invalid
    std::vector<Left> left;
  };
  void ApplyToShards(std::span<Item> items);
  void ApplyLeft(const Item& item, std::span<const Left> left, PartResult* result);
  static PartResult Merge(std::span<PartResult> parts);

  engine::Engine* engine_;
  bool saw_strays_ = false;
  std::vector<std::unique_ptr<Resolver>> resolvers_;  // by shard
};

}  // namespace weir::ingest
