// One look-up of a user in the sources of -M, in their order. A source that does not know the user
// is passed; one that is unavailable is passed, too, but then "no such user" is no answer any more.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "lookup/remote_map.h"
#include "map/map_file.h"

namespace rum {

class MapWalk {
 public:
  enum class Kind : uint8_t { kFound, kNotFound, kUnavailable, kWait };

  explicit MapWalk(std::string_view user) : user_(user) {}

  // Goes on to the first source that has an answer. kWait: the waiter of make_waiter() is called
  // later; pass its answer to Take(), and call this again. `file`: nullptr if none is loaded;
  // `remote`: nullptr if the file is the only source.
  template <class MakeWaiter>
  Kind Go(const MapFile* file, RemoteMap* remote, MakeWaiter make_waiter);
  void Take(RemoteAnswer answer) {
    answer_ = std::move(answer);
    answered_ = true;
  }

  const std::string& user() const { return user_; }
  // After kFound: valid while this and `file` are.
  std::string_view value() const { return value_; }
  // After kUnavailable or kNotFound: why a source was unavailable; empty: not known.
  const std::string& why() const { return why_; }
  size_t source() const { return source_; }  // after kFound: the one that has the record

 private:
  Kind GoFile(const MapFile* file);

  std::string user_;
  uint8_t source_ = 0;
  bool answered_ = false;
  bool failed_ = false;  // a source was unavailable
  RemoteAnswer answer_;
  std::string_view value_;
  std::string why_;
};

inline MapWalk::Kind MapWalk::GoFile(const MapFile* file) {
  switch (file ? file->Find(user_, &value_) : MapFile::Answer::kBroken) {
    case MapFile::Answer::kFound:
      return Kind::kFound;
    case MapFile::Answer::kNotFound:
      return Kind::kNotFound;
    case MapFile::Answer::kBroken:
      break;
  }
  return Kind::kUnavailable;
}

template <class MakeWaiter>
MapWalk::Kind MapWalk::Go(const MapFile* file, RemoteMap* remote, MakeWaiter make_waiter) {
  if (!remote) return GoFile(file);
  for (; source_ < remote->sources().size(); ++source_) {
    if (!remote->sources()[source_].remote()) {
      const Kind kind = GoFile(file);
      if (kind == Kind::kFound) return kind;
      failed_ |= kind == Kind::kUnavailable;
      continue;
    }
    if (!std::exchange(answered_, false) && !remote->Find(source_, user_, &answer_) &&
        !remote->Ask(source_, user_, make_waiter(), &answer_)) {
      return Kind::kWait;
    }
    if (answer_.kind == RemoteAnswer::Kind::kFound) {
      value_ = *answer_.value;
      return Kind::kFound;
    }
    if (answer_.kind == RemoteAnswer::Kind::kUnavailable) {
      failed_ = true;
      why_ = remote->sources()[source_].text + ": " + answer_.why;
    }
  }
  return failed_ ? Kind::kUnavailable : Kind::kNotFound;
}

}  // namespace rum
