#include "map/journal_writer.h"

#include <cdb.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "base/trusted_file.h"
#include "map/column.h"
#include "map/journal_reader.h"

namespace rum {
namespace {

constexpr uint64_t kLockTimeout = 10'000;  // ms
constexpr useconds_t kLockRetry = 2'000;   // microseconds
constexpr int kLockRounds = 100;           // of a map that is replaced again and again
// Less is not worth a rewrite.
constexpr size_t kTidyBytes = 1 << 20;

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

FileStamp BaseStamp(const struct stat& st) {
  FileStamp stamp = FileStamp::From(st);
  stamp.changed_ns = 0;
  return stamp;
}

Error JournalWriter::Failed(const char* what) const {
  return Error{Fault::kSystem, path_ + ": " + what + ": " + std::strerror(errno)};
}

Result<JournalWriter> JournalWriter::Open(const std::string& map, bool may_lack) {
  JournalWriter writer;
  writer.map_ = map;
  writer.path_ = JournalOf(map);
  if (Status s = writer.Lock(may_lack); !s) return s.error();
  if (Status s = writer.Read(); !s) return s.error();
  return writer;
}

// The lock is on the file, so the name must still lead to it once it is locked.
Status JournalWriter::Lock(bool may_lack) {
  const uint64_t end = NowMillis() + kLockTimeout;
  for (int round = 0; round < kLockRounds; ++round) {
    lock_ = Fd(open(map_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!lock_ && errno == ENOENT && may_lack) return Ok();
    if (!lock_ || fstat(lock_.get(), &map_status_) != 0) {
      return Error{Fault::kMap, map_ + ": cannot be opened: " + std::strerror(errno)};
    }
    if (!S_ISREG(map_status_.st_mode)) return Error{Fault::kMap, map_ + ": is not a regular file"};
    while (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) {
        return Error{Fault::kSystem, map_ + ": cannot be locked: " + std::strerror(errno)};
      }
      if (NowMillis() >= end) {
        return Error{Fault::kSystem, map_ + ": another process changes it: try again"};
      }
      usleep(kLockRetry);
    }
    struct stat now;
    if (stat(map_.c_str(), &now) == 0 && SameFile(now, map_status_)) {
      return fstat(lock_.get(), &map_status_) == 0 ? Ok() : Status(Failed("cannot be read"));
    }
  }
  return Error{Fault::kSystem, map_ + ": is replaced again and again: try again"};
}

Status JournalWriter::Read() {
  struct stat st;
  if (lstat(path_.c_str(), &st) != 0 && errno == ENOENT) return Ok();
  auto opened = OpenTrusted(path_, O_RDWR | O_NOFOLLOW, 0);
  if (!opened) return Error{Fault::kSystem, path_ + ": cannot be opened: " + opened.error().text};
  file_ = std::move(*opened);
  if (fstat(file_.get(), &st) != 0) return Failed("cannot be read");
  const auto size = static_cast<uint64_t>(st.st_size);
  if (!S_ISREG(st.st_mode) || size > kJournalMostBytes) {
    return Error{Fault::kMap, path_ + ": is not a regular file of at most 64 MiB"};
  }
  bytes_.resize(size);
  size_t done = 0;
  while (done < size) {
    ssize_t n = pread(file_.get(), bytes_.data() + done, size - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("cannot be read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  bytes_.resize(done);
  const auto id = ParseJournalHeader(bytes_);
  if (!id) return Error{Fault::kMap, path_ + ": is not the journal of a map"};
  id_ = *id;
  const std::string_view records = std::string_view(bytes_).substr(kJournalHeaderBytes);
  const JournalEnd end =
      ParseJournal(records, id_, 0,
                   {.change = [this](const JournalChange& c) { changes_.push_back(c); },
                    .base = [this](const JournalBase& b) { bases_.push_back(b); }});
  last_ = end.last;
  for (const JournalBase& base : bases_) last_ = std::max(last_, base.folded);
  damaged_ = end.kind == JournalEnd::Kind::kDamaged;
  const size_t good = kJournalHeaderBytes + end.good;
  if (end.kind == JournalEnd::Kind::kTorn && ftruncate(file_.get(), static_cast<off_t>(good))) {
    return Failed("its incomplete end cannot be cut off");
  }
  bytes_.resize(good);  // shrinks: the views stay valid
  end_ = good;
  return Ok();
}

JournalBase JournalWriter::Restamped(JournalBase base) const {
  base.stamp = BaseStamp(map_status_);
  return base;
}

// What the journal says of the CDB; a new base, which leaves out all changes, if it says nothing.
// The CDB is only read if its stamp is not known, as after a copy from another machine.
Result<JournalBase> JournalWriter::Base() const {
  const FileStamp stamp = BaseStamp(map_status_);
  for (auto base = bases_.rbegin(); base != bases_.rend(); ++base) {
    if (base->stamp == stamp) return *base;
  }
  auto identity = Identify();
  if (!identity) return identity.error();
  for (auto base = bases_.rbegin(); base != bases_.rend(); ++base) {
    if (base->identity == *identity) return Restamped(*base);
  }
  return Restamped({*identity, last_, {}});
}

Result<MapIdentity> JournalWriter::Identify() const {
  MapIdentity identity;
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> digest(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  constexpr size_t kChunk = 1 << 20;
  auto chunk = std::make_unique_for_overwrite<char[]>(kChunk);
  bool good = digest && EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) == 1;
  for (off_t at = 0; good;) {
    ssize_t n = pread(lock_.get(), chunk.get(), kChunk, at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{Fault::kSystem, map_ + ": cannot be read: " + std::strerror(errno)};
    if (n == 0) break;
    good = EVP_DigestUpdate(digest.get(), chunk.get(), static_cast<size_t>(n)) == 1;
    at += n;
  }
  if (!good || EVP_DigestFinal_ex(digest.get(), identity.data(), nullptr) != 1) {
    return Error{Fault::kSystem, map_ + ": SHA-256 failed"};
  }
  return identity;
}

Result<std::optional<std::string>> JournalWriter::Find(std::string_view user) const {
  auto base = Base();
  if (!base) return base.error();
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    if (change->sequence <= base->folded) break;
    if (change->user != user) continue;
    return change->value ? std::optional(std::string(*change->value)) : std::nullopt;
  }
  unsigned size = 0;
  int found = cdb_seek(lock_.get(), user.data(), static_cast<unsigned>(user.size()), &size);
  if (found == 0) return std::optional<std::string>();
  std::string value(size <= kJournalMostValue ? size : 0, '\0');
  if (found < 0 || size > kJournalMostValue ||
      cdb_bread(lock_.get(), value.data(), static_cast<int>(size)) != 0) {
    return Error{Fault::kMap, map_ + ": is broken (rum-map check)"};
  }
  return std::optional(std::move(value));
}

Status JournalWriter::Append(const std::vector<MapEdit>& edits) {
  if (damaged_) {
    return Error{Fault::kMap, path_ + ": is damaged at byte " + std::to_string(end_) +
                                  ": rum-map fold keeps the changes before it"};
  }
  for (const MapEdit& edit : edits) {
    if (edit.user.size() > kJournalMostUser ||
        (edit.value ? edit.value->size() : 0) > kJournalMostValue) {
      return Error{Fault::kMap, map_ + ": user " + QuoteBytes(edit.user) +
                                    " has a name of more than 512 bytes or a record of more than "
                                    "1 MiB"};
    }
  }
  auto base = Base();
  if (!base) return base.error();
  auto compose = [&] {
    std::string more;
    if (std::find(bases_.rbegin(), bases_.rend(), *base) == bases_.rend()) {
      AppendJournalBase(more, id_, *base);
    }
    uint64_t sequence = last_;
    for (const MapEdit& edit : edits) {
      AppendJournalChange(
          more, id_,
          {++sequence, edit.user,
           edit.value ? std::optional(std::string_view(*edit.value)) : std::nullopt});
    }
    return more;
  };
  std::string more = compose();
  auto fits = [&] {
    return end_ + more.size() <= kJournalMostBytes &&
           changes_.size() + edits.size() <= kJournalMostChanges;
  };
  if (!file_ || !fits()) {
    if (Status s = Rewrite(*base); !s) return s;
    more = compose();
  }
  if (!fits()) {
    return Error{Fault::kMap, path_ + ": is full: rum-map fold makes a new map of it"};
  }
  if (Status s = Write(more); !s) return s;
  last_ += edits.size();
  return Ok();
}

Status JournalWriter::AppendBase(const JournalBase& base) {
  std::string more;
  AppendJournalBase(more, id_, base);
  return Write(more);
}

// After a failure, such as of a full disk, the file is as before.
Status JournalWriter::Write(std::string_view bytes) {
  const auto before = static_cast<off_t>(end_);
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t n = pwrite(file_.get(), bytes.data() + done, bytes.size() - done,
                       before + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  if (done < bytes.size() || fdatasync(file_.get()) != 0) {
    Error error = Failed("cannot be written");
    if (ftruncate(file_.get(), before) != 0) error.text += "; nor can its end be cut off";
    return error;
  }
  end_ += bytes.size();
  return Ok();
}

Status JournalWriter::Rewrite(const JournalBase& base) {
  uint64_t id;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&id), sizeof id) != 1) {
    return Error{Fault::kSystem, path_ + ": no random numbers are available"};
  }
  std::string bytes = FormatJournalHeader(id);
  AppendJournalBase(bytes, id, base);
  for (const JournalChange& change : changes_) {
    if (change.sequence > base.folded) AppendJournalChange(bytes, id, change);
  }
  auto file = AtomicFile::Make(path_);
  if (!file) return file.error();
  for (size_t done = 0; done < bytes.size();) {
    ssize_t n = write(file->fd(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Failed("cannot be written");
    done += static_cast<size_t>(n);
  }
  if (Status s = lock_ ? file->PublishLike(map_status_) : file->Publish(0600); !s) return s;
  file_.reset();
  changes_.clear();
  bases_.clear();
  bytes_.clear();
  return Read();
}

Status JournalWriter::Tidy() {
  if (!file_ || damaged_ || !lock_ || end_ < kTidyBytes) return Ok();
  auto base = Base();
  if (!base) return base.error();
  const auto apply = std::count_if(changes_.begin(), changes_.end(), [&](const JournalChange& c) {
    return c.sequence > base->folded;
  });
  if (static_cast<size_t>(apply) * 2 > changes_.size()) return Ok();
  return Rewrite(*base);
}

// -- a new CDB ------------------------------------------------------------------------------------

Result<MapReplacement> MapReplacement::Begin(const std::string& map) {
  MapReplacement replacement;
  replacement.map_ = map;
  struct stat st;
  if (lstat(JournalOf(map).c_str(), &st) != 0 && errno == ENOENT) return replacement;
  auto writer = JournalWriter::Open(map, true);
  if (!writer) return writer.error();
  if (Status s = writer->Tidy(); !s) return s.error();
  replacement.folded_ = writer->last();
  return replacement;
}

MapReplacement MapReplacement::OfItself(const std::string& map, uint64_t folded,
                                        const FileStamp& stamp) {
  MapReplacement replacement;
  replacement.map_ = map;
  replacement.folded_ = folded;
  replacement.of_ = stamp;
  replacement.of_->changed_ns = 0;
  return replacement;
}

// First the journal learns of the new CDB, which it then knows from the moment of its rename; for
// the old one nothing has changed.
Status MapReplacement::Publish(AtomicFile& file, std::string_view bytes, mode_t mode_if_new) {
  struct stat st;
  if (fstat(file.fd(), &st) != 0) {
    return Error{Fault::kSystem, file.temporary() + ": " + std::strerror(errno)};
  }
  const std::string journal = JournalOf(map_);
  auto has_journal = [&] {
    struct stat found;
    return lstat(journal.c_str(), &found) == 0;
  };
  auto writer = JournalWriter::Open(map_, true);
  if (!writer) {
    // One may replace a map that one cannot read; a journal must not miss it.
    if (has_journal() || of_) return writer.error();
    return file.PublishAlike(mode_if_new);
  }
  if (of_ && BaseStamp(writer->map_status()) != *of_) {
    return Error{Fault::kSystem, map_ + ": has changed meanwhile: try again"};
  }
  if (!writer->exists()) return file.PublishAlike(mode_if_new);
  JournalBase base{{}, std::min(folded_, writer->last()), BaseStamp(st)};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), base.identity.data());
  if (!writer->damaged()) {
    if (Status s = writer->AppendBase(base); !s) return s;
    return file.PublishAlike(mode_if_new);
  }
  // Nothing can be appended to a damaged journal, nor does it have newer changes.
  if (Status s = file.PublishAlike(mode_if_new); !s) return s;
  return writer->Rewrite(base);
}

}  // namespace rum
