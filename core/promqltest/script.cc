#include "core/promqltest/script.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/model/duration.h"
#include "core/model/sample.h"
#include "core/promqltest/custom_buckets.h"

namespace weir::promqltest {

namespace {

constexpr size_t kRangeStepsMax = 100000;  // ticks of one `eval range`

std::string_view Trim(std::string_view s) {
  size_t begin = s.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) {
    return {};
  }
  return s.substr(begin, s.find_last_not_of(" \t\r") - begin + 1);
}

// Cuts the first word off `rest`.
std::string_view Word(std::string_view* rest) {
  *rest = Trim(*rest);
  size_t end = rest->find_first_of(" \t");
  std::string_view word = rest->substr(0, end);
  *rest = end == std::string_view::npos ? std::string_view() : Trim(rest->substr(end));
  return word;
}

bool TakePrefix(std::string_view* s, std::string_view prefix) {
  if (s->substr(0, prefix.size()) != prefix) {
    return false;
  }
  *s = Trim(s->substr(prefix.size()));
  return true;
}

// A bare number as upstream reads a scalar expectation.
std::optional<double> ParseNumber(std::string_view text) {
  if (text.empty()) {
    return std::nullopt;
  }
  std::string s(text);
  char* end = nullptr;
  double v = std::strtod(s.c_str(), &end);
  if (end != s.c_str() + s.size()) {
    return std::nullopt;
  }
  return std::isnan(v) ? NormalNaN() : v;
}

Result<int64_t> ParseTime(std::string_view text) {
  bool negative = !text.empty() && text[0] == '-';
  std::string_view magnitude = negative ? text.substr(1) : text;
  Result<int64_t> duration = ParseDurationMs(magnitude);
  if (duration.ok()) {
    return negative ? -*duration : *duration;
  }
  std::optional<double> seconds = ParseNumber(text);
  if (seconds && std::isfinite(*seconds) && std::fabs(*seconds) < 1e15) {
    return static_cast<int64_t>(std::llround(*seconds * 1000));
  }
  return InvalidError("invalid time: " + std::string(text));
}

class Reader {
 public:
  Reader(std::string_view text, std::string file) : file_(std::move(file)) {
    while (true) {
      size_t end = text.find('\n');
      lines_.push_back(Trim(text.substr(0, end)));
      if (end == std::string_view::npos) {
        break;
      }
      text.remove_prefix(end + 1);
    }
  }

  Result<Script> Read() {
    Script script;
    script.file = file_;
    bool sensitive = false;
    for (at_ = 0; at_ < lines_.size(); ++at_) {
      std::string_view line = lines_[at_];
      if (line.empty() || line[0] == '#') {
        sensitive = line == "# sensitive";
        continue;
      }
      Command command;
      Status status = ReadCommand(line, &command);
      if (!status.ok()) {
        return status;
      }
      command.eval.sensitive = sensitive;
      sensitive = false;
      script.commands.push_back(std::move(command));
    }
    return script;
  }

 private:
  Status Error(std::string_view message) const {
    return InvalidError(file_ + ":" + std::to_string(at_ + 1) + ": " + std::string(message));
  }
  Status Error(const Status& status) const { return Error(status.message()); }

  // Moves to the next line of the block. RETURNS: false at a blank or comment line, which end it.
  bool NextInBlock(std::string_view* line) {
    if (at_ + 1 >= lines_.size() || lines_[at_ + 1].empty() || lines_[at_ + 1][0] == '#') {
      return false;
    }
    *line = lines_[++at_];
    return true;
  }

  Status ReadCommand(std::string_view line, Command* command) {
    std::string_view rest = line;
    std::string_view word = Word(&rest);
    if (word == "clear" && rest.empty()) {
      command->kind = Command::Kind::kClear;
      return {};
    }
    if (word == "load" || word == "load_with_nhcb") {
      command->kind = Command::Kind::kLoad;
      return ReadLoad(rest, word == "load_with_nhcb", &command->load);
    }
    if (word.substr(0, 4) == "eval") {
      command->kind = Command::Kind::kEval;
      return ReadEval(word, rest, &command->eval);
    }
    return Error("unknown command, want load, load_with_nhcb, clear or eval: " + std::string(word));
  }

  Status ReadLoad(std::string_view step_text, bool with_nhcb, std::vector<LoadedSeries>* out) {
    Result<int64_t> step = ParseTime(step_text);
    if (!step.ok() || *step <= 0) {
      return Error("invalid load step: " + std::string(step_text));
    }
    std::string_view line;
    std::vector<promql::SeriesDescription> start_times;
    while (NextInBlock(&line)) {
      Result<promql::SeriesDescription> d = promql::ParseSeriesDescription(line);
      if (!d.ok()) {
        return Error(d.status());
      }
      if (d->start_times) {
        start_times.push_back(std::move(*d));
        continue;
      }
      out->push_back(Expand(*d, *step));
    }
    for (const promql::SeriesDescription& st : start_times) {
      Status status = ApplyStartTimes(st, *step, out);
      if (!status.ok()) {
        return status;
      }
    }
    if (with_nhcb) {
      const Status status = AddCustomBucketSeries(out);
      return status.ok() ? status : Error(status);
    }
    return {};
  }

  static LoadedSeries Expand(const promql::SeriesDescription& d, int64_t step) {
    LoadedSeries series;
    series.labels = d.labels;
    for (size_t i = 0; i < d.values.size(); ++i) {
      const promql::SequenceValue& value = d.values[i];
      int64_t t = static_cast<int64_t>(i) * step;
      if (value.omitted) {
        continue;
      }
      if (value.histogram) {
        series.histograms.push_back({t, value.histogram});
      } else {
        series.samples.push_back({t, value.value, 0});
      }
    }
    return series;
  }

  // A `metric{…}@st` line gives the start time of each sample relative to the sample, in milliseconds.
  Status ApplyStartTimes(const promql::SeriesDescription& d, int64_t step, std::vector<LoadedSeries>* out) const {
    for (LoadedSeries& series : *out) {
      if (!(series.labels == d.labels)) {
        continue;
      }
      const auto apply = [&](auto* samples) {
        for (auto& sample : *samples) {
          size_t i = static_cast<size_t>(sample.t / step);
          if (i < d.values.size() && !d.values[i].omitted) {
            sample.start = sample.t + static_cast<int64_t>(std::llround(d.values[i].value));
          }
        }
      };
      apply(&series.samples);
      apply(&series.histograms);
      return {};
    }
    return Error("start times for a series that the block does not load: " + d.labels.ToString());
  }

  Status ReadEval(std::string_view word, std::string_view rest, EvalCase* eval) {
    eval->line = static_cast<int>(at_) + 1;
    if (word == "eval_fail") {
      eval->fail = true;
    } else if (word == "eval_ordered") {
      eval->ordered = true;
    } else if (word == "eval_warn" || word == "eval_info") {
      eval->annotations.push_back({word == "eval_warn" ? AnnotationKind::kWarn : AnnotationKind::kInfo, false, "", ""});
    } else if (word != "eval") {
      return Error("unknown command: " + std::string(word));
    }
    std::string_view kind = Word(&rest);
    Status status = kind == "instant" ? ReadInstant(rest, eval)
                    : kind == "range" ? ReadRange(rest, eval)
                                      : Error("an eval is instant or range: " + std::string(kind));
    if (!status.ok()) {
      return status;
    }
    std::string_view line;
    while (NextInBlock(&line)) {
      status = ReadExpectation(line, eval);
      if (!status.ok()) {
        return status;
      }
    }
    return {};
  }

  Status ReadInstant(std::string_view rest, EvalCase* eval) {
    if (TakePrefix(&rest, "at ")) {
      Result<int64_t> t = ParseTime(Word(&rest));
      if (!t.ok()) {
        return Error(t.status());
      }
      eval->start_ms = eval->end_ms = *t;
    }
    eval->expr = std::string(rest);
    return rest.empty() ? Error("no expression") : Status();
  }

  // `from A to B step S`, leaving what follows in `rest`.
  Status ReadSpan(std::string_view* rest, int64_t* from, int64_t* to, int64_t* step) {
    const std::string_view words[] = {"from", "to", "step"};
    int64_t* const targets[] = {from, to, step};
    for (size_t i = 0; i < 3; ++i) {
      if (Word(rest) != words[i]) {
        return Error("want from START to END step STEP");
      }
      Result<int64_t> t = ParseTime(Word(rest));
      if (!t.ok()) {
        return Error(t.status());
      }
      *targets[i] = *t;
    }
    if (*step <= 0 || *to < *from || static_cast<size_t>((*to - *from) / *step) > kRangeStepsMax) {
      return Error("the range has no step, ends before it starts or has more than " + std::to_string(kRangeStepsMax) +
                   " steps");
    }
    return {};
  }

  Status ReadRange(std::string_view rest, EvalCase* eval) {
    eval->range = true;
    WEIR_RETURN_IF_ERROR(ReadSpan(&rest, &eval->start_ms, &eval->end_ms, &eval->step_ms));
    eval->expr = std::string(rest);
    return rest.empty() ? Error("no expression") : Status();
  }

  Status ReadExpectation(std::string_view line, EvalCase* eval) {
    std::string_view rest = line;
    std::string_view word = Word(&rest);
    if (word == "expect") {
      return ReadExpect(rest, eval);
    }
    if (word == "expected_fail_message") {
      eval->fail_message = std::string(rest);
      return {};
    }
    if (word == "expected_fail_regexp") {
      eval->fail_regex = std::string(rest);
      return {};
    }
    if (std::optional<double> number = ParseNumber(line)) {
      eval->scalar = number;
      return {};
    }
    Result<promql::SeriesDescription> d = promql::ParseSeriesDescription(line);
    if (!d.ok()) {
      return Error(d.status());
    }
    eval->series.push_back({static_cast<int>(at_) + 1, d->labels, d->values});
    return {};
  }

  Status ReadExpect(std::string_view rest, EvalCase* eval) {
    if (TakePrefix(&rest, "range vector ")) {
      eval->matrix = true;
      return ReadSpan(&rest, &eval->matrix_start_ms, &eval->matrix_end_ms, &eval->matrix_step_ms);
    }
    if (TakePrefix(&rest, "string ")) {
      promql::ParseOutcome outcome = promql::ParseExpr(rest);
      if (!outcome.expr || outcome.expr->kind != promql::ExprKind::kString) {
        return Error("want a quoted string: " + std::string(rest));
      }
      eval->text = promql::As<promql::StringLiteral>(*outcome.expr).value;
      return {};
    }
    std::string_view what = Word(&rest);
    std::string message;
    std::string regex;
    if (TakePrefix(&rest, "msg:")) {
      message = std::string(rest);
    } else if (TakePrefix(&rest, "regex:")) {
      regex = std::string(rest);
    } else if (!rest.empty()) {
      return Error("want msg: or regex: after expect " + std::string(what) + ": " + std::string(rest));
    }
    if (what == "ordered") {
      eval->ordered = true;
    } else if (what == "fail") {
      eval->fail = true;
      eval->fail_message = message;
      eval->fail_regex = regex;
    } else if (what == "warn" || what == "no_warn") {
      eval->annotations.push_back({AnnotationKind::kWarn, what[0] == 'n', message, regex});
    } else if (what == "info" || what == "no_info") {
      eval->annotations.push_back({AnnotationKind::kInfo, what[0] == 'n', message, regex});
    } else {
      return Error("unknown expectation: " + std::string(what));
    }
    return {};
  }

  const std::string file_;
  std::vector<std::string_view> lines_;
  size_t at_ = 0;
};

}  // namespace

std::vector<int64_t> EvalCase::Times() const {
  if (!range) {
    return {start_ms};
  }
  std::vector<int64_t> times;
  for (int64_t t = start_ms; t <= end_ms; t += step_ms) {
    times.push_back(t);
  }
  return times;
}

Result<Script> ParseScript(std::string_view text, std::string file) { return Reader(text, std::move(file)).Read(); }

}  // namespace weir::promqltest
