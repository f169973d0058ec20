#include "mysql/own_key.h"

#include <algorithm>
#include <utility>

namespace rum::mysql {

OwnKeys& OwnKeys::OfProcess() {
  static OwnKeys& one = *new OwnKeys;
  return one;
}

// Requires the lock, as does Keep().
OwnKeys::Kept* OwnKeys::Fresh(std::string_view server) {
  auto found = keys_.find(server);
  if (found == keys_.end() || now_() - found->second.made >= kLife) return nullptr;
  found->second.used = now_();
  return &found->second;
}

void OwnKeys::Keep(const std::string& server, Key key) {
  if (!keys_.contains(server) && keys_.size() >= kKept) {
    keys_.erase(std::min_element(keys_.begin(), keys_.end(),
                                 [](auto& a, auto& b) { return a.second.used < b.second.used; }));
  }
  keys_.insert_or_assign(server, Kept{.key = std::move(key), .made = now_(), .used = now_()});
}

OwnKeys::Key OwnKeys::Find(std::string_view server) {
  std::lock_guard lock(mutex_);
  Kept* kept = Fresh(server);
  return kept != nullptr ? kept->key : nullptr;
}

void OwnKeys::Await(const rum_host& host, std::string_view server, uint64_t ticket) {
  int32_t status = RUM_OK;
  {
    std::lock_guard lock(mutex_);
    if (Fresh(server) == nullptr) {
      auto wanted = std::find_if(queue_.begin(), queue_.end(),
                                 [&](const Wanted& one) { return one.server == server; });
      if (waiting_ < kLoginsWaiting &&
          (wanted != queue_.end() || queue_.size() < kServersWaiting)) {
        if (wanted == queue_.end()) wanted = queue_.insert(queue_.end(), {std::string(server), {}});
        wanted->tickets.push_back(ticket);
        ++waiting_;
        if (making_) return;
        // A thread that has made all requested keys is about to end.
        if (maker_.joinable()) maker_.join();
        maker_ = std::thread([this, &host] { MakeAll(host); });
        making_ = true;
        return;
      }
      status = RUM_E_LIMIT;
    }
  }
  host.resume(ticket, status, nullptr, nullptr);
}

void OwnKeys::MakeAll(const rum_host& host) {
  std::unique_lock lock(mutex_);
  while (!queue_.empty()) {
    bool wanted = !finishing_;
    lock.unlock();
    Key key;
    try {
      if (wanted) key = make_();
    } catch (...) {  // out of memory: handled like a failure of the library
    }
    lock.lock();
    Wanted done = std::move(queue_.front());
    queue_.pop_front();
    waiting_ -= done.tickets.size();
    int32_t status = key ? RUM_OK : RUM_E_FAILED;
    if (key) Keep(done.server, std::move(key));
    lock.unlock();
    for (uint64_t ticket : done.tickets) host.resume(ticket, status, nullptr, nullptr);
    lock.lock();
  }
  making_ = false;
}

void OwnKeys::Finish() {
  std::thread maker;
  {
    std::lock_guard lock(mutex_);
    finishing_ = true;
    maker.swap(maker_);
  }
  if (maker.joinable()) maker.join();
  std::lock_guard lock(mutex_);
  finishing_ = false;
}

bool OwnKeys::finishing() {
  std::lock_guard lock(mutex_);
  return finishing_;
}

}  // namespace rum::mysql
