#include "core/base/state_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/base/files.h"

namespace weir {
namespace {

class StateDirectoryTest : public testing::Test {
 public:
  StateDirectoryTest() {
    std::string text = (std::filesystem::temp_directory_path() / "weir_state_XXXXXX").string();
    WEIR_ASSERT(::mkdtemp(text.data()) != nullptr);
    directory_ = text;
  }
  ~StateDirectoryTest() override { std::filesystem::remove_all(directory_); }

 protected:
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

 private:
  std::filesystem::path directory_;
};

TEST_F(StateDirectoryTest, IsMadeForItsOwnerAlone) {
  const auto state = StateDirectory::Open(Path("s"));
  ASSERT_TRUE(state.ok()) << state.status().message();
  struct stat info {};
  ASSERT_EQ(::stat(Path("s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(StateDirectoryTest, BelongsToOneAtATime) {
  {
    const auto first = StateDirectory::Open(Path("s"));
    ASSERT_TRUE(first.ok());
    const auto second = StateDirectory::Open(Path("s"));
    EXPECT_EQ(second.status().message(),
              "state directory " + Path("s") + ": another weir is using it; give each its own");
  }
  EXPECT_TRUE(StateDirectory::Open(Path("s")).ok());
}

TEST_F(StateDirectoryTest, SaysWhyItCannotBeUsed) {
  ASSERT_TRUE(WriteFileAtomically(Path("file"), "x").ok());
  EXPECT_EQ(StateDirectory::Open(Path("file/s")).status().message(),
            "state directory " + Path("file/s") + ": cannot be made: Not a directory");
  EXPECT_EQ(StateDirectory::Open(Path("file")).status().message(),
            "state directory " + Path("file") + ": cannot be written to: Not a directory");
}

TEST_F(StateDirectoryTest, RemovesWhatADeadProcessLeftAndNothingElse) {
  std::filesystem::create_directory(Path("s"));
  for (const char* name : {"tape-12.rows", "tape-.rows", "tape-1x.rows", "tape-1.rows.bak", "notes"}) {
    ASSERT_TRUE(WriteFileAtomically(Path("s/") + name, "x").ok());
  }
  const auto state = StateDirectory::Open(Path("s"));
  ASSERT_TRUE(state.ok());
  EXPECT_FALSE(std::filesystem::exists(Path("s/tape-12.rows")));
  for (const char* name : {"tape-.rows", "tape-1x.rows", "tape-1.rows.bak", "notes"}) {
    EXPECT_TRUE(std::filesystem::exists(Path("s/") + name)) << name;
  }
}

TEST_F(StateDirectoryTest, AFileIsGivenBackInParts) {
  const auto state = StateDirectory::Open(Path("s"));
  ASSERT_TRUE(state.ok());
  auto file = (*state)->NewFile(2500);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->GiveBackEnd(1000));
  EXPECT_EQ(std::filesystem::file_size((*file)->path()), 1500u);
  EXPECT_TRUE((*file)->CheckWhole().ok());
  EXPECT_TRUE((*file)->GiveBackEnd(1000));
  EXPECT_FALSE((*file)->GiveBackEnd(1000));
  EXPECT_EQ(std::filesystem::file_size((*file)->path()), 0u);
}

TEST_F(StateDirectoryTest, FilesAreSparseAndGoWithTheirObject) {
  const auto state = StateDirectory::Open(Path("s"));
  ASSERT_TRUE(state.ok());
  auto file = (*state)->NewFile(uint64_t{1} << 30);
  ASSERT_TRUE(file.ok());
  const std::string path = (*file)->path();
  ASSERT_TRUE((*file)->Write(1 << 20, "abc", 3).ok());
  char back[5] = {};
  ASSERT_TRUE((*file)->Read((1 << 20) - 1, back, 5).ok());
  EXPECT_EQ(std::string(back, 5), std::string("\0abc\0", 5));
  EXPECT_LT((*file)->DiskBytes(), 100000u);
  EXPECT_TRUE((*file)->CheckWhole().ok());
  std::filesystem::resize_file(path, 100);
  EXPECT_EQ((*file)->Read(90, back, 5).code(), Code::kOk);
  EXPECT_EQ((*file)->Read(98, back, 5).message(),
            "read " + path + ": ends at or before byte 100, was made with 1073741824");
  EXPECT_EQ((*file)->CheckWhole().message(),
            path + " has 100 bytes, was made with 1073741824: only weir may write to it");
  file->reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace weir
