// The file of what is known of the servers, which anybody may have changed, and servers that greet
// as they like: what is read can be written and read again, and no server takes from the greeting
// what each supported one has.
#include <cstdlib>
#include <string>

#include "mysql/capabilities.h"
#include "mysql/fleet.h"

using namespace rum::mysql;

namespace {

constexpr int64_t kNow = 1'800'000'000;

void Check(const Fleet::Snapshot& snapshot) {
  if (!snapshot.promise) return;
  const Promise& promise = *snapshot.promise;
  if (promise.version.empty() || promise.version.size() > 60 || promise.charset == 0 ||
      !CharsetOfNoClient(promise.charset).empty() ||
      (promise.plugin != kNativePlugin && promise.plugin != kCachingSha2Plugin) ||
      (promise.capabilities & (kProtocol41 | kSecureConnection)) !=
          (kProtocol41 | kSecureConnection)) {
    std::abort();
  }
  for (char c : promise.version) {
    if (c < 0x21 || c > 0x7e) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto servers = ReadServers(text, kNow);
  if (servers.ok()) {
    auto again = ReadServers(WriteServers(servers.value), kNow);
    if (!again.ok() || again.value.size() != servers.value.size()) std::abort();
  }
  Fleet fleet([](uint32_t, const std::string&) {}, [](const std::string&) {});
  Fleet::View view;
  fleet.Remember(text, kNow);
  Check(view.Look(fleet));

  // The same bytes as greetings, each behind a byte of its size; the first byte of that says of
  // whom.
  Bytes left(data, size);
  int64_t now = kNow;
  while (left.size() > 2) {
    size_t part = std::min<size_t>(left[1], left.size() - 2);
    std::string address = "10.0.0." + std::to_string(left[0] & 7);
    std::optional<bool> is_default;
    if (left[0] & 64) is_default = (left[0] & 128) != 0;
    auto greeting = ParseGreeting(left.subspan(2, part));
    if (greeting.ok()) fleet.Saw(view, address, greeting.value, is_default, now);
    Check(view.Look(fleet));
    now += (left[0] & 56) * 10 - 20;
    left = left.subspan(2 + part);
  }

  // Without servers of the operator's own there is a floor.
  Fleet foreign([](uint32_t, const std::string&) {}, [](const std::string&) {});
  Fleet::View seen;
  if (auto greeting = ParseGreeting({data, size}); greeting.ok()) {
    foreign.Saw(seen, "10.0.0.1", greeting.value, std::nullopt, kNow);
    const auto& promise = seen.Look(foreign).promise;
    if (promise && (promise->capabilities & kFloor) != kFloor) std::abort();
    Check(seen.Look(foreign));
  }
  return 0;
}
