#include "core/model/symbols.h"

#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <array>
#include <bit>
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

constexpr size_t kSweptPerYield = 512;       // ids; some 0.1 ms
constexpr size_t kChunksFreedPerYield = 8;   // likewise
constexpr size_t kIndexTablesPerYield = 64;  // likewise
constexpr uint32_t kNoSymbol = 0xffffffff;

// An entry of IdTable that is free has room for the ids of the free ones before and behind it.
struct Symbol {
  const char* text = nullptr;  // null: free
  uint32_t size = 0;
  uint32_t hash = 0;

  bool IsFree() const { return text == nullptr; }
  void SetFree() { text = nullptr; }
  uint32_t& Next() { return size; }
  uint32_t& Previous() { return hash; }
};

struct Set {
  static constexpr uint32_t kFree = 0xffffffff;

  uint32_t offset = 0;  // of its values: chunk << kChunkShift | index
  uint32_t schema = 0;  // kFree: free
  uint32_t hash = 0;

  bool IsFree() const { return schema == kFree; }
  void SetFree() { schema = kFree; }
  uint32_t& Next() { return offset; }
  uint32_t& Previous() { return hash; }
};

// Entries by id. Free ids are a list through their entries; the first id is never free. Grows without a copy and without places in
// reserve.
template <typename Entry>
class IdTable {
 public:
  explicit IdTable(const Entry& first) { entries_.push_back(first); }
  Entry& operator[](uint32_t id) { return entries_[id]; }
  const Entry& operator[](uint32_t id) const { return entries_[id]; }
  size_t size() const { return entries_.size(); }  // with the free ones
  size_t used() const { return entries_.size() - free_; }
  size_t bytes() const { return entries_.size() * sizeof(Entry); }
  uint32_t Add(const Entry& entry) {
    if (first_free_ == 0) {
      WEIR_ASSERT(entries_.size() < 0xffffffff);
      entries_.push_back(entry);
      return static_cast<uint32_t>(entries_.size() - 1);
    }
    const uint32_t id = first_free_;
    Unlink(id);
    entries_[id] = entry;
    return id;
  }
  void Free(uint32_t id) {
    Entry& entry = entries_[id];
    entry.SetFree();
    entry.Previous() = 0;
    entry.Next() = first_free_;
    if (first_free_ != 0) {
      entries_[first_free_].Previous() = id;
    }
    first_free_ = id;
    ++free_;
  }
  // Gives back free ids at the end. RETURNS: whether there are more than `most` of them.
  bool CutEnd(size_t most) {
    for (size_t cut = 0; entries_.back().IsFree(); ++cut) {
      if (cut == most) {
        return true;
      }
      Unlink(static_cast<uint32_t>(entries_.size() - 1));
      entries_.pop_back();
    }
    return false;
  }

 private:
  void Unlink(uint32_t id) {
    Entry& entry = entries_[id];
    if (entry.Next() != 0) {
      entries_[entry.Next()].Previous() = entry.Previous();
    }
    (entry.Previous() == 0 ? first_free_ : entries_[entry.Previous()].Next()) = entry.Next();
    --free_;
  }

  std::deque<Entry> entries_;
  uint32_t first_free_ = 0;  // 0: none
  size_t free_ = 0;
};

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
  // Frees some chunks. RETURNS: whether there are any left; with none the arena is as new.
  bool FreeSome() {
    chunks_.resize(chunks_.size() - std::min(chunks_.size(), kChunksFreedPerYield));
    if (!chunks_.empty()) {
      return true;
    }
    *this = TextArena();
    return false;
  }

 private:
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* next_ = nullptr;
  size_t left_ = 0;
  size_t bytes_ = 0;
};

// Values of sets, of as few bytes each as the largest of a set needs, but two at least. A chunk holds values of one width.
class ValueArena {
 public:
  // RETURNS: where the values lie now, for At(). Pairs: LabelPairs or a span of LabelPair.
  template <typename Pairs>
  uint32_t Add(const Pairs& pairs) {
    SymbolId all = 0;
    for (const LabelPair& pair : pairs) {
      all |= pair.value;
    }
    const uint32_t bytes = std::max(kBytesMin, (static_cast<uint32_t>(std::bit_width(all)) + 7) / 8);
    Filling& to = filling_[bytes - kBytesMin];
    if (to.used + pairs.size() > kValuesPerChunk) {
      to = {NewChunk(bytes, std::max(kValuesPerChunk, pairs.size())), 0};
    }
    const uint32_t offset = to.chunk << kChunkShift | static_cast<uint32_t>(to.used);
    uint8_t* at = chunks_[to.chunk].values.get() + to.used * bytes;
    for (const LabelPair& pair : pairs) {
      std::memcpy(at, &pair.value, bytes);
      at += bytes;
    }
    to.used += pairs.size();
    return offset;
  }
  PackedSymbols At(uint32_t offset) const {
    const Chunk& chunk = chunks_[offset >> kChunkShift];
    return {chunk.values.get() + (offset & (kValuesPerChunk - 1)) * chunk.bytes, chunk.bytes};
  }
  // Bytes up to the last values written; the rest of the last chunks was never touched.
  size_t bytes() const {
    size_t unused = 0;
    for (uint32_t i = 0; i < filling_.size(); ++i) {
      unused += (kValuesPerChunk - std::min(filling_[i].used, kValuesPerChunk)) * (kBytesMin + i);
    }
    return bytes_ - unused;
  }

  // To move what is alive together: from BeginMove on values are added to other chunks, and once whatever IsOld has been added
  // again FreeOld frees the old chunks one by one, from number 0 on. RETURNS: the next number, or 0 when none is left.
  void BeginMove() {
    for (Chunk& chunk : chunks_) {
      chunk.old = chunk.values != nullptr;
    }
    filling_.fill({});
  }
  bool IsOld(uint32_t offset) const { return chunks_[offset >> kChunkShift].old; }
  uint32_t FreeOld(uint32_t number) {
    Chunk& chunk = chunks_[number];
    if (chunk.old) {
      bytes_ -= chunk.size * chunk.bytes;
      chunk = {};
      free_.push_back(number);
    }
    return number + 1 < chunks_.size() ? number + 1 : 0;
  }

 private:
  static_assert(std::endian::native == std::endian::little, "the lower bytes of a symbol are its first ones");
  static constexpr uint32_t kBytesMin = 2;
  struct Chunk {
    std::unique_ptr<uint8_t[]> values;
    size_t size = 0;
    uint32_t bytes = 0;  // of a value
    bool old = false;
  };
  // The chunk that values of a width go to.
  struct Filling {
    uint32_t chunk = 0;
    size_t used = kValuesPerChunk;  // of it
  };

  // RETURNS: its number. A set longer than a chunk gets a chunk of its own size: offsets only ever point at first values.
  uint32_t NewChunk(uint32_t bytes, size_t size) {
    if (free_.empty()) {
      WEIR_ASSERT(chunks_.size() < (size_t{1} << (32 - kChunkShift)));
      free_.push_back(static_cast<uint32_t>(chunks_.size()));
      chunks_.emplace_back();
    }
    const uint32_t number = free_.back();
    free_.pop_back();
    // A value is read as a whole symbol, with what lies behind it.
    const size_t behind = sizeof(SymbolId) - bytes;
    chunks_[number] = {std::unique_ptr<uint8_t[]>(new uint8_t[size * bytes + behind]), size, bytes, false};
    bytes_ += size * bytes;
    return number;
  }

  std::vector<Chunk> chunks_;
  std::vector<uint32_t> free_;  // numbers without a chunk
  std::array<Filling, sizeof(SymbolId) - kBytesMin + 1> filling_;
  size_t bytes_ = 0;
};

// Ids by what they stand for. Many tables, by the upper bits of the hash: one of them grows at a time. To look up the hashes of all
// ids of a table is what takes its time, some 0.1 µs each: of a million ids a table has 500.
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
  void Shrink(const std::function<void()>& yield) {
    constexpr size_t kReserve = 4;
    for (size_t i = 0; i < kTables; ++i) {
      if (i % kIndexTablesPerYield == 0) {
        yield();
      }
      Table& table = tables_[i];
      if (table.capacity() > kReserve * (table.size() + 1)) {
        table.rehash(0);
      }
    }
  }

 private:
  using Table = absl::flat_hash_set<uint32_t, Hash, Equal>;
  static constexpr uint32_t kShift = 21;
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

  IdTable<Symbol> symbols{Symbol{"", 0, 0}};
  TextArena texts;
  TextArena old_texts;  // while what is alive moves
  size_t text_bytes_live = 0;
  IdTable<Set> sets{Set{0, 0, 0}};
  std::vector<Schema> schemas;
  std::vector<uint32_t> free_schemas;
  std::map<std::vector<SymbolId>, uint32_t> schema_index;
  ValueArena values;
  size_t values_live = 0;  // bytes
  IdIndex<SymbolHash, SymbolEqual> symbol_index{SymbolHash{this}, SymbolEqual{this}};
  IdIndex<SetHash, SetEqual> set_index{SetHash{this}, SetEqual{this}};
  std::vector<LabelPair> scratch;
  std::vector<SymbolId> scratch_names;
  uint32_t last_schema = 0;  // of the set that was interned before
  // During Collect(): what is alive, by id. What is interned then counts at once, wherever the sweep has got.
  bool collecting = false;
  std::vector<bool> live_sets;
  std::vector<bool> live_symbols;

  Impl() {
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
    LabelSetId id = set_index.Find(key);
    if (id == kNoLabelSet) {
      const Set set{values.Add(wanted), SchemaOf(wanted), key.hash};
      values_live += wanted.size() * values.At(set.offset).bytes;
      id = sets.Add(set);
      set_index.Insert(id, key.hash);
    }
    if (collecting) {
      Mark(&live_sets, id);
      for (const LabelPair& pair : wanted) {
        Mark(&live_symbols, pair.name);
        Mark(&live_symbols, pair.value);
      }
    }
    return id;
  }

  LabelSetId FindSorted(std::span<const LabelPair> wanted) const {
    if (wanted.empty()) {
      return kEmptyLabelSet;
    }
    return set_index.Find(SetKey{wanted, HashPairs(wanted)});
  }

  // --- the sweep: between any two pieces the tables are whole ---
  static void Mark(std::vector<bool>* live, uint32_t id) {
    if (id >= live->size()) {
      live->resize(id + size_t{1});
    }
    (*live)[id] = true;
  }
  static bool IsLive(const std::vector<bool>& live, uint32_t id) { return id < live.size() && live[id]; }

  void FreeDeadSets(const std::function<void()>& yield) {
    for (LabelSetId id = 1; id < sets.size(); ++id) {
      if (id % kSweptPerYield == 0) {
        yield();
      }
      if (sets[id].IsFree()) {
        continue;
      }
      if (IsLive(live_sets, id)) {
        for (const LabelPair& pair : Pairs(id)) {
          Mark(&live_symbols, pair.name);
          Mark(&live_symbols, pair.value);
        }
        continue;
      }
      const Set& set = sets[id];
      set_index.Erase(id, set.hash);
      values_live -= schemas[set.schema].names.size() * values.At(set.offset).bytes;
      --schemas[set.schema].sets;
      sets.Free(id);
    }
  }

  void FreeDeadSchemas(const std::function<void()>& yield) {
    for (uint32_t id = 1; id < schemas.size(); ++id) {
      if (id % kSweptPerYield == 0) {
        yield();
      }
      Schema& schema = schemas[id];
      if (schema.sets == 0 && !schema.names.empty()) {
        schema_index.erase(schema.names);
        schema.names = {};
        free_schemas.push_back(id);
      }
    }
  }

  void FreeDeadSymbols(const std::function<void()>& yield) {
    for (SymbolId id = 1; id < symbols.size(); ++id) {
      if (id % kSweptPerYield == 0) {
        yield();
      }
      const Symbol& symbol = symbols[id];
      if (symbol.IsFree() || IsLive(live_symbols, id)) {
        continue;
      }
      symbol_index.Erase(id, symbol.hash);
      text_bytes_live -= symbol.size;
      symbols.Free(id);
    }
  }

  // Copies what is alive together when a quarter of an arena is dead. What is added meanwhile goes to the new one at once.
  void Compact(const std::function<void()>& yield) {
    if (texts.bytes() > text_bytes_live + text_bytes_live / 3 + kTextChunkBytes) {
      old_texts = std::exchange(texts, TextArena());
      for (SymbolId id = 1; id < symbols.size(); ++id) {
        if (id % kSweptPerYield == 0) {
          yield();
        }
        if (!symbols[id].IsFree()) {
          symbols[id].text = texts.Add(Text(id));
        }
      }
      while (old_texts.FreeSome()) {
        yield();
      }
    }
    if (values.bytes() > values_live + values_live / 3) {
      values.BeginMove();
      for (LabelSetId id = 1; id < sets.size(); ++id) {
        if (id % kSweptPerYield == 0) {
          yield();
        }
        if (!sets[id].IsFree() && values.IsOld(sets[id].offset)) {
          sets[id].offset = values.Add(Pairs(id));
        }
      }
      uint32_t number = 0;
      do {
        yield();
        number = values.FreeOld(number);
      } while (number != 0);
    }
  }

  // Gives back the ids at the end that are free, and what the tables have in reserve beyond need: a flood leaves both.
  void Shrink(const std::function<void()>& yield) {
    while (symbols.CutEnd(kSweptPerYield)) {
      yield();
    }
    while (sets.CutEnd(kSweptPerYield)) {
      yield();
    }
    symbol_index.Shrink(yield);
    set_index.Shrink(yield);
  }
};

LabelSetTable::LabelSetTable() : impl_(std::make_unique<Impl>()) {}
LabelSetTable::~LabelSetTable() = default;

SymbolId LabelSetTable::Intern(std::string_view text) {
  if (text.empty()) {
    return kEmptySymbol;
  }
  const Impl::SymbolKey key{text, HashText(text)};
  uint32_t id = impl_->symbol_index.Find(key);
  if (id == kNoSymbol) {
    id = impl_->symbols.Add({impl_->texts.Add(text), static_cast<uint32_t>(text.size()), key.hash});
    impl_->text_bytes_live += text.size();
    impl_->symbol_index.Insert(id, key.hash);
  }
  if (impl_->collecting) {
    Impl::Mark(&impl_->live_symbols, id);
  }
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

size_t LabelSetTable::symbols() const { return impl_->symbols.used(); }
size_t LabelSetTable::sets() const { return impl_->sets.used(); }

size_t LabelSetTable::bytes() const {
  const Impl& t = *impl_;
  const size_t index_slots = t.symbol_index.capacity() + t.set_index.capacity();
  return t.symbols.bytes() + t.texts.bytes() + t.old_texts.bytes() + t.sets.bytes() + t.values.bytes() +
         index_slots * (sizeof(uint32_t) + 1) + t.scratch.capacity() * sizeof(LabelPair);
}

void LabelSetTable::Collect(const std::function<void(LabelMarks* marks)>& mark, std::span<const SymbolId> keep_symbols,
                            const std::function<void()>& yield) {
  Impl& t = *impl_;
  WEIR_ASSERT(!t.collecting);
  t.collecting = true;
  t.live_sets.assign(t.sets.size(), false);
  t.live_symbols.assign(t.symbols.size(), false);
  for (const SymbolId id : keep_symbols) {
    Impl::Mark(&t.live_symbols, id);
  }
  LabelMarks marks(&t.live_sets, yield);
  mark(&marks);
  t.FreeDeadSets(yield);
  t.FreeDeadSchemas(yield);
  t.FreeDeadSymbols(yield);
  t.collecting = false;
  t.live_sets = {};
  t.live_symbols = {};
  t.Compact(yield);
  t.Shrink(yield);
}

}  // namespace weir
