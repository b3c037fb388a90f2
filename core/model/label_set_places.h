#pragma once
// Where things that are known by an interned label set lie in a list: id of the set -> place. One thread. Cost: 9 bytes a slot of
// the table, of which at most 7 in 8 are taken. A large table grows in parts, none of which takes longer than some 0.2 ms even with
// a million sets.

#include "core/model/symbols.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace weir {

class LabelSetPlaces {
 public:
  static constexpr uint32_t kNoPlace = 0xffffffff;

  LabelSetPlaces();
  ~LabelSetPlaces();
  LabelSetPlaces(const LabelSetPlaces&) = delete;
  LabelSetPlaces& operator=(const LabelSetPlaces&) = delete;

  // RETURNS: kNoPlace when there is none.
  uint32_t Find(LabelSetId labels) const;
  // Gives a set its place, or another one.
  void Set(LabelSetId labels, uint32_t place);
  // RETURNS: the set's place, which is `place` from here on if it had none.
  uint32_t FindOrSet(LabelSetId labels, uint32_t place);
  // Forgets all, with the memory.
  void Clear();
  size_t Bytes() const;

 private:
  struct Table;
  std::unique_ptr<Table> table_;
};

}  // namespace weir
