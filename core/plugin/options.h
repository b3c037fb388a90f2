#pragma once
// Option rows: one row per option gives its parsing, validation, default, help line and documentation. Used by plug-ins and
// by weir.yml itself.

#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace weir::plugin {

// kPath: a file; a relative one in weir.yml starts at the directory of weir.yml, and is given to the plug-in resolved.
enum class OptionType : unsigned char {
  kString,
  kBool,
  kInt,
  kFloat,
  kDuration,
  kSize,
  kStringList,
  kEnum,
  kMap,
  kSecret,
  kPath
};

struct OptionRow {
  std::string_view name;
  OptionType type = OptionType::kString;
  std::string_view fallback;  // the default as a user would write it; "" = none
  std::string_view help;      // one sentence, with the unit
  bool required = false;
  std::string_view choices = {};  // kEnum: "auto|remote_write|json"
};

// Validated options of one plug-in instance: every row has a value. Getters assert on a name that has no row.
class OptionValues {
 public:
  const std::string& String(std::string_view name) const;  // kString, kEnum, kSecret, kPath
  bool Bool(std::string_view name) const;
  int64_t Int(std::string_view name) const;  // kInt, kSize (bytes), kDuration (ms)
  double Float(std::string_view name) const;
  const std::vector<std::string>& List(std::string_view name) const;
  const std::map<std::string, std::string>& Map(std::string_view name) const;
  bool IsSet(std::string_view name) const;  // given by the user, not the default

  struct Value {
    std::string text;
    int64_t number = 0;
    double real = 0;
    std::vector<std::string> list;
    std::map<std::string, std::string> map;
    bool set = false;
  };
  std::map<std::string, Value, std::less<>> values;
  std::string where;  // file:line:col of the instance, for messages
};

// One option as the user wrote it: a scalar, a list or a map of scalars. `where` is file:line:col.
struct RawOption {
  std::string name;
  std::string where;
  std::string scalar;
  std::vector<std::string> list;
  std::map<std::string, std::string> map;
  enum class Shape : unsigned char { kScalar, kList, kMap, kNull } shape = Shape::kScalar;
};

// Checks `raw` against the rows. ERRORS: kInvalid, one line per problem: `WHERE: unknown option "topcs" of source kafka; did you mean
// "topics"?`, `WHERE: option "port": want an integer, got "x"`.
Result<OptionValues> ParseOptions(std::span<const OptionRow> rows, std::string_view what, std::string_view where,
                                  const std::vector<RawOption>& raw);

struct LeastValue {
  std::string_view name;
  int64_t least;
};
// For Plugin::validate. ERRORS: kInvalid: `WHERE: option "queue_max": want at least 1, got "0"`.
Status CheckAtLeast(const OptionValues& options, std::initializer_list<LeastValue> wanted);

// Sizes as `32MiB`, `10MB`, `512` (bytes). As in Prometheus, both spellings of a unit are powers of 1024.
Result<int64_t> ParseSize(std::string_view text);
// RETURNS: for people, with a decimal where it says something: `512 bytes`, `12.3 MiB`, `2 GiB`.
std::string SizeText(uint64_t bytes);
// RETURNS: the candidate nearest to `text` by edit distance, or "" when none is near.
std::string NearestName(std::string_view text, std::span<const std::string_view> candidates);

}  // namespace weir::plugin
