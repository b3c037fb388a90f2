// fuzz: links template
// Any text must parse or be refused, and what parses must expand to a text or an error within the limits.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/template/template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto parsed = tmpl::Template::Parse("fuzz", text);
  if (!parsed.ok()) {
    return 0;
  }
  tmpl::TemplateData values;
  values.labels = Labels{{"__name__", "up"}, {"instance", "a.b:1"}, {"job", "j"}};
  values.external_url = "http://h:1/p";
  values.value = 1.5;
  const tmpl::QueryFn query = [](const std::string&, int64_t) -> Result<std::vector<tmpl::QueryResult>> {
    return std::vector<tmpl::QueryResult>{{Labels{{"instance", "x"}}, 1}, {Labels{{"__value__", "y"}}, 2}};
  };
  const auto out = parsed->Expand(values, 1643114203123, query);
  if (out.ok() && out->size() > tmpl::kOutputBytesMax) {
    abort();
  }
  return 0;
}
