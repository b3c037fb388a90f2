#pragma once
// What the template tests share: one set of data and a fake query.

#include <string>

#include "core/template/template.h"

namespace weir::tmpl {

inline constexpr int64_t kNowMs = 1643114203123;

inline TemplateData SampleData() {
  TemplateData data;
  data.labels = Labels{{"__name__", "up"}, {"instance", "db-1.example.org:9100"}, {"job", "db"}};
  data.external_labels = Labels{{"cluster", "eu"}};
  data.external_url = "http://weir.example:9797/a/path";
  data.value = 3.5;
  return data;
}

// Answers `metric` with three elements, `empty` with none, `text` with a string result; everything else is an error.
inline Result<std::vector<QueryResult>> FakeQuery(const std::string& expr, int64_t ts_ms) {
  if (ts_ms != kNowMs) {
    return InternalError("wrong time");
  }
  if (expr == "metric") {
    return std::vector<QueryResult>{{Labels{{"__name__", "metric"}, {"instance", "c"}}, 3},
                                    {Labels{{"__name__", "metric"}, {"instance", "a"}}, 1},
                                    {Labels{{"__name__", "metric"}, {"instance", "b"}}, 2.5}};
  }
  if (expr == "empty") {
    return std::vector<QueryResult>{};
  }
  if (expr == "text") {
    return std::vector<QueryResult>{{Labels{{"__value__", "hello"}}, 0}};
  }
  return UnavailableError("query " + expr + " failed");
}

// RETURNS: the expansion, or its error text.
inline std::string ExpandText(const std::string& text, const TemplateData& data = SampleData()) {
  auto parsed = Template::Parse("__alert_X", text);
  if (!parsed.ok()) {
    return std::string(parsed.status().message());
  }
  auto out = parsed->Expand(data, kNowMs, FakeQuery);
  return out.ok() ? *out : std::string(out.status().message());
}

}  // namespace weir::tmpl
