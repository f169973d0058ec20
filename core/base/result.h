// Errors as values: a Result holds a T, or an Error whose sentence names the object at fault.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace rum {

// The category of an error; main maps it to the exit code.
enum class Fault { kConfig = 1, kUsage = 2, kBind = 3, kMap = 4, kModule = 5, kSystem = 6 };

struct Error {
  Fault fault = Fault::kSystem;
  std::string text;  // one sentence without a full stop, for operators
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // Only when ok().
  T& value() { return std::get<0>(state_); }
  const T& value() const { return std::get<0>(state_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  // Only when not ok().
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

using Status = Result<std::monostate>;
inline Status Ok() { return std::monostate{}; }

}  // namespace rum
