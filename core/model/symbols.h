#pragma once
// Interned strings and interned label sets. The engine's labels are 32-bit ids: two label sets are equal
// exactly when their ids are. Confined to the engine's thread. Memory is given back by Collect(): the owner
// marks what is alive, the rest is freed and its ids are reused. Text() and Pairs() view the tables' own storage: a
// view lives until the next Collect(). Cost: a symbol is its text + ~22 bytes, a set 8 bytes a pair + ~19 bytes.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/model/labels.h"

namespace weir {

using SymbolId = uint32_t;
inline constexpr SymbolId kEmptySymbol = 0;  // ""

// A label as two symbols. Within a label set pairs are sorted by the *text* of their names.
struct LabelPair {
  SymbolId name = kEmptySymbol;
  SymbolId value = kEmptySymbol;
  friend bool operator==(const LabelPair&, const LabelPair&) = default;
};

using LabelSetId = uint32_t;
inline constexpr LabelSetId kEmptyLabelSet = 0;  // {}
inline constexpr LabelSetId kNoLabelSet = 0xffffffff;

class LabelSetTable {
 public:
  LabelSetTable();
  ~LabelSetTable();
  LabelSetTable(const LabelSetTable&) = delete;
  LabelSetTable& operator=(const LabelSetTable&) = delete;

  SymbolId Intern(std::string_view text);
  // RETURNS: the id of `text` if it is interned, else kEmptySymbol (also for "").
  SymbolId Find(std::string_view text) const;
  std::string_view Text(SymbolId id) const;

  // Interns a label set. `pairs` may be in any order and may hold empty values (they are dropped); names are unique.
  LabelSetId InternSet(std::span<const LabelPair> pairs);
  LabelSetId InternSet(const Labels& labels);
  std::span<const LabelPair> Pairs(LabelSetId id) const;
  Labels ToLabels(LabelSetId id) const;
  // RETURNS: the value's symbol, kEmptySymbol when absent.
  SymbolId Value(LabelSetId id, SymbolId name) const;
  // labels.Compare order.
  int Compare(LabelSetId a, LabelSetId b) const;

  // Derived sets; `names` need not be sorted.
  LabelSetId Without(LabelSetId id, std::span<const SymbolId> names);
  LabelSetId Keep(LabelSetId id, std::span<const SymbolId> names);
  LabelSetId With(LabelSetId id, SymbolId name, SymbolId value);  // empty value removes

  size_t symbols() const;
  size_t sets() const;
  size_t bytes() const;  // heap held by both tables
  // Frees every set for which alive(id) is false and every symbol no live set or `keep_symbols` uses.
  void Collect(const std::function<bool(LabelSetId)>& alive, std::span<const SymbolId> keep_symbols);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
