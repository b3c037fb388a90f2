#pragma once
// Runs conformance scripts against an evaluator and says, eval by eval, whether the results are those expected
// (comparison rules of semantics §9.3). The evaluator is handed all evals that see the same samples at once, so
// that a streaming one can plan them together and feed the samples in one pass. No state between scripts.

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/model/labels.h"
#include "core/promql/ast.h"
#include "core/promqltest/script.h"

namespace weir::promqltest {

// All samples loaded since the last `clear`, in time order per series.
using Storage = std::map<Labels, LoadedSeries>;

// One eval as evaluators see it.
struct EvalRequest {
  const EvalCase* eval = nullptr;
  promql::ExprPtr expr;
};

struct ResultSample {
  Labels labels;
  double v = 0;
  HistogramRef h;  // null: a float
};

struct ResultSeries {
  Labels labels;
  std::vector<Sample> points;
};

// The value at one evaluation time.
struct TickResult {
  promql::ValueType type = promql::ValueType::kVector;
  std::vector<ResultSample> vector;  // in result order
  double scalar = 0;
  std::string text;
  std::vector<ResultSeries> matrix;
};

struct Outcome {
  enum class Kind : unsigned char { kValue, kError, kUnsupported, kUndecidable };
  Kind kind = Kind::kValue;
  std::string message;            // of kError: what failed; of the last two: why
  std::vector<TickResult> ticks;  // one per evaluation time
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
};

class Evaluator {
 public:
  virtual ~Evaluator() = default;
  // RETURNS: one outcome per request.
  virtual std::vector<Outcome> Evaluate(const Storage& storage, std::span<const EvalRequest> requests) = 0;
  // RETURNS: whether it tells annotations; else those that are expected are not asked for.
  virtual bool Annotates() const { return true; }
};

enum class Verdict : unsigned char { kPassed, kFailed, kUnsupported, kUndecidable };

struct Failure {
  std::string file;
  int line = 0;
  std::string expr;
  std::string detail;  // expected and got
};

struct Counts {
  size_t passed = 0;
  size_t failed = 0;
  size_t unsupported = 0;
  size_t undecidable = 0;
  size_t sensitive_loose = 0;   // `# sensitive` evals that only met the loose tolerance
  size_t sensitive_missed = 0;  // … and those that missed even that, or may; see Finish
  size_t exact = 0;             // of `passed`: equal to the exact result, and not to the expected one
};

class ScriptRunner {
 public:
  // `exact`: what the results are without the roundings of Prometheus's folds, which windows on tape do not have; an eval that
  // differs from what is expected passes when it is equal to that. Null: nothing is asked.
  explicit ScriptRunner(Evaluator* evaluator, Evaluator* exact = nullptr) : evaluator_(evaluator), exact_(exact) {}
  // ERRORS: kInvalid when the script cannot be read; the counts then hold nothing of it.
  Status Run(std::string_view text, const std::string& file);

  // After the last script. What a rounding decided otherwise is a failure where there is more of it than honest rounding makes: 1 and
  // 1 in 500.
  void Finish();

  const Counts& counts() const { return counts_; }
  const std::vector<Failure>& failures() const { return failures_; }
  // Evals whose result a rounding, or what the samples do not tell, decided otherwise; see Finish.
  const std::vector<Failure>& decided_by_rounding() const { return rounding_; }
  // Evals not run and why, `file:line: reason`.
  const std::vector<std::string>& skips() const { return skips_; }
  // RETURNS: `passed N, failed N, unsupported N, undecidable N`, and a line on `# sensitive` evals and exact ones.
  std::string Summary() const;

 private:
  void RunGroup(const Storage& storage, const std::vector<const EvalCase*>& cases, const std::string& file);
  // `outside`: the result may hang on what the samples do not tell (SeesChunks, SeesLastDigits, PicksByOrder).
  // `is_exact`: asked when the outcome differs.
  void Judge(const EvalCase& eval, const Outcome& outcome, bool outside, const std::function<bool()>& is_exact,
             const std::string& file);
  // RETURNS: whether the outcome is the exact one.
  bool IsExact(const Storage& storage, const EvalRequest& request, const Outcome& outcome) const;

  Evaluator* const evaluator_;
  Evaluator* const exact_;
  Counts counts_;
  std::vector<Failure> failures_;
  std::vector<Failure> rounding_;
  std::vector<std::string> skips_;
};

// almost.Equal of upstream: stale only equals stale, NaN equals NaN. UNITS: `epsilon` is relative.
bool AlmostEqual(double a, double b, double epsilon);

}  // namespace weir::promqltest
