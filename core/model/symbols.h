#pragma once
// Interned strings and interned label sets. The engine's labels are 32-bit ids: two label sets are equal
// exactly when their ids are. Confined to the engine's thread. Memory is given back by Collect(): the owner
// marks what is alive, the rest is freed and its ids are reused. Text() and Pairs() view the tables' own storage: a
// view lives until the next Collect(), or its next piece. Cost: a symbol is its text + ~22 bytes, a set ~19 bytes and 2 a label, 3 or 4
// if one of its symbols has no room in 2: sets with the same names share them as a schema.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
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

// Who holds label sets says so here, one by one. Calls `yield` now and then; whoever marks a long list is in the middle of it then.
class LabelMarks {
 public:
  LabelMarks(std::vector<bool>* live, const std::function<void()>& yield) : live_(live), yield_(yield) {}
  LabelMarks(const LabelMarks&) = delete;
  LabelMarks& operator=(const LabelMarks&) = delete;
  // Notes that a set is alive.
  void Add(LabelSetId id) {
    constexpr size_t kMarkedPerYield = 8192;  // some 0.02 ms
    if (id >= live_->size()) {
      live_->resize(id + size_t{1});
    }
    (*live_)[id] = true;
    if (++marked_ % kMarkedPerYield == 0) {
      yield_();
    }
  }

 private:
  std::vector<bool>* live_;  // by id
  const std::function<void()>& yield_;
  size_t marked_ = 0;
};

// The values of an interned set: symbols of some bytes each. What lies behind the last one may be read, not used.
struct PackedSymbols {
  SymbolId operator[](size_t i) const {
    SymbolId symbol = 0;
    std::memcpy(&symbol, at + i * bytes, sizeof(symbol));
    return symbol & (~SymbolId{0} >> (8 * (sizeof(symbol) - bytes)));
  }

  const uint8_t* at = nullptr;
  uint32_t bytes = sizeof(SymbolId);
};

// The labels of an interned set, in order.
class LabelPairs {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = LabelPair;
    using difference_type = std::ptrdiff_t;
    using pointer = const LabelPair*;
    using reference = LabelPair;
    Iterator() = default;
    Iterator(const LabelPairs* pairs, size_t i) : pairs_(pairs), i_(i) {}
    LabelPair operator*() const { return (*pairs_)[i_]; }
    Iterator& operator++() {
      ++i_;
      return *this;
    }
    Iterator operator++(int) { return {pairs_, i_++}; }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.i_ == b.i_; }

   private:
    const LabelPairs* pairs_ = nullptr;
    size_t i_ = 0;
  };

  LabelPairs() = default;
  LabelPairs(const SymbolId* names, PackedSymbols values, size_t size) : names_(names), values_(values), size_(size) {}
  size_t size() const { return size_; }
  LabelPair operator[](size_t i) const { return {names_[i], values_[i]}; }
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size_}; }

 private:
  const SymbolId* names_ = nullptr;
  PackedSymbols values_;
  size_t size_ = 0;
};

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
  // RETURNS: the set of these names and values if it is interned, else kNoLabelSet; interns nothing. `labels` sorted by name.
  LabelSetId FindSet(std::span<const std::pair<std::string_view, std::string_view>> labels) const;
  LabelPairs Pairs(LabelSetId id) const;
  // RETURNS: the set as text, without the label of this name.
  Labels ToLabels(LabelSetId id, SymbolId leave_out = kEmptySymbol) const;
  // RETURNS: the value's symbol, kEmptySymbol when absent.
  SymbolId Value(LabelSetId id, SymbolId name) const;
  // labels.Compare order.
  int Compare(LabelSetId a, LabelSetId b) const;

  // Derived sets; `names` need not be sorted.
  LabelSetId Without(LabelSetId id, std::span<const SymbolId> names);
  LabelSetId Keep(LabelSetId id, std::span<const SymbolId> names);
  LabelSetId With(LabelSetId id, SymbolId name, SymbolId value) { return With(id, std::array{LabelPair{name, value}}); }
  // The set with each of these labels set, one after the other; an empty value removes. Makes no set in between.
  LabelSetId With(LabelSetId id, std::span<const LabelPair> changes);

  size_t symbols() const;
  size_t sets() const;
  size_t bytes() const;  // heap held by both tables
  // Frees every set that `mark` does not mark and every symbol no live set or `keep_symbols` uses. Calls `yield` between pieces of
  // some 0.1 ms. In it, and in yields of `mark`, sets and symbols may be interned and looked up, but for Collect anything may be
  // called: what is interned meanwhile is alive.
  void Collect(
      const std::function<void(LabelMarks* marks)>& mark, std::span<const SymbolId> keep_symbols,
      const std::function<void()>& yield = [] {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
