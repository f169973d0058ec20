#include "mysql/worker.h"

#include <atomic>
#include <mutex>
#include <rum/dialogue/host.hpp>

#include "mysql/auth.h"
#include "mysql/own_key.h"

namespace rum::mysql {
namespace {

using dialogue::host;

constexpr uint64_t kRefusedFor = 60'000'000;  // microseconds
constexpr size_t kRefusingMost = 1024;        // servers

// Freed with the last worker.
std::shared_ptr<Pace> SharePace() {
  static std::mutex mutex;
  static std::weak_ptr<Pace> shared;
  std::lock_guard lock(mutex);
  if (auto pace = shared.lock()) return pace;
  // Without random bytes, no client is greeted.
  auto pace = std::make_shared<Pace>(MakeNonce().value_or(Nonce{}));
  shared = pace;
  return pace;
}

}  // namespace

Worker::Worker(rum_worker* handle, const Config& config) : handle_(handle), pace_(SharePace()) {
  Reload(config);
}

Worker::~Worker() { OwnKeys::OfProcess().Finish(); }

// Warns once per configuration that password guesses are not limited.
void Worker::Reload(const Config& config) {
  static std::atomic<const Config*> warned = nullptr;
  if (!host.limits || config.change_user != ChangeUserMode::kAllow) return;
  if (host.limits->counts_failures(handle_) != 1 || warned.exchange(&config) == &config) return;
  constexpr char kText[] =
      "mysql: --login-failures does not count guesses by COM_CHANGE_USER with --mysql-change-user "
      "allow; same and deny count them";
  host.calls->log(nullptr, RUM_LOG_WARNING, kText, sizeof kText - 1);
}

void Worker::ServerHasTls(const Config& config) {
  static std::atomic<const Config*> warned = nullptr;
  if (warned.exchange(&config) == &config) return;
  constexpr char kText[] =
      "mysql: servers offer TLS, and rum offers none to clients: those that require TLS leave, and "
      "logins by caching_sha2_password that need it fail with 1045; give --tls on";
  host.calls->log(nullptr, RUM_LOG_WARNING, kText, sizeof kText - 1);
}

void Worker::ProofsCanBeRead(const Config& config) {
  static std::atomic<const Config*> warned = nullptr;
  if (warned.exchange(&config) == &config) return;
  constexpr char kText[] =
      "mysql: --mysql-reuse keeps no connections of MariaDB whose links somebody could read, since "
      "a proof of a password would be good for the next login: give --upstream-tls require, and "
      "for relayed logins --tls on";
  host.calls->log(nullptr, RUM_LOG_WARNING, kText, sizeof kText - 1);
}

bool Worker::TakesOwnUser(const std::string& server, uint64_t now) const {
  auto found = refuses_own_user_.find(server);
  return found == refuses_own_user_.end() || found->second <= now;
}

void Worker::OwnUserRefused(const std::string& server, uint64_t now, std::string_view why) {
  KeepNothing(server, now, "does not let --mysql-reuse-user in (" + std::string(why) + ")");
}

void Worker::HasTooManyConnections(const std::string& server, uint64_t now) {
  if (TakesOwnUser(server, now)) KeepNothing(server, now, "has too many connections (error 1040)");
}

void Worker::KeepNothing(const std::string& server, uint64_t now, const std::string& why) {
  std::erase_if(refuses_own_user_, [now](const auto& one) { return one.second <= now; });
  if (refuses_own_user_.size() >= kRefusingMost) return;
  refuses_own_user_[server] = now + kRefusedFor;
  std::string text = "mysql: " + server + " " + why + ": its connections are not kept for a minute";
  host.calls->log(nullptr, RUM_LOG_WARNING, text.data(), text.size());
}

}  // namespace rum::mysql
