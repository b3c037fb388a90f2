#include "core/model/relabel.h"

#include <re2/re2.h>

#include <boost/uuid/detail/md5.hpp>

#include <algorithm>
#include <clocale>
#include <cwctype>

#include "core/model/regexp.h"

namespace weir {
namespace {

constexpr std::pair<std::string_view, RelabelAction> kActions[] = {
    {"replace", RelabelAction::kReplace},     {"keep", RelabelAction::kKeep},
    {"drop", RelabelAction::kDrop},           {"hashmod", RelabelAction::kHashMod},
    {"labelmap", RelabelAction::kLabelMap},   {"labeldrop", RelabelAction::kLabelDrop},
    {"labelkeep", RelabelAction::kLabelKeep}, {"lowercase", RelabelAction::kLowercase},
    {"uppercase", RelabelAction::kUppercase}, {"keepequal", RelabelAction::kKeepEqual},
    {"dropequal", RelabelAction::kDropEqual},
};

std::string_view ActionText(RelabelAction action) {
  for (const auto& [text, value] : kActions) {
    if (value == action) {
      return text;
    }
  }
  return "";
}

std::string Expand(const RE2& regex, std::string_view text, const RegexpGroups& groups) {
  std::string out;
  AppendExpanded(regex, text, groups, &out);
  return out;
}

// UNITS: the last 8 bytes of the MD5, big-endian: the part that Prometheus takes the remainder of.
uint64_t HashModKey(std::string_view text) {
  boost::uuids::detail::md5 md5;
  md5.process_bytes(text.data(), text.size());
  boost::uuids::detail::md5::digest_type digest;  // four words, as the text form of an MD5 has them
  static_assert(sizeof(digest[0]) == 4);
  md5.get_digest(digest);
  return uint64_t{digest[2]} << 32 | digest[3];
}

// Case mapping of UTF-8 text, rune by rune; malformed bytes stay as they are.
std::string MapCase(std::string_view text, bool upper) {
  static const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  std::string out;
  out.reserve(text.size());
  size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const std::string_view rune_text = text.substr(at, size);
    at += rune_text.size();
    if (lead < 0x80) {
      const bool letter = upper ? lead >= 'a' && lead <= 'z' : lead >= 'A' && lead <= 'Z';
      out.push_back(static_cast<char>(letter ? lead ^ 0x20 : lead));
      continue;
    }
    if (utf8 == nullptr || !IsValidUtf8(rune_text)) {
      out.append(rune_text);
      continue;
    }
    wint_t rune = lead & (0x7f >> size);
    for (const char c : rune_text.substr(1)) {
      rune = (rune << 6) | (static_cast<unsigned char>(c) & 0x3f);
    }
    rune = upper ? towupper_l(rune, utf8) : towlower_l(rune, utf8);
    if (rune < 0x80) {
      out.push_back(static_cast<char>(rune));
    } else if (rune < 0x800) {
      out.push_back(static_cast<char>(0xc0 | (rune >> 6)));
      out.push_back(static_cast<char>(0x80 | (rune & 0x3f)));
    } else {
      if (rune < 0x10000) {
        out.push_back(static_cast<char>(0xe0 | (rune >> 12)));
      } else {
        out.push_back(static_cast<char>(0xf0 | (rune >> 18)));
        out.push_back(static_cast<char>(0x80 | ((rune >> 12) & 0x3f)));
      }
      out.push_back(static_cast<char>(0x80 | ((rune >> 6) & 0x3f)));
      out.push_back(static_cast<char>(0x80 | (rune & 0x3f)));
    }
  }
  return out;
}

bool IsLabelName(std::string_view name) { return !name.empty() && IsValidUtf8(name); }

Status CheckTarget(const RelabelConfig& config, const std::string& action) {
  using enum RelabelAction;
  switch (config.action) {
    case kReplace:
    case kHashMod:
    case kLowercase:
    case kUppercase:
    case kKeepEqual:
    case kDropEqual:
      break;
    default:
      return {};
  }
  if (config.target_label.empty()) {
    return InvalidError("relabel configuration for " + action + " action requires 'target_label' value");
  }
  if (!IsLabelName(config.target_label)) {
    return InvalidError(GoQuote(config.target_label) + " is invalid 'target_label' for " + action + " action");
  }
  return {};
}

Status Check(const RelabelConfig& config) {
  using enum RelabelAction;
  const RelabelConfig defaults;
  const std::string action(ActionText(config.action));
  if (config.action == kHashMod && config.modulus == 0) {
    return InvalidError("relabel configuration for hashmod requires non-zero modulus");
  }
  WEIR_RETURN_IF_ERROR(CheckTarget(config, action));
  const bool equality = config.action == kKeepEqual || config.action == kDropEqual;
  const bool case_change = config.action == kLowercase || config.action == kUppercase;
  if ((case_change || equality) && config.replacement != defaults.replacement) {
    return InvalidError("'replacement' can not be set for " + action + " action");
  }
  if (config.action == kLabelMap && !IsLabelName(config.replacement)) {
    return InvalidError(GoQuote(config.replacement) + " is invalid 'replacement' for labelmap action");
  }
  const bool default_separator = config.separator == defaults.separator;
  if (equality && (config.regex != defaults.regex || config.modulus != 0 || !default_separator)) {
    return InvalidError(action + " action requires only 'source_labels' and 'target_label', and no other fields");
  }
  const bool names_only = config.action == kLabelDrop || config.action == kLabelKeep;
  if (names_only && (!config.source_labels.empty() || !config.target_label.empty() || config.modulus != 0 ||
                     !default_separator || config.replacement != defaults.replacement)) {
    return InvalidError(action + " action requires only 'regex', and no other fields");
  }
  for (const std::string& label : config.source_labels) {
    if (!IsLabelName(label)) {
      return InvalidError(GoQuote(label) + " is not a valid label name");
    }
  }
  return {};
}

void Replace(const RelabelConfig& config, const RE2& regex, const std::string& value, Labels* labels) {
  RegexpGroups groups;
  if (!MatchRegexp(regex, value, 0, &groups)) {
    return;
  }
  const std::string target = Expand(regex, config.target_label, groups);
  if (IsLabelName(target)) {
    labels->Set(target, Expand(regex, config.replacement, groups));
  }
}

void MapNames(const RelabelConfig& config, const RE2& regex, Labels* labels) {
  const Labels before = *labels;
  RegexpGroups groups;
  for (const LabelView& label : before) {
    if (MatchRegexp(regex, label.name, 0, &groups)) {
      labels->Set(Expand(regex, config.replacement, groups), label.value);
    }
  }
}

void FilterNames(const RE2& regex, bool keep_matching, Labels* labels) {
  std::vector<Label> kept;
  for (const LabelView& label : *labels) {
    if (RE2::PartialMatch(label.name, regex) == keep_matching) {
      kept.push_back(label.Owned());
    }
  }
  *labels = Labels(std::move(kept));
}

// RETURNS: false when the set is dropped.
bool Apply(const RelabelConfig& config, const RE2& regex, Labels* labels) {
  using enum RelabelAction;
  std::string value;
  for (size_t i = 0; i < config.source_labels.size(); ++i) {
    value.append(i == 0 ? "" : config.separator).append(labels->Get(config.source_labels[i]));
  }
  switch (config.action) {
    case kKeep:
      return RE2::PartialMatch(value, regex);
    case kDrop:
      return !RE2::PartialMatch(value, regex);
    case kKeepEqual:
      return labels->Get(config.target_label) == value;
    case kDropEqual:
      return labels->Get(config.target_label) != value;
    case kReplace:
      Replace(config, regex, value, labels);
      break;
    case kLowercase:
      labels->Set(config.target_label, MapCase(value, false));
      break;
    case kUppercase:
      labels->Set(config.target_label, MapCase(value, true));
      break;
    case kHashMod:
      labels->Set(config.target_label, std::to_string(HashModKey(value) % config.modulus));
      break;
    case kLabelMap:
      MapNames(config, regex, labels);
      break;
    case kLabelDrop:
      FilterNames(regex, false, labels);
      break;
    case kLabelKeep:
      FilterNames(regex, true, labels);
      break;
  }
  return true;
}

}  // namespace

Result<Relabeler> Relabeler::Create(const std::vector<RelabelConfig>& configs) {
  Relabeler out;
  for (const RelabelConfig& config : configs) {
    WEIR_RETURN_IF_ERROR(Check(config));
    RE2::Options options;
    options.set_log_errors(false);
    auto regex = std::make_shared<const RE2>("^(?s:" + config.regex + ")$", options);
    if (!regex->ok()) {
      return InvalidError("error parsing regexp " + GoQuote(config.regex) + ": " + regex->error());
    }
    out.rules_.push_back({config, std::move(regex)});
  }
  return out;
}

std::optional<Labels> Relabeler::Process(Labels labels) const {
  for (const Rule& rule : rules_) {
    if (!Apply(rule.config, *rule.regex, &labels)) {
      return std::nullopt;
    }
  }
  return labels;
}

Result<RelabelAction> ParseRelabelAction(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  for (const auto& [name, action] : kActions) {
    if (name == lower) {
      return action;
    }
  }
  return InvalidError("unknown relabel action " + GoQuote(text));
}

}  // namespace weir
