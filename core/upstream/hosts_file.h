// /etc/hosts: names that have their addresses without a name server.
#pragma once

#include <istream>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/file_stamp.h"

namespace rum {

// [main] All of it.
class HostsFile {
 public:
  static constexpr size_t kNamesMost = 100000, kAddressesMost = 64;  // the latter of one name

  explicit HostsFile(std::string path) : path_(std::move(path)) {}
  // The addresses of a name, in the order of the file, which is read again when it has changed. A
  // name is found with a final dot, too.
  std::vector<SocketAddress> Find(std::string host);
  // Reads it at the next call, changed or not.
  void Forget() { read_ = false; }

 private:
  void Read(std::istream& in);

  const std::string path_;
  bool read_ = false;
  std::optional<FileStamp> stamp_;
  std::unordered_map<std::string, std::vector<SocketAddress>> names_;
};

}  // namespace rum
