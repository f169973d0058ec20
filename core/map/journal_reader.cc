#include "map/journal_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/fd.h"
#include "base/trusted_file.h"

namespace rum {
namespace {

constexpr size_t kMemoryBytes = 256 << 10;

class Reader {
 public:
  Reader(const std::string& path, const std::function<const MapIdentity&()>& identity)
      : path_(path), identity_(identity) {}

  Result<JournalNews> Run(const JournalPosition* since) {
    struct stat st;
    if (lstat(path_.c_str(), &st) != 0) {
      if (errno != ENOENT) return Bad(std::strerror(errno));
      return JournalNews{.position = {}, .whole = true, .changes = {}, .ignored = 0, .warning = {}};
    }
    auto opened = OpenTrusted(path_, O_RDONLY | O_NOFOLLOW, 0);
    if (!opened) return Bad("cannot be opened: " + opened.error().text);
    file_ = std::move(*opened);
    if (fstat(file_.get(), &st) != 0) return Bad(std::strerror(errno));
    if (!S_ISREG(st.st_mode)) return Bad("is not a regular file");
    stamp_ = FileStamp::From(st);
    if (stamp_.bytes > kJournalMostBytes) return Bad("is larger than 64 MiB");
    char header[kJournalHeaderBytes];
    auto n = ReadAt(0, header, sizeof header);
    if (!n) return n.error();
    // It may have grown since its size was read.
    if (*n < sizeof header || stamp_.bytes < sizeof header) return Incomplete(since);
    const auto id = ParseJournalHeader({header, sizeof header});
    if (!id) return Bad("is not the journal of a map");
    if (since && Continues(*since, *id)) {
      auto news = Appended(*since);
      if (!news || !reread_) return news;
    }
    JournalPosition start;
    start.id = *id;
    start.offset = kJournalHeaderBytes;
    if (since) start.memory = since->memory;
    return All(std::move(start));
  }

 private:
  Error Bad(const std::string& why) const { return Error{Fault::kMap, path_ + ": " + why}; }

  bool Continues(const JournalPosition& since, uint64_t id) const {
    return since.offset != 0 && since.id == id && since.stamp.inode == stamp_.inode &&
           since.stamp.device == stamp_.device && since.offset <= stamp_.bytes;
  }

  // It is being copied over, not renamed: what was read before applies until the copy is there.
  Result<JournalNews> Incomplete(const JournalPosition* since) const {
    JournalNews news;
    if (since) news.position = *since;
    news.position.stamp = stamp_;
    news.position.offset = 0;
    news.whole = !since;
    return news;
  }

  Result<size_t> ReadAt(uint64_t offset, char* to, size_t size) const {
    size_t done = 0;
    while (done < size) {
      ssize_t n = pread(file_.get(), to + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        return Error{Fault::kSystem, path_ + ": cannot be read: " + std::strerror(errno)};
      }
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  // The bytes from `position` to the end, in its memory.
  Result<std::string_view> ReadRest(JournalPosition* position) const {
    const size_t size = stamp_.bytes - position->offset;
    if (!position->memory || position->memory->room() < size) {
      position->memory = RecordMemory::Make(std::max(size, kMemoryBytes));
      if (!position->memory) return Error{Fault::kSystem, path_ + ": no memory for the journal"};
    }
    auto n = ReadAt(position->offset, position->memory->end(), size);
    if (!n) return n.error();
    return std::string_view(position->memory->end(), *n);
  }

  Result<JournalNews> Appended(const JournalPosition& since) {
    JournalNews news;
    news.position = since;
    auto bytes = ReadRest(&news.position);
    if (!bytes) return bytes.error();
    Parse(*bytes, &news, [&](const JournalBase& base) {
      // A base of this CDB may leave out earlier changes, or make them apply.
      reread_ |= base.identity == identity_();
    });
    if (!news.position.based) news.ignored = std::exchange(news.changes, {}).size();
    return news;
  }

  Result<JournalNews> All(JournalPosition start) {
    JournalNews news;
    news.whole = true;
    news.position = std::move(start);
    auto bytes = ReadRest(&news.position);
    if (!bytes) return bytes.error();
    uint64_t folded = 0, folded_somewhere = 0;
    Parse(*bytes, &news, [&](const JournalBase& base) {
      folded_somewhere = std::max(folded_somewhere, base.folded);
      if (base.identity != identity_()) return;
      news.position.based = true;
      folded = base.folded;
    });
    if (!news.position.based) folded = folded_somewhere;
    std::erase_if(news.changes, [&](const MapChange& c) { return c.sequence <= folded; });
    if (!news.position.based) news.ignored = std::exchange(news.changes, {}).size();
    return news;
  }

  void Parse(std::string_view bytes, JournalNews* news,
             const std::function<void(const JournalBase&)>& on_base) const {
    JournalPosition& position = news->position;
    JournalHooks hooks;
    hooks.base = on_base;
    hooks.change = [&](const JournalChange& change) {
      news->changes.push_back({position.memory, change.sequence, change.user, change.value});
    };
    const JournalEnd end = ParseJournal(bytes, position.id, position.last, hooks);
    position.memory->Use(end.good);
    position.offset += end.good;
    position.last = end.last;
    position.stamp = stamp_;
    if (end.kind == JournalEnd::Kind::kDamaged) {
      news->warning = path_ + ": is damaged at byte " + std::to_string(position.offset) +
                      ": the changes from there on are ignored (rum-map fold keeps the others)";
    }
  }

  const std::string& path_;
  const std::function<const MapIdentity&()>& identity_;
  Fd file_;
  FileStamp stamp_;
  bool reread_ = false;
};

}  // namespace

Result<JournalNews> ReadJournal(const std::string& path, const JournalPosition* since,
                                const std::function<const MapIdentity&()>& identity) {
  return Reader(path, identity).Run(since);
}

}  // namespace rum
