#include "map/map_build.h"

#include <cdb.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "base/fd.h"
#include "map/atomic_file.h"
#include "map/column.h"
#include "map/journal_writer.h"
#include "map/map_file.h"
#include "map/map_text.h"
#include "map/map_validate.h"

namespace rum {
namespace {

// Of a new map: it holds secrets, and rum reads it through its group.
constexpr mode_t kMode = 0640;
constexpr size_t kMaxProblems = 20;
constexpr uint64_t kMaxBytes = std::numeric_limits<uint32_t>::max();
constexpr uint64_t kLinesPerProgress = 1 << 16;

Error SystemError(const std::string& what, int error) {
  return Error{Fault::kSystem, what + ": " + std::strerror(error)};
}

// tinycdb's writer, with checks of the format's limits.
class Writer {
 public:
  explicit Writer(int fd) { cdb_make_start(&make_, fd); }
  ~Writer() {
    if (open_) Finish();  // the only way to free its memory
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  bool HasRoomFor(uint64_t key, uint64_t value) const {
    // A record needs 8 bytes for its lengths, and two slots of 8 bytes.
    return bytes_ + 8 + key + value + (records_ + 1) * 16 <= kMaxBytes;
  }
  bool Add(std::string_view key, std::string_view value) {
    bytes_ += 8 + key.size() + value.size();
    ++records_;
    return cdb_make_add(&make_, key.data(), static_cast<unsigned>(key.size()), value.data(),
                        static_cast<unsigned>(value.size())) == 0;
  }
  bool Finish() {
    open_ = false;
    return cdb_make_finish(&make_) == 0;
  }
  uint64_t records() const { return records_; }
  uint32_t position() const { return static_cast<uint32_t>(bytes_); }  // of the next record

 private:
  cdb_make make_;
  bool open_ = true;
  uint64_t bytes_ = kMapHeaderBytes;
  uint64_t records_ = 0;
};

// Maps a finished file for reading. No other process has it open, so it cannot shrink.
class Mapped {
 public:
  static Result<Mapped> Open(const AtomicFile& file) {
    struct stat st;
    if (fstat(file.fd(), &st) != 0) return SystemError(file.temporary(), errno);
    void* memory =
        mmap(nullptr, static_cast<size_t>(st.st_size), PROT_READ, MAP_SHARED, file.fd(), 0);
    if (memory == MAP_FAILED) return SystemError(file.temporary(), errno);
    return Mapped(static_cast<char*>(memory), static_cast<size_t>(st.st_size));
  }
  Mapped(Mapped&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), size_(other.size_) {}
  Mapped& operator=(Mapped&&) = delete;
  ~Mapped() {
    if (memory_) munmap(memory_, size_);
  }

  std::string_view bytes() const { return {memory_, size_}; }
  // Releases the pages before this position.
  void Forget(uint32_t before) const { madvise(memory_, before & ~size_t{0xfffff}, MADV_DONTNEED); }

 private:
  Mapped(char* memory, size_t size) : memory_(memory), size_(size) {}
  char* memory_;
  size_t size_;
};

class Builder {
 public:
  Builder(const MapBuildOptions& options, std::vector<std::string>* problems)
      : options_(options), name_(options.in == "-" ? "<stdin>" : options.in), problems_(problems) {}

  Result<MapBuilt> Run() {
    if (Status s = MayReplace(); !s) return s.error();
    auto file = AtomicFile::Make(options_.out);
    if (!file) return file.error();
    Status read = options_.fold ? ReadMap(file->fd()) : Begin();
    if (read && !options_.fold) read = options_.cdb ? ReadCdb(file->fd()) : ReadText(file->fd());
    if (!read) return read.error();
    auto map = Mapped::Open(*file);
    if (!map) return map.error();
    auto shape = Verify(*map);
    if (!shape) return Refused(shape.error());
    if (count_ == 0 && !hidden_by_.empty()) return WithoutDuplicates(*map);
    if (count_ != 0) return Refused(Error{});
    if (shape->records == 0 && !options_.allow_empty) {
      return Error{Fault::kConfig, options_.out +
                                       ": not written: the input has no user; "
                                       "--allow-empty makes an empty map"};
    }
    return Publish(*file, *shape, map->bytes());
  }

 private:
  Status MayReplace() const {
    struct stat out, in;
    if (stat(options_.out.c_str(), &out) != 0 || !S_ISREG(out.st_mode)) return Ok();
    int seen = options_.in == "-" ? fstat(STDIN_FILENO, &in) : stat(options_.in.c_str(), &in);
    if (seen == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino) {
      return Error{Fault::kUsage, options_.out + ": not written: it is also the input"};
    }
    Fd file(open(options_.out.c_str(), O_RDONLY | O_CLOEXEC));
    // Writing the folder does not require reading its files.
    if (!file || out.st_size == 0) return Ok();
    char header[kMapHeaderBytes];
    ssize_t size = TEMP_FAILURE_RETRY(pread(file.get(), header, sizeof header, 0));
    if (size >= 0 && HasMapHeader({header, static_cast<size_t>(size)})) return Ok();
    return Error{
        Fault::kUsage,
        options_.out +
            ": not written: the existing file is not a map; remove it first to replace it"};
  }

  Status ReadMap(int fd) {
    auto map = MapFile::Load(options_.out);
    if (!map) return map.error();
    if (!(*map)->journal_applies()) {
      const std::string& why = (*map)->journal_warning();
      return Error{Fault::kMap, why.empty() ? options_.out + ": has no journal to fold" : why};
    }
    replacement_ = MapReplacement::OfItself(options_.out, (*map)->sequence(), (*map)->stamp());
    Writer writer(fd);
    Status status = Ok();
    (*map)->Visit([&](std::string_view user, std::string_view value) {
      if (!(*map)->Hides(value)) status = AddRecord(writer, user, value, writer.records() + 1);
      if (writer.records() % kLinesPerProgress == 0 && !Going("writing, users", writer.records())) {
        status = GivenUp();
      }
      return status.ok();
    });
    if (!status) return status;
    if (!writer.Finish()) return SystemError(options_.out, errno);
    return Ok();
  }

  Status Begin() {
    auto replacement = MapReplacement::Begin(options_.out);
    if (!replacement) return replacement.error();
    replacement_ = std::move(*replacement);
    if (options_.after) replacement_.KeepAfter(*options_.after);
    return Ok();
  }

  Status ReadCdb(int fd) {
    Fd opened(options_.in == "-" ? -1 : open(options_.in.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened && options_.in != "-") return SystemError(options_.in, errno);
    std::vector<char> chunk(1 << 20);
    for (uint64_t done = 0;;) {
      ssize_t n = TEMP_FAILURE_RETRY(
          read(opened ? opened.get() : STDIN_FILENO, chunk.data(), chunk.size()));
      if (n < 0) return SystemError(name_, errno);
      if (!Going("reading, MiB", done >> 20)) return GivenUp();
      if (n == 0) return Ok();
      const auto size = static_cast<size_t>(n);
      for (size_t at = 0; at < size;) {
        ssize_t put = TEMP_FAILURE_RETRY(write(fd, chunk.data() + at, size - at));
        if (put <= 0) return SystemError(options_.out, errno);
        at += static_cast<size_t>(put);
      }
      done += size;
      if (done > kMaxBytes) return Error{Fault::kMap, name_ + ": is larger than 4 GiB"};
    }
  }

  Status ReadText(int fd) {
    std::unique_ptr<FILE, int (*)(FILE*)> opened(nullptr, fclose);
    FILE* in = stdin;
    if (options_.in != "-") {
      opened.reset(fopen(options_.in.c_str(), "re"));
      if (!opened) return SystemError(options_.in, errno);
      in = opened.get();
    }
    Writer writer(fd);
    char* line = nullptr;
    size_t room = 0;
    Status status = Ok();
    ssize_t size;
    uint64_t number = 1;
    for (; status && (size = getline(&line, &room, in)) >= 0; ++number) {
      status = AddLine(writer, {line, static_cast<size_t>(size)}, number);
    }
    int error = errno;
    free(line);
    if (!status) return status;
    // A signal that interrupts this program often ends the writer of the pipe as well: the input
    // may be incomplete.
    if (!Going("reading, lines", number - 1)) return GivenUp();
    if (ferror(in)) return SystemError(name_, error);
    if (!writer.Finish()) return SystemError(options_.out, errno);
    return Ok();
  }

  Status AddLine(Writer& writer, std::string_view line, uint64_t number) {
    if (number % kLinesPerProgress == 0 && !Going("reading, lines", number)) return GivenUp();
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (number == 1 && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
    auto entry = ParseMapLine(line);
    if (!entry) {
      Problem(number, entry.error().text);
    } else if (*entry) {
      return AddRecord(writer, (*entry)->user, (*entry)->value, number);
    }
    return Ok();
  }

  Status AddRecord(Writer& writer, std::string_view user, std::string_view value, uint64_t number) {
    if (!writer.HasRoomFor(user.size(), value.size())) {
      return Error{Fault::kMap, name_ + ":" + std::to_string(number) +
                                    ": the map would be larger than 4 GiB, the limit of a CDB "
                                    "file"};
    }
    lines_.push_back({writer.position(), static_cast<uint32_t>(number)});
    odd_names_.Add(user);
    if (!writer.Add(user, value)) return SystemError(options_.out, errno);
    return Ok();
  }

  // Validates the new map as rum does, and finds users that occur more than once.
  Result<MapShape> Verify(const Mapped& map) {
    MapValidateHooks hooks;
    bool going = true;
    hooks.progress = [&](uint32_t position) {
      map.Forget(position);
      return going = Going("verifying, MiB", position >> 20);
    };
    hooks.duplicate = [&](uint32_t found, uint32_t hidden) {
      hidden_by_[found].push_back(hidden);
      if (options_.last_wins && !options_.cdb) return;
      Problem(LineAt(hidden), "user " + QuoteBytes(RecordAt(map.bytes(), hidden).key) +
                                  " is also on line " + std::to_string(LineAt(found)));
    };
    auto shape = ValidateMap(map.bytes(), hooks);
    if (!going) return GivenUp().error();
    if (!shape) return Error{shape.error().fault, options_.out + ": " + shape.error().text};
    return shape;
  }

  // Rewrites the file without records that a later record of the same user replaces.
  Result<MapBuilt> WithoutDuplicates(const Mapped& map) {
    std::vector<uint32_t> dropped;
    for (auto& [found, group] : hidden_by_) {
      group.push_back(found);
      std::sort(group.begin(), group.end());
      dropped.insert(dropped.end(), group.begin(), group.end() - 1);
    }
    std::sort(dropped.begin(), dropped.end());

    auto file = AtomicFile::Make(options_.out);
    if (!file) return file.error();
    {
      Writer writer(file->fd());
      for (const Line& line : lines_) {
        if (std::binary_search(dropped.begin(), dropped.end(), line.position)) continue;
        RawRecord record = RecordAt(map.bytes(), line.position);
        if (!writer.Add(record.key, record.value)) return SystemError(options_.out, errno);
        if (writer.records() % kLinesPerProgress == 0) {
          map.Forget(line.position);
          if (!Going("writing, users", writer.records())) return GivenUp().error();
        }
      }
      if (!writer.Finish()) return SystemError(options_.out, errno);
    }
    hidden_by_.clear();
    auto clean = Mapped::Open(*file);
    if (!clean) return clean.error();
    auto shape = Verify(*clean);
    if (!shape) return shape.error();
    dropped_ = dropped.size();
    return Publish(*file, *shape, clean->bytes());
  }

  Result<MapBuilt> Publish(AtomicFile& file, const MapShape& shape, std::string_view bytes) {
    struct stat st;
    if (fstat(file.fd(), &st) != 0) return SystemError(file.temporary(), errno);
    if (!Going("writing, users", shape.records)) return GivenUp().error();
    if (Status s = replacement_.Publish(file, bytes, kMode); !s) return s.error();
    return MapBuilt{shape.records, dropped_,    static_cast<uint64_t>(st.st_size),
                    odd_names_,    shape.alike, shape.alike_key};
  }

  struct Line {
    uint32_t position, number;
  };
  uint32_t LineAt(uint32_t position) const {
    auto at = std::lower_bound(lines_.begin(), lines_.end(), position,
                               [](const Line& line, uint32_t p) { return line.position < p; });
    return at == lines_.end() ? 0 : at->number;
  }

  void Problem(uint64_t line, const std::string& text) {
    if (++count_ <= kMaxProblems) {
      problems_->push_back(name_ + ":" + std::to_string(line) + ": " + text);
    }
  }
  Error Refused(Error error) {
    if (count_ == 0) return error;
    if (count_ > kMaxProblems) {
      problems_->push_back(name_ + ": and " + std::to_string(count_ - kMaxProblems) + " more");
    }
    return Error{Fault::kMap, options_.out + ": not written: the input has " +
                                  std::to_string(count_) + (count_ == 1 ? " error" : " errors")};
  }

  bool Going(const char* doing, uint64_t done) const {
    return !options_.progress || options_.progress(doing, done);
  }
  Status GivenUp() const {
    return Error{Fault::kSystem, options_.out + ": not written: interrupted"};
  }

  const MapBuildOptions& options_;
  const std::string name_;
  std::vector<std::string>* const problems_;
  uint64_t count_ = 0;  // of problems
  uint64_t dropped_ = 0;
  std::vector<Line> lines_;  // the position and the line of each record
  OddNames odd_names_;
  MapReplacement replacement_;
  // Positions of records with the same key, by position.
  std::map<uint32_t, std::vector<uint32_t>> hidden_by_;
};

}  // namespace

Result<MapBuilt> BuildMap(const MapBuildOptions& options, std::vector<std::string>* problems) {
  return Builder(options, problems).Run();
}

}  // namespace rum
