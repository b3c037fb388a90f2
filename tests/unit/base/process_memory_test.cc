#include "core/base/process_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace weir {
namespace {

TEST(ProcessMemory, IsRead) {
  const ProcessMemory memory = ReadProcessMemory();
  EXPECT_GT(memory.resident_bytes, 1U << 20);
  EXPECT_GT(memory.virtual_bytes, memory.resident_bytes);
  EXPECT_GT(memory.resident_bytes, memory.file_backed_bytes);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they have a heap of their own
TEST(ProcessMemory, FreeMemoryGoesBackToTheKernel) {
  constexpr size_t kBlocks = 200000;
  constexpr size_t kBytes = 400;  // far too small to be mapped by itself
  std::vector<std::unique_ptr<char[]>> blocks(kBlocks);
  for (auto& block : blocks) {
    block = std::make_unique<char[]>(kBytes);
  }
  const uint64_t full = ResidentBytes();
  const auto last = std::move(blocks.back());  // so that the top of the heap stays in use
  blocks.clear();
  ReturnFreeMemory();
  EXPECT_LT(ResidentBytes() + kBlocks * kBytes / 2, full);
}
#endif

class ContainerTest : public testing::Test {
 protected:
  ContainerTest() {
    std::string path = (std::filesystem::temp_directory_path() / "weir-cgroup-XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    root_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ + path).substr(0, (root_ + path).rfind('/')));
    std::ofstream(root_ + path) << text;
  }
  std::string root_;
};

TEST_F(ContainerTest, NoneWithoutFiles) { EXPECT_EQ(ContainerMemoryMax(root_), 0U); }

TEST_F(ContainerTest, OfVersion2TheSmallestOfAllGroupsCounts) {
  Write("/proc/self/cgroup", "0::/pods/weir\n");
  Write("/sys/fs/cgroup/pods/weir/memory.max", "max\n");
  EXPECT_EQ(ContainerMemoryMax(root_), 0U);
  Write("/sys/fs/cgroup/pods/memory.max", "1073741824\n");
  EXPECT_EQ(ContainerMemoryMax(root_), 1U << 30);
  Write("/sys/fs/cgroup/pods/weir/memory.max", "536870912\n");
  EXPECT_EQ(ContainerMemoryMax(root_), 1U << 29);
}

TEST_F(ContainerTest, InAContainerTheRootIsItsOwnGroup) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "268435456\n");
  EXPECT_EQ(ContainerMemoryMax(root_), 1U << 28);
}

TEST_F(ContainerTest, Version1) {
  Write("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");  // nobody set one
  EXPECT_EQ(ContainerMemoryMax(root_), 0U);
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");  // the mount shows the container's group alone
  EXPECT_EQ(ContainerMemoryMax(root_), 1U << 27);
}

}  // namespace
}  // namespace weir
