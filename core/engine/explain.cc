#include "core/engine/explain.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "core/model/duration.h"
#include "core/promql/functions.h"
#include "core/promql/parser.h"
#include "core/window/tape_folds.h"

namespace weir::engine {
namespace {

using promql::AggregateOp;
using promql::As;
using promql::Expr;
using promql::ExprKind;
using promql::FunctionId;
using promql::ValueType;
using window::Thinning;

constexpr uint64_t kRecordBytes = sizeof(window::Record);
constexpr uint64_t kChangesBytes = sizeof(uint32_t);  // a prefix count beside each record
constexpr uint64_t kSparsePane = 4;                   // samples a pane below which panes save nothing

uint64_t CeilDiv(int64_t a, int64_t b) { return b <= 0 ? 0 : static_cast<uint64_t>((a + b - 1) / b); }

// RETURNS: how many records of a thinned pane stay for good: its last ones go when no window can end there any more.
uint64_t RecordsPerPane(const Demand& demand) { return demand.anchored ? 1 + demand.last_kept : 1; }

// RETURNS: how many records stay beside those of panes: the last ones of panes where a window may still end.
uint64_t RecordsOfEnds(const Demand& demand, uint64_t cuts) {
  return demand.anchored ? 0 : demand.last_kept * (2 * cuts + 1);
}

// RETURNS: how many records a ring has room for at most that holds so many: it grows by an eighth when an eighth or less of it
// is over, and what is over waits in it until its place is needed.
uint64_t PlacesOf(uint64_t records) { return records + std::max(records / 3, uint64_t{4}); }

// RETURNS: instants at which a window starts or ends, for each evaluation.
uint64_t CutsPerEvaluation(const Demand& demand) {
  return demand.range_ms == 0 || demand.newest > 0 || demand.range_ms % demand.times.interval_ms == 0 ? 1 : 2;
}

// RETURNS: how many samples stay however old they are.
uint64_t KeptBefore(const Demand& demand) {
  return demand.newest > 0 ? demand.newest : demand.range_ms == 0 || demand.anchored ? 1 : 0;
}

bool CountsChanges(const Demand& demand) { return demand.thinning == Thinning::kEdges && demand.changes; }

uint64_t BytesPerRecord(const Demand& demand) { return kRecordBytes + (CountsChanges(demand) ? kChangesBytes : 0); }

bool FoldsOnTape(const Demand& demand) { return demand.tape && window::IsFold(demand.tape->kind()); }

// RETURNS: what a row of the tape has.
std::string_view OnTape(window::TapeKind kind) {
  switch (kind) {
    case window::TapeKind::kSums:
      return "the sum of the samples";
    case window::TapeKind::kDeviations:
      return "count, sum and squared deviations of the samples";
    case window::TapeKind::kMoments:
      return "count and sums (of values, times, squares of times, and products) of the samples";
    case window::TapeKind::kChanges:
      return "the first sample, with how many changes came before it,";
    default:
      return "the first sample";
  }
}

// RETURNS: what a series has in a row of the tape. UNITS: bytes.
uint64_t CellBytes(const Demand& demand) { return sizeof(window::TapeCell) * window::LanesOf(demand.tape->kind()); }

// RETURNS: what a thinned series costs beside its records.
uint64_t BoundedMemory(const Demand& demand) {
  return demand.bounded ? window::BoundedRows::kSlotBytes + sizeof(void*) : 0;
}

// RETURNS: what a series on tape costs in RAM: its place there, and the left end of the window or its running sum.
uint64_t TapeMemory(const Demand& demand) {
  return !demand.tape          ? 0
         : FoldsOnTape(demand) ? window::Tape::kFoldSlotBytes + window::TapeFolds::SeriesBytes(demand.tape->kind())
                               : window::Tape::kSlotBytes + sizeof(window::TapeCell);
}

// RETURNS: what a series costs before it keeps anything.
uint64_t FixedBytes(const Demand& demand) {
  return sizeof(Series) + TapeMemory(demand) + BoundedMemory(demand) + (demand.changes ? sizeof(window::RareState) : 0);
}

std::string Count(uint64_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

std::string Call(const std::string& reader) {
  return reader.find_first_of(" (") == std::string::npos ? reader + "()" : reader;
}

bool IsLiteral(const Expr& e) {
  const Expr& inner = promql::Unparen(e);
  return inner.kind == ExprKind::kNumber || inner.kind == ExprKind::kString ||
         (inner.kind == ExprKind::kUnary && IsLiteral(*As<promql::UnaryExpr>(inner).expr));
}

std::string Shortened(const Expr& e) { return IsLiteral(e) ? promql::Print(e) : "…"; }

std::string Names(const std::vector<std::string>& names) {
  std::string text = "(";
  for (const std::string& name : names) {
    text += (text.size() > 1 ? ", " : "") + name;
  }
  return text + ")";
}

std::string MatchingText(const promql::VectorMatching& matching) {
  using promql::MatchCardinality;
  std::string text;
  if (matching.on || !matching.labels.empty()) {
    text += (matching.on ? " on " : " ignoring ") + Names(matching.labels);
  }
  if (matching.cardinality == MatchCardinality::kManyToOne || matching.cardinality == MatchCardinality::kOneToMany) {
    text += (matching.cardinality == MatchCardinality::kManyToOne ? " group_left " : " group_right ") +
            Names(matching.include);
  }
  return text;
}

// One node of the tree as text: the part without the parts below it.
struct TreeLine {
  std::string head;
  std::string work;  // at a tick
  std::vector<const Expr*> below;
};

void AddBelow(const promql::ExprPtr& part, TreeLine* line) {
  if (part && !IsLiteral(*part)) {
    line->below.push_back(part.get());
  }
}

TreeLine AggregateLine(const promql::AggregateExpr& aggregate) {
  TreeLine line;
  line.head = std::string(promql::AggregateOpText(aggregate.op));
  if (aggregate.param) {
    line.head += "(" + Shortened(*aggregate.param) + ")";
    AddBelow(aggregate.param, &line);
  }
  if (aggregate.without || !aggregate.grouping.empty()) {
    line.head += (aggregate.without ? " without " : " by ") + Names(aggregate.grouping);
  }
  AddBelow(aggregate.expr, &line);
  switch (aggregate.op) {
    case AggregateOp::kTopk:
    case AggregateOp::kBottomk:
    case AggregateOp::kLimitk:
      line.work = "O(n log k) in the series of a group";
      break;
    case AggregateOp::kQuantile:
      line.work = "O(n log n) in the series of a group";
      break;
    case AggregateOp::kCountValues:
      line.work = "one count a series, groups by value";
      break;
    case AggregateOp::kLimitRatio:
      line.work = "one look at each series";
      break;
    default:
      line.work = "one fold a series";
  }
  return line;
}

TreeLine BinaryLine(const promql::BinaryExpr& binary) {
  TreeLine line;
  const bool vectors = binary.lhs->type == ValueType::kVector && binary.rhs->type == ValueType::kVector;
  line.head = Shortened(*binary.lhs) + " " + std::string(promql::BinaryOpText(binary.op)) +
              (binary.return_bool ? " bool" : "") + (vectors && binary.matching ? MatchingText(*binary.matching) : "") +
              " " + Shortened(*binary.rhs);
  line.work = binary.type != ValueType::kVector ? "one operation"
              : vectors                         ? "one operation a pair; pairs are found when series appear"
                                                : "one operation a series";
  AddBelow(binary.lhs, &line);
  AddBelow(binary.rhs, &line);
  return line;
}

std::string CallWork(const promql::Call& call) {
  switch (call.function->id) {
    case FunctionId::kSort:
    case FunctionId::kSortDesc:
    case FunctionId::kSortByLabel:
    case FunctionId::kSortByLabelDesc:
      return "O(n log n) in the series";
    case FunctionId::kHistogramQuantile:
    case FunctionId::kHistogramQuantiles:
    case FunctionId::kHistogramFraction:
      return "one pass over the buckets; layouts are found when series appear";
    case FunctionId::kLabelReplace:
    case FunctionId::kLabelJoin:
      return "a copy; labels are written when series appear";
    case FunctionId::kInfo:
      return "one look-up a series";
    default:
      return call.type == ValueType::kVector ? "one operation a series" : "one operation";
  }
}

std::string TimeText(const promql::TimeModifiers& time) {
  std::string text = time.at == promql::AtKind::kTime    ? " @ " + FormatRfc3339(time.at_ms)
                     : time.at == promql::AtKind::kStart ? " @ start()"
                     : time.at == promql::AtKind::kEnd   ? " @ end()"
                                                         : "";
  if (time.offset_ms != 0) {
    text += time.offset_ms < 0 ? " offset -" + FormatDurationMs(-time.offset_ms)
                               : " offset " + FormatDurationMs(time.offset_ms);
  }
  return text;
}

TreeLine CallLine(const promql::Call& call) {
  TreeLine line;
  line.work = CallWork(call);
  const promql::SubqueryExpr* subquery = nullptr;
  bool whole = true;  // nothing below: the call is its own text
  line.head = std::string(call.function->name) + "(";
  for (size_t i = 0; i < call.args.size(); ++i) {
    const Expr& arg = promql::Unparen(*call.args[i]);
    line.head += i > 0 ? ", " : "";
    if (arg.kind == ExprKind::kMatrixSelector) {
      line.head += promql::Print(arg);
      line.work = "one window a series, see below";
    } else if (arg.kind == ExprKind::kSubquery) {
      subquery = &As<promql::SubqueryExpr>(arg);
      line.head += "…[" + FormatDurationMs(subquery->range_ms) + ":" +
                   (subquery->step_ms > 0 ? FormatDurationMs(subquery->step_ms) : "") + "]" + TimeText(subquery->time);
      line.work = "one window a series, see below";
      line.below.push_back(subquery->expr.get());
      whole = false;
    } else {
      line.head += Shortened(arg);
      AddBelow(call.args[i], &line);
      whole = whole && IsLiteral(arg);
    }
  }
  line.head += ")";
  if (call.function->id == FunctionId::kInfo && call.args.size() > 1) {
    line.below.resize(1);  // the second argument is no vector
  }
  if (whole) {
    line.head = promql::Print(call);
  }
  return line;
}

TreeLine LineOf(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kAggregate:
      return AggregateLine(As<promql::AggregateExpr>(expr));
    case ExprKind::kBinary:
      return BinaryLine(As<promql::BinaryExpr>(expr));
    case ExprKind::kCall:
      return CallLine(As<promql::Call>(expr));
    case ExprKind::kUnary: {
      TreeLine line{As<promql::UnaryExpr>(expr).negate ? "-…" : "+…", "one operation a series", {}};
      AddBelow(As<promql::UnaryExpr>(expr).expr, &line);
      return line;
    }
    case ExprKind::kVectorSelector:
      return {promql::Print(expr), "the newest sample a series", {}};
    default:
      return {promql::Print(expr), "", {}};
  }
}

std::string NamesOf(const std::vector<PlanId>& plans, const ExplainOptions& options) {
  constexpr size_t kNamesMax = 4;
  std::string text;
  for (size_t i = 0; i < std::min(plans.size(), kNamesMax); ++i) {
    text += (i > 0 ? ", " : "") + (options.name ? options.name(plans[i]) : "plan " + std::to_string(plans[i]));
  }
  return plans.size() > kNamesMax ? text + " and " + std::to_string(plans.size() - kNamesMax) + " more" : text;
}

class TreeWriter {
 public:
  TreeWriter(const PlanFacts& facts, const ExplainOptions& options) : options_(options) {
    for (const PartFacts& part : facts.parts) {
      parts_[{part.start, part.end}] = &part;  // the last one is the outermost
    }
  }

  void Write(const Expr& written, size_t depth, const std::vector<PlanId>& around) {
    const Expr& expr = promql::Unparen(written);
    const auto found = parts_.find({static_cast<uint32_t>(expr.pos.start), static_cast<uint32_t>(expr.pos.end)});
    const PartFacts* part = found == parts_.end() ? nullptr : found->second;
    TreeLine line = LineOf(expr);
    const bool again = part != nullptr && !line.below.empty() && !seen_.insert(part->node).second;
    if (again) {
      line.work = "the same node as above";
    }
    std::string text = std::string(2 + 2 * depth, ' ') + line.head;
    if (!line.work.empty()) {
      constexpr size_t kColumn = 48;
      text.append(Width(text) + 2 < kColumn ? kColumn - Width(text) : 2, ' ');
      text += line.work;
    }
    const std::vector<PlanId>& users = part != nullptr ? part->users : around;
    if (users != around) {
      text += "; shared with " + Others(users, around);
    }
    out_ += text + "\n";
    if (!again) {
      for (const Expr* below : line.below) {
        Write(*below, depth + 1, users);
      }
    }
  }
  std::string Take() { return std::move(out_); }

 private:
  // RETURNS: how many characters the text has.
  static size_t Width(const std::string& text) {
    return static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  }
  // RETURNS: names of those that do not share what is around, too.
  std::string Others(const std::vector<PlanId>& users, const std::vector<PlanId>& around) const {
    std::vector<PlanId> others;
    std::set_difference(users.begin(), users.end(), around.begin(), around.end(), std::back_inserter(others));
    return NamesOf(others, options_);
  }

  const ExplainOptions& options_;
  std::map<std::pair<uint32_t, uint32_t>, const PartFacts*> parts_;
  std::set<const void*> seen_;
  std::string out_;
};

// What is said of one window, line by line.
class WindowWriter {
 public:
  WindowWriter(const WindowFacts& window, int64_t tick_ms, const ExplainOptions& options)
      : window_(window),
        demand_(window.demand),
        options_(options),
        fine_(window.step_ms > 0 ? window.step_ms : options.scrape_interval_ms),
        print_(FootprintOf(window, tick_ms, options.scrape_interval_ms)) {}

  std::string Write() {
    out_ = "  " + window_.text + ", read by " + Call(window_.reader) + "\n";
    Line("keeps", Keeps());
    Line("codec", "plain records of " + std::to_string(kRecordBytes) + " bytes; a histogram is a heap value of " +
                      std::to_string(FloatHistogram().Size()) + " + 8 × (spans + buckets + bounds) bytes more" +
                      (demand_.thinning == Thinning::kEdges ? ", kept also around resets and changes of layout" : ""));
    WriteBytes();
    WriteTape();
    WriteBounded();
    Line(demand_.bounded ? "within" : "exact", Exactness());
    WriteNotIncremental();
    Line("a sample", Sample());
    Line("a tick", Tick());
    if (!window_.others.empty()) {
      Line("also for", NamesOf(window_.others, options_) +
                           "; one ring a series serves all, and keeps what the most demanding of them needs");
    }
    return std::move(out_);
  }

 private:
  void Line(std::string_view key, const std::string& text) {
    constexpr size_t kColumn = 12;
    out_ += "    " + std::string(key) + std::string(kColumn - key.size(), ' ') + text + "\n";
  }
  bool Every() const { return demand_.thinning == Thinning::kNever; }
  std::string Span() const { return FormatDurationMs(print_.span_ms); }
  // RETURNS: how many samples the span has, as a formula.
  std::string SamplesFormula() const {
    return "⌈" + Span() + " / " + (window_.step_ms > 0 ? FormatDurationMs(window_.step_ms) : "scrape interval") + "⌉";
  }
  std::string Spacing() const {
    return (window_.step_ms > 0 ? "a step every " : "scraped every ") + FormatDurationMs(fine_);
  }

  std::string Newest(const char* what) const {
    return demand_.newest == 1 ? std::string(what) : Count(demand_.newest, what);
  }
  std::string Keeps() const {
    const std::string of_span = " of the last " + Span() + " (window, offset and one interval)";
    switch (demand_.thinning) {
      case Thinning::kNever:
        return window_.step_ms > 0 ? "every step" + of_span + ", as samples of hidden series"
                                   : "every sample" + of_span;
      case Thinning::kDense:
        return "dense: every sample" + of_span + " up to " + std::to_string(window::kRawRecordsMax) +
               " (more where panes have fewer than " + std::to_string(kSparsePane) +
               "), beyond that aggregates of panes" + (print_.form == Footprint::Form::kPanes ? " (so here)" : "");
      case Thinning::kEdges:
        break;
    }
    const std::string last = demand_.last_kept > 1 ? "last " + std::to_string(demand_.last_kept) : "last";
    std::string text = "edges of panes: the first sample between instants at which a window starts or ends, and the " +
                       last + (demand_.anchored ? "" : " while a window may end there");
    text += demand_.resets ? ", and every counter reset" : demand_.changes ? ", and a count of changes" : "";
    return text + "; " + Span() + " back" +
           (demand_.newest > 0 ? ", and before that the newest " + Newest("sample") + ", since " +
                                     Call(window_.reader) + " looks at no other"
                               : "");
  }

  void WriteBytes() {
    const std::string fixed = std::to_string(FixedBytes(demand_));
    const std::string record = std::to_string(BytesPerRecord(demand_));
    const std::string one = KeptBefore(demand_) > 0 ? " + " + std::to_string(KeptBefore(demand_)) : "";
    const std::string per_pane =
        std::to_string(kRecordBytes * RecordsPerPane(demand_) + window::Panes::BytesPerPane(demand_.aggregates));
    const std::string raw = SamplesFormula() + one;
    std::string formula;
    switch (demand_.thinning) {
      case Thinning::kNever:
        formula = fixed + " + " + record + " × " + (one.empty() ? raw : "(" + raw + ")");
        break;
      case Thinning::kDense:
        formula = fixed + " + " + record + " × " + raw + "; dense " +
                  std::to_string(sizeof(Series) + sizeof(window::RareState) + sizeof(window::Panes)) + " + " +
                  per_pane + " × " + Count(print_.panes, "pane");
        break;
      case Thinning::kEdges:
        formula = fixed + " + " + record + " × " + (one.empty() ? "" : "(") + "min(" + SamplesFormula() + ", " +
                  (demand_.anchored ? std::to_string(RecordsPerPane(demand_)) + " × " : "") +
                  Count(print_.panes, "pane") + (print_.ends > 0 ? " + " + std::to_string(print_.ends) : "") + ")" +
                  (one.empty() ? "" : one + ")");
    }
    if (demand_.bounded) {
      formula += " + 16 × " + std::to_string(print_.bounded_records) + " thinned";
    }
    if (demand_.resets) {
      formula +=
          " + " + std::to_string(sizeof(window::Reset)) + " × resets" +
          (CountsChanges(demand_) ? "" : " (" + std::to_string(sizeof(window::RareState)) + " more with the first)");
    }
    Line("a series", formula + " bytes; up to a third of the records, or 4, in reserve");
    Line("", Spacing() + ": " + Count(print_.records, "record") +
                 (print_.form == Footprint::Form::kPanes ? " and " + Count(print_.panes, "pane") : "") + ", " +
                 std::to_string(print_.bytes) + " bytes" + (demand_.resets ? " without resets" : ""));
  }

  void WriteBounded() {
    if (!demand_.bounded) {
      if (!demand_.exact_because.empty()) {
        Line("not bounded", std::string(demand_.exact_because));
      }
      return;
    }
    const window::BoundedRows& rows = *demand_.bounded;
    const std::string reach = FormatDurationMs(demand_.offset_ms + demand_.range_ms);
    Line("thinned", "of the first samples of every " + FormatDurationMs(rows.interval_ms()) + ", " + reach +
                        " back, those whose loss could show; the newest part is whole, as above");
    Line("", "at most " + Count(print_.bounded_records, "record") + " of 16 bytes more a series, some " +
                 std::to_string(print_.bounded_steady) + " where it grows steadily" +
                 (demand_.resets ? ", and 16 × resets that lie between different records" : "") +
                 "; shared by windows whose starts are the same instants and whose offset is the same");
  }

  void WriteTape() {
    if (demand_.bounded) {
      return;
    }
    if (!demand_.tape) {
      if (!demand_.not_on_tape.empty()) {
        Line("in RAM", "not in files: " + std::string(demand_.not_on_tape));
      }
      return;
    }
    const int64_t interval = demand_.tape->interval_ms();
    Line("on tape", std::string(OnTape(demand_.tape->kind())) + " of every " + FormatDurationMs(interval) + ", " +
                        FormatDurationMs(demand_.offset_ms + demand_.range_ms) +
                        " back, in files under state.dir; RAM has the newest part above, and of the window " +
                        std::to_string(TapeMemory(demand_)) + " bytes a series whatever its length" +
                        (demand_.resets ? ", and its resets" : "") +
                        "; a series with histograms keeps the whole window in RAM");
    Line("on disk",
         "at most " + std::to_string(CellBytes(demand_)) + " × (⌈" +
             FormatDurationMs(demand_.offset_ms + demand_.range_ms) + " / " + FormatDurationMs(interval) + "⌉ + " +
             std::to_string(print_.tape_rows - Rows(interval)) +
             " of the oldest file) × 1.13 = " + std::to_string(print_.tape_bytes) +
             " bytes a series, shared by windows whose starts are the same instants; rows without samples take none");
  }
  uint64_t Rows(int64_t interval) const { return CeilDiv(demand_.offset_ms + demand_.range_ms, interval); }

  std::string Exactness() const {
    if (demand_.bounded) {
      return FormatFloat(demand_.bounded->key().max_error, 'g') + " relative" +
             (demand_.resets ? ", of counters: samples below zero and NaN have no bound" : "") +
             "; exact where nothing was dropped around the start of the window" +
             (demand_.resets ? ", with resets but for the last bits" : "");
    }
    if (FoldsOnTape(demand_)) {
      return demand_.tape->kind() == window::TapeKind::kSums
                 ? "within 1e-12 relative (a running sum of 106 bits, made anew where its own error would matter)"
                 : "within 1e-9 relative (running sums of 106 bits and of integers, made anew where their own error "
                   "would matter), as far as Prometheus's own has digits";
    }
    if (demand_.thinning != Thinning::kDense || demand_.aggregates == window::kExtremes) {
      return "bit for bit";
    }
    return "bit for bit while samples are kept whole; of panes within 1e-9 relative (compensated sums, moments of 106 "
           "bits)";
  }

  void WriteNotIncremental() {
    const std::string at_most =
        "at most " + SamplesFormula() + (KeptBefore(demand_) > 0 ? " + " + std::to_string(KeptBefore(demand_)) : "") +
        " = " + std::to_string(print_.samples + KeptBefore(demand_)) + " samples a series (" + Spacing() + ")";
    const std::string limit = window_.step_ms > 0 ? "the limit is (window + interval) / step"
                                                  : "the limit is (window + interval) / scrape interval";
    if (window_.step_ms > 0 && !demand_.tape) {
      Line("bounded", "the steps of a subquery are kept whole: " + at_most + "; " + limit);
    } else if (Every() && !demand_.tape) {
      Line("bounded", (IsSmoothed() ? "smoothed looks between samples"
                                    : Call(window_.reader) + " looks at each sample of its window") +
                          ": not incremental, " + at_most + "; " + limit);
    } else if (demand_.thinning == Thinning::kDense && !demand_.tape) {
      Line("histograms", "are not folded by panes: every sample of the span is kept, " + at_most + "; " + limit);
    }
  }
  bool IsSmoothed() const { return window_.text.find(" smoothed") != std::string::npos; }

  std::string Sample() const {
    switch (print_.form) {
      case Footprint::Form::kEdges:
        return "O(1): one record written, or one of its pane replaced";
      case Footprint::Form::kPanes:
        return "O(1): one record written or replaced, one addition to each aggregate of its pane";
      case Footprint::Form::kSamples:
        break;
    }
    return window_.step_ms > 0
               ? "none; at a step the inside is evaluated once and one record written for each series of its result"
               : "O(1): one record written";
  }

  std::string Tick() const {
    if (demand_.times.interval_ms == 0) {
      return "until the stream has passed that time the work below the `@` anew, then a copy of the result";
    }
    if (FoldsOnTape(demand_)) {
      return "O(1) a series: one cell of the row that enters and of the row that leaves, and the samples since the "
             "last "
             "row";
    }
    if (demand_.tape) {
      return std::string(demand_.resets ? "O(resets in the window)" : "O(1)") +
             " a series: one cell of the next row, read in the order of the file, and the newest record";
    }
    if (demand_.bounded) {
      return std::string(demand_.resets ? "O(log records + resets)" : "O(log records)") +
             " a series: the record at the start of the window, found by halving, and the newest one";
    }
    if (demand_.thinning == Thinning::kEdges) {
      return demand_.newest > 0      ? "O(1) a series: the newest " + Newest("record") + ", no fold"
             : demand_.range_ms == 0 ? "O(1) a series: the newest record, no fold"
             : demand_.resets ? "O(resets in the window) a series: the records at its two ends and the resets between"
                              : "O(1) a series: the records at the two ends of the window";
    }
    const uint64_t in_window = std::min(CeilDiv(demand_.range_ms, fine_), print_.samples);  // smoothed looks ahead, too
    if (print_.form == Footprint::Form::kPanes) {
      return "O(window / interval) a series: " + Count(print_.panes, "fold") + " of panes at most";
    }
    const std::string size = window_.step_ms > 0 ? "window / step" : "window / scrape interval";
    if (Every() && window_.step_ms == 0 && !IsSmoothed()) {
      return "O(n log n) at most, n = " + size + ": " + Count(in_window, "sample");
    }
    return "O(" + size + ") a series: " + Count(in_window, "fold") +
           (Every() && window_.step_ms > 0 ? ", or what the function costs over as many samples" : "");
  }

  const WindowFacts& window_;
  const Demand& demand_;
  const ExplainOptions& options_;
  int64_t fine_;  // between samples
  Footprint print_;
  std::string out_;
};

}  // namespace

Footprint FootprintOf(const WindowFacts& window, int64_t tick_ms, int64_t scrape_interval_ms) {
  const Demand& demand = window.demand;
  Footprint out;
  // Records go when a tick has released them, so just before the next one they reach back an interval further.
  out.span_ms = std::max(demand.offset_ms + demand.range_ms + demand.held_ms, int64_t{0}) +
                std::max(tick_ms, demand.times.interval_ms);
  if (demand.tape) {
    out.span_ms = std::max(demand.offset_ms, int64_t{0}) + window.tape_margin_ms + demand.tape->interval_ms() +
                  std::max(tick_ms, demand.times.interval_ms);
    const int64_t reach = demand.offset_ms + demand.range_ms;
    out.tape_rows = window::Tape::RowsMax(reach, demand.tape->interval_ms());
    constexpr uint64_t kShareOfSpare = 113;  // in hundred: room for new series and checksums
    out.tape_bytes = out.tape_rows * CellBytes(demand) * kShareOfSpare / 100;
  }
  if (demand.bounded) {
    const window::BoundedRows& rows = *demand.bounded;
    out.span_ms = std::max(demand.offset_ms, int64_t{0}) + window.tape_margin_ms + rows.interval_ms() +
                  std::max(tick_ms, demand.times.interval_ms);
    const int64_t reach = demand.offset_ms + demand.range_ms;
    out.bounded_records = window::BoundedRows::RecordsMax(rows.key().kind, rows.key().max_error, reach,
                                                          rows.interval_ms(), scrape_interval_ms);
    out.bounded_steady = window::BoundedRows::RecordsOfSteady(rows.key().kind, rows.key().max_error, reach,
                                                              rows.interval_ms(), scrape_interval_ms);
  }
  if (demand.newest > 0) {
    out.span_ms = std::max(demand.offset_ms, int64_t{0}) + std::max(tick_ms, demand.times.interval_ms);
  }
  out.samples = CeilDiv(out.span_ms, window.step_ms > 0 ? window.step_ms : scrape_interval_ms);
  constexpr uint64_t kPanesOfFixedTime = 3;
  out.panes = demand.times.interval_ms == 0
                  ? kPanesOfFixedTime
                  : CutsPerEvaluation(demand) * CeilDiv(out.span_ms, demand.times.interval_ms);
  out.ends = RecordsOfEnds(demand, CutsPerEvaluation(demand));
  const uint64_t edges = std::min(out.samples, RecordsPerPane(demand) * out.panes + out.ends);
  const bool dense = out.samples > window::kRawRecordsMax && out.samples >= kSparsePane * out.panes;
  out.form = demand.thinning == Thinning::kEdges            ? Footprint::Form::kEdges
             : demand.thinning == Thinning::kDense && dense ? Footprint::Form::kPanes
                                                            : Footprint::Form::kSamples;
  out.records = (out.form == Footprint::Form::kSamples ? out.samples : edges) + KeptBefore(demand);
  out.bytes = FixedBytes(demand) + PlacesOf(out.records) * BytesPerRecord(demand) + out.bounded_records * kRecordBytes;
  if (out.form == Footprint::Form::kPanes) {
    out.bytes +=
        sizeof(window::RareState) + sizeof(window::Panes) + out.panes * window::Panes::BytesPerPane(demand.aggregates);
  }
  return out;
}

std::string Explain(const PlanFacts& facts, const Expr& expr, const ExplainOptions& options) {
  TreeWriter tree(facts, options);
  tree.Write(expr, 0, {facts.plan});
  std::string out = tree.Take();
  std::set<std::string> written;
  for (const WindowFacts& window : facts.windows) {
    const std::string text = WindowWriter(window, facts.tick_ms, options).Write();
    if (written.insert(text).second) {
      out += text;
    }
  }
  const bool reads = !facts.windows.empty();
  out +=
      "  Kafka key     " + (reads ? PartitionKeyOf(expr, options.recorded).ToString() : "none: reads no series") + "\n";
  return out;
}

}  // namespace weir::engine
