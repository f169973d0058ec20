#include "map/map_file.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "map/column.h"
#include "map/map_record.h"
#include "map/map_rules.h"
#include "map/map_validate.h"

namespace rum {
namespace {

std::string Why(int error) { return std::strerror(error); }

// A malformed record, or one with malformed rules, affects its own user only.
void CountRules(std::string_view user, std::string_view value, MapRulesCount& count) {
  auto record = ParseMapRecord(value);
  if (!record || record->tail.empty()) return;
  auto rules = ParseMapRules(record->tail);
  if (rules) {
    count.with_countries += rules->has_countries();
    count.needing_countries += rules->has_countries() && !rules->older;
  } else if (++count.refused == 1) {
    count.first_refused = "user " + QuoteBytes(user) + " " + rules.error().text;
  }
}

Error BadFile(const std::string& path, const std::string& why) {
  return Error{Fault::kMap, path + ": " + why};
}

}  // namespace

Result<std::shared_ptr<const MapFile>> MapFile::Load(const std::string& path,
                                                     const std::atomic<bool>* stop) {
  auto copy = SealedCopy::Read(path, "map", CheckMapSize, stop);
  if (!copy) return copy.error();
  return Open(path, *copy, stop);
}

Result<std::shared_ptr<const MapFile>> MapFile::FromBytes(const std::string& name,
                                                          std::string_view bytes) {
  if (Status s = CheckMapSize(bytes.size()); !s) return BadFile(name, s.error().text);
  auto copy = SealedCopy::Of(bytes, "map");
  if (!copy) return Error{copy.error().fault, name + ": " + copy.error().text};
  return Open(name, *copy, nullptr);
}

Result<std::shared_ptr<const MapFile>> MapFile::Open(const std::string& name,
                                                     const SealedCopy& copy,
                                                     const std::atomic<bool>* stop) {
  std::shared_ptr<MapFile> map(new MapFile);
  map->stamp_ = copy.stamp();
  if (cdb_init(&map->cdb_, copy.fd()) != 0) {
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
