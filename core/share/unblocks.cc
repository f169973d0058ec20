#include "share/unblocks.h"

#include <charconv>
#include <utility>

namespace rum {

void Unblocks::Add(std::string address) {
  if (waiting_.size() < kMost) waiting_.insert(std::move(address));
}

std::vector<std::string> Unblocks::Send(uint64_t micros) {
  sent_.assign(waiting_.begin(), waiting_.end());
  time_ = micros;
  return sent_;
}

void Unblocks::Sent() {
  for (std::string& address : sent_) {
    waiting_.erase(address);
    known_[std::move(address)] = static_cast<double>(time_);
  }
  sent_.clear();
}

std::vector<std::string> Unblocks::Read(const RespReply& list) {
  std::unordered_map<std::string, double> all;
  std::vector<std::string> fresh;
  for (size_t i = 0; i + 1 < list.items.size() && all.size() < kMost; i += 2) {
    const std::string &address = list.items[i].text, &text = list.items[i + 1].text;
    double time = 0;
    std::from_chars(text.data(), text.data() + text.size(), time);
    auto known = known_.find(address);
    if (read_ && (known == known_.end() || known->second != time)) fresh.push_back(address);
    all[address] = time;
  }
  known_ = std::move(all);
  read_ = true;
  return fresh;
}

}  // namespace rum
