#include "core/promqltest/runner.h"

#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/model/duration.h"
#include "core/model/sample.h"
#include "core/promqltest/classify.h"
#include "core/promqltest/histogram_match.h"

namespace weir::promqltest {

namespace {

constexpr double kEpsilon = 1e-6;
// What a `# sensitive` eval may differ by: its result is a difference of nearly equal numbers.
constexpr double kSensitiveEpsilon = 1e-3;
constexpr size_t kListedMax = 12;  // series printed of one side of a mismatch

std::string ValueText(double v) { return IsStaleNaN(v) ? "stale" : FormatFloat(v, 'g'); }

std::string SequenceText(const promql::SequenceValue& v) {
  return v.omitted ? "_" : v.histogram ? v.histogram->ToTestExpression() : ValueText(v.value);
}

std::string ExpectedText(const EvalCase& eval) {
  if (eval.fail) {
    return "failure" + (eval.fail_message.empty() ? "" : ": " + eval.fail_message) +
           (eval.fail_regex.empty() ? "" : " matching " + eval.fail_regex);
  }
  if (eval.scalar) {
    return ValueText(*eval.scalar);
  }
  if (eval.text) {
    return GoQuote(*eval.text);
  }
  std::string out;
  for (size_t i = 0; i < eval.series.size() && i < kListedMax; ++i) {
    out += "\n      " + eval.series[i].labels.ToString();
    for (const promql::SequenceValue& v : eval.series[i].values) {
      out += " " + SequenceText(v);
    }
  }
  return out.empty() ? "nothing" : out;
}

// The results of all ticks by series; a missing tick is an omitted value.
struct Table {
  std::vector<Labels> order;
  std::map<Labels, std::vector<promql::SequenceValue>> rows;
};

promql::SequenceValue Given(double v, HistogramRef h) {
  promql::SequenceValue out;
  out.value = v;
  out.histogram = std::move(h);
  return out;
}

promql::SequenceValue Omitted() {
  promql::SequenceValue out;
  out.omitted = true;
  return out;
}

// ERRORS: two results with the same labels at one time.
Status Tabulate(const std::vector<TickResult>& ticks, Table* table) {
  auto put = [&](const Labels& labels, size_t tick, double v, const HistogramRef& h) -> Status {
    auto [it, added] = table->rows.try_emplace(labels);
    if (added) {
      it->second.assign(ticks.size(), Omitted());
      table->order.push_back(labels);
    }
    if (!it->second[tick].omitted) {
      return InvalidError("two results with the labels " + labels.ToString());
    }
    it->second[tick] = Given(v, h);
    return {};
  };
  for (size_t i = 0; i < ticks.size(); ++i) {
    if (ticks[i].type == promql::ValueType::kScalar) {
      WEIR_RETURN_IF_ERROR(put(Labels(), i, ticks[i].scalar, nullptr));
    }
    for (const ResultSample& s : ticks[i].vector) {
      WEIR_RETURN_IF_ERROR(put(s.labels, i, s.v, s.h));
    }
  }
  return {};
}

std::string GotText(const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::kError) {
    return "error: " + outcome.message;
  }
  if (outcome.ticks.size() == 1) {
    const TickResult& tick = outcome.ticks[0];
    if (tick.type == promql::ValueType::kScalar) {
      return ValueText(tick.scalar);
    }
    if (tick.type == promql::ValueType::kString) {
      return GoQuote(tick.text);
    }
    if (tick.type == promql::ValueType::kMatrix) {
      std::string out;
      for (const ResultSeries& s : tick.matrix) {
        out += "\n      " + s.labels.ToString();
        for (const Sample& p : s.points) {
          out += " " + ValueText(p.v) + "@" + std::to_string(p.t);
        }
      }
      return out;
    }
  }
  Table table;
  Status status = Tabulate(outcome.ticks, &table);
  if (!status.ok()) {
    return std::string(status.message());
  }
  std::string out;
  for (size_t i = 0; i < table.order.size() && i < kListedMax; ++i) {
    out += "\n      " + table.order[i].ToString();
    for (const promql::SequenceValue& v : table.rows[table.order[i]]) {
      out += " " + SequenceText(v);
    }
  }
  return out.empty() ? "nothing" : out;
}

bool SameValues(const std::vector<promql::SequenceValue>& want, const std::vector<promql::SequenceValue>& got,
                double epsilon) {
  for (size_t i = 0; i < std::max(want.size(), got.size()); ++i) {
    bool want_some = i < want.size() && !want[i].omitted;
    bool got_some = i < got.size() && !got[i].omitted;
    if (want_some != got_some) {
      return false;
    }
    if (!want_some) {
      continue;
    }
    if ((want[i].histogram == nullptr) != (got[i].histogram == nullptr)) {
      return false;
    }
    if (want[i].histogram ? !SameHistogram(*want[i].histogram, want[i].hint_named, *got[i].histogram, epsilon)
                          : !AlmostEqual(want[i].value, got[i].value, epsilon)) {
      return false;
    }
  }
  return true;
}

bool SameMatrix(const EvalCase& eval, const std::vector<ResultSeries>& got, double epsilon) {
  if (got.size() != eval.series.size()) {
    return false;
  }
  for (const ExpectedSeries& want : eval.series) {
    auto it = std::find_if(got.begin(), got.end(), [&](const ResultSeries& s) { return s.labels == want.labels; });
    if (it == got.end()) {
      return false;
    }
    std::vector<Sample> points;
    for (size_t i = 0; i < want.values.size(); ++i) {
      if (!want.values[i].omitted) {
        points.push_back({eval.matrix_start_ms + static_cast<int64_t>(i) * eval.matrix_step_ms, want.values[i].value});
      }
    }
    bool same =
        std::equal(points.begin(), points.end(), it->points.begin(), it->points.end(),
                   [&](const Sample& a, const Sample& b) { return a.t == b.t && AlmostEqual(a.v, b.v, epsilon); });
    if (!same) {
      return false;
    }
  }
  return true;
}

// Whether the i-th result stands where it is expected. What is sorted by value may have equal values in any order.
bool InOrder(const EvalCase& eval, const Table& table, size_t i, double epsilon) {
  if (table.order[i] == eval.series[i].labels) {
    return true;
  }
  bool by_value = eval.expr.starts_with("sort(") || eval.expr.starts_with("sort_desc(");
  return by_value && SameValues(eval.series[i].values, table.rows.at(table.order[i]), epsilon);
}

bool SameValue(const EvalCase& eval, const Outcome& outcome, double epsilon) {
  if (!eval.range) {
    const TickResult& tick = outcome.ticks[0];
    if (eval.text || tick.type == promql::ValueType::kString) {
      return eval.text && tick.type == promql::ValueType::kString && tick.text == *eval.text;
    }
    if (eval.scalar || tick.type == promql::ValueType::kScalar) {
      return eval.scalar && tick.type == promql::ValueType::kScalar && AlmostEqual(*eval.scalar, tick.scalar, epsilon);
    }
    if (eval.matrix || tick.type == promql::ValueType::kMatrix) {
      return tick.type == promql::ValueType::kMatrix && SameMatrix(eval, tick.matrix, epsilon);
    }
  }
  Table table;
  if (!Tabulate(outcome.ticks, &table).ok() || table.order.size() != eval.series.size()) {
    return false;
  }
  for (size_t i = 0; i < eval.series.size(); ++i) {
    auto it = table.rows.find(eval.series[i].labels);
    if (it == table.rows.end() || (eval.ordered && !InOrder(eval, table, i, epsilon)) ||
        !SameValues(eval.series[i].values, it->second, epsilon)) {
      return false;
    }
  }
  return true;
}

bool MessageMatches(const std::string& got, const std::string& message, const std::string& regex) {
  if (!message.empty()) {
    return got == message;
  }
  return regex.empty() || re2::RE2::PartialMatch(got, regex);
}

// Puts a load into the storage; a later sample never replaces an earlier one.
void Merge(const std::vector<LoadedSeries>& load, Storage* storage) {
  for (const LoadedSeries& in : load) {
    LoadedSeries& out = (*storage)[in.labels];
    out.labels = in.labels;
    out.samples.insert(out.samples.end(), in.samples.begin(), in.samples.end());
    out.histograms.insert(out.histograms.end(), in.histograms.begin(), in.histograms.end());
    std::stable_sort(out.samples.begin(), out.samples.end(),
                     [](const LoadedSample& a, const LoadedSample& b) { return a.t < b.t; });
    std::stable_sort(out.histograms.begin(), out.histograms.end(),
                     [](const LoadedHistogram& a, const LoadedHistogram& b) { return a.t < b.t; });
    out.samples.erase(std::unique(out.samples.begin(), out.samples.end(),
                                  [](const LoadedSample& a, const LoadedSample& b) { return a.t == b.t; }),
                      out.samples.end());
  }
}

}  // namespace

bool AlmostEqual(double a, double b, double epsilon) {
  if (IsStaleNaN(a) || IsStaleNaN(b)) {
    return IsStaleNaN(a) && IsStaleNaN(b);
  }
  if ((std::isnan(a) && std::isnan(b)) || a == b) {
    return true;
  }
  constexpr double kMinNormal = std::numeric_limits<double>::min();
  double sum = std::fabs(a) + std::fabs(b);
  double difference = std::fabs(a - b);
  if (a == 0 || b == 0 || sum < kMinNormal) {
    return difference < epsilon * kMinNormal;
  }
  return difference / std::min(sum, std::numeric_limits<double>::max()) < epsilon;
}

Status ScriptRunner::Run(std::string_view text, const std::string& file) {
  WEIR_ASSIGN_OR_RETURN(Script script, ParseScript(text, file));
  Storage storage;
  std::vector<const EvalCase*> group;
  auto flush = [&] {
    if (!group.empty()) {
      RunGroup(storage, group, file);
      group.clear();
    }
  };
  for (const Command& command : script.commands) {
    if (command.kind == Command::Kind::kEval) {
      group.push_back(&command.eval);
      continue;
    }
    flush();
    if (command.kind == Command::Kind::kClear) {
      storage.clear();
    } else {
      Merge(command.load, &storage);
    }
  }
  flush();
  return {};
}

void ScriptRunner::RunGroup(const Storage& storage, const std::vector<const EvalCase*>& cases,
                            const std::string& file) {
  std::vector<Outcome> outcomes(cases.size());
  std::vector<EvalRequest> requests;
  std::vector<size_t> asked;
  for (size_t i = 0; i < cases.size(); ++i) {
    promql::ParserOptions options = promql::ParserOptions::All();
    options.step_ms = cases[i]->step_ms;
    options.range_ms = cases[i]->end_ms - cases[i]->start_ms;
    promql::ParseOutcome parsed = promql::ParseExpr(cases[i]->expr, options);
    if (parsed.expr) {
      requests.push_back({cases[i], parsed.expr});
      asked.push_back(i);
      continue;
    }
    outcomes[i].kind = Outcome::Kind::kError;
    outcomes[i].message = parsed.errors.empty() ? "does not parse" : parsed.errors[0].message;
  }
  std::vector<Outcome> answers = evaluator_->Evaluate(storage, requests);
  std::vector<bool> outside(cases.size());
  for (size_t i = 0; i < asked.size(); ++i) {
    outcomes[asked[i]] = std::move(answers[i]);
    outside[asked[i]] =
        SeesChunks(requests[i], storage) || SeesLastDigits(requests[i], exact_ != nullptr) || PicksByOrder(requests[i]);
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto is_exact = [&] {
      const auto asked_at = std::lower_bound(asked.begin(), asked.end(), i);
      return asked_at != asked.end() && *asked_at == i &&
             IsExact(storage, requests[static_cast<size_t>(asked_at - asked.begin())], outcomes[i]);
    };
    Judge(*cases[i], outcomes[i], outside[i], is_exact, file);
  }
}

bool ScriptRunner::IsExact(const Storage& storage, const EvalRequest& request, const Outcome& outcome) const {
  if (exact_ == nullptr) {
    return false;
  }
  const Outcome exact = exact_->Evaluate(storage, {&request, 1})[0];
  Table want;
  Table got;
  if (exact.kind != Outcome::Kind::kValue || !Tabulate(exact.ticks, &want).ok() ||
      !Tabulate(outcome.ticks, &got).ok() || want.rows.size() != got.rows.size()) {
    return false;
  }
  // What cancels out leaves noise that is small beside the other results, and beside 1; the smallest numbers have few digits.
  constexpr double kNoise = 1e-13;
  constexpr double kTiny = 1e-280;
  double largest = 0;
  for (const auto& [labels, values] : want.rows) {
    for (const promql::SequenceValue& v : values) {
      largest = v.omitted || !std::isfinite(v.value) ? largest : std::max(largest, std::fabs(v.value));
    }
  }
  return std::all_of(want.rows.begin(), want.rows.end(), [&](const auto& row) {
    const auto found = got.rows.find(row.first);
    if (found == got.rows.end()) {
      return false;
    }
    std::vector<promql::SequenceValue> values = found->second;
    for (size_t i = 0; i < std::min(values.size(), row.second.size()); ++i) {
      const bool noise =
          std::fabs(values[i].value - row.second[i].value) <= std::max(kTiny, kNoise * std::min(largest, 1.0));
      values[i].value = noise ? row.second[i].value : values[i].value;
    }
    return SameValues(row.second, values, kEpsilon);
  });
}

void ScriptRunner::Judge(const EvalCase& eval, const Outcome& outcome, bool outside,
                         const std::function<bool()>& is_exact, const std::string& file) {
  std::string where = file + ":" + std::to_string(eval.line);
  if (outcome.kind == Outcome::Kind::kUnsupported || outcome.kind == Outcome::Kind::kUndecidable) {
    bool unsupported = outcome.kind == Outcome::Kind::kUnsupported;
    (unsupported ? counts_.unsupported : counts_.undecidable) += 1;
    skips_.push_back(where + ": " + (unsupported ? "unsupported: " : "undecidable: ") + outcome.message + ": " +
                     eval.expr);
    return;
  }
  std::string problem;
  if (eval.fail) {
    if (outcome.kind != Outcome::Kind::kError || !MessageMatches(outcome.message, eval.fail_message, eval.fail_regex)) {
      problem = "expected " + ExpectedText(eval) + "\n    got " + GotText(outcome);
    }
  } else if (outcome.kind == Outcome::Kind::kError) {
    problem = "expected " + ExpectedText(eval) + "\n    got error: " + outcome.message;
  } else if (!SameValue(eval, outcome, kEpsilon)) {
    if (eval.sensitive && SameValue(eval, outcome, kSensitiveEpsilon)) {
      counts_.sensitive_loose += 1;
    } else if (is_exact()) {
      counts_.exact += 1;
    } else {
      problem = std::string(eval.sensitive ? "(sensitive) " : "") + "expected " + ExpectedText(eval) + "\n    got " +
                GotText(outcome);
    }
  }
  for (const AnnotationExpectation& want : eval.annotations) {
    if (!evaluator_->Annotates()) {
      break;
    }
    const std::vector<std::string>& got = want.kind == AnnotationKind::kWarn ? outcome.warnings : outcome.infos;
    const bool matches =
        want.none ? got.empty() : !got.empty() && std::all_of(got.begin(), got.end(), [&](const std::string& text) {
          return MessageMatches(text, want.message, want.regex);
        });
    if (!matches && problem.empty()) {
      problem = std::string("expected ") + (want.none ? "no " : "") +
                (want.kind == AnnotationKind::kWarn ? "warning" : "info") +
                (want.message.empty() && want.regex.empty() ? "" : ": " + want.message + want.regex) + "\n    got " +
                (got.empty() ? "none" : got[0]);
    }
  }
  if (problem.empty()) {
    counts_.passed += 1;
    return;
  }
  // A rounding decided the expected result (a comparison at its edge, a last digit that became a label value), or the layout of
  // chunks did.
  if (eval.sensitive || outside) {
    rounding_.push_back({file, eval.line, eval.expr, problem});
    return;
  }
  counts_.failed += 1;
  failures_.push_back({file, eval.line, eval.expr, problem});
}

void ScriptRunner::Finish() {
  counts_.sensitive_missed = rounding_.size();
  while (rounding_.size() > 1 + counts_.passed / 500) {
    counts_.failed += 1;
    failures_.push_back(std::move(rounding_.back()));
    rounding_.pop_back();
  }
}

std::string ScriptRunner::Summary() const {
  return "passed " + std::to_string(counts_.passed) + ", failed " + std::to_string(counts_.failed) + ", unsupported " +
         std::to_string(counts_.unsupported) + ", undecidable " + std::to_string(counts_.undecidable) +
         "\nsensitive evals within the loose tolerance only " + std::to_string(counts_.sensitive_loose) +
         ", decided by a rounding " + std::to_string(counts_.sensitive_missed) +
         (exact_ == nullptr ? "" : ", exact where Prometheus rounds " + std::to_string(counts_.exact));
}

}  // namespace weir::promqltest
