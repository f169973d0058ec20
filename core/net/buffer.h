// A byte queue: append at the end, take from the front. Allocates no memory while empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

namespace rum {

class Buffer {
 public:
  bool empty() const { return !block_; }
  size_t size() const { return block_ ? block_->end - block_->begin : 0; }
  const uint8_t* data() const { return block_ ? block_->bytes() + block_->begin : nullptr; }

  void Append(const void* data, size_t size) {
    if (size == 0) return;
    if (!block_ || block_->capacity - block_->end < size) Grow(size);
    std::memcpy(block_->bytes() + block_->end, data, size);
    block_->end += static_cast<uint32_t>(size);
  }
  void Consume(size_t size) {
    if (size == 0) return;
    block_->begin += static_cast<uint32_t>(size);
    if (block_->begin == block_->end) Clear();
  }
  void Clear() { block_.reset(); }

 private:
  // The counters are 32 bits: the high-water mark bounds a buffer to a few MiB. The bytes follow
  // the header in the same allocation, so that an empty buffer is one pointer.
  struct Block {
    uint32_t begin, end, capacity;
    uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
  };
  struct Free {
    void operator()(Block* block) const { ::operator delete(block); }
  };

  void Grow(size_t size) {
    const size_t live = this->size();
    if (block_ && block_->capacity - live >= size && block_->begin >= live) {
      std::memmove(block_->bytes(), data(), live);  // the space at the front suffices
    } else {
      size_t capacity = block_ ? block_->capacity : kLeast;
      while (capacity < live + size) capacity *= 2;
      std::unique_ptr<Block, Free> block(
          static_cast<Block*>(::operator new(sizeof(Block) + capacity)));
      if (live) std::memcpy(block->bytes(), data(), live);
      block->capacity = static_cast<uint32_t>(capacity);
      block_ = std::move(block);
    }
    block_->begin = 0;
    block_->end = static_cast<uint32_t>(live);
  }

  static constexpr size_t kLeast = 512;
  std::unique_ptr<Block, Free> block_;
};

}  // namespace rum
