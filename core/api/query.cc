#include "core/api/api.h"
#include "core/api/envelope.h"
#include "core/api/json_writer.h"
#include "core/api/time_parameter.h"
#include "core/model/duration.h"
#include "core/promql/parser.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

namespace weir::api {
namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

struct QueryParameters {
  std::string query;
  std::optional<int64_t> time_ms;
  size_t limit = 0;  // 0: none
};

Result<QueryParameters> Read(const Parameters& parameters) {
  QueryParameters read;
  for (const auto& [name, value] : parameters) {
    if (name == "query") {
      read.query = value;
    } else if (name == "time" && !value.empty()) {
      Result<int64_t> time = ParseTime(value);
      if (!time.ok()) {
        return InvalidError("invalid parameter \"time\": " + std::string(time.status().message()));
      }
      read.time_ms = *time;
    } else if (name == "limit" && !value.empty()) {
      char* end = nullptr;
      const long limit = std::strtol(value.c_str(), &end, 10);
      if (*end != '\0' || limit < 0) {
        return InvalidError("invalid parameter \"limit\": want a number that is not negative, got \"" + value + "\"");
      }
      read.limit = static_cast<size_t>(limit);
    }
  }
  return read;
}

void WriteSample(JsonWriter& json, int64_t t_ms, double v) {
  json.BeginArray().Timestamp(t_ms).String(FormatSampleValue(v)).EndArray();
}

// RETURNS: whether elements were left out for the limit.
bool WriteVector(JsonWriter& json, const engine::Evaluation& evaluation, const LabelSetTable& labels, int64_t t_ms,
                 size_t limit) {
  json.BeginArray();
  size_t written = 0;
  bool truncated = false;
  const auto write = [&](size_t slot) {
    if (limit > 0 && written == limit) {
      truncated = true;
      return;
    }
    json.BeginObject().Key("metric").Object(labels.ToLabels(evaluation.vector.labels(slot)));
    if (const HistogramRef h = evaluation.vector.histogram(slot); h != nullptr) {
      json.Key("histogram").BeginArray().Timestamp(t_ms).Histogram(*h).EndArray();
    } else {
      WriteSample(json.Key("value"), t_ms, evaluation.vector.value(slot));
    }
    json.EndObject();
    ++written;
  };
  if (!evaluation.order.empty()) {
    std::for_each(evaluation.order.begin(), evaluation.order.end(), write);
  } else {
    for (size_t slot = 0; slot < evaluation.vector.size(); ++slot) {
      if (evaluation.vector.present(slot)) {
        write(slot);
      }
    }
  }
  json.EndArray();
  return truncated;
}

// At most ten of a kind are shown, as in Prometheus.
void AddRemark(std::string text, std::vector<std::string>* to) {
  constexpr size_t kRemarksMax = 10;
  if (to->size() < kRemarksMax) {
    to->push_back(std::move(text));
  }
}

}  // namespace

HttpResponse AnswerQuery(runtime::Pipeline& pipeline, const Parameters& parameters) {
  const Result<QueryParameters> read = Read(parameters);
  if (!read.ok()) {
    return Failure(ErrorType::kBadData, read.status().message());
  }
  const promql::ParseOutcome parsed = promql::ParseExpr(read->query, pipeline.settings().parser);
  if (parsed.expr == nullptr) {
    return Failure(ErrorType::kBadData, "invalid parameter \"query\": " +
                                            (parsed.errors.empty() ? "parse error" : parsed.errors.front().ToString()));
  }
  if (pipeline.last_tick_ms() == INT64_MIN) {
    return Failure(ErrorType::kUnavailable, "no tick has run yet");
  }
  // Beyond the last tick samples are still arriving, and hidden evaluations must not run ahead of them.
  const int64_t t_ms = std::min(read->time_ms.value_or(INT64_MAX), pipeline.QueryableMs());
  engine::Evaluation evaluation = pipeline.engine().EvaluateOnce(*parsed.expr, t_ms);
  if (!evaluation.status.ok()) {
    return Failure(ErrorType::kExecution, evaluation.status.message());
  }
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
  for (const engine::Remark& remark : evaluation.remarks) {
    AddRemark(remark.Shown(read->query), remark.info ? &infos : &warnings);
  }
  JsonWriter json;
  json.BeginObject();
  switch (evaluation.type) {
    case promql::ValueType::kVector:
      json.Field("resultType", "vector").Key("result");
      if (WriteVector(json, evaluation, pipeline.engine().labels(), t_ms, read->limit)) {
        warnings.push_back("results truncated due to limit");
      }
      break;
    case promql::ValueType::kScalar:
      json.Field("resultType", "scalar").Key("result");
      WriteSample(json, t_ms, evaluation.scalar);
      break;
    case promql::ValueType::kString:
      json.Field("resultType", "string").Key("result").BeginArray().Timestamp(t_ms).String(evaluation.text).EndArray();
      break;
    default:
      return Failure(ErrorType::kExecution,
                     "weir keeps no raw samples: a range vector cannot be returned, only functions over it");
  }
  json.EndObject();
  return Success(json.text(), warnings, infos);
}

}  // namespace weir::api
