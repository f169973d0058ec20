// A folder for one test, deleted with its content; and the number of open descriptors.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace rum::test {

class Folder {
 public:
  Folder() {
    // Short: the path of a unix socket has at most 107 bytes.
    std::string path = "/tmp/rum-test-XXXXXX";
    if (::mkdtemp(path.data())) path_ = path;
    EXPECT_FALSE(path_.empty());
  }
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

inline std::string Contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The open descriptors, as "number -> target".
inline std::vector<std::string> ListDescriptors() {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the descriptor that reads the folder
    auto what = std::filesystem::read_symlink(entry, gone);
    if (what != "/proc/" + std::to_string(::getpid()) + "/fd") {
      all.push_back(entry.path().filename().string() + " -> " + what.string());
    }
  }
  return all;
}

inline size_t OpenDescriptors() { return ListDescriptors().size(); }

}  // namespace rum::test
