// Memory of what comes and goes between objects that stay: a few blocks are kept for the next.
// Given back to the heap they would be cut up by what stays, and the rest of each would fit
// nothing.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace rum {

// [worker] One per worker and kind.
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
  static constexpr size_t kMost = 0;  // it is to see who uses what is gone
#else
  static constexpr size_t kMost = 64;
#endif
  const size_t size_;
  std::vector<void*> blocks_;
};

}  // namespace rum
