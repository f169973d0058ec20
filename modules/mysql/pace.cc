#include "mysql/pace.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

#include "mysql/digest.h"

namespace rum::mysql {
namespace {

// MariaDB takes a second, and what it does besides, to refuse a change of the user.
constexpr uint64_t kLongest = 1000000, kLongestChange = 1200000;
constexpr uint64_t kStep = 2, kLatest = 500;
// Part of the circle to search for a server with a time for this step.
constexpr int kNeighbours = 64;

}  // namespace

Pace::Pace(const Nonce& secret) : secret_(secret), digest_(EVP_MD_CTX_new()) {}

Pace::~Pace() { EVP_MD_CTX_free(digest_); }

void Pace::Add(Step step, std::string_view user, std::string_view destination,
               uint64_t microseconds) {
  std::lock_guard lock(mutex_);
  std::shared_ptr<Server> server = ServerOf(destination);
  Ring& ring = server->rings[static_cast<size_t>(step)];
  ring.values[ring.added++ % ring.values.size()] = microseconds;
  if (!user.empty()) Remember(PlaceOf(user), server);
}

uint64_t Pace::Pick(Step step, std::string_view user, const std::string* destination) {
  std::lock_guard lock(mutex_);
  const Ring* ring = nullptr;
  if (destination != nullptr) {
    auto found = servers_.find(*destination);
    if (found != servers_.end()) ring = &found->second->rings[static_cast<size_t>(step)];
  }
  if (ring == nullptr || ring->added == 0) {
    auto server = StandIn(step, user);
    if (server == nullptr) return 0;
    ring = &server->rings[static_cast<size_t>(step)];
  }
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;
  const uint64_t known = std::min<uint64_t>(ring->added, ring->values.size());
  const uint64_t longest = step == Step::kKeptDenial ? kLongestChange : kLongest;
  return std::min(ring->values[(random_ >> 33) % known], longest);
}

uint64_t Pace::Shorten(uint64_t microseconds) {
  std::lock_guard lock(mutex_);
  return microseconds - std::min(microseconds, late_);
}

void Pace::TimerWasLate(uint64_t microseconds) {
  std::lock_guard lock(mutex_);
  if (microseconds > late_) late_ = std::min(late_ + kStep, kLatest);
  if (microseconds < late_) late_ -= std::min(late_, kStep);
}

// The result is shown to nobody, so that a digest over the secret and the name is enough.
Pace::Place Pace::PlaceOf(std::string_view user) {
  unsigned char digest[EVP_MAX_MD_SIZE] = {};
  Place place{};
  // Without memory, OpenSSL may fail at the first step and crash at the next.
  if (digest_ == nullptr || EVP_DigestInit_ex(digest_, Sha256Digest(), nullptr) != 1 ||
      EVP_DigestUpdate(digest_, secret_.data(), secret_.size()) != 1 ||
      EVP_DigestUpdate(digest_, user.data(), user.size()) != 1 ||
      EVP_DigestFinal_ex(digest_, digest, nullptr) != 1) {
    return place;
  }
  std::memcpy(&place.position, digest, sizeof place.position);
  std::memcpy(&place.rank, digest + sizeof place.position, sizeof place.rank);
  return place;
}

std::shared_ptr<Pace::Server> Pace::ServerOf(std::string_view destination) {
  if (auto known = servers_.find(destination); known != servers_.end()) {
    ages_.splice(ages_.end(), ages_, known->second->age);
    return known->second;
  }
  auto server = std::make_shared<Server>();
  server->destination = destination;
  server->age = ages_.emplace(ages_.end(), destination);
  servers_.emplace(destination, server);
  if (servers_.size() > kServersMost) {
    servers_.erase(ages_.front());
    ages_.pop_front();
  }
  return server;
}

// Keeps those of the lowest ranks: each user has the same chance, however often it logs in.
void Pace::Remember(const Place& place, const std::shared_ptr<Server>& server) {
  if (auto found = users_.find(place.position); found != users_.end()) {
    found->second.server = server;
    return;
  }
  if (users_.size() >= kUsersMost) {
    auto last = std::prev(ranks_.end());
    if (place.rank >= last->first) return;
    users_.erase(last->second);
    ranks_.erase(last);
  }
  users_.emplace(place.position, Known{place.rank, server});
  ranks_.emplace(place.rank, place.position);
}

std::optional<std::string> Pace::FindStandIn(std::string_view user) {
  std::lock_guard lock(mutex_);
  auto server = StandIn(Step::kSwitch, user);
  if (server == nullptr) return std::nullopt;
  return server->destination;
}

std::shared_ptr<Pace::Server> Pace::StandIn(Step step, std::string_view user) {
  const Place place = PlaceOf(user);
  auto at = users_.lower_bound(place.position);
  for (int i = 0; i < kNeighbours && !users_.empty(); ++i, ++at) {
    if (at == users_.end()) at = users_.begin();
    const auto& server = at->second.server;
    if (server->rings[static_cast<size_t>(step)].added > 0) return server;
  }
  return nullptr;
}

}  // namespace rum::mysql
