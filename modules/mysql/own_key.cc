#include "mysql/own_key.h"

#include <atomic>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace rum::mysql {
namespace {

struct Workshop {
  std::atomic<const RsaKey*> key{nullptr};  // never freed: workers may be using it
  std::mutex mutex;
  // Under the mutex.
  std::vector<uint64_t> waiting;
  std::thread maker;
  bool making = false;
};

// Not destroyed with the process: OpenSSL and threads end in an order of their own then.
Workshop& workshop() {
  static Workshop& one = *new Workshop;
  return one;
}

void Make(const rum_host& host) {
  Workshop& shop = workshop();
  try {
    shop.key.store(RsaKey::Make().release(), std::memory_order_release);
  } catch (...) {  // out of memory: as if the library had failed
  }
  std::vector<uint64_t> waiting;
  {
    std::lock_guard lock(shop.mutex);
    shop.making = false;
    waiting.swap(shop.waiting);
  }
  int32_t status = FindOwnKey() != nullptr ? RUM_OK : RUM_E_FAILED;
  for (uint64_t ticket : waiting) host.resume(ticket, status, nullptr, nullptr);
}

}  // namespace

const RsaKey* FindOwnKey() { return workshop().key.load(std::memory_order_acquire); }

void AwaitOwnKey(const rum_host& host, uint64_t ticket) {
  Workshop& shop = workshop();
  {
    std::lock_guard lock(shop.mutex);
    if (FindOwnKey() == nullptr) {
      shop.waiting.push_back(ticket);
      if (shop.making) return;
      // One that has failed before is about to end.
      if (shop.maker.joinable()) shop.maker.join();
      shop.maker = std::thread([&host] { Make(host); });
      shop.making = true;
      return;
    }
  }
  host.resume(ticket, RUM_OK, nullptr, nullptr);
}

void FinishOwnKey() {
  Workshop& shop = workshop();
  std::thread maker;
  {
    std::lock_guard lock(shop.mutex);
    maker.swap(shop.maker);
  }
  if (maker.joinable()) maker.join();
}

}  // namespace rum::mysql
