#include "core/model/label_set_places.h"

#include <vector>

#include <absl/container/flat_hash_map.h>

namespace weir {

struct LabelSetPlaces::Table {
  using Part = absl::flat_hash_map<LabelSetId, uint32_t>;
  static constexpr size_t kPartMax =
      4096;  // places in the only part; beyond, there are kParts, one of which grows at a time
  static constexpr size_t kParts = 64;

  Part& Of(LabelSetId labels) { return parts[labels % parts.size()]; }
  void Split() {
    std::vector<Part> split(kParts);
    for (const auto& [labels, place] : parts[0]) {
      split[labels % kParts].emplace(labels, place);
    }
    parts.swap(split);
  }

  std::vector<Part> parts{1};
};

LabelSetPlaces::LabelSetPlaces() : table_(std::make_unique<Table>()) {}
LabelSetPlaces::~LabelSetPlaces() = default;

uint32_t LabelSetPlaces::Find(LabelSetId labels) const {
  const Table::Part& part = table_->Of(labels);
  const auto at = part.find(labels);
  return at == part.end() ? kNoPlace : at->second;
}

void LabelSetPlaces::Set(LabelSetId labels, uint32_t place) {
  if (table_->parts.size() == 1 && table_->parts[0].size() >= Table::kPartMax) {
    table_->Split();
  }
  table_->Of(labels)[labels] = place;
}

uint32_t LabelSetPlaces::FindOrSet(LabelSetId labels, uint32_t place) {
  const uint32_t known = Find(labels);
  if (known != kNoPlace) {
    return known;
  }
  Set(labels, place);
  return place;
}

void LabelSetPlaces::Clear() { *table_ = {}; }

size_t LabelSetPlaces::Bytes() const {
  size_t slots = 0;
  for (const Table::Part& part : table_->parts) {
    slots += part.capacity();
  }
  return table_->parts.capacity() * sizeof(Table::Part) + slots * (sizeof(LabelSetId) + sizeof(uint32_t) + 1);
}

}  // namespace weir
