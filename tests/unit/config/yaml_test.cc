#include "core/config/yaml.h"

#include <gtest/gtest.h>

#include <random>

namespace weir::config::yaml {
namespace {

// Every byte of every scalar must be mapped to a byte of the file that can stand for it.
void ExpectMapped(const std::string& text) {
  const Source source("f", text);
  const Documents documents = Parse(source);
  ASSERT_EQ(documents.error, "") << text;
  for (const Entry& entry : documents.roots.at(0)->entries) {
    const auto offsets = source.FileOffsets(*entry.value);
    ASSERT_TRUE(offsets.has_value()) << entry.key << " of\n" << text;
    ASSERT_EQ(offsets->size(), entry.value->text.size() + 1);
    for (size_t i = 0; i < entry.value->text.size(); ++i) {
      const char value = entry.value->text[i];
      const char there = (*offsets)[i] < text.size() ? text[(*offsets)[i]] : '\n';
      const bool folded = value == ' ' || value == '\n';
      EXPECT_TRUE(value == there || there == '\\' || there == '\'' ||
                  (folded && (there == '\n' || there == ' ' || there == '\r')))
          << "byte " << i << " of " << entry.key << ": " << value << " at " << there;
    }
  }
}

TEST(Places, EveryWayOfWritingAScalar) {
  ExpectMapped("a: plain text\nb: plain over\n  lines\n\n  and more\nc: 'it''s'\nd: \"a \\\"b\\\" \\u00e9 \\x41\"\n");
  ExpectMapped("a: \"over\n  lines \\\n  joined\n\n  end\"\nb: 'over\n\n\n  lines'\n");
  ExpectMapped("a: |\n  one\n    two\n\n  three\nb: |-\n  strip\n\nc: |+\n  keep\n\n\nd: |2\n    indented\n  less\n");
  ExpectMapped("a: >\n  one\n  two\n\n  three\n    more\n    indented\n\n  back\nb: >-\n  x\n\n\n  y\nc: >+\n  z\n\n");
  ExpectMapped("a: |\r\n  one\r\n  two\r\nb: \"x\r\n  y\"\r\n");
  ExpectMapped("a: |\n\n\n  after empty lines\nb: |\n  tab\there \n  \n  end\n");
}

TEST(Places, RandomLiteralAndFoldedBlocks) {
  std::mt19937 random(11);
  const std::string_view pieces[] = {"x", "y z", "", "  in", " ", "\t", "a:", "#c"};
  for (int round = 0; round < 3000; ++round) {
    std::string text = random() % 2 == 0 ? "k: |" : "k: >";
    text += std::vector<std::string>{"", "-", "+"}[random() % 3] + "\n  first\n";
    const size_t lines = random() % 6;
    for (size_t i = 0; i < lines; ++i) {
      const std::string_view piece = pieces[random() % std::size(pieces)];
      text += (piece.empty() ? "" : "  " + std::string(piece)) + "\n";
    }
    text += "z: end\n";
    const Source source("f", text);
    const Documents documents = Parse(source);
    ASSERT_EQ(documents.error, "") << text;
    // The way of writing is followed exactly, or not at all; literal blocks always.
    const Node& scalar = *documents.roots[0]->entries[0].value;
    const auto offsets = source.FileOffsets(scalar);
    if (text[3] == '|') {
      ASSERT_TRUE(offsets.has_value()) << text;
    }
    if (offsets.has_value()) {
      const size_t word = scalar.text.find("y z");
      if (word != std::string::npos) {
        EXPECT_EQ(text.substr((*offsets)[word], 3), "y z") << text;
      }
    }
  }
}

TEST(Redaction, HidesSecretsAndReadsBack) {
  const Source source("f", R"(global: {external_labels: {a: 'true', b: "x: y"}}
remote_write:
- url: http://user:pw@host/path?x=http://u:v@w
  basic_auth: {username: u, password: pw, password_file: /p}
  authorization: {credentials: pw}
  headers: {X-Api-Key: pw, X-Api-Token: [pw, pw], plain: text}
sources:
- kafka: {sasl_word: pw, list: [], map: {}, none: }
text: |
  a "b"
    c
)");
  const std::string printed = PrintRedacted(*Parse(source).roots.at(0), {"sasl_word"});
  EXPECT_EQ(printed, R"(global:
  external_labels:
    a: "true"
    b: "x: y"
remote_write:
- url: http://user:<secret>@host/path?x=http://u:<secret>@w
  basic_auth:
    username: u
    password: <secret>
    password_file: /p
  authorization:
    credentials: <secret>
  headers:
    X-Api-Key: <secret>
    X-Api-Token:
    - <secret>
    - <secret>
    plain: text
sources:
- kafka:
    sasl_word: <secret>
    list: []
    map: {}
    none: null
text: "a \"b\"\n  c\n"
)");
  EXPECT_EQ(printed.find("pw"), std::string::npos);
  const Source again("g", printed);
  const Documents documents = Parse(again);
  ASSERT_EQ(documents.error, "");
  EXPECT_EQ(PrintRedacted(*documents.roots.at(0), {}), printed);
}

}  // namespace
}  // namespace weir::config::yaml
