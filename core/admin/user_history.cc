#include "admin/user_history.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace rum {

UserHistory::UserHistory(event_base* base, std::function<Users(size_t)> take)
    : take_(std::move(take)) {
  if (base) {
    minute_ = event_new(base, -1, EV_PERSIST, OnMinute, this);
    const timeval minute = {kSeconds, 0};
    event_add(minute_, &minute);
  }
  Take();
}

UserHistory::~UserHistory() {
  if (minute_) event_free(minute_);
}

void UserHistory::OnMinute(evutil_socket_t, short, void* self) {
  static_cast<UserHistory*>(self)->Take();
}

void UserHistory::Take() {
  Users users = take_(kUsers);
  users.resize(std::min(users.size(), kUsers));
  for (auto& [name, sessions] : users) {
    if (name.size() > kNameMost) name.resize(kNameMost);
  }
  users.shrink_to_fit();
  samples_.push_back(std::move(users));
  if (samples_.size() > kSamples) samples_.pop_front();
}

UserHistory::Answer UserHistory::Since(uint64_t seconds, size_t most) const {
  Answer answer;
  answer.samples = std::min<uint64_t>(samples_.size(), seconds / kSeconds + 1);
  std::map<std::string, Entry> entries;
  for (size_t i = samples_.size() - answer.samples; i < samples_.size(); ++i) {
    for (const auto& [name, sessions] : samples_[i]) {
      Entry& entry = entries[name];
      entry.most = std::max(entry.most, sessions);
      entry.mean += static_cast<double>(sessions) / static_cast<double>(answer.samples);
    }
  }
  for (auto& [name, entry] : entries) {
    entry.user = name;
    answer.users.push_back(std::move(entry));
  }
  std::stable_sort(answer.users.begin(), answer.users.end(), [](const Entry& a, const Entry& b) {
    return std::tie(b.mean, b.most) < std::tie(a.mean, a.most);
  });
  answer.users.resize(std::min(answer.users.size(), most));
  return answer;
}

}  // namespace rum
