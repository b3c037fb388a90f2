// What queries give, and args.

#include "core/template/functions.h"

#include <algorithm>

namespace weir::tmpl {
namespace {

Result<Value> Query(Context context, Arguments arguments) {
  if (context.query == nullptr || !*context.query) {
    return UnsupportedError("queries cannot run here");
  }
  auto results = (*context.query)(arguments[0].text, context.ts_ms);
  if (!results.ok()) {
    return results.status();
  }
  auto list = std::make_shared<SampleList>();
  list->reserve(results->size());
  for (const QueryResult& result : *results) {
    auto labels = std::make_shared<LabelMap>();
    for (const LabelView& label : result.labels) {
      labels->emplace(label.name, label.value);
    }
    list->push_back(std::make_shared<const SampleValue>(SampleValue{std::move(labels), result.value}));
  }
  return Value::Samples(std::move(list));
}

Result<Value> First(Context, Arguments arguments) {
  const auto& samples = arguments[0].samples;
  if (!samples || samples->empty()) {
    return InvalidError("first() called on vector with no elements");
  }
  return Value::Sample(samples->front());
}

std::string LabelOf(const SampleValue& sample, std::string_view name) {
  const auto found = sample.labels->find(name);
  return found == sample.labels->end() ? "" : found->second;
}

Status NoSample() { return InvalidError("runtime error: invalid memory address or nil pointer dereference"); }

Result<Value> LabelValue(Context, Arguments arguments) {
  return arguments[1].sample ? Result<Value>(Value::String(LabelOf(*arguments[1].sample, arguments[0].text)))
                             : NoSample();
}
Result<Value> SampleNumber(Context, Arguments arguments) {
  return arguments[0].sample ? Result<Value>(Value::Float(arguments[0].sample->value)) : NoSample();
}
Result<Value> SampleText(Context, Arguments arguments) {
  return arguments[0].sample ? Result<Value>(Value::String(LabelOf(*arguments[0].sample, "__value__"))) : NoSample();
}

Result<Value> SortByLabel(Context, Arguments arguments) {
  auto sorted = std::make_shared<SampleList>(arguments[1].samples ? *arguments[1].samples : SampleList());
  const std::string& name = arguments[0].text;
  std::stable_sort(sorted->begin(), sorted->end(),
                   [&](const auto& a, const auto& b) { return LabelOf(*a, name) < LabelOf(*b, name); });
  return Value::Samples(std::move(sorted));
}

Result<Value> Args(Context, Arguments arguments) {
  auto map = std::make_shared<ArgMap>();
  for (size_t i = 0; i < arguments.size(); ++i) {
    map->emplace("arg" + std::to_string(i), arguments[i]);
  }
  Value value;
  value.kind = Kind::kArgMap;
  value.args = std::move(map);
  return value;
}

constexpr Function kRows[] = {
    {"args", "a*", Args},
    {"first", "Q", First},
    {"label", "sS", LabelValue},
    {"query", "s", Query},
    {"sortByLabel", "sQ", SortByLabel},
    {"strvalue", "S", SampleText},
    {"value", "S", SampleNumber},
};

}  // namespace

std::span<const Function> SampleFunctions() { return kRows; }

}  // namespace weir::tmpl
