// Bytes that wait: appended at the end, taken from the front. Holds no memory while empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

namespace rum {

class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    bytes_ = std::move(other.bytes_);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  bool empty() const { return begin_ == end_; }
  size_t size() const { return end_ - begin_; }
  const uint8_t* data() const { return bytes_.get() + begin_; }

  // Room for `size` more bytes behind the last; Commit() says how many were written there.
  uint8_t* Reserve(size_t size) {
    if (capacity_ - end_ < size) Grow(size);
    return bytes_.get() + end_;
  }
  void Commit(size_t size) { end_ += static_cast<uint32_t>(size); }

  void Append(const void* data, size_t size) {
    if (size == 0) return;
    std::memcpy(Reserve(size), data, size);
    Commit(size);
  }
  void Consume(size_t size) {
    begin_ += static_cast<uint32_t>(size);
    if (begin_ == end_) Clear();
  }
  void Clear() {
    bytes_.reset();
    begin_ = end_ = capacity_ = 0;
  }

 private:
  void Grow(size_t size) {
    size_t live = this->size();
    if (capacity_ - live >= size && begin_ >= live) {  // the free front is enough
      std::memmove(bytes_.get(), bytes_.get() + begin_, live);
    } else {
      size_t want = live + size;
      size_t capacity = capacity_ ? capacity_ : 512;
      while (capacity < want) capacity *= 2;
      auto bytes = std::make_unique_for_overwrite<uint8_t[]>(capacity);
      if (live) std::memcpy(bytes.get(), bytes_.get() + begin_, live);
      bytes_ = std::move(bytes);
      capacity_ = static_cast<uint32_t>(capacity);
    }
    begin_ = 0;
    end_ = static_cast<uint32_t>(live);
  }

  // A buffer never holds more than a few MiB: the high-water mark bounds it.
  std::unique_ptr<uint8_t[]> bytes_;
  uint32_t begin_ = 0, end_ = 0, capacity_ = 0;
};

}  // namespace rum
