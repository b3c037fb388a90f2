#include "core/window/tape.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <tuple>

#include "core/window/tape_folds.h"

namespace weir::window {
namespace {

constexpr uint32_t kSlotsStep = 16;
constexpr uint32_t kRowsMin = 16;         // of a segment
constexpr uint32_t kHeadroom = 1U << 24;  // rows before the first one written: late samples of new series
constexpr size_t kExtraMax = 1U << 16;
constexpr uint32_t kReadChunk = 2040;  // members, some 0.1 ms

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// Four sums over interleaved words: detects damage, not malice.
uint64_t Checksum(const void* data, size_t bytes) {
  constexpr uint64_t kPrime = 0x9E3779B97F4A7C15ULL;
  const char* at = static_cast<const char*>(data);
  uint64_t lanes[4] = {1, 2, 3, 4};
  const size_t words = bytes / sizeof(uint64_t);
  for (size_t i = 0; i < words; ++i) {
    uint64_t word = 0;
    std::memcpy(&word, at + i * sizeof(word), sizeof(word));
    uint64_t& lane = lanes[i % 4];
    lane = std::rotl((lane ^ word) * kPrime, 29);
  }
  uint64_t sum = words;
  for (const uint64_t lane : lanes) {
    sum = std::rotl((sum ^ lane) * kPrime, 31);
  }
  return sum == 0 ? 1 : sum;
}

}  // namespace

uint64_t Tape::Segment::RowBytes() const {
  const uint32_t per_block = kBlockCells / lanes;
  const uint64_t blocks = (slots + per_block - 1) / per_block;
  return (blocks + uint64_t{slots} * lanes) * sizeof(TapeCell);
}

uint32_t Tape::Segment::BlockBytes(uint32_t place) const {
  const uint32_t per_block = kBlockCells / lanes;
  return static_cast<uint32_t>((1 + std::min(per_block, slots - place * per_block) * lanes) * sizeof(TapeCell));
}

uint64_t Tape::Block::Sum() const { return Checksum(&row, filled * sizeof(TapeCell) + sizeof(checksum)); }

Tape::Tape(std::shared_ptr<StateDirectory> directory, int64_t interval_ms, int64_t phase_ms, TapeKind kind,
           std::shared_ptr<TapeCounters> counters)
    : RowStore(interval_ms, phase_ms),
      directory_(std::move(directory)),
      kind_(kind),
      folds_(IsFold(kind)),
      stays_(HoldsMixed(kind)),
      lanes_(LanesOf(kind)),
      per_block_(kBlockCells / lanes_),
      counters_(std::move(counters)) {}

int64_t Tape::IndexOf(int64_t t_ms) const { return FloorDiv(t_ms - 1 - phase_ms_, interval_ms_); }

uint32_t Tape::RowsPerSegment(int64_t reach_ms, int64_t interval_ms) {
  return static_cast<uint32_t>(std::max<int64_t>(kRowsMin, reach_ms / interval_ms / kSegments));
}

uint64_t Tape::RowsMax(int64_t reach_ms, int64_t interval_ms) {
  return static_cast<uint64_t>(reach_ms / interval_ms) + RowsPerSegment(reach_ms, interval_ms) + kSpareRows + 2;
}

void Tape::SetReach(int64_t reach_ms, int64_t floor_ms) {
  if (reach_ms > reach_ms_ && based_) {
    readable_ = static_cast<uint32_t>(
        std::clamp<int64_t>(FloorDiv(floor_ms - reach_ms_ - phase_ms_, interval_ms_) - base_, readable_, next_));
  }
  reach_ms_ = reach_ms;
}

void Tape::Add(uint32_t series) {
  uint32_t slot = static_cast<uint32_t>(slots_.size());
  if (free_.empty()) {
    slots_.push_back(kNone);
    if (!folds_) {
      extents_.emplace_back();
    }
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  slots_[slot] = series;
  if (!folds_) {
    extents_[slot] = Extent{};
  } else if (based_) {
    born_[slot] = {next_, next_};
  }
  if (series >= slot_of_.size()) {
    slot_of_.resize(series + size_t{1}, kNone);
  }
  slot_of_[series] = slot;
}

void Tape::Remove(uint32_t series) {
  const uint32_t slot = SlotOf(series);
  slots_[slot] = kNone;
  resting_.push_back({slot, folds_ ? next_ : extents_[slot].last_row});
  born_.erase(slot);
  slot_of_[series] = kNone;
}

std::vector<uint32_t> Tape::Members() const {
  std::vector<uint32_t> members;
  std::copy_if(slots_.begin(), slots_.end(), std::back_inserter(members),
               [](uint32_t series) { return series != kNone; });
  return members;
}

int64_t Tape::written_until_ms() const { return based_ ? StartOf(next_) : std::numeric_limits<int64_t>::min(); }

void Tape::Flush(int64_t through_ms, const Lookup& lookup, const Yield& yield) {
  const int64_t last = FloorDiv(through_ms - phase_ms_, interval_ms_) - 1;
  if (!based_) {
    int64_t oldest = std::numeric_limits<int64_t>::max();
    for (const uint32_t series : slots_) {
      const SeriesWindow* window = series == kNone ? nullptr : lookup(series);
      if (window != nullptr && !window->ring().empty()) {
        oldest = std::min(oldest, window->ring().Time(0));
      }
    }
    if (oldest == std::numeric_limits<int64_t>::max() || IndexOf(oldest) > last) {
      return;
    }
    base_ = std::max(IndexOf(oldest), last - static_cast<int64_t>(RowsMax(reach_ms_, interval_ms_))) - kHeadroom;
    based_ = true;
    next_ = kHeadroom;
  }
  while (base_ + next_ <= last) {
    bool any = false;
    int64_t next_ms = std::numeric_limits<int64_t>::max();
    if (Status status = WriteRow(next_, lookup, yield, &any, &next_ms); !status.ok()) {
      ++counters_->write_errors;
      Lose(next_, status);
      any = true;
    }
    counters_->rows_written += any ? 1 : 0;
    ForgetLate();
    // Where no series has a sample there is no row: an outage takes neither time nor room.
    const int64_t skip_to = next_ms == std::numeric_limits<int64_t>::max() ? last + 1 : IndexOf(next_ms);
    next_ = any ? next_ + 1 : static_cast<uint32_t>(std::clamp(skip_to, base_ + next_ + 1, last + 1) - base_);
  }
}

// When a block cannot be written the row is lost, but what it would have held is noted all the same: whoever looks for it is
// told.
Status Tape::WriteRow(uint32_t row, const Lookup& lookup, const Yield& yield, bool* any, int64_t* next_ms) {
  const int64_t start = StartOf(row);
  std::vector<Patch> links;
  Status status;
  Segment* segment = nullptr;
  uint32_t first_row = 0;
  Block block;
  const auto store = [&]() -> Status {
    if (segment == nullptr) {
      auto made = Make(row);
      WEIR_RETURN_IF_ERROR(made.status());
      segment = *made;
      first_row = std::prev(segments_.upper_bound(row))->first;
      if (segment->broken.ok()) {
        segment->broken = segment->file->CheckWhole();
      }
    }
    WEIR_RETURN_IF_ERROR(segment->broken);
    return StoreBlock(*segment, first_row, &block);
  };
  for (uint32_t from = 0; from < slots_.size(); from += per_block_) {
    yield();
    const uint32_t until = std::min(static_cast<uint32_t>(slots_.size()), from + per_block_);
    block = Block{};
    block.row = row;
    block.place = PlaceOf(from);
    bool filled = false;
    for (uint32_t s = from; s < until; ++s) {
      const SeriesWindow* window = slots_[s] == kNone ? nullptr : lookup(slots_[s]);
      if (window == nullptr || !Takes(*window)) {
        continue;
      }
      if (!CellsOf(*window, start, &block.cells[(s - from) * lanes_], next_ms)) {
        continue;
      }
      filled = true;
      Link(s, row, &links);
      SetFirst(s, row);
      if (!folds_) {
        extents_[s].last_row = row;
      }
    }
    if (!filled) {
      continue;
    }
    *any = true;
    if (status.ok()) {
      status = store();
    }
    if (links.size() >= kReadChunk) {
      Apply(&links);
    }
  }
  Apply(&links);
  return status;
}

bool Tape::CellsOf(const SeriesWindow& window, int64_t start_ms, TapeCell* cells, int64_t* next_ms) const {
  const Ring& ring = window.ring();
  uint32_t i = ring.FirstAfter(start_ms);
  while (i < ring.size() && ring.At(i).kind() == RecordKind::kStale) {
    ++i;
  }
  if (i == ring.size()) {
    return false;
  }
  const int64_t t = ring.Time(i);
  if (t > start_ms + interval_ms_) {
    *next_ms = std::min(*next_ms, t);
    return false;
  }
  if (!folds_) {
    const double v = kind_ == TapeKind::kChanges ? window.ChangesUntil(i) : ring.Value(i);
    *cells = TapeCell{v, static_cast<uint32_t>(t - start_ms), ring.At(i).ordinal()};
    return true;
  }
  if (!FoldOf(kind_, window, start_ms, start_ms + interval_ms_, cells)) {
    *next_ms = start_ms + interval_ms_ + 1;  // only histograms: what is behind them is not known
    return false;
  }
  return true;
}

void Tape::Link(uint32_t slot, uint32_t row, std::vector<Patch>* patches) const {
  if (folds_) {
    return;
  }
  const uint32_t last = extents_[slot].last_row;
  if (last != kNone && last + 1 < row) {
    patches->push_back({last + 1, slot, {TapeCell{0, 0, row}}});
  }
}

void Tape::SetFirst(uint32_t slot, uint32_t row) {
  first_row_ = std::min(first_row_, row);
  if (!folds_) {
    extents_[slot].first_row = std::min(extents_[slot].first_row, row);
  } else if (const auto born = born_.find(slot); born != born_.end()) {
    born->second.first_row = std::min(born->second.first_row, row);
  }
}

uint32_t Tape::FirstRowOf(uint32_t slot) const {
  const auto born = born_.find(slot);
  return born == born_.end() ? first_row_ : born->second.first_row;
}

Tape::Segments::iterator Tape::Find(uint32_t row) {
  auto it = segments_.upper_bound(row);
  if (it == segments_.begin()) {
    return segments_.end();
  }
  --it;
  return row - it->first < it->second.rows ? it : segments_.end();
}

// RETURNS: the segment of the row, made if there is none, or none that is wide enough for a row not yet written.
Result<Tape::Segment*> Tape::Make(uint32_t row) {
  auto it = Find(row);
  if (it != segments_.end()) {
    if (row < next_ || it->second.slots >= slots_.size()) {
      return &it->second;
    }
    it->second.rows = row - it->first;
    if (it->second.rows == 0) {
      segments_.erase(it);
    }
  }
  Segment segment;
  segment.lanes = lanes_;
  segment.rows = RowsPerSegment();
  const auto after = segments_.upper_bound(row);
  if (after != segments_.end()) {
    segment.rows = std::min(segment.rows, after->first - row);
  }
  const uint64_t slots = slots_.size() + slots_.size() / kSpareShare;
  segment.slots = static_cast<uint32_t>((slots + kSlotsStep - 1) / kSlotsStep * kSlotsStep);
  WEIR_ASSERT(directory_ != nullptr);  // Options::state: without it plans may be explained but not fed
  auto file = directory_->NewFile(segment.RowBytes() * segment.rows);
  WEIR_RETURN_IF_ERROR(file.status());
  segment.file = std::move(*file);
  return &segments_.emplace(row, std::move(segment)).first->second;
}

Status Tape::StoreBlock(Segment& segment, uint32_t first_row, Block* block) {
  const auto blank = [](const TapeCell& cell) {
    return cell.dt_ms == 0 && cell.ordinal == 0 && std::bit_cast<uint64_t>(cell.v) == 0;
  };
  uint32_t filled = kBlockCells;
  while (filled > 0 && blank(block->cells[filled - 1])) {
    --filled;
  }
  block->filled = filled;
  block->checksum = block->Sum();
  return segment.file->Write((block->row - first_row) * segment.RowBytes() + block->place * sizeof(Block), block,
                             (1 + filled) * sizeof(TapeCell));
}

// What was never written, and what no file is wide enough for, reads as no samples.
Status Tape::LoadBlock(uint32_t row, uint32_t place, Block* block) {
  *block = Block{};
  const auto it = Find(row);
  if (it == segments_.end() || place * per_block_ >= it->second.slots) {
    return {};
  }
  const Segment& segment = it->second;
  WEIR_RETURN_IF_ERROR(segment.broken);
  const uint32_t bytes = segment.BlockBytes(place);
  const uint64_t offset = (row - it->first) * segment.RowBytes() + place * sizeof(Block);
  WEIR_RETURN_IF_ERROR(segment.file->Read(offset, block, bytes));
  if (block->checksum == 0 && block->row == 0) {
    return {};
  }
  if (block->row != row || block->place != place || block->filled > kBlockCells || block->checksum != block->Sum()) {
    return {Code::kCorrupt,
            "read " + segment.file->path() + ": the block at byte " + std::to_string(offset) + " is damaged"};
  }
  return {};
}

void Tape::Apply(std::vector<Patch>* patches) {
  std::sort(patches->begin(), patches->end(),
            [](const Patch& a, const Patch& b) { return std::tie(a.row, a.slot) < std::tie(b.row, b.slot); });
  for (size_t i = 0; i < patches->size();) {
    const uint32_t row = (*patches)[i].row;
    const uint32_t place = PlaceOf((*patches)[i].slot);
    size_t end = i;
    while (end < patches->size() && (*patches)[end].row == row && PlaceOf((*patches)[end].slot) == place) {
      ++end;
    }
    const auto apply = [&]() -> Status {
      auto made = Make(row);
      WEIR_RETURN_IF_ERROR(made.status());
      Segment& segment = **made;
      Block block;
      WEIR_RETURN_IF_ERROR(LoadBlock(row, place, &block));
      bool inside = false;
      for (size_t k = i; k < end; ++k) {
        const Patch& patch = (*patches)[k];
        if (patch.slot < segment.slots) {
          std::copy_n(patch.cells.begin(), lanes_, &block.cells[CellOf(patch.slot)]);
          inside = true;
        } else if (extra_.size() < kExtraMax) {
          extra_[{row, patch.slot}] = patch.cells;
        } else {
          return LimitError("tape: more than " + std::to_string(kExtraMax) + " late samples of new series");
        }
      }
      block.row = row;
      block.place = place;
      return inside ? StoreBlock(segment, std::prev(segments_.upper_bound(row))->first, &block) : Status();
    };
    if (Status status = apply(); !status.ok()) {
      ++counters_->write_errors;
      Lose(row, status);
    }
    i = end;
  }
  patches->clear();
}

void Tape::Backfill(const std::vector<uint32_t>& added, const Lookup& lookup) {
  std::vector<Patch> patches;
  for (size_t k = 0; based_ && k < added.size(); ++k) {
    const SeriesWindow& window = *lookup(added[k]);
    if (folds_ && Takes(window) && !window.ring().empty()) {
      const uint32_t slot = SlotOf(added[k]);
      for (int64_t index = std::max<int64_t>(IndexOf(window.ring().Time(0)) - base_, readable_); index < next_;
           ++index) {
        const auto row = static_cast<uint32_t>(index);
        Patch patch{row, slot};
        int64_t next_ms = 0;
        if (CellsOf(window, StartOf(row), patch.cells.data(), &next_ms)) {
          patches.push_back(patch);
          SetFirst(slot, row);
        }
      }
      continue;
    }
    std::vector<uint32_t> changes;
    if (kind_ == TapeKind::kChanges) {
      changes = window.ChangesOfAll();
    }
    for (uint32_t i = 0; !folds_ && Takes(window) && i < window.ring().size(); ++i) {
      const Record& record = window.ring().At(i);
      if (record.kind() != RecordKind::kStale) {
        const double v = changes.empty() ? record.v : changes[i];
        AddLate(added[k], window.ring().Time(i), v, record.ordinal(), &patches);
      }
    }
    if ((k + 1) % kReadChunk == 0) {
      Apply(&patches);
    }
  }
  Apply(&patches);
}

void Tape::Late(uint32_t series, const SeriesWindow& window) {
  std::vector<Patch> patches;
  const uint32_t newest = window.ring().size() - 1;
  if (!Takes(window) || (folds_ && window.ring().At(newest).kind() != RecordKind::kFloat)) {
    return;
  }
  const double v = kind_ == TapeKind::kChanges ? window.ChangesUntil(newest) : window.last_v();
  AddLate(series, window.last_t_ms(), v, window.ring().At(newest).ordinal(), &patches);
  Apply(&patches);
}

void Tape::AddLate(uint32_t series, int64_t t_ms, double v, uint32_t ordinal, std::vector<Patch>* patches) {
  const uint32_t slot = SlotOf(series);
  const int64_t index = IndexOf(t_ms) - base_;
  if (!based_ || slot == kNone || index >= next_ || index < readable_) {
    return;
  }
  const auto row = static_cast<uint32_t>(index);
  if (folds_) {
    SetFirst(slot, row);
    if (Status status = AddToFold(row, slot, t_ms, v); !status.ok()) {
      ++counters_->write_errors;
      Lose(row, status);
    }
    return;
  }
  Extent& s = extents_[slot];
  if (s.last_row != kNone && s.last_row >= row) {
    return;  // not the first one of its row
  }
  Link(slot, row, patches);
  patches->push_back({row, slot, {TapeCell{v, static_cast<uint32_t>(t_ms - StartOf(row)), ordinal}}});
  SetFirst(slot, row);
  s.last_row = row;
}

Status Tape::AddToFold(uint32_t row, uint32_t slot, int64_t t_ms, double v) {
  Block block;
  WEIR_RETURN_IF_ERROR(LoadBlock(row, PlaceOf(slot), &block));
  TapeCells cells{};
  std::copy_n(&block.cells[CellOf(slot)], lanes_, cells.begin());
  if (Empty(cells[0])) {
    cells = Extra(row, slot);
  }
  LateFold late{row, slot, cells, cells};
  AddToCells(kind_, t_ms - StartOf(row), v, late.after.data());
  std::vector<Patch> patches{{row, slot, late.after}};
  late_.push_back(late);
  Apply(&patches);
  return {};
}

void Tape::ForgetLate() {
  late_.erase(late_.begin(), late_.begin() + static_cast<ptrdiff_t>(late_marks_[0] - late_before_));
  late_before_ = late_marks_[0];
  late_marks_[0] = late_marks_[1];
  late_marks_[1] = late_before_ + late_.size();
}

void Tape::Lose(uint32_t row, const Status& why) {
  const std::string text = "long windows: " + std::string(why.message());
  auto it = lost_.upper_bound(row);
  if (it != lost_.begin()) {
    --it;
    if (row <= it->second.last_row) {
      return;
    }
    if (row == it->second.last_row + 1 && it->second.why == text) {
      it->second.last_row = row;
      return;
    }
  }
  lost_[row] = Lost{row, text};
}

void Tape::LoseAll(const Status& why) {
  if (next_ > readable_) {
    lost_.clear();
    lost_[readable_] = Lost{next_ - 1, "long windows: " + std::string(why.message())};
  }
}

Status Tape::CheckRow(uint32_t row) const {
  auto it = lost_.upper_bound(row);
  if (it == lost_.begin()) {
    return {};
  }
  --it;
  return row <= it->second.last_row ? UnavailableError(it->second.why) : Status();
}

void Tape::Retain(int64_t floor_ms, const Yield& yield) {
  if (!based_) {
    return;
  }
  const int64_t oldest = FloorDiv(floor_ms - reach_ms_ - phase_ms_, interval_ms_) - base_ - kSpareRows;
  if (oldest <= readable_) {
    return;
  }
  readable_ = static_cast<uint32_t>(std::min<int64_t>(oldest, next_));
  while (!segments_.empty() && segments_.begin()->first + segments_.begin()->second.rows <= readable_) {
    constexpr uint64_t kBytesPerYield = 1U << 20;
    const std::unique_ptr<ScratchFile> file = std::move(segments_.begin()->second.file);
    segments_.erase(segments_.begin());
    while (file->GiveBackEnd(kBytesPerYield)) {
      yield();
    }
  }
  while (!lost_.empty() && lost_.begin()->second.last_row < readable_) {
    lost_.erase(lost_.begin());
  }
  for (size_t i = 0; i < resting_.size();) {
    if (resting_[i].last_row != kNone && resting_[i].last_row >= readable_) {
      ++i;
      continue;
    }
    free_.push_back(resting_[i].slot);
    resting_[i] = resting_.back();
    resting_.pop_back();
  }
  extra_.erase(extra_.begin(), extra_.lower_bound({readable_, 0}));
  std::erase_if(born_, [this](const auto& born) { return born.second.added_row + kSpareRows < next_; });
}

TapeCells Tape::Extra(uint32_t row, uint32_t slot) const {
  const auto it = extra_.find({row, slot});
  return it == extra_.end() ? TapeCells{} : it->second;
}

Status Tape::ReadAll(uint32_t series, std::vector<std::pair<int64_t, TapeCell>>* out) {
  const uint32_t slot = SlotOf(series);
  if (slot == kNone || first_row_ == kNone || stays_) {
    return {};
  }
  const Extent rows = folds_ ? Extent{FirstRowOf(slot), next_ - 1} : extents_[slot];
  if (rows.last_row == kNone) {
    return {};
  }
  Block block;
  for (uint32_t row = std::max(rows.first_row, readable_); row <= rows.last_row; ++row) {
    WEIR_RETURN_IF_ERROR(CheckRow(row));
    WEIR_RETURN_IF_ERROR(LoadBlock(row, PlaceOf(slot), &block));
    TapeCells cells{};
    std::copy_n(&block.cells[CellOf(slot)], lanes_, cells.begin());
    if (Empty(cells[0]) && !extra_.empty()) {
      cells = Extra(row, slot);
    }
    const TapeCell& cell = cells[0];
    if (folds_) {
      if (!Empty(cell)) {
        out->emplace_back(StartOf(row + 1), TapeCell{SumOfCells(cells.data()), 1, 0});
      }
      continue;
    }
    if (cell.dt_ms != 0) {
      out->emplace_back(StartOf(row) + cell.dt_ms, cell);
    } else if (cell.ordinal > row) {
      row = cell.ordinal - 1;
    }
  }
  return {};
}

void Tape::GiveBack(uint32_t series, std::vector<Restored>* out) {
  std::vector<std::pair<int64_t, TapeCell>> read;
  if (Status status = ReadAll(series, &read); !status.ok()) {
    LoseAll(status);
  }
  for (const auto& [t_ms, cell] : read) {
    out->push_back({t_ms, cell.v, cell.ordinal});
  }
}

uint64_t Tape::DiskBytes() const {
  uint64_t bytes = 0;
  for (const auto& [row, segment] : segments_) {
    bytes += segment.file->DiskBytes();
  }
  return bytes;
}

size_t Tape::HeapBytes() const {
  constexpr size_t kTreeNode = 48;
  return extents_.capacity() * sizeof(Extent) + resting_.capacity() * sizeof(Resting) +
         (slots_.capacity() + free_.capacity() + slot_of_.capacity()) * sizeof(uint32_t) +
         born_.size() * (kTreeNode + sizeof(Born)) + extra_.size() * (kTreeNode + sizeof(TapeCells)) +
         segments_.size() * (kTreeNode + sizeof(Segment));
}

void TapeReader::Clear() {
  edges_.clear();
  start_ms_ = std::numeric_limits<int64_t>::min();
}

void TapeReader::Rebase(int64_t start_ms) {
  for (TapeCell& edge : edges_) {
    const int64_t t = base_ms_ + edge.dt_ms;
    edge.dt_ms = edge.dt_ms != 0 && t > start_ms ? static_cast<uint32_t>(t - start_ms) : 0;
  }
  base_ms_ = start_ms;
}

Status TapeReader::Seek(int64_t start_ms, std::span<const uint32_t> members, const RowStore::Yield& yield) {
  Tape& tape = *tape_;
  if (start_ms < start_ms_) {
    Clear();  // an evaluation before the last one: what lies before the samples held is not known
  }
  edges_.resize(members.size());
  if (start_ms < base_ms_ || start_ms - base_ms_ > std::numeric_limits<uint32_t>::max() - Tape::kReachMaxMs) {
    Rebase(start_ms);
  }
  start_ms_ = start_ms;
  if (!tape.based_) {
    return {};
  }
  const int64_t index = tape.IndexOf(start_ms + 1) - tape.base_;
  if (index >= tape.next_) {
    std::fill(edges_.begin(), edges_.end(), TapeCell{});
    return {};
  }
  const auto from = static_cast<uint32_t>(std::max<int64_t>(index, tape.readable_));
  const int64_t passed = start_ms - base_ms_;
  std::vector<Wanted> wanted;
  Status status;
  for (uint32_t begin = 0; begin < members.size(); begin += kReadChunk) {
    const auto end = static_cast<uint32_t>(std::min<size_t>(members.size(), begin + kReadChunk));
    for (uint32_t m = begin; m < end; ++m) {
      TapeCell& edge = edges_[m];
      if (edge.dt_ms != 0 && edge.dt_ms > passed) {
        continue;
      }
      edge = TapeCell{};
      const uint32_t slot = tape.SlotOf(members[m]);
      if (slot == Tape::kNone) {
        continue;
      }
      const Tape::Extent& s = tape.extents_[slot];
      if (s.last_row == Tape::kNone || s.last_row < from) {
        continue;
      }
      wanted.push_back({std::max(from, s.first_row), slot, m});
    }
    while (status.ok() && !wanted.empty()) {
      status = Read(&wanted);
      yield();
    }
    if (!status.ok()) {
      ++tape.counters_->read_errors;
      Clear();
      return status;
    }
  }
  // The next tick's row, if starts go row by row.
  const auto next = tape.Find(from + 1);
  if (next != tape.segments_.end()) {
    const uint64_t bytes = next->second.RowBytes();
    next->second.file->WillRead((from + 1 - next->first) * bytes, bytes);
  }
  return {};
}

// Reads the cells asked for, row by row and in the order of slots; what has no sample in its row is asked for again in a later
// one.
Status TapeReader::Read(std::vector<Wanted>* wanted) {
  Tape& tape = *tape_;
  const auto before = [](const Wanted& a, const Wanted& b) {
    return std::tie(a.row, a.slot) < std::tie(b.row, b.slot);
  };
  if (!std::is_sorted(wanted->begin(), wanted->end(), before)) {
    std::sort(wanted->begin(), wanted->end(), before);
  }
  Tape::Block block;
  uint32_t row = Tape::kNone;
  uint32_t place = Tape::kNone;
  size_t left = 0;
  for (const Wanted& w : *wanted) {
    if (row != w.row || place != tape.PlaceOf(w.slot)) {
      row = w.row;
      place = tape.PlaceOf(w.slot);
      WEIR_RETURN_IF_ERROR(tape.CheckRow(row));
      WEIR_RETURN_IF_ERROR(tape.LoadBlock(row, place, &block));
    }
    TapeCell cell = block.cells[tape.CellOf(w.slot)];
    if (cell.dt_ms == 0 && !tape.extra_.empty()) {
      cell = tape.Extra(w.row, w.slot)[0];
    }
    if (cell.dt_ms != 0) {
      edges_[w.member] =
          TapeCell{cell.v, static_cast<uint32_t>(tape.StartOf(row) + cell.dt_ms - base_ms_), cell.ordinal};
      continue;
    }
    const uint32_t next = cell.ordinal > row ? cell.ordinal : row + 1;
    if (next <= tape.extents_[w.slot].last_row) {
      (*wanted)[left++] = {next, w.slot, w.member};
    }
  }
  wanted->resize(left);
  return {};
}

}  // namespace weir::window
