#include "core/ingest/intake.h"

#include <algorithm>
#include <utility>

namespace weir::ingest {
namespace {

using plugin::IngestOutcome;
using plugin::SampleBatch;

// Not the bits that order aliases within a shard.
uint32_t ShardOf(const SampleBatch::Series& series, uint32_t shards) {
  return static_cast<uint32_t>(((series.hash[0] >> 32) * shards) >> 32);
}

void AddTotals(const ResolverStats& from, ResolverStats* to) {
  to->written += from.written;
  to->duplicates += from.duplicates;
  to->conflicts += from.conflicts;
  to->out_of_order += from.out_of_order;
  to->too_far_ahead += from.too_far_ahead;
  to->over_series_limit += from.over_series_limit;
  to->over_source_limit += from.over_source_limit;
  to->memory_short += from.memory_short;
  to->ignored += from.ignored;
  to->of_invalid_series += from.of_invalid_series;
  for (size_t i = 0; i < kInvalidReasons; ++i) {
    to->invalid_series[i] += from.invalid_series[i];
  }
  to->unsorted_series += from.unsorted_series;
  to->predicted += from.predicted;
  to->probed += from.probed;
  to->parsed += from.parsed;
  to->aliases += from.aliases;
  to->streams = std::max(to->streams, from.streams);
  to->alias_bytes += from.alias_bytes;
}

}  // namespace

Parts PartsOf(const SampleBatch& batch, uint32_t shards) {
  Parts parts;
  parts.ends.assign(shards, 0);
  for (const SampleBatch::Series& series : batch.series) {
    ++parts.ends[ShardOf(series, shards)];
  }
  uint32_t begin = 0;
  for (uint32_t& end : parts.ends) {
    begin += std::exchange(end, begin);
  }
  parts.series.resize(batch.series.size());
  parts.places.resize(batch.series.size());
  for (uint32_t i = 0; i < batch.series.size(); ++i) {
    const uint32_t to = parts.ends[ShardOf(batch.series[i], shards)]++;
    parts.series[to] = batch.series[i];
    parts.places[to] = i;
  }
  return parts;
}

Intake::Intake(engine::Engine* engine, ResolverLimits limits) : engine_(engine) {
  const uint32_t shards = engine->shards();
  limits.aliases_max = std::max(1U, limits.aliases_max / shards);
  for (uint32_t shard = 0; shard < shards; ++shard) {
    resolvers_.push_back(std::make_unique<Resolver>(engine, limits, shard));
  }
}

void Intake::Apply(std::span<Item> items) {
  if (resolvers_.size() > 1) {
    ApplyToShards(items);
    return;
  }
  Resolver& resolver = *resolvers_.front();
  for (Item& item : items) {
    item.outcome = resolver.Apply(*item.batch, item.stream, item.now_ms);
    item.newest_ms = resolver.newest_ms();
  }
}

void Intake::ApplyToShards(std::span<Item> items) {
  const size_t shards = resolvers_.size();
  std::vector<PartResult> results(items.size() * shards);
  std::vector<Parts> made(items.size());
  size_t series = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    series += items[i].batch->series.size();
    if (items[i].parts == nullptr) {
      made[i] = PartsOf(*items[i].batch, static_cast<uint32_t>(shards));
      items[i].parts = &made[i];
    }
  }
  // A few series are applied sooner than other threads wake up.
  engine_->OnShards(series >= engine_->options().slots_per_yield, items.size(), [&](uint32_t shard, size_t i) {
    Resolver& resolver = *resolvers_[shard];
    PartResult& result = results[i * shards + shard];
    result.outcome = resolver.Apply(*items[i].batch, items[i].parts->Of(shard), items[i].stream, items[i].now_ms);
    result.newest_ms = resolver.newest_ms();
    result.error_at = resolver.first_error_at();
    result.invalid_at = resolver.first_invalid_at();
    for (const Resolver::Left& left : resolver.left()) {
      result.left.push_back({left.series, shard, left.draft});
    }
  });
  for (size_t i = 0; i < items.size(); ++i) {
    PartResult whole = Merge({&results[i * shards], shards});
    if (!whole.left.empty()) {
      PartResult both[2] = {std::move(whole), {}};
      ApplyLeft(items[i], both[0].left, &both[1]);
      whole = Merge(both);
    }
    items[i].outcome = std::move(whole.outcome);
    items[i].newest_ms = whole.newest_ms;
    items[i].parts = nullptr;
  }
  for (const std::unique_ptr<Resolver>& resolver : resolvers_) {
    resolver->ForgetDrafts();
  }
}

void Intake::ApplyLeft(const Item& item, std::span<const Left> left, PartResult* result) {
  for (const Left& one : left) {
    Resolver& resolver = *resolvers_[one.shard];
    const bool no_error = result->outcome.first_error.empty();
    const bool no_invalid = result->outcome.first_invalid.empty();
    resolver.ApplyLeft(*item.batch, {one.series, one.draft}, item.now_ms, &result->outcome);
    result->newest_ms = std::max(result->newest_ms, resolver.newest_ms());
    if (no_error && !result->outcome.first_error.empty()) {
      result->error_at = one.series;
    }
    if (no_invalid && !result->outcome.first_invalid.empty()) {
      result->invalid_at = one.series;
    }
    saw_strays_ = saw_strays_ || resolver.saw_foreign();
  }
}

Intake::PartResult Intake::Merge(std::span<PartResult> parts) {
  PartResult all;
  for (PartResult& part : parts) {
    all.outcome.written += part.outcome.written;
    all.outcome.duplicates += part.outcome.duplicates;
    all.outcome.histograms += part.outcome.histograms;
    all.outcome.rejected += part.outcome.rejected;
    all.outcome.over_budget += part.outcome.over_budget;
    all.outcome.invalid_series += part.outcome.invalid_series;
    all.newest_ms = std::max(all.newest_ms, part.newest_ms);
    if (!part.outcome.first_error.empty() && part.error_at < all.error_at) {
      all.error_at = part.error_at;
      all.outcome.first_error = std::move(part.outcome.first_error);
    }
    if (!part.outcome.first_invalid.empty() && part.invalid_at < all.invalid_at) {
      all.invalid_at = part.invalid_at;
      all.outcome.first_invalid = std::move(part.outcome.first_invalid);
    }
    all.left.insert(all.left.end(), part.left.begin(), part.left.end());
  }
  std::sort(all.left.begin(), all.left.end(), [](const Left& a, const Left& b) { return a.series < b.series; });
  return all;
}

void Intake::ForgetStream(std::string_view stream) {
  for (const std::unique_ptr<Resolver>& resolver : resolvers_) {
    resolver->ForgetStream(stream);
  }
}

ResolverStats Intake::stats() const {
  ResolverStats all;
  for (const std::unique_ptr<Resolver>& resolver : resolvers_) {
    AddTotals(resolver->stats(), &all);
  }
  return all;
}

}  // namespace weir::ingest
