#include "map/map_file.h"

#include <cdb.h>
#include <openssl/sha.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <mutex>
#include <utility>

#include "base/sealed_copy.h"
#include "map/column.h"
#include "map/map_record.h"
#include "map/map_rules.h"
#include "map/map_validate.h"

namespace rum {
namespace {

std::string Why(int error) { return std::strerror(error); }

// A malformed record, or one with malformed rules, affects its own user only. `times`: 1 for a
// record that is there, -1 for one that is replaced or removed.
void CountRules(std::string_view user, std::string_view value, int times, MapRulesCount& count) {
  auto record = ParseMapRecord(value);
  if (!record || record->tail.empty()) return;
  auto rules = ParseMapRules(record->tail);
  const auto n = static_cast<uint64_t>(static_cast<int64_t>(times));
  if (rules) {
    count.with_countries += rules->has_countries() ? n : 0;
    count.needing_countries += rules->has_countries() && !rules->older ? n : 0;
    return;
  }
  count.refused += n;
  if (count.refused == 1 && times > 0) {
    count.first_refused = "user " + QuoteBytes(user) + " " + rules.error().text;
  }
}

Error BadFile(const std::string& path, const std::string& why) {
  return Error{Fault::kMap, path + ": " + why};
}

uint64_t NextNumber() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

}  // namespace

struct MapFile::Cdb {
  Cdb() = default;
  ~Cdb() {
    if (file.cdb_mem) cdb_free(&file);
  }
  Cdb(const Cdb&) = delete;
  Cdb& operator=(const Cdb&) = delete;

  std::string_view all() const {
    return {reinterpret_cast<const char*>(file.cdb_mem), file.cdb_fsize};
  }
  Answer Find(std::string_view key, std::string_view* value) const {
    struct cdb look = file;  // cdb_find stores its result in the struct
    if (key.size() > std::numeric_limits<unsigned>::max()) return Answer::kNotFound;
    int found = cdb_find(&look, key.data(), static_cast<unsigned>(key.size()));
    if (found < 0) return Answer::kBroken;
    if (found == 0) return Answer::kNotFound;
    *value = all().substr(cdb_datapos(&look), cdb_datalen(&look));
    return Answer::kFound;
  }
  // Computed only if there is a journal.
  const MapIdentity& Identity() const {
    std::call_once(identified, [this] { SHA256(file.cdb_mem, file.cdb_fsize, identity.data()); });
    return identity;
  }

  struct cdb file = {};
  uint32_t records_end = 0;
  uint64_t duplicates = 0;
  uint32_t alike = 0;
  std::string alike_user;
  std::vector<uint32_t> hidden;  // positions of the values of duplicates
  FileStamp stamp;
  mutable std::once_flag identified;
  mutable MapIdentity identity = {};
};

Result<MapFile::Pointer> MapFile::Load(const std::string& path, const std::atomic<bool>* stop) {
  auto copy = SealedCopy::Read(path, "map", CheckMapSize, stop);
  if (!copy) return copy.error();
  auto map = Open(path, *copy, stop);
  if (!map) return map.error();
  (*map)->path_ = path;
  auto news = ReadJournal(JournalOf(path), nullptr,
                          [&]() -> const MapIdentity& { return (*map)->cdb_->Identity(); });
  if (!news) return news.error();
  if (news->ignored && news->warning.empty()) {
    news->warning = JournalOf(path) +
                    ": was made for another version of the map: its changes are ignored: " +
                    std::to_string(news->ignored);
  }
  (*map)->Apply(std::move(*news), **map);
  return Pointer(std::move(*map));
}

Result<MapFile::Pointer> MapFile::FromBytes(const std::string& name, std::string_view bytes) {
  if (Status s = CheckMapSize(bytes.size()); !s) return BadFile(name, s.error().text);
  auto copy = SealedCopy::Of(bytes, "map");
  if (!copy) return Error{copy.error().fault, name + ": " + copy.error().text};
  auto map = Open(name, *copy, nullptr);
  if (!map) return map.error();
  return Pointer(std::move(*map));
}

Result<std::shared_ptr<MapFile>> MapFile::Open(const std::string& name, const SealedCopy& copy,
                                               const std::atomic<bool>* stop) {
  std::shared_ptr<MapFile> map(new MapFile);
  auto made = std::make_shared<Cdb>();
  Cdb& cdb = *made;
  map->cdb_ = made;
  cdb.stamp = copy.stamp();
  if (cdb_init(&cdb.file, copy.fd()) != 0) {
    return Error{Fault::kSystem, name + ": cannot be mapped: " + Why(errno)};
  }
  cdb.file.cdb_fd = -1;  // the mapping survives the descriptor
  // Keep secrets out of core dumps.
  madvise(const_cast<unsigned char*>(cdb.file.cdb_mem), cdb.file.cdb_fsize, MADV_DONTDUMP);

  MapValidateHooks hooks;
  if (stop) hooks.progress = [stop](uint32_t) { return !*stop; };
  hooks.record = [&map](std::string_view user, std::string_view value) {
    CountRules(user, value, 1, map->rules_);
  };
  hooks.duplicate = [&cdb](uint32_t, uint32_t hidden) {
    const std::string_view value = RecordAt(cdb.all(), hidden).value;
    cdb.hidden.push_back(static_cast<uint32_t>(value.data() - cdb.all().data()));
  };
  auto shape = ValidateMap(cdb.all(), hooks);
  if (!shape) return BadFile(name, shape.error().text);
  map->records_ = shape->records;
  map->number_ = NextNumber();
  cdb.duplicates = shape->duplicates;
  cdb.records_end = shape->records_end;
  cdb.alike = shape->alike;
  cdb.alike_user = std::move(shape->alike_key);
  std::sort(cdb.hidden.begin(), cdb.hidden.end());
  return map;
}

MapFile::~MapFile() = default;

Result<MapFile::Pointer> MapFile::Refresh(const Pointer& map) {
  if (map->path_.empty()) return map;
  auto news = ReadJournal(JournalOf(map->path_), &map->journal_,
                          [&]() -> const MapIdentity& { return map->cdb_->Identity(); });
  if (!news) return news.error();
  if (news->whole) {
    // Of a journal that does not know this CDB, nothing applies: it is that of the next CDB, which
    // is about to be loaded. Until then this map stays as it is.
    const bool exists = news->position.stamp != FileStamp();
    if (exists && !news->position.based) news->whole = false;
    if (!exists && map->journal_.stamp == FileStamp()) return map;
  }
  if (!news->whole && news->changes.empty() && news->position.stamp == map->journal_.stamp) {
    return map;
  }
  std::shared_ptr<MapFile> next(new MapFile);
  next->cdb_ = map->cdb_;
  next->path_ = map->path_;
  next->number_ = NextNumber();
  next->Apply(std::move(*news), *map);
  return Pointer(std::move(next));
}

// `before`: has the same CDB, and may be this map itself, without a journal.
void MapFile::Apply(JournalNews news, const MapFile& before) {
  // A first journal only adds to the CDB, too.
  const bool adds = !news.whole || (&before != this && !before.overlay_);
  rules_ = before.rules_;
  records_ = before.records_;
  overlay_ = before.overlay_;
  auto exchange = [this](std::string_view user, const std::string_view* old,
                         const std::string_view* now) {
    if (old) CountRules(user, *old, -1, rules_);
    if (now) CountRules(user, *now, 1, rules_);
    records_ += (now ? 1 : 0) - uint64_t{old ? 1u : 0u};
  };
  auto in_cdb = [this](std::string_view user, std::string_view* value) {
    return cdb_->Find(user, value) == Answer::kFound ? value : nullptr;
  };
  std::string_view value;
  if (news.whole && overlay_) {
    overlay_->Visit([&](const MapChange& change) {
      exchange(change.user, change.value ? &*change.value : nullptr, in_cdb(change.user, &value));
      return true;
    });
    overlay_ = nullptr;
  }
  // In order, as one user may change more than once.
  static const MapOverlay empty;
  auto next = (overlay_ ? *overlay_ : empty).With(news.changes);
  std::vector<const MapChange*> last_of_user;
  for (const MapChange& change : news.changes) {
    if (next->Find(change.user)->sequence == change.sequence) last_of_user.push_back(&change);
  }
  for (const MapChange* change : last_of_user) {
    const MapChange* old = overlay_ ? overlay_->Find(change->user) : nullptr;
    exchange(change->user,
             old ? (old->value ? &*old->value : nullptr) : in_cdb(change->user, &value),
             change->value ? &*change->value : nullptr);
  }
  overlay_ = next->size() ? std::move(next) : nullptr;
  if (adds) {
    added_ = std::move(news.changes);
    before_ = before.number_;
  }
  journal_ = std::move(news.position);
  // What was wrong stays wrong until the journal is read again.
  journal_warning_ =
      news.whole || !news.warning.empty() ? std::move(news.warning) : before.journal_warning_;
}

bool MapFile::ChangedAfter(uint64_t sequence, std::string_view user) const {
  const MapChange* change = overlay_ ? overlay_->Find(user) : nullptr;
  return change && change->sequence > sequence;
}

MapFile::Answer MapFile::Find(std::string_view key, std::string_view* value) const {
  if (overlay_) {
    if (const MapChange* change = overlay_->Find(key)) {
      if (!change->value) return Answer::kNotFound;
      *value = *change->value;
      return Answer::kFound;
    }
  }
  return cdb_->Find(key, value);
}

uint64_t MapFile::duplicates() const { return cdb_->duplicates; }
uint32_t MapFile::alike() const { return cdb_->alike; }
const std::string& MapFile::alike_user() const { return cdb_->alike_user; }
uint64_t MapFile::bytes() const { return cdb_->file.cdb_fsize; }
const FileStamp& MapFile::stamp() const { return cdb_->stamp; }

bool MapFile::Hides(std::string_view value) const {
  const auto at =
      reinterpret_cast<uintptr_t>(value.data()) - reinterpret_cast<uintptr_t>(cdb_->all().data());
  return at < cdb_->all().size() &&
         std::binary_search(cdb_->hidden.begin(), cdb_->hidden.end(), static_cast<uint32_t>(at));
}

void MapFile::Visit(const std::function<bool(std::string_view, std::string_view)>& visit) const {
  bool more = true;
  VisitRecords(cdb_->all(), cdb_->records_end, [&](std::string_view key, std::string_view value) {
    const MapChange* change = overlay_ ? overlay_->Find(key) : nullptr;
    if (!change || (change->value && Hides(value))) return more = visit(key, value);
    if (change->value) return more = visit(key, *change->value);
    return true;
  });
  if (!overlay_ || !more) return;
  overlay_->Visit([&](const MapChange& change) {
    std::string_view value;
    if (!change.value || cdb_->Find(change.user, &value) == Answer::kFound) return true;
    return visit(change.user, *change.value);
  });
}

void MapFile::VisitChanges(const Change& visit) const {
  if (!overlay_) return;
  overlay_->Visit([&](const MapChange& change) { return visit(change.user, change.value); });
}

}  // namespace rum
