#include "core/model/symbols.h"

#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/base/status.h"

namespace weir {
namespace {

constexpr size_t kTextChunkBytes = 64 << 10;
constexpr uint32_t kChunkShift = 16;  // values a chunk; untouched pages of a chunk cost nothing
constexpr size_t kValuesPerChunk = size_t{1} << kChunkShift;

struct Symbol {
  const char* text = nullptr;  // null: free
  uint32_t size = 0;
  uint32_t hash = 0;
};

struct Set {
  uint32_t offset = 0;  // of its values: chunk << kChunkShift | index
  uint32_t schema = 0;
  uint32_t hash = 0;
};
constexpr uint32_t kFreeSet = 0xffffffff;  // Set::schema of a free id
constexpr uint32_t kNoSymbol = 0xffffffff;

// The names of sets, in order.
struct Schema {
  std::vector<SymbolId> names;
  uint32_t sets = 0;  // that use it; one without users is free
};

uint32_t HashText(std::string_view text) { return static_cast<uint32_t>(XXH3_64bits(text.data(), text.size())); }
uint32_t HashPairs(std::span<const LabelPair> pairs) {
  return static_cast<uint32_t>(XXH3_64bits(pairs.data(), pairs.size_bytes()));
}
// Swiss tables want all 64 bits to vary.
size_t Spread(uint32_t hash) { return hash * size_t{0x9e3779b97f4a7c15}; }

// Bytes of symbols, in chunks that never move: views stay valid until the arena goes.
class TextArena {
 public:
  const char* Add(std::string_view text) {
    if (text.size() > kTextChunkBytes / 4) {  // its own chunk; the one being filled goes on
      chunks_.push_back(std::make_unique<char[]>(text.size()));
      std::memcpy(chunks_.back().get(), text.data(), text.size());
      bytes_ += text.size();
      return chunks_.back().get();
    }
    if (text.size() > left_ || next_ == nullptr) {
      chunks_.push_back(std::make_unique<char[]>(kTextChunkBytes));
      next_ = chunks_.back().get();
      left_ = kTextChunkBytes;
      bytes_ += kTextChunkBytes;
    }
    char* at = next_;
    std::memcpy(at, text.data(), text.size());
    next_ += text.size();
    left_ -= text.size();
    return at;
  }
  size_t bytes() const { return bytes_; }

 private:
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* next_ = nullptr;
  size_t left_ = 0;
  size_t bytes_ = 0;
};

class ValueArena {
 public:
  // RETURNS: where the values lie now, for At().
  uint32_t Add(LabelPairs pairs) {
    SymbolId* at = nullptr;
    const uint32_t offset = Allocate(pairs.size(), &at);
    for (const LabelPair& pair : pairs) {
      *at++ = pair.value;
    }
    return offset;
  }
  uint32_t Add(std::span<const LabelPair> pairs) {
    SymbolId* at = nullptr;
    const uint32_t offset = Allocate(pairs.size(), &at);
    for (const LabelPair& pair : pairs) {
      *at++ = pair.value;
    }
    return offset;
  }
  const SymbolId* At(uint32_t offset) const {
    return chunks_[offset >> kChunkShift].get() + (offset & (kValuesPerChunk - 1));
  }
  // Bytes up to the last value written; the rest of the last chunk was never touched.
  size_t bytes() const {
    return chunks_.empty() || used_ > kValuesPerChunk ? bytes_ : bytes_ - (kValuesPerChunk - used_) * sizeof(SymbolId);
  }

 private:
  uint32_t Allocate(size_t count, SymbolId** at) {
    if (chunks_.empty() || used_ + count > kValuesPerChunk) {
      // A set longer than a chunk gets a chunk of its own size: offsets only ever point at first values.
      const size_t size = std::max(kValuesPerChunk, count);
      WEIR_ASSERT(chunks_.size() < (size_t{1} << (32 - kChunkShift)));
      chunks_.push_back(std::unique_ptr<SymbolId[]>(new SymbolId[size]));
      bytes_ += size * sizeof(SymbolId);
      used_ = 0;
    }
    const auto offset = static_cast<uint32_t>((chunks_.size() - 1) << kChunkShift | used_);
    *at = chunks_.back().get() + used_;
    used_ += count;
    return offset;
  }

  std::vector<std::unique_ptr<SymbolId[]>> chunks_;
  size_t used_ = 0;
  size_t bytes_ = 0;
};

// Ids by what they stand for. Many tables, by the upper bits of the hash: one of them grows at a time, so that none of a million ids is
// made again in the middle of a tick.
template <typename Hash, typename Equal>
class IdIndex {
 public:
  static constexpr uint32_t kNone = 0xffffffff;  // kNoSymbol, kNoLabelSet

  IdIndex(const Hash& hash, const Equal& equal) {
    tables_.reserve(kTables);
    for (size_t i = 0; i < kTables; ++i) {
      tables_.emplace_back(0, hash, equal);
    }
  }
  // REQUIRES: `key` has its hash as a member.
  template <typename Key>
  uint32_t Find(const Key& key) const {
    const Table& table = tables_[key.hash >> kShift];
    const auto at = table.find(key);
    return at == table.end() ? kNone : *at;
  }
  void Insert(uint32_t id, uint32_t hash) { tables_[hash >> kShift].insert(id); }
  void Erase(uint32_t id, uint32_t hash) { tables_[hash >> kShift].erase(id); }
  size_t capacity() const {
    size_t sum = 0;
    for (const Table& table : tables_) {
      sum += table.capacity();
    }
    return sum;
  }
  // Gives back what is in reserve beyond need.
  void Shrink() {
    constexpr size_t kReserve = 4;
    for (Table& table : tables_) {
      if (table.capacity() > kReserve * (table.size() + kReserve)) {
        table.rehash(0);
      }
    }
  }

 private:
  using Table = absl::flat_hash_set<uint32_t, Hash, Equal>;
  static constexpr uint32_t kShift = 26;
  static constexpr size_t kTables = size_t{1} << (32 - kShift);
  std::vector<Table> tables_;
};

}  // namespace

struct LabelSetTable::Impl {
  struct SymbolKey {
    std::string_view text;
    uint32_t hash;
  };
  struct SymbolHash {
    using is_transparent = void;
    const Impl* impl;
    size_t operator()(SymbolId id) const { return Spread(impl->symbols[id].hash); }
    size_t operator()(const SymbolKey& key) const { return Spread(key.hash); }
  };
  struct SymbolEqual {
    using is_transparent = void;
    const Impl* impl;
    bool operator()(SymbolId a, SymbolId b) const { return a == b; }
    bool operator()(SymbolId a, const SymbolKey& b) const {
      return impl->symbols[a].hash == b.hash && impl->Text(a) == b.text;
    }
    bool operator()(const SymbolKey& a, SymbolId b) const { return (*this)(b, a); }
  };
  struct SetKey {
    std::span<const LabelPair> pairs;
    uint32_t hash;
  };
  struct SetHash {
    using is_transparent = void;
    const Impl* impl;
    size_t operator()(LabelSetId id) const { return Spread(impl->sets[id].hash); }
    size_t operator()(const SetKey& key) const { return Spread(key.hash); }
  };
  struct SetEqual {
    using is_transparent = void;
    const Impl* impl;
    bool operator()(LabelSetId a, LabelSetId b) const { return a == b; }
    bool operator()(LabelSetId a, const SetKey& b) const {
      if (impl->sets[a].hash != b.hash) {
        return false;
      }
      const LabelPairs own = impl->Pairs(a);
      return std::equal(own.begin(), own.end(), b.pairs.begin(), b.pairs.end());
    }
    bool operator()(const SetKey& a, LabelSetId b) const { return (*this)(b, a); }
  };

  std::deque<Symbol> symbols;  // as sets: grows without a copy and without places in reserve
  std::vector<SymbolId> free_symbols;
  TextArena texts;
  size_t text_bytes_live = 0;
  std::deque<Set> sets;
  std::vector<LabelSetId> free_sets;
  std::vector<Schema> schemas;
  std::vector<uint32_t> free_schemas;
  std::map<std::vector<SymbolId>, uint32_t> schema_index;
  ValueArena values;
  size_t values_live = 0;
  IdIndex<SymbolHash, SymbolEqual> symbol_index{SymbolHash{this}, SymbolEqual{this}};
  IdIndex<SetHash, SetEqual> set_index{SetHash{this}, SetEqual{this}};
  std::vector<LabelPair> scratch;
  std::vector<SymbolId> scratch_names;
  uint32_t last_schema = 0;  // of the set that was interned before

  Impl() {
    symbols.push_back({"", 0, 0});
    sets.push_back({0, 0, 0});
    schemas.push_back({{}, 1});  // of the empty set, for good
    schema_index.emplace(std::vector<SymbolId>(), 0);
  }

  std::string_view Text(SymbolId id) const { return {symbols[id].text, symbols[id].size}; }
  LabelPairs Pairs(LabelSetId id) const {
    const Set& set = sets[id];
    const std::vector<SymbolId>& names = schemas[set.schema].names;
    return names.empty() ? LabelPairs() : LabelPairs(names.data(), values.At(set.offset), names.size());
  }

  // RETURNS: the schema of these names, with one user more.
  uint32_t SchemaOf(std::span<const LabelPair> wanted) {
    const std::vector<SymbolId>& last = schemas[last_schema].names;
    if (!std::equal(last.begin(), last.end(), wanted.begin(), wanted.end(),
                    [](SymbolId name, const LabelPair& pair) { return name == pair.name; })) {
      scratch_names.clear();
      for (const LabelPair& pair : wanted) {
        scratch_names.push_back(pair.name);
      }
      const auto [at, inserted] = schema_index.try_emplace(scratch_names, 0);
      if (inserted) {
        at->second = FreeSchema();
        schemas[at->second].names = scratch_names;
      }
      last_schema = at->second;
    }
    ++schemas[last_schema].sets;
    return last_schema;
  }
  uint32_t FreeSchema() {
    if (free_schemas.empty()) {
      schemas.emplace_back();
      return static_cast<uint32_t>(schemas.size() - 1);
    }
    const uint32_t id = free_schemas.back();
    free_schemas.pop_back();
    return id;
  }

  // REQUIRES: `wanted` is sorted and holds no empty value.
  LabelSetId InternSorted(std::span<const LabelPair> wanted) {
    if (wanted.empty()) {
      return kEmptyLabelSet;
    }
    const SetKey key{wanted, HashPairs(wanted)};
    if (const LabelSetId known = set_index.Find(key); known != kNoLabelSet) {
      return known;
    }
    const Set set{values.Add(wanted), SchemaOf(wanted), key.hash};
    values_live += wanted.size();
    LabelSetId id = 0;
    if (free_sets.empty()) {
      WEIR_ASSERT(sets.size() < kNoLabelSet);
      id = static_cast<LabelSetId>(sets.size());
      sets.push_back(set);
    } else {
      id = free_sets.back();
      free_sets.pop_back();
      sets[id] = set;
    }
    set_index.Insert(id, key.hash);
    return id;
  }

  LabelSetId FindSorted(std::span<const LabelPair> wanted) const {
    if (wanted.empty()) {
      return kEmptyLabelSet;
    }
    return set_index.Find(SetKey{wanted, HashPairs(wanted)});
  }

  void FreeDeadSets(const std::function<bool(LabelSetId)>& alive, std::vector<bool>* used) {
    for (LabelSetId id = 1; id < sets.size(); ++id) {
      Set& set = sets[id];
      if (set.schema == kFreeSet) {
        continue;
      }
      if (alive(id)) {
        for (const LabelPair& pair : Pairs(id)) {
          (*used)[pair.name] = true;
          (*used)[pair.value] = true;
        }
        continue;
      }
      set_index.Erase(id, set.hash);
      values_live -= schemas[set.schema].names.size();
      --schemas[set.schema].sets;
      set.schema = kFreeSet;
      free_sets.push_back(id);
    }
    last_schema = 0;
    for (uint32_t id = 1; id < schemas.size(); ++id) {
      Schema& schema = schemas[id];
      if (schema.sets == 0 && !schema.names.empty()) {
        schema_index.erase(schema.names);
        schema.names = {};
        free_schemas.push_back(id);
      }
    }
  }

  void FreeDeadSymbols(const std::vector<bool>& used) {
    for (SymbolId id = 1; id < symbols.size(); ++id) {
      Symbol& symbol = symbols[id];
      if (used[id] || symbol.text == nullptr) {
        continue;
      }
      symbol_index.Erase(id, symbol.hash);
      text_bytes_live -= symbol.size;
      symbol = Symbol{};
      free_symbols.push_back(id);
    }
  }

  // Gives back the ids at the end that are free, and what the tables have in reserve beyond need: a flood leaves both.
  void Shrink() {
    const auto cut = [](auto* table, auto* free, const auto& is_free) {
      const size_t before = table->size();
      while (table->size() > 1 && is_free(table->back())) {
        table->pop_back();
      }
      if (table->size() < before) {
        std::erase_if(*free, [table](uint32_t id) { return id >= table->size(); });
        free->shrink_to_fit();
        table->shrink_to_fit();
      }
    };
    cut(&symbols, &free_symbols, [](const Symbol& symbol) { return symbol.text == nullptr; });
    cut(&sets, &free_sets, [](const Set& set) { return set.schema == kFreeSet; });
    symbol_index.Shrink();
    set_index.Shrink();
  }

  // Copies what is alive together when a quarter of an arena is dead.
  void Compact() {
    if (texts.bytes() > text_bytes_live + text_bytes_live / 3 + kTextChunkBytes) {
      TextArena fresh;
      for (SymbolId id = 1; id < symbols.size(); ++id) {
        if (symbols[id].text != nullptr) {
          symbols[id].text = fresh.Add(Text(id));
        }
      }
      texts = std::move(fresh);
    }
    if (values.bytes() / sizeof(SymbolId) > values_live + values_live / 3) {
      ValueArena fresh;
      for (LabelSetId id = 1; id < sets.size(); ++id) {
        if (sets[id].schema != kFreeSet) {
          sets[id].offset = fresh.Add(Pairs(id));
        }
      }
      values = std::move(fresh);
    }
  }
};

LabelSetTable::LabelSetTable() : impl_(std::make_unique<Impl>()) {}
LabelSetTable::~LabelSetTable() = default;

SymbolId LabelSetTable::Intern(std::string_view text) {
  if (text.empty()) {
    return kEmptySymbol;
  }
  const Impl::SymbolKey key{text, HashText(text)};
  if (const uint32_t known = impl_->symbol_index.Find(key); known != kNoSymbol) {
    return known;
  }
  const Symbol symbol{impl_->texts.Add(text), static_cast<uint32_t>(text.size()), key.hash};
  impl_->text_bytes_live += text.size();
  SymbolId id = 0;
  if (impl_->free_symbols.empty()) {
    WEIR_ASSERT(impl_->symbols.size() < 0xffffffff);
    id = static_cast<SymbolId>(impl_->symbols.size());
    impl_->symbols.push_back(symbol);
  } else {
    id = impl_->free_symbols.back();
    impl_->free_symbols.pop_back();
    impl_->symbols[id] = symbol;
  }
  impl_->symbol_index.Insert(id, key.hash);
  return id;
}

SymbolId LabelSetTable::Find(std::string_view text) const {
  if (text.empty()) {
    return kEmptySymbol;
  }
  const uint32_t known = impl_->symbol_index.Find(Impl::SymbolKey{text, HashText(text)});
  return known == kNoSymbol ? kEmptySymbol : known;
}

std::string_view LabelSetTable::Text(SymbolId id) const { return impl_->Text(id); }

LabelSetId LabelSetTable::InternSet(std::span<const LabelPair> pairs) {
  std::vector<LabelPair>& sorted = impl_->scratch;
  sorted.clear();
  for (const LabelPair& pair : pairs) {
    if (pair.value != kEmptySymbol) {
      sorted.push_back(pair);
    }
  }
  const auto by_name = [this](const LabelPair& a, const LabelPair& b) { return Text(a.name) < Text(b.name); };
  if (!std::is_sorted(sorted.begin(), sorted.end(), by_name)) {
    std::sort(sorted.begin(), sorted.end(), by_name);
  }
  return impl_->InternSorted(sorted);
}

LabelSetId LabelSetTable::InternSet(const Labels& labels) {
  std::vector<LabelPair>& pairs = impl_->scratch;
  pairs.clear();
  for (const LabelView& label : labels) {
    pairs.push_back({Intern(label.name), Intern(label.value)});
  }
  return impl_->InternSorted(pairs);
}

LabelSetId LabelSetTable::FindSet(std::span<const std::pair<std::string_view, std::string_view>> labels) const {
  std::vector<LabelPair>& pairs = impl_->scratch;
  pairs.clear();
  for (const auto& [name, value] : labels) {
    if (value.empty()) {
      continue;
    }
    const LabelPair pair{Find(name), Find(value)};
    if (pair.name == kEmptySymbol || pair.value == kEmptySymbol) {
      return kNoLabelSet;
    }
    pairs.push_back(pair);
  }
  return impl_->FindSorted(pairs);
}

LabelPairs LabelSetTable::Pairs(LabelSetId id) const { return impl_->Pairs(id); }

Labels LabelSetTable::ToLabels(LabelSetId id, SymbolId leave_out) const {
  absl::InlinedVector<LabelView, 32> views;
  for (const LabelPair& pair : Pairs(id)) {
    if (pair.name != leave_out || leave_out == kEmptySymbol) {
      views.push_back({Text(pair.name), Text(pair.value)});
    }
  }
  return Labels::FromSorted(views);
}

SymbolId LabelSetTable::Value(LabelSetId id, SymbolId name) const {
  for (const LabelPair& pair : Pairs(id)) {
    if (pair.name == name) {
      return pair.value;
    }
  }
  return kEmptySymbol;
}

int LabelSetTable::Compare(LabelSetId a, LabelSetId b) const {
  if (a == b) {
    return 0;
  }
  const auto left = Pairs(a);
  const auto right = Pairs(b);
  const size_t common = std::min(left.size(), right.size());
  for (size_t i = 0; i < common; ++i) {
    if (left[i].name != right[i].name) {
      return Text(left[i].name) < Text(right[i].name) ? -1 : 1;
    }
    if (left[i].value != right[i].value) {
      return Text(left[i].value) < Text(right[i].value) ? -1 : 1;
    }
  }
  return left.size() < right.size() ? -1 : 1;
}

LabelSetId LabelSetTable::Without(LabelSetId id, std::span<const SymbolId> names) {
  std::vector<LabelPair>& kept = impl_->scratch;
  kept.clear();
  const auto pairs = Pairs(id);
  std::copy_if(pairs.begin(), pairs.end(), std::back_inserter(kept),
               [&](const LabelPair& pair) { return std::ranges::find(names, pair.name) == names.end(); });
  return kept.size() == pairs.size() ? id : impl_->InternSorted(kept);
}

LabelSetId LabelSetTable::Keep(LabelSetId id, std::span<const SymbolId> names) {
  std::vector<LabelPair>& kept = impl_->scratch;
  kept.clear();
  const auto pairs = Pairs(id);
  std::copy_if(pairs.begin(), pairs.end(), std::back_inserter(kept),
               [&](const LabelPair& pair) { return std::ranges::find(names, pair.name) != names.end(); });
  return kept.size() == pairs.size() ? id : impl_->InternSorted(kept);
}

LabelSetId LabelSetTable::With(LabelSetId id, std::span<const LabelPair> changes) {
  std::vector<LabelPair>& changed = impl_->scratch;
  const auto pairs = Pairs(id);
  changed.assign(pairs.begin(), pairs.end());
  for (const LabelPair& change : changes) {
    const auto at = std::ranges::find(changed, change.name, &LabelPair::name);
    if (at != changed.end()) {
      at->value = change.value;
    } else {
      const auto before =
          std::ranges::find_if(changed, [&](const LabelPair& p) { return Text(p.name) > Text(change.name); });
      changed.insert(before, change);
    }
  }
  std::erase_if(changed, [](const LabelPair& pair) { return pair.value == kEmptySymbol; });
  return impl_->InternSorted(changed);
}

size_t LabelSetTable::symbols() const { return impl_->symbols.size() - impl_->free_symbols.size(); }
size_t LabelSetTable::sets() const { return impl_->sets.size() - impl_->free_sets.size(); }

size_t LabelSetTable::bytes() const {
  const Impl& t = *impl_;
  const size_t index_slots = t.symbol_index.capacity() + t.set_index.capacity();
  return t.symbols.size() * sizeof(Symbol) + t.free_symbols.capacity() * sizeof(SymbolId) + t.texts.bytes() +
         t.sets.size() * sizeof(Set) + t.free_sets.capacity() * sizeof(LabelSetId) + t.values.bytes() +
         index_slots * (sizeof(uint32_t) + 1) + t.scratch.capacity() * sizeof(LabelPair);
}

void LabelSetTable::Collect(const std::function<bool(LabelSetId)>& alive, std::span<const SymbolId> keep_symbols) {
  std::vector<bool> used(impl_->symbols.size(), false);
  for (const SymbolId id : keep_symbols) {
    used[id] = true;
  }
  impl_->FreeDeadSets(alive, &used);
  impl_->FreeDeadSymbols(used);
  impl_->Compact();
  impl_->Shrink();
}

}  // namespace weir
