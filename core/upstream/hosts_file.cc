#include "upstream/hosts_file.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <sstream>
#include <utility>

namespace rum {
namespace {

void Lower(std::string* name) {
  std::transform(name->begin(), name->end(), name->begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
}

}  // namespace

std::vector<SocketAddress> HostsFile::Find(std::string host) {
  auto stamp = FileStamp::Of(path_);
  if (!std::exchange(read_, true) || stamp != stamp_) {
    stamp_ = stamp;
    names_.clear();
    std::ifstream file(path_);
    Read(file);
  }
  if (host.ends_with('.')) host.pop_back();
  Lower(&host);
  auto found = names_.find(host);
  return found == names_.end() ? std::vector<SocketAddress>() : found->second;
}

void HostsFile::Read(std::istream& in) {
  std::string line;
  while (names_.size() < kNamesMost && std::getline(in, line)) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string text, name;
    words >> text;
    auto address = SocketAddress::Numeric(text, 0);
    if (!address) continue;
    while (words >> name && names_.size() < kNamesMost) {
      Lower(&name);
      auto& addresses = names_[name];
      if (addresses.size() < kAddressesMost) addresses.push_back(*address);
    }
  }
}

}  // namespace rum
