// The coroutine type of scripts: it starts when awaited, and its caller continues when it
// returns.
#pragma once

#include <coroutine>
#include <cstddef>
#include <new>
#include <rum/dialogue/pool.hpp>
#include <type_traits>
#include <utility>

namespace rum::dialogue {

class Dialogue;

// What a suspended script waits for. `poll` returns whether it has arrived, and takes it.
struct Wait {
  bool (*poll)(Wait& self);
  std::coroutine_handle<> script{};
};

namespace detail {

inline Dialogue*& Running() {  // whose script runs on this thread
  RUM_THREAD_STATIC Dialogue* running = nullptr;
  return running;
}
void MarkFailed(Dialogue& d);
bool HasFailed(const Dialogue& d);

struct PromiseBase {
  std::coroutine_handle<> caller{};  // who awaits this script; none: the session

  static void* operator new(size_t size) noexcept { return Pool::Take(size); }
  static void operator delete(void* memory, size_t size) noexcept { Pool::Give(memory, size); }

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      // After an exception the callers do not continue: the session destroys them.
      if (Dialogue* d = Running(); d != nullptr && HasFailed(*d)) return std::noop_coroutine();
      std::coroutine_handle<> next = self.promise().caller;
      return next ? next : std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept {
    if (Dialogue* d = Running()) MarkFailed(*d);
  }
};

template <class T>
struct ValuePromise : PromiseBase {
  alignas(T) unsigned char storage[sizeof(T)];
  bool there = false;

  ~ValuePromise() {
    if (there) value().~T();
  }
  template <class U>
  void return_value(U&& from) {
    new (storage) T(std::forward<U>(from));
    there = true;
  }
  T& value() { return *std::launder(reinterpret_cast<T*>(storage)); }
};

struct VoidPromise : PromiseBase {
  void return_void() noexcept {}
};

}  // namespace detail

// A part of a dialogue that another part awaits: `Response r = co_await ReadResponse(d);`. The
// script that made it awaits it once, and so starts it. T must be movable.
template <class T = void>
class [[nodiscard]] Task {
 public:
  struct promise_type
      : std::conditional_t<std::is_void_v<T>, detail::VoidPromise,
                           detail::ValuePromise<std::conditional_t<std::is_void_v<T>, int, T>>> {
    Task get_return_object() noexcept {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    static Task get_return_object_on_allocation_failure() noexcept { return Task(nullptr); }
  };

  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (frame_) frame_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept {
    if (!frame_) {  // out of memory
      if (Dialogue* d = detail::Running()) detail::MarkFailed(*d);
      return std::noop_coroutine();
    }
    frame_.promise().caller = caller;
    return frame_;
  }
  T await_resume() {
    if constexpr (!std::is_void_v<T>) return std::move(frame_.promise().value());
  }

 private:
  friend class Dialogue;
  explicit Task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
  std::coroutine_handle<promise_type> frame_;
};

// A whole dialogue, or a part without a value.
using Script = Task<void>;

}  // namespace rum::dialogue
