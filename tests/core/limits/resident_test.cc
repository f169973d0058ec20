// The memory of the process is known when nothing can be opened any more.
#include "limits/resident.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "support/few_descriptors.h"

namespace rum {
namespace {

constexpr size_t kMore = 64 << 20;

TEST(ResidentBytes, GrowsWithTheProcess) {
  const auto before = ResidentBytes();
  ASSERT_TRUE(before);
  std::vector<char> more(kMore, 1);
  const auto after = ResidentBytes();
  ASSERT_TRUE(after);
  EXPECT_GT(*after, *before + kMore / 2) << static_cast<int>(more[kMore / 2]);
}

TEST(ResidentBytes, IsKnownWithoutAFreeDescriptor) {
  ASSERT_TRUE(ResidentBytes());
  test::FewDescriptors few(0);
  ASSERT_LT(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC), 0);
  EXPECT_TRUE(ResidentBytes());
}

TEST(ResidentBytes, OfAChildIsItsOwn) {
  ASSERT_TRUE(ResidentBytes());
  const pid_t child = ::fork();
  if (child == 0) {
    const auto before = ResidentBytes();
    std::vector<char> more(kMore, 1);
    const auto after = ResidentBytes();
    ::_exit(before && after && *after > *before + kMore / 2 && more[7] == 1 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace rum
