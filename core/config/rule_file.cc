#include "core/config/rule_file.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "core/base/files.h"
#include "core/config/yaml.h"
#include "core/model/duration.h"
#include "core/plugin/options.h"
#include "core/template/template.h"

namespace weir::config {
namespace {

using yaml::Entry;
using yaml::Kind;
using yaml::Node;
using yaml::NodePtr;
using yaml::Source;

using Names = std::span<const std::string_view>;
constexpr std::string_view kFileKeys[] = {"groups"};
constexpr std::string_view kGroupKeys[] = {"name", "interval", "query_offset", "limit", "labels", "rules"};
constexpr std::string_view kResourceGroupKeys[] = {
    "name", "interval", "query_offset", "limit", "labels", "rules", "partial_response_strategy"};
constexpr std::string_view kRuleKeys[] = {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"};

bool IsUtf8Name(std::string_view name) { return !name.empty() && IsValidUtf8(name); }

// A fix on one line, for a message on one line; with comments in it, it stays as it is.
std::string OneLine(const std::string& fix) {
  if (fix.find('#') != std::string::npos) {
    return fix;
  }
  std::string out;
  bool in_space = false;
  for (const char c : fix) {
    const bool space = c == '\n' || c == '\r' || (c == ' ' && in_space) || (c == '\t' && in_space);
    if (!space) {
      out.push_back(c);
    } else if (!in_space && !out.empty()) {
      out.push_back(' ');
    }
    in_space = space || (in_space && c == ' ');
  }
  while (!out.empty() && out.back() == ' ') {
    out.pop_back();
  }
  return out;
}

std::vector<ExprRun> MakeRuns(const Source& source, const Node& scalar) {
  const auto offsets = source.FileOffsets(scalar);
  if (!offsets.has_value()) {
    const yaml::Place place = source.PlaceOf(scalar.offset);
    return {{0, place.line, place.column, false}};
  }
  std::vector<ExprRun> runs;
  int line = 0;
  for (size_t i = 0; i < offsets->size(); ++i) {
    const uint32_t at = (*offsets)[i];
    const bool follows = i > 0 && at == (*offsets)[i - 1] + 1 && runs.back().solid;
    const bool repeats = i > 0 && at == (*offsets)[i - 1];
    if (repeats && !runs.back().solid) {
      continue;
    }
    const yaml::Place place = source.PlaceOfFileOffset(at);
    if (follows && place.line == line) {
      continue;
    }
    line = place.line;
    runs.push_back({static_cast<uint32_t>(i), place.line, place.column, !repeats});
  }
  return runs;
}

// Reads the rule files of one source: a file, or the text of one key of a ConfigMap.
class RuleReader {
 public:
  // `places` remembers where the groups of the whole file stand, by identity and name.
  RuleReader(const Source& source, std::string identity, bool resource, const promql::ParserOptions& options,
             std::map<std::string, std::string>* places, std::vector<std::string>* errors)
      : source_(source),
        identity_(std::move(identity)),
        resource_(resource),
        options_(options),
        group_places_(*places),
        errors_(*errors) {}

  // Reads `groups` of a rule file or of a resource's spec.
  void ReadGroups(const Node& owner, std::string_view what, std::vector<RuleGroup>* groups) {
    CheckKeys(owner, kFileKeys, what);
    const Entry* entry = owner.Find("groups");
    if (entry == nullptr || entry->value->kind == Kind::kNull) {
      return;
    }
    if (entry->value->kind != Kind::kList) {
      Error(*entry->value, "want a list of groups, got " + Describe(*entry->value));
      return;
    }
    for (const NodePtr& item : entry->value->items) {
      if (item->kind != Kind::kMap) {
        Error(*item, "want a group, got " + Describe(*item));
        continue;
      }
      groups->push_back(ReadGroup(*item));
    }
  }

 private:
  void Error(size_t offset, const std::string& message) {
    yaml::AddProblem(&errors_, source_.Where(offset) + ": " + context_ + message);
  }
  void Error(const Node& node, const std::string& message) { Error(node.offset, message); }

  void CheckKeys(const Node& map, Names known, std::string_view what) {
    for (const Entry& entry : map.entries) {
      if (std::find(known.begin(), known.end(), entry.key) != known.end()) {
        continue;
      }
      const std::string near = plugin::NearestName(entry.key, known);
      Error(entry.key_offset, "unknown key " + GoQuote(entry.key) + " in " + std::string(what) +
                                  (near.empty() ? "" : "; did you mean " + GoQuote(near) + "?"));
    }
  }

  // RETURNS: the scalar's text; "" when the key is absent or null, or (after an error) when it is no scalar.
  std::string Text(const Node& map, std::string_view key) {
    const Entry* entry = map.Find(key);
    if (entry == nullptr || entry->value->kind == Kind::kNull) {
      return "";
    }
    if (entry->value->kind != Kind::kScalar) {
      Error(*entry->value, "want a text for " + GoQuote(key) + ", got " + Describe(*entry->value));
      return "";
    }
    return entry->value->text;
  }

  std::optional<int64_t> Duration(const Node& map, std::string_view key) {
    const Entry* entry = map.Find(key);
    if (entry == nullptr || entry->value->kind == Kind::kNull) {
      return std::nullopt;
    }
    const Node& value = *entry->value;
    const auto parsed = value.kind == Kind::kScalar ? ParseDurationMs(value.text) : Result<int64_t>(InvalidError(""));
    if (!parsed.ok()) {
      Error(value, "want a duration like 30s or 1h30m for " + GoQuote(key) + ", got " + Describe(value));
      return std::nullopt;
    }
    return *parsed;
  }

  uint64_t Limit(const Node& map) {
    const Entry* entry = map.Find("limit");
    if (entry == nullptr || entry->value->kind == Kind::kNull) {
      return 0;
    }
    const std::string& text = entry->value->text;
    int64_t limit = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (text.empty() || end.ec != std::errc() || end.ptr != text.data() + text.size()) {
      Error(*entry->value, "want an integer for \"limit\", got " + Describe(*entry->value));
    }
    return limit > 0 ? static_cast<uint64_t>(limit) : 0;
  }

  std::vector<Label> Map(const Node& map, std::string_view key, std::vector<const Entry*>* entries) {
    std::vector<Label> out;
    const Entry* entry = map.Find(key);
    if (entry == nullptr || entry->value->kind == Kind::kNull) {
      return out;
    }
    if (entry->value->kind != Kind::kMap) {
      Error(*entry->value, "want a map for " + GoQuote(key) + ", got " + Describe(*entry->value));
      return out;
    }
    for (const Entry& item : entry->value->entries) {
      if (item.value->kind == Kind::kList || item.value->kind == Kind::kMap) {
        Error(*item.value,
              "want a text for " + GoQuote(item.key) + " in " + GoQuote(key) + ", got " + Describe(*item.value));
        continue;
      }
      out.push_back({item.key, item.value->text});
      entries->push_back(&item);
    }
    std::sort(out.begin(), out.end(), [](const Label& a, const Label& b) { return a.name < b.name; });
    return out;
  }

  std::vector<Label> LabelMap(const Node& map, std::vector<const Entry*>* entries) {
    std::vector<Label> out = Map(map, "labels", entries);
    for (const Entry* entry : *entries) {
      if (!IsUtf8Name(entry->key)) {
        Error(entry->key_offset, "invalid label name: " + GoQuote(entry->key));
      } else if (entry->key == kMetricName) {
        Error(entry->key_offset, "invalid label name: " + entry->key + "; the name is set by \"record\" or \"alert\"");
      }
      if (!IsValidUtf8(entry->value->text)) {
        Error(*entry->value, "invalid label value: " + GoQuote(entry->value->text));
      }
    }
    return out;
  }

  RuleGroup ReadGroup(const Node& node) {
    context_.clear();
    RuleGroup group;
    group.file = identity_;
    group.where = source_.Where(node);
    group.name = Text(node, "name");
    if (group.name.empty()) {
      Error(node, "the group has no name; give it a \"name\" that no other group of the file has");
    } else if (const auto [first, fresh] = group_places_.try_emplace(identity_ + ";" + group.name, group.where);
               !fresh) {
      Error(*node.Find("name")->value,
            "group name " + GoQuote(group.name) + " is repeated in the same file; first at " + first->second);
    }
    context_ = "group " + GoQuote(group.name) + ": ";
    CheckKeys(node, resource_ ? Names(kResourceGroupKeys) : Names(kGroupKeys), "a group");
    group.interval_ms = Duration(node, "interval").value_or(0);
    group.query_offset_ms = Duration(node, "query_offset");
    group.limit = Limit(node);
    std::vector<const Entry*> label_entries;
    group.labels = LabelMap(node, &label_entries);
    ReadRules(node, &group);
    context_.clear();
    return group;
  }

  void ReadRules(const Node& node, RuleGroup* group) {
    const Entry* rules = node.Find("rules");
    if (rules == nullptr || rules->value->kind == Kind::kNull) {
      return;
    }
    if (rules->value->kind != Kind::kList) {
      Error(*rules->value, "want a list of rules, got " + Describe(*rules->value));
      return;
    }
    for (size_t i = 0; i < rules->value->items.size(); ++i) {
      const Node& item = *rules->value->items[i];
      context_ = "group " + GoQuote(group->name) + ", rule " + std::to_string(i + 1) + ": ";
      if (item.kind != Kind::kMap) {
        Error(item, "want a rule, got " + Describe(item));
        continue;
      }
      group->rules.push_back(ReadRule(item, group->name, i + 1));
    }
  }

  Rule ReadRule(const Node& node, const std::string& group, size_t number) {
    Rule rule;
    rule.where = source_.Where(node);
    rule.places.file = source_.file();
    rule.places.rule = rule.where;
    const std::string record = Text(node, "record");
    const std::string alert = Text(node, "alert");
    rule.alerting = !alert.empty();
    rule.name = rule.alerting ? alert : record;
    context_ = "group " + GoQuote(group) + ", rule " + std::to_string(number) + ", " + GoQuote(rule.name) + ": ";
    CheckKeys(node, kRuleKeys, "a rule");
    if (!record.empty() && !alert.empty()) {
      Error(node, "only one of 'record' and 'alert' must be set");
    } else if (record.empty() && alert.empty()) {
      Error(node, "one of 'record' or 'alert' must be set");
    }
    ReadExpr(node, &rule);
    rule.for_ms = Duration(node, "for").value_or(0);
    rule.keep_firing_for_ms = Duration(node, "keep_firing_for").value_or(0);
    std::vector<const Entry*> label_entries;
    rule.labels = LabelMap(node, &label_entries);
    std::vector<const Entry*> annotation_entries;
    rule.annotations = Map(node, "annotations", &annotation_entries);
    for (const Entry* entry : annotation_entries) {
      if (!IsUtf8Name(entry->key)) {
        Error(entry->key_offset, "invalid annotation name: " + GoQuote(entry->key));
      }
    }
    if (!record.empty()) {
      CheckRecording(node, record, rule);
    }
    if (rule.alerting) {
      CheckTemplates("label", label_entries, rule.name);
      CheckTemplates("annotation", annotation_entries, rule.name);
    }
    return rule;
  }

  void ReadExpr(const Node& node, Rule* rule) {
    rule->expr = Text(node, "expr");
    const Entry* entry = node.Find("expr");
    if (entry == nullptr || entry->value->kind == Kind::kNull ||
        (entry->value->kind == Kind::kScalar && rule->expr.empty())) {
      Error(entry == nullptr ? node : *entry->value, "field 'expr' must be set in rule");
      return;
    }
    if (entry->value->kind != Kind::kScalar) {
      return;  // reported by Text()
    }
    rule->places.runs = MakeRuns(source_, *entry->value);
    rule->expr_where = rule->places.Where(0);
    promql::ParseOutcome parsed = promql::ParseExpr(rule->expr, options_);
    rule->tree = std::move(parsed.expr);
    for (const promql::ParseError& error : parsed.errors) {
      const auto at = static_cast<size_t>(std::max(error.pos.start, 0));
      yaml::AddProblem(&errors_, rule->places.Where(at) + ": " + context_ +
                                     "could not parse expression: " + error.message +
                                     (error.fix.empty() ? "" : "; did you mean: " + OneLine(error.fix)));
    }
  }

  void CheckRecording(const Node& node, const std::string& record, const Rule& rule) {
    const Node& name = *node.Find("record")->value;
    if (!rule.annotations.empty()) {
      Error(node.Find("annotations")->key_offset, "invalid field 'annotations' in recording rule");
    }
    if (rule.for_ms != 0) {
      Error(node.Find("for")->key_offset, "invalid field 'for' in recording rule");
    }
    if (rule.keep_firing_for_ms != 0) {
      Error(node.Find("keep_firing_for")->key_offset, "invalid field 'keep_firing_for' in recording rule");
    }
    if (!IsUtf8Name(record)) {
      Error(name, "invalid recording rule name: " + GoQuote(record));
    } else if (record.find_first_of("{}") != std::string::npos) {
      Error(name, "braces present in the recording rule name; should it be in expr?: " + record);
    }
  }

  void CheckTemplates(std::string_view what, const std::vector<const Entry*>& entries, const std::string& alert) {
    const std::string name = "__alert_" + alert;
    for (const Entry* entry : entries) {
      const Status status = tmpl::TestParse(name, entry->value->text);
      if (!status.ok()) {
        yaml::AddProblem(&errors_,
                         source_.WhereIn(*entry->value, LineOffset(status.message(), name, entry->value->text)) + ": " +
                             context_ + std::string(what) + " " + GoQuote(entry->key) + ": " +
                             std::string(status.message()));
      }
    }
  }

  // Template messages say `NAME:LINE:`. RETURNS: where that line starts in `text`.
  static size_t LineOffset(std::string_view message, const std::string& name, std::string_view text) {
    const size_t at = message.find(name + ":");
    size_t line = 1;
    if (at != std::string_view::npos) {
      const char* digits = message.data() + at + name.size() + 1;
      std::from_chars(digits, message.data() + message.size(), line);
    }
    size_t offset = 0;
    for (; line > 1; --line) {
      const size_t newline = text.find('\n', offset);
      if (newline == std::string_view::npos) {
        break;
      }
      offset = newline + 1;
    }
    const size_t word = text.find_first_not_of(" \t", offset);
    return word == std::string_view::npos ? offset : word;
  }

  const Source& source_;
  const std::string identity_;
  const bool resource_;
  const promql::ParserOptions& options_;
  std::map<std::string, std::string>& group_places_;
  std::vector<std::string>& errors_;
  std::string context_;  // what stands before a message: the group and the rule
};

std::string KindOf(const Node& root) {
  const Entry* kind = root.Find("kind");
  const bool resource = root.Find("apiVersion") != nullptr && kind != nullptr && kind->value->kind == Kind::kScalar;
  return resource ? kind->value->text : "";
}

bool LooksLikeRuleFile(std::string_view key) {
  return key.ends_with(".rules") || key.ends_with(".rules.yml") || key.ends_with(".rules.yaml");
}

// One YAML document that may hold rules: a rule file, or a Kubernetes resource around one.
class DocumentReader {
 public:
  // `several`: the file holds more than one document, so that each resource's name is part of its groups' identity.
  DocumentReader(const Source& source, const promql::ParserOptions& options, bool several, RuleFileOutcome* out)
      : source_(source), options_(options), several_(several), out_(*out) {}

  void ReadPlain(const Node& root) {
    if (root.kind == Kind::kNull) {
      return;
    }
    if (root.kind != Kind::kMap) {
      yaml::AddProblem(&out_.errors, source_.Where(root) + ": want a rule file with \"groups\", got " + Describe(root));
      return;
    }
    RuleReader(source_, source_.file(), false, options_, &group_places_, &out_.errors)
        .ReadGroups(root, "a rule file", &out_.file.groups);
  }

  // RETURNS: whether the resource is of a kind that can hold rules.
  bool ReadResource(const Node& root) {
    const std::string kind = KindOf(root);
    if (kind == "PrometheusRule") {
      ReadPrometheusRule(root);
      return true;
    }
    if (kind == "ConfigMap") {
      ReadConfigMap(root);
      return true;
    }
    bool any = false;
    if (const Entry* items = root.Find("items"); kind.ends_with("List") && items != nullptr) {
      several_ = true;
      for (const NodePtr& item : items->value->items) {
        any = (item->kind == Kind::kMap && ReadResource(*item)) || any;
      }
    }
    return any;
  }

 private:
  void ReadPrometheusRule(const Node& root) {
    const Entry* spec = root.Find("spec");
    if (spec == nullptr || spec->value->kind != Kind::kMap) {
      yaml::AddProblem(&out_.errors, source_.Where(root) +
                                         ": want a \"spec\" with \"groups\" in the PrometheusRule, got " +
                                         (spec == nullptr ? "nothing" : Describe(*spec->value)));
      return;
    }
    RuleReader(source_, Identity(root), true, options_, &group_places_, &out_.errors)
        .ReadGroups(*spec->value, "the spec of a PrometheusRule", &out_.file.groups);
  }

  void ReadConfigMap(const Node& root) {
    const Entry* data = root.Find("data");
    size_t found = 0;
    if (data != nullptr) {
      for (const Entry& entry : data->value->entries) {
        found += entry.value->kind == Kind::kScalar && ReadKey(entry, Identity(root)) ? 1 : 0;
      }
    }
    if (found == 0) {
      yaml::AddProblem(&out_.errors,
                       source_.Where(data == nullptr ? root : *data->value) +
                           ": no key of the ConfigMap's \"data\" holds a rule file (a block of text with \"groups\")");
    }
  }

  // RETURNS: whether the key holds a rule file, or should.
  bool ReadKey(const Entry& entry, const std::string& identity) {
    const Source inner(source_, *entry.value);
    const yaml::Documents documents = yaml::Parse(inner);
    const bool named = LooksLikeRuleFile(entry.key);
    if (!documents.error.empty()) {
      const bool yaml_file = entry.key.ends_with(".yml") || entry.key.ends_with(".yaml");
      if (named || yaml_file) {
        yaml::AddProblem(&out_.errors, documents.error);
      }
      return named || yaml_file;
    }
    if (documents.roots.empty() || documents.roots[0]->Find("groups") == nullptr) {
      if (named) {
        yaml::AddProblem(&out_.errors,
                         source_.Where(*entry.value) + ": want a rule file with \"groups\" in " + GoQuote(entry.key));
      }
      return named;
    }
    RuleReader(inner, identity + "/" + entry.key, false, options_, &group_places_, &out_.errors)
        .ReadGroups(*documents.roots[0], "a rule file", &out_.file.groups);
    return true;
  }

  std::string Identity(const Node& resource) const {
    const Entry* metadata = resource.Find("metadata");
    const Entry* name = metadata == nullptr ? nullptr : metadata->value->Find("name");
    return source_.file() + (several_ && name != nullptr ? "/" + name->value->text : "");
  }

  const Source& source_;
  const promql::ParserOptions& options_;
  bool several_;
  RuleFileOutcome& out_;
  std::map<std::string, std::string> group_places_;
};

}  // namespace

std::string ExprPlaces::Where(size_t offset) const {
  const auto next = std::upper_bound(runs.begin(), runs.end(), offset,
                                     [](size_t wanted, const ExprRun& run) { return wanted < run.offset; });
  if (next == runs.begin()) {
    return rule;
  }
  const ExprRun& run = *(next - 1);
  const int further = run.solid ? static_cast<int>(offset - run.offset) : 0;
  return file + ":" + std::to_string(run.line) + ":" + std::to_string(run.column + further);
}

RuleFileOutcome ParseRuleFile(const std::string& name, std::string_view text, const promql::ParserOptions& options) {
  RuleFileOutcome out;
  out.file.path = name;
  const Source source(name, text);
  const yaml::Documents documents = yaml::Parse(source);
  if (!documents.error.empty()) {
    out.errors.push_back(documents.error);
    return out;
  }
  DocumentReader reader(source, options, documents.roots.size() > 1, &out);
  const bool resources = std::any_of(documents.roots.begin(), documents.roots.end(),
                                     [](const NodePtr& root) { return !KindOf(*root).empty(); });
  if (!resources) {  // of a plain rule file only the first document counts
    if (!documents.roots.empty()) {
      reader.ReadPlain(*documents.roots[0]);
    }
    return out;
  }
  bool any = false;
  for (const NodePtr& root : documents.roots) {
    any = (root->kind == Kind::kMap && reader.ReadResource(*root)) || any;
  }
  if (!any) {
    const Node& root = **std::find_if(documents.roots.begin(), documents.roots.end(),
                                      [](const NodePtr& r) { return !KindOf(*r).empty(); });
    out.errors.push_back(source.Where(*root.Find("kind")->value) + ": kind " + GoQuote(KindOf(root)) +
                         " holds no rules; want a rule file, a PrometheusRule or a ConfigMap");
  }
  return out;
}

RuleFileOutcome LoadRuleFile(const std::string& path, const promql::ParserOptions& options) {
  const Result<std::string> text = ReadFile(path);
  if (!text.ok()) {
    RuleFileOutcome out;
    out.file.path = path;
    out.errors.emplace_back(text.status().message());
    return out;
  }
  return ParseRuleFile(path, *text, options);
}

std::vector<Label> MergeLabels(const std::vector<Label>& group, const std::vector<Label>& rule) {
  std::map<std::string, std::string> merged;
  for (const Label& label : group) {
    merged[label.name] = label.value;
  }
  for (const Label& label : rule) {
    merged[label.name] = label.value;
  }
  std::vector<Label> out;
  for (auto& [name, value] : merged) {
    out.push_back({name, std::move(value)});
  }
  return out;
}

}  // namespace weir::config
