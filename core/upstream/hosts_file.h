// /etc/hosts: addresses that need no name server.
#pragma once

#include <istream>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/file_stamp.h"

namespace rum {

// [main]
class HostsFile {
 public:
  static constexpr size_t kNamesMost = 100000, kAddressesMost = 64;  // kAddressesMost is per name

  explicit HostsFile(std::string path) : path_(std::move(path)) {}
  // The addresses of a name, in file order; rereads the file if it has changed. A final dot of
  // `host` is ignored.
  std::vector<SocketAddress> Find(std::string host);
  // Makes the next call reread the file, even if it is unchanged.
  void Forget() { read_ = false; }

 private:
  void Read(std::istream& in);

  const std::string path_;
  bool read_ = false;
  std::optional<FileStamp> stamp_;
  std::unordered_map<std::string, std::vector<SocketAddress>> names_;
};

}  // namespace rum
