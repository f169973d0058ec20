// A user map in memory: reads a whole CDB file, validates it, and looks up keys. Later changes of
// the file (truncated, rewritten, deleted) cannot affect a loaded map.
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
#include "base/sealed_copy.h"

namespace rum {

// Warn from this many names with equal hashes; four are normal among ten million.
inline constexpr uint32_t kManyAlike = 100;

// Warnings about the rules of a map.
struct MapRulesCount {
  uint64_t refused = 0;       // users who cannot log in because their rules cannot be parsed
  std::string first_refused;  // "user 'x' has rules ..."
  // Users with rules about countries; and those of them who cannot log in without --geo-db, because
  // only those of version 6.7 are ignored then.
  uint64_t with_countries = 0, needing_countries = 0;
};

class MapFile {
 public:
  enum class Answer { kFound, kNotFound, kBroken };

  // [any] Blocks while reading: about 3 s for 10 million users. Faults: kMap if the file is missing
  // or bad, kSystem if resources are exhausted. Another thread can abort it by setting `stop`,
  // which is an error.
  static Result<std::shared_ptr<const MapFile>> Load(const std::string& path,
                                                     const std::atomic<bool>* stop = nullptr);
  // As Load(), from bytes in memory; `name` is used in errors.
  static Result<std::shared_ptr<const MapFile>> FromBytes(const std::string& name,
                                                          std::string_view bytes);

  ~MapFile();
  MapFile(const MapFile&) = delete;
  MapFile& operator=(const MapFile&) = delete;

  // [any] Takes no lock and allocates nothing. `value` is valid as long as this object. kBroken
  // cannot occur in a loaded map, but must never be treated as "no such user".
  Answer Find(std::string_view key, std::string_view* value) const;

  // [any] Calls `visit` for each record in file order, until it returns false.
  void Visit(const std::function<bool(std::string_view key, std::string_view value)>& visit) const;

  uint64_t records() const { return records_; }
  uint64_t duplicates() const { return duplicates_; }  // records that look-ups never return
  bool Hides(std::string_view value) const;            // `value` of a duplicate, from Visit()
  // The largest number of users with equal hashes, and one of them: a look-up of one compares all.
  uint32_t alike() const { return alike_; }
  const std::string& alike_user() const { return alike_user_; }
  uint64_t bytes() const { return cdb_.cdb_fsize; }
  const MapRulesCount& rules() const { return rules_; }
  const FileStamp& stamp() const { return stamp_; }  // all zero after FromBytes()

 private:
  MapFile() = default;
  static Result<std::shared_ptr<const MapFile>> Open(const std::string& name,
                                                     const SealedCopy& copy,
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
  std::vector<uint32_t> hidden_;  // positions of the values of duplicates
  MapRulesCount rules_;
  FileStamp stamp_;
};

}  // namespace rum
