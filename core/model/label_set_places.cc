#include "core/model/label_set_places.h"

#include <absl/container/flat_hash_map.h>

namespace weir {

struct LabelSetPlaces::Table {
  absl::flat_hash_map<LabelSetId, uint32_t> places;
};

LabelSetPlaces::LabelSetPlaces() : table_(std::make_unique<Table>()) {}
LabelSetPlaces::~LabelSetPlaces() = default;

uint32_t LabelSetPlaces::Find(LabelSetId labels) const {
  const auto at = table_->places.find(labels);
  return at == table_->places.end() ? kNoPlace : at->second;
}

void LabelSetPlaces::Set(LabelSetId labels, uint32_t place) { table_->places[labels] = place; }

void LabelSetPlaces::Clear() { *table_ = {}; }

size_t LabelSetPlaces::Bytes() const { return table_->places.capacity() * (sizeof(LabelSetId) + sizeof(uint32_t) + 1); }

}  // namespace weir
