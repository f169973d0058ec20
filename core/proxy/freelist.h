// A freelist for short-lived objects among long-lived ones. Returned to the heap, their blocks
// would be split by the long-lived ones, and the fragments would fit nothing.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace rum {

// [worker] One per worker and type.
class Freelist {
 public:
  explicit Freelist(size_t size) : size_(size) { blocks_.reserve(kMost); }
  ~Freelist() {
    for (void* block : blocks_) ::operator delete(block);
  }
  Freelist(const Freelist&) = delete;
  Freelist& operator=(const Freelist&) = delete;

  void* Take() {
    if (blocks_.empty()) return ::operator new(size_);
    void* block = blocks_.back();
    blocks_.pop_back();
    return block;
  }
  void GiveBack(void* block) {
    if (blocks_.size() == kMost) return ::operator delete(block);
    blocks_.push_back(block);
  }

 private:
#ifdef __SANITIZE_ADDRESS__
  static constexpr size_t kMost = 0;  // none, so that a sanitizer sees uses after free
#else
  static constexpr size_t kMost = 64;
#endif
  const size_t size_;
  std::vector<void*> blocks_;
};

}  // namespace rum
