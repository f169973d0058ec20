// A freelist for the frames of scripts.
#pragma once

#include <array>
#include <cstddef>
#include <new>
#include <utility>

// In a loaded module, the C library allocates other thread-local data at its first use, and ends
// the process if there is no memory.
#if defined(__GNUC__) && defined(__ELF__)
#define RUM_THREAD_STATIC [[gnu::tls_model("initial-exec")]] static thread_local
#else
#define RUM_THREAD_STATIC static thread_local
#endif

namespace rum::dialogue {

// Keeps freed frames for the next sessions of its worker, so in a steady state a login allocates
// nothing for its script. At most kKept blocks for each of kClasses sizes; larger blocks are not
// kept.
class Pool {
 public:
  Pool() = default;
  ~Pool() {
    for (Block*& first : free_) {
      while (first != nullptr) ::operator delete(std::exchange(first, first->next));
    }
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // The pool of the worker whose hook runs on this thread; nullptr: no hook runs.
  static Pool*& Current() {
    RUM_THREAD_STATIC Pool* current = nullptr;
    return current;
  }
  // nullptr: out of memory.
  static void* Take(size_t size) noexcept {
    size_t index = (size - 1) / kStep;
    if (index >= kClasses) return ::operator new(size, std::nothrow);
    if (Pool* pool = Current(); pool != nullptr && pool->free_[index] != nullptr) {
      --pool->kept_[index];
      return std::exchange(pool->free_[index], pool->free_[index]->next);
    }
    return ::operator new((index + 1) * kStep, std::nothrow);
  }
  static void Give(void* memory, size_t size) noexcept {
    size_t index = (size - 1) / kStep;
    Pool* pool = Current();
    if (index >= kClasses || pool == nullptr || pool->kept_[index] == kKept) {
      return ::operator delete(memory);
    }
    ++pool->kept_[index];
    pool->free_[index] = new (memory) Block{pool->free_[index]};
  }

 private:
  static constexpr size_t kStep = 128, kClasses = 64, kKept = 64;  // up to 8 KiB
  struct Block {
    Block* next;
  };
  std::array<Block*, kClasses> free_{};
  std::array<size_t, kClasses> kept_{};
};

}  // namespace rum::dialogue
