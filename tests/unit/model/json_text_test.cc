#include "core/model/json_text.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(JsonTextTest, EscapesWhatJsonWantsEscaped) {
  const struct {
    std::string_view text;
    const char* want;
  } cases[] = {
      {"", R"("")"},
      {"a \"b\" \\c", R"("a \"b\" \\c")"},
      {"\n\r\t\b\x1f\x7f", "\"\\n\\r\\t\\u0008\\u001f\x7f\""},
      {std::string_view("\0", 1), R"("\u0000")"},
      {"caf\u00e9 \U0001f600", "\"caf\u00e9 \U0001f600\""},
      {"\xff\xc3.", "\"\xef\xbf\xbd\xef\xbf\xbd.\""},  // each malformed byte
      {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
  };
  for (const auto& c : cases) {
    std::string out;
    AppendJsonString(c.text, &out);
    EXPECT_EQ(out, c.want);
  }
}

}  // namespace
}  // namespace weir
