#include "limits/other_nodes.h"

#include <algorithm>

namespace rum {

void OtherNodes::Share(Events events) {
  events_ = std::move(events);
  shared_ = true;
}

void OtherNodes::Use(std::shared_ptr<const Counts> counts) {
  std::lock_guard lock(mutex_);
  counts_.swap(counts);
}

std::shared_ptr<const OtherNodes::Counts> OtherNodes::counts() const {
  if (!shared_) return nullptr;
  std::shared_ptr<const Counts> counts;
  {
    std::lock_guard lock(mutex_);
    counts = counts_;
  }
  return counts && clock_() < counts->expires ? counts : nullptr;
}

uint32_t OtherNodes::SessionsOfUser(std::string_view user) const {
  auto counts = this->counts();
  if (!counts) return 0;
  auto found = counts->users.find(user);
  return found == counts->users.end() ? 0 : found->second;
}

uint32_t OtherNodes::SessionsOfAddress(const Cidr& address) const {
  auto counts = this->counts();
  if (!counts || counts->addresses.empty()) return 0;
  auto found = counts->addresses.find(address.text());
  return found == counts->addresses.end() ? 0 : found->second;
}

bool OtherNodes::Blocks(const Cidr& address) const {
  auto counts = this->counts();
  return counts && !counts->blocked.empty() && counts->blocked.contains(address.text());
}

void OtherNodes::Note(uint64_t sessions, uint32_t limit) {
  if (!shared_ || !limit || sessions * 2 < limit) return;
  if (!noted_.exchange(true)) events_.near_limit();
}

void OtherNodes::NoteRate(Rate rate, uint32_t left) {
  if (rate.on()) Note(rate.count - std::min(left, rate.count), rate.count);
}

void OtherNodes::NoteBlock(const Cidr& address, Millis time) {
  if (shared_) events_.blocked(address.text(), time);
}

void OtherNodes::NoteUnblock(const Cidr& address) {
  if (shared_) events_.unblocked(address.text());
}

}  // namespace rum
