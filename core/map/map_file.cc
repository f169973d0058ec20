#include "map/map_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/fd.h"
#include "map/column.h"
#include "map/map_record.h"
#include "map/map_rules.h"
#include "map/map_validate.h"

namespace rum {
namespace {

constexpr size_t kChunk = 1 << 20;

std::string Why(int error) { return std::strerror(error); }

// A malformed record, or one with malformed rules, affects its own user only.
void CountRules(std::string_view user, std::string_view value, MapRulesCount& count) {
  auto record = ParseMapRecord(value);
  if (!record || record->tail.empty()) return;
  auto rules = ParseMapRules(record->tail);
  if (rules) {
    count.with_countries += rules->countries != 0;
  } else if (++count.refused == 1) {
    count.first_refused = "user " + QuoteBytes(user) + " " + rules.error().text;
  }
}

Error BadFile(const std::string& path, const std::string& why) {
  return Error{Fault::kMap, path + ": " + why};
}

}  // namespace

// Memory behind a private descriptor that can be sealed.
class MapFile::Memory {
 public:
  static Result<Memory> Make() {
    Memory memory;
    memory.fd_ = Fd(memfd_create("rum-map", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory.fd_) return Failed(errno);
    return memory;
  }

  Status Append(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t n = write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Failed(n < 0 ? errno : ENOSPC);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return Ok();
  }

  // From here on the memory can neither shrink (readers would get SIGBUS) nor be written.
  // F_SEAL_WRITE instead of F_SEAL_FUTURE_WRITE would also forbid read-only mappings before Linux
  // 6.7.
  Status Seal() {
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    if (fcntl(fd_.get(), F_ADD_SEALS, seals) != 0) return Failed(errno);
    return Ok();
  }

  int fd() const { return fd_.get(); }

 private:
  static Error Failed(int error) {
    return Error{Fault::kSystem, "no memory for the map: " + Why(error)};
  }
  Fd fd_;
};

Result<std::shared_ptr<const MapFile>> MapFile::Load(const std::string& path,
                                                     const std::atomic<bool>* stop) {
  // O_NONBLOCK: a FIFO is rejected below instead of blocking here.
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) {
    int error = errno;
    bool machine = error == EMFILE || error == ENFILE || error == ENOMEM;
    return Error{machine ? Fault::kSystem : Fault::kMap,
                 path + ": cannot be opened: " + Why(error)};
  }
  struct stat before, after;
  if (fstat(file.get(), &before) != 0) return BadFile(path, Why(errno));
  if (!S_ISREG(before.st_mode)) return BadFile(path, "is not a regular file");
  const FileStamp stamp = FileStamp::From(before);
  if (Status s = CheckMapSize(stamp.bytes); !s) return BadFile(path, s.error().text);

  auto memory = Memory::Make();
  if (!memory) return Error{memory.error().fault, path + ": " + memory.error().text};
  posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  const size_t room = static_cast<size_t>(std::min<uint64_t>(kChunk, stamp.bytes + 1));
  auto chunk = std::make_unique_for_overwrite<char[]>(room);
  uint64_t total = 0;
  while (total <= stamp.bytes) {  // one extra read, which must return 0
    if (stop && *stop) return BadFile(path, "was not read to its end: interrupted");
    ssize_t n = read(file.get(), chunk.get(), room);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{Fault::kSystem, path + ": cannot be read: " + Why(errno)};
    if (n == 0) break;
    total += static_cast<uint64_t>(n);
    if (total > stamp.bytes) break;
    if (Status s = memory->Append({chunk.get(), static_cast<size_t>(n)}); !s) {
      return Error{s.error().fault, path + ": " + s.error().text};
    }
  }
  if (fstat(file.get(), &after) != 0) return BadFile(path, Why(errno));
  // The change time also moves when the file is only renamed or replaced, which is the recommended
  // way to update a map and does not affect the content that was read.
  FileStamp now = FileStamp::From(after);
  now.changed_ns = stamp.changed_ns;
  if (now != stamp || total != stamp.bytes) {
    return BadFile(path, "changed while it was read; replace a map by renaming a new file over it");
  }
  return Open(path, std::move(*memory), stamp, stop);
}

Result<std::shared_ptr<const MapFile>> MapFile::FromBytes(const std::string& name,
                                                          std::string_view bytes) {
  if (Status s = CheckMapSize(bytes.size()); !s) return BadFile(name, s.error().text);
  auto memory = Memory::Make();
  if (!memory) return memory.error();
  if (Status s = memory->Append(bytes); !s) return s.error();
  return Open(name, std::move(*memory), FileStamp{}, nullptr);
}

Result<std::shared_ptr<const MapFile>> MapFile::Open(const std::string& name, Memory memory,
                                                     const FileStamp& stamp,
                                                     const std::atomic<bool>* stop) {
  if (Status s = memory.Seal(); !s) return Error{s.error().fault, name + ": " + s.error().text};
  std::shared_ptr<MapFile> map(new MapFile);
  map->stamp_ = stamp;
  if (cdb_init(&map->cdb_, memory.fd()) != 0) {
    return Error{Fault::kSystem, name + ": cannot be mapped: " + Why(errno)};
  }
  map->cdb_.cdb_fd = -1;  // the mapping survives the descriptor
  // Keep secrets out of core dumps.
  madvise(const_cast<unsigned char*>(map->cdb_.cdb_mem), map->cdb_.cdb_fsize, MADV_DONTDUMP);

  MapValidateHooks hooks;
  if (stop) hooks.progress = [stop](uint32_t) { return !*stop; };
  hooks.record = [&map](std::string_view user, std::string_view value) {
    CountRules(user, value, map->rules_);
  };
  hooks.duplicate = [&map](uint32_t, uint32_t hidden) {
    const std::string_view value = RecordAt(map->all(), hidden).value;
    map->hidden_.push_back(static_cast<uint32_t>(value.data() - map->all().data()));
  };
  auto shape = ValidateMap(map->all(), hooks);
  if (!shape) return BadFile(name, shape.error().text);
  map->records_ = shape->records;
  map->duplicates_ = shape->duplicates;
  map->records_end_ = shape->records_end;
  map->alike_ = shape->alike;
  map->alike_user_ = std::move(shape->alike_key);
  std::sort(map->hidden_.begin(), map->hidden_.end());
  return std::shared_ptr<const MapFile>(std::move(map));
}

MapFile::~MapFile() {
  if (cdb_.cdb_mem) cdb_free(&cdb_);
}

MapFile::Answer MapFile::Find(std::string_view key, std::string_view* value) const {
  struct cdb look = cdb_;  // cdb_find stores its result in the struct
  if (key.size() > std::numeric_limits<unsigned>::max()) return Answer::kNotFound;
  int found = cdb_find(&look, key.data(), static_cast<unsigned>(key.size()));
  if (found < 0) return Answer::kBroken;
  if (found == 0) return Answer::kNotFound;
  *value = all().substr(cdb_datapos(&look), cdb_datalen(&look));
  return Answer::kFound;
}

bool MapFile::Hides(std::string_view value) const {
  const auto at = static_cast<uint32_t>(value.data() - all().data());
  return std::binary_search(hidden_.begin(), hidden_.end(), at);
}

void MapFile::Visit(const std::function<bool(std::string_view, std::string_view)>& visit) const {
  VisitRecords(all(), records_end_, visit);
}

}  // namespace rum
