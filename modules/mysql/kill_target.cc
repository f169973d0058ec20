#include "mysql/kill_target.h"

#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "common/shared_key.h"

namespace rum::mysql {
namespace {

constexpr uint32_t kFirstId = 0x40000001;
constexpr uint32_t kIds = 0x3ffffffe;
constexpr size_t kPlaceSize = 8;

uint32_t RandomStart() {
  uint32_t start = 0;  // without random bytes, two rums may use the same ids
  if (getrandom(&start, sizeof start, GRND_NONBLOCK) != sizeof start) start = 0;
  return start;
}

void AppendNumber(std::string& out, uint32_t number, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(number >> (8 * i));
}

// Two processes have the same one if they see the same local addresses, or files: of one machine
// since its start, and of one namespace. Without /proc, it is no other process's.
std::string FindPlace(const char* name_space) {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  struct stat st = {};
  if (boot.empty() || ::stat(name_space, &st) != 0) {
    boot.assign(16, '\0');
    if (getrandom(boot.data(), boot.size(), 0) < 0) boot = std::to_string(::getpid());
  }
  return boot + " " + std::to_string(st.st_ino);
}

// Found before rum changes its root: the first login comes later. OpenSSL is not used as early,
// because it does not survive a lack of memory while it starts.
const std::string found_net = FindPlace("/proc/self/ns/net");
const std::string found_files = FindPlace("/proc/self/ns/mnt");

// Short enough for a key in one cell of the table; in full if OpenSSL is out of memory.
std::string Shorten(const std::string& place) {
  const std::string digest = common::Sha256(place);
  return digest.empty() ? place : digest.substr(0, kPlaceSize);
}

const std::string& PlaceOf(std::string_view server) {
  static const std::string net = Shorten(found_net);
  static const std::string files = Shorten(found_files);
  return server.starts_with("unix") ? files : net;
}

}  // namespace

uint32_t NextConnectionId() {
  static std::atomic<uint32_t> next = RandomStart();
  return kFirstId + next.fetch_add(1, std::memory_order_relaxed) % kIds;
}

bool MayBeOurId(uint32_t id) { return id >= kFirstId && id - kFirstId < kIds; }

bool IsLocalServer(std::string_view server) {
  for (std::string_view local : {"unix", "127.", "[::1]", "[::ffff:127.", "[fe80:"}) {
    if (server.starts_with(local)) return true;
  }
  return false;
}

std::string KillKey(uint32_t id, std::string_view user, std::string_view server) {
  std::string key;
  key.reserve(7 + user.size() + server.size() + kPlaceSize);
  key += 'k';
  AppendNumber(key, id, 4);
  AppendNumber(key, static_cast<uint32_t>(user.size()), 2);
  key.append(user).append(server);
  if (IsLocalServer(server)) key.append(PlaceOf(server));
  return common::SharedKey(key);
}

std::string KillValue(uint32_t thread_id) {
  std::string value;
  AppendNumber(value, thread_id, 4);
  return value;
}

std::optional<uint32_t> ThreadOf(std::string_view value) {
  if (value.size() != 4) return {};
  uint32_t id = 0;
  for (char c : value) id = id << 8 | static_cast<uint8_t>(c);
  return id;
}

}  // namespace rum::mysql
