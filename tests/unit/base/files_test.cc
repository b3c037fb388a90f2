#include "core/base/files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace weir {
namespace {

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    char name[] = "weir_files_XXXXXX";
    directory_ = std::filesystem::temp_directory_path() / name;
    std::string text = directory_.string();
    WEIR_ASSERT(::mkdtemp(text.data()) != nullptr);
    directory_ = text;
  }
  ~FilesTest() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

 private:
  std::filesystem::path directory_;
};

TEST_F(FilesTest, WritesAndReadsBack) {
  const std::string content("a\0b\n", 4);
  ASSERT_TRUE(WriteFileAtomically(Path("x"), content).ok());
  ASSERT_TRUE(WriteFileAtomically(Path("x"), content + "c").ok());
  const Result<std::string> read = ReadFile(Path("x"));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, content + "c");
  EXPECT_FALSE(ReadFile(Path("x.new")).ok());
}

TEST_F(FilesTest, LimitAndMissingFileAreNamed) {
  ASSERT_TRUE(WriteFileAtomically(Path("x"), "12345").ok());
  EXPECT_TRUE(ReadFile(Path("x"), 5).ok());
  EXPECT_EQ(ReadFile(Path("x"), 4).status().code(), Code::kLimit);
  const Status missing = ReadFile(Path("nothing")).status();
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_NE(missing.message().find(Path("nothing")), std::string::npos);
  EXPECT_EQ(WriteFileAtomically(Path("no/such/place"), "x").code(), Code::kUnavailable);
}

TEST_F(FilesTest, PatternsAreSorted) {
  for (const char* name : {"b.yml", "a.yml", "c.txt"}) {
    ASSERT_TRUE(WriteFileAtomically(Path(name), "").ok());
  }
  EXPECT_EQ(ExpandPattern(Path("*.yml")), (std::vector<std::string>{Path("a.yml"), Path("b.yml")}));
  EXPECT_EQ(ExpandPattern(Path("c.txt")), (std::vector<std::string>{Path("c.txt")}));
  EXPECT_TRUE(ExpandPattern(Path("*.json")).empty());
}

}  // namespace
}  // namespace weir
