// A user map in memory: reads a CDB file as a whole, proves it, and looks keys up in it. Nothing
// that happens to the file later (truncated, rewritten, deleted) can change or break an open map.
#pragma once

#include <cdb.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_stamp.h"
#include "base/result.h"

namespace rum {

// Names with one hash: chance makes four among ten million.
inline constexpr uint32_t kManyAlike = 100;

// What the rules of a map's users need to be told.
struct MapRulesCount {
  uint64_t refused = 0;         // users whose rules cannot be read, and who cannot log in therefore
  std::string first_refused;    // "user 'x' has rules ..."
  uint64_t with_countries = 0;  // users with rules about countries, which nothing obeys
};

class MapFile {
 public:
  enum class Answer { kFound, kNotFound, kBroken };

  // [any] Blocks for as long as reading takes: about 3 s for 10 million users. Faults: kMap when
  // the file is missing or bad, kSystem when the machine has no room for it. `stop` set true by
  // another thread ends it early with an error.
  static Result<std::shared_ptr<const MapFile>> Load(const std::string& path,
                                                     const std::atomic<bool>* stop = nullptr);
  // The same for bytes that are in memory already; `name` is for errors.
  static Result<std::shared_ptr<const MapFile>> FromBytes(const std::string& name,
                                                          std::string_view bytes);

  ~MapFile();
  MapFile(const MapFile&) = delete;
  MapFile& operator=(const MapFile&) = delete;

  // [any] Takes no lock and allocates nothing. `value` is good as long as this object is. kBroken
  // cannot happen to a map that was loaded, but is never to be read as "no such user".
  Answer Find(std::string_view key, std::string_view* value) const;

  // [any] Calls `visit` for each record in the order of the file, until it returns false.
  void Visit(const std::function<bool(std::string_view key, std::string_view value)>& visit) const;

  uint64_t records() const { return records_; }
  uint64_t duplicates() const { return duplicates_; }  // records that look-ups never return
  bool Hides(std::string_view value) const;  // the value of one of these, as Visit() gives it
  // The most users whose names have one hash, and one of them: a look-up goes through all of these.
  uint32_t alike() const { return alike_; }
  const std::string& alike_user() const { return alike_user_; }
  uint64_t bytes() const { return cdb_.cdb_fsize; }
  const MapRulesCount& rules() const { return rules_; }
  const FileStamp& stamp() const { return stamp_; }  // all zero for FromBytes

 private:
  MapFile() = default;
  class Memory;
  static Result<std::shared_ptr<const MapFile>> Open(const std::string& name, Memory memory,
                                                     const FileStamp& stamp,
                                                     const std::atomic<bool>* stop);

  std::string_view all() const {
    return {reinterpret_cast<const char*>(cdb_.cdb_mem), cdb_.cdb_fsize};
  }

  struct cdb cdb_ = {};
  uint64_t records_ = 0;
  uint64_t duplicates_ = 0;
  uint32_t records_end_ = 0;
  uint32_t alike_ = 0;
  std::string alike_user_;
  std::vector<uint32_t> hidden_;  // where the values of duplicates are
  MapRulesCount rules_;
  FileStamp stamp_;
};

}  // namespace rum
