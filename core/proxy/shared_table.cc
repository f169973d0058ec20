#include "proxy/shared_table.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <iterator>
#include <random>

#include "base/clock.h"
#include "base/keyed_hash.h"
#include "module/current_module.h"

namespace rum {
namespace {

constexpr uint64_t kMagic = 0x32646572616873ull;  // "shared2"
constexpr uint32_t kBuckets = SharedTable::kOwnedMost;
constexpr uint32_t kAccounts = 65536;  // users with the same hash share one
constexpr int kProcesses = 64;         // at a time that use the memory
constexpr uint32_t kSweepAlways = 8;   // cells checked by each put()
constexpr uint32_t kSweepForRoom = 1024;
constexpr long kLockNanos = 500'000'000;       // then another process was stopped with the lock
constexpr size_t kInFirst = 56, kInRest = 87;  // bytes of key and value in a cell
constexpr size_t kBytesMost = RUM_MOST_SHARED_KEY + RUM_MOST_SHARED_VALUE;

enum Kind : uint8_t { kFree = 0, kEntry = 1, kRest = 2, kTimed = 4, kSeen = 8 };

uint32_t CellsFor(size_t bytes) {
  return bytes <= kInFirst ? 1 : 1 + static_cast<uint32_t>((bytes - kInFirst - 1) / kInRest + 1);
}

}  // namespace

// All of it is in shared memory. The processes of a hand-over may have different versions of rum:
// `layout` tells whether they are compatible.
struct SharedTable::Header {
  std::atomic<uint64_t> magic;  // written last
  uint64_t layout;
  std::array<uint64_t, 2> hash_key;
  char module[64];
  pthread_mutex_t mutex;
  uint32_t free;               // 1 + first cell of a list; 0: none
  uint32_t fresh;              // cells from here on are unused
  uint32_t hand;               // where Sweep() continues
  uint32_t used[2];            // cells of entries of sessions, and of those with a lifetime
  uint32_t buckets[kBuckets];  // 1 + a cell
  uint32_t accounts[2][kAccounts];
};

// The first cell of an entry, and the others, which have only bytes. The first members are the
// same.
struct SharedTable::Cell {
  uint32_t next;        // in the bucket or the free list: 1 + cell
  uint32_t generation;  // how often the cell was freed
  uint8_t kind;
  uint8_t process;
  uint16_t key_size, value_size;
  uint16_t unused;
  uint64_t hash;
  uint64_t owner;  // the session; or when it expires, in milliseconds of the machine's clock
  uint32_t account;
  uint32_t rest;  // 1 + cell with the next bytes; 0: there are no more
  uint8_t bytes[kInFirst];

  bool timed() const { return kind & kTimed; }
  size_t size() const { return std::min<size_t>(size_t{key_size} + value_size, kBytesMost); }
};

struct SharedTable::Rest {
  uint32_t next, generation;
  uint8_t kind;
  uint8_t bytes[kInRest];
};

namespace {

constexpr size_t kHeaderBytes = 5 << 20;
// Without seals the file could shrink, and reading it would end the process.
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;

}  // namespace

// Robust: if a process dies during a change, all entries are removed. `ok()` false: another process
// has held the lock for too long.
class SharedTable::Lock {
 public:
  explicit Lock(SharedTable& table) : table_(table) {
    timespec until;
    ::clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += kLockNanos;
    until.tv_sec += until.tv_nsec / 1'000'000'000;
    until.tv_nsec %= 1'000'000'000;
    int error = ::pthread_mutex_timedlock(&table.header_->mutex, &until);
    ok_ = error == 0 || error == EOWNERDEAD;
    if (error == EOWNERDEAD) {
      table.Clear();
      ::pthread_mutex_consistent(&table.header_->mutex);
    }
    if (!ok_) return;
    table.known_ = table.known_alive_ = 0;
    if (table.process_ < 0) table.Attach();
    ok_ = table.process_ >= 0;
    if (!ok_) ::pthread_mutex_unlock(&table.header_->mutex);
  }
  ~Lock() {
    if (ok_) ::pthread_mutex_unlock(&table_.header_->mutex);
  }
  Lock(const Lock&) = delete;
  bool ok() const { return ok_; }

 private:
  SharedTable& table_;
  bool ok_;
};

// -- the table of the process ---------------------------------------------------------------------

namespace {

std::mutex mutex;  // guards `inherited` and the creation of the table
Fd inherited;
std::atomic<SharedTable*> the_table = nullptr;  // never destroyed: sessions may end late

}  // namespace

SharedTable* SharedTable::Get() {
  if (SharedTable* table = the_table.load(std::memory_order_acquire)) return table;
  std::lock_guard lock(mutex);
  if (SharedTable* table = the_table.load(std::memory_order_acquire)) return table;
  std::unique_ptr<SharedTable> table;
  if (inherited) table = Open(std::move(inherited), CurrentModule());
  if (!table) table = Make(CurrentModule());
  the_table.store(table.get(), std::memory_order_release);
  return table.release();
}

void SharedTable::Inherit(Fd memory) {
  std::lock_guard lock(mutex);
  inherited = std::move(memory);
}

int SharedTable::Descriptor() {
  SharedTable* table = the_table.load(std::memory_order_acquire);
  return table ? table->fd() : -1;
}

void SharedTable::SessionEnded(uint64_t session) {
  if (SharedTable* table = the_table.load(std::memory_order_acquire)) table->End(session);
}

// -- the memory -----------------------------------------------------------------------------------

static_assert(sizeof(uint32_t) * (kBuckets + 2 * kAccounts) + 4096 < kHeaderBytes);

SharedTable::SharedTable(Fd memory, Header* header) : memory_(std::move(memory)), header_(header) {}

SharedTable::~SharedTable() { ::munmap(header_, kHeaderBytes + sizeof(Cell) * kCells); }

SharedTable::Cell& SharedTable::cell(uint32_t index) const {
  static_assert(sizeof(Cell) == 96 && sizeof(Rest) == sizeof(Cell));
  auto* bytes = reinterpret_cast<uint8_t*>(header_) + kHeaderBytes;
  return reinterpret_cast<Cell*>(bytes)[index % kCells];
}

SharedTable::Rest& SharedTable::rest(uint32_t index) const {
  return reinterpret_cast<Rest&>(cell(index));
}

std::unique_ptr<SharedTable> SharedTable::Map(Fd memory) {
  const size_t size = kHeaderBytes + sizeof(Cell) * kCells;
  void* at =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory.get(), 0);
  if (at == MAP_FAILED) return nullptr;
  ::madvise(at, size, MADV_DONTDUMP);  // keys are secrets
  return std::unique_ptr<SharedTable>(new SharedTable(std::move(memory), static_cast<Header*>(at)));
}

std::unique_ptr<SharedTable> SharedTable::Make(std::string_view module) {
  Fd memory(::memfd_create("rum-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const off_t size = kHeaderBytes + sizeof(Cell) * kCells;
  if (!memory || ::ftruncate(memory.get(), size) != 0 ||
      ::fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) {
    return nullptr;
  }
  auto table = Map(std::move(memory));
  if (table) table->Format(module);
  return table;
}

std::unique_ptr<SharedTable> SharedTable::Open(Fd memory, std::string_view module) {
  struct stat st;
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals || ::fstat(memory.get(), &st) != 0 ||
      st.st_size != static_cast<off_t>(kHeaderBytes + sizeof(Cell) * kCells)) {
    return nullptr;
  }
  auto table = Map(std::move(memory));
  if (!table) return nullptr;
  const Header& header = *table->header_;
  const bool same =
      header.magic.load(std::memory_order_acquire) == kMagic &&
      header.layout == sizeof(Header) * 65536 + sizeof(Cell) &&
      module.size() < sizeof header.module &&
      module == std::string_view(header.module, ::strnlen(header.module, sizeof header.module));
  return same ? std::move(table) : nullptr;
}

void SharedTable::Format(std::string_view module) {
  Header& header = *header_;
  std::random_device random;
  for (uint64_t& word : header.hash_key) word = uint64_t{random()} << 32 | random();
  module.copy(header.module, sizeof header.module - 1);
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  ::pthread_mutex_init(&header.mutex, &attributes);
  ::pthread_mutexattr_destroy(&attributes);
  header.layout = sizeof(Header) * 65536 + sizeof(Cell);
  header.magic.store(kMagic, std::memory_order_release);
}

void SharedTable::Clear() {
  Header& header = *header_;
  for (uint32_t i = 0; i < std::min(header.fresh, kCells); ++i) {
    const uint32_t generation = cell(i).generation;
    ::explicit_bzero(&cell(i), sizeof(Cell));
    cell(i).generation = generation + 1;
  }
  header.free = header.fresh = header.hand = header.used[0] = header.used[1] = 0;
  std::memset(header.buckets, 0, sizeof header.buckets);
  std::memset(header.accounts, 0, sizeof header.accounts);
}

// A process holds a lock on one byte of the file, which the kernel releases when the process ends.
// The number may have belonged to a process that died: removes its entries. Not before the first
// use, since a lock does not survive fork().
void SharedTable::Attach() {
  for (int i = 0; i < kProcesses && process_ < 0; ++i) {
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = i;
    lock.l_len = 1;
    if (::fcntl(memory_.get(), F_SETLK, &lock) == 0) process_ = i;
  }
  if (process_ < 0) return;
  for (uint32_t i = 0; i < std::min(header_->fresh, kCells); ++i) {
    if ((cell(i).kind & kEntry) && cell(i).process == process_) Drop(i);
  }
}

bool SharedTable::Alive(uint8_t process) {
  if (process == process_) return true;
  if (process >= kProcesses) return false;
  const uint64_t bit = uint64_t{1} << process;
  if (!(known_ & bit)) {
    known_ |= bit;
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = process;
    lock.l_len = 1;
    if (::fcntl(memory_.get(), F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK) known_alive_ |= bit;
  }
  return known_alive_ & bit;
}

// An entry with a lifetime outlives its process.
bool SharedTable::Gone(const Cell& entry, uint64_t now) {
  return entry.timed() ? entry.owner <= now : !Alive(entry.process);
}

void SharedTable::Sweep(uint32_t count, uint64_t now) {
  const uint32_t fresh = std::min(header_->fresh, kCells);
  for (count = std::min(count, fresh); count > 0; --count) {
    const uint32_t index = header_->hand >= fresh ? 0 : header_->hand;
    header_->hand = index + 1;
    if ((cell(index).kind & kEntry) && Gone(cell(index), now)) Drop(index);
  }
}

// 1 + cell; 0: none. The number of steps is bounded, whatever the memory holds.
uint32_t SharedTable::Seek(uint64_t hash, std::string_view key, uint64_t now) {
  uint32_t at = header_->buckets[hash % kBuckets];
  char buffer[kBytesMost];
  for (uint32_t steps = 0; at != 0 && steps < kCells; ++steps) {
    const Cell& entry = cell(at - 1);
    if (entry.hash == hash && entry.key_size == key.size() &&
        Read(entry, buffer).substr(0, key.size()) == key) {
      if (!Gone(entry, now)) return at;
      Drop(at - 1);
      return 0;
    }
    at = entry.next;
  }
  return 0;
}

// The key and the value behind it. `buffer`, of kBytesMost bytes, is used if they are long.
std::string_view SharedTable::Read(const Cell& entry, char* buffer) const {
  const size_t size = entry.size();
  const auto* first = reinterpret_cast<const char*>(entry.bytes);
  if (size <= kInFirst) return {first, size};
  std::memcpy(buffer, first, kInFirst);
  uint32_t at = entry.rest;
  for (size_t read = kInFirst; read < size && at != 0; read += kInRest) {
    const Rest& more = rest(at - 1);
    std::memcpy(buffer + read, more.bytes, std::min(kInRest, size - read));
    at = more.next;
  }
  return {buffer, size};
}

void SharedTable::Write(Cell& entry, std::string_view bytes) {
  std::memcpy(entry.bytes, bytes.data(), std::min(bytes.size(), kInFirst));
  uint32_t* link = &entry.rest;
  for (size_t written = kInFirst; written < bytes.size(); written += kInRest) {
    const uint32_t index = TakeCell();
    Rest& more = rest(index);
    more.kind = kRest;
    std::memcpy(more.bytes, bytes.data() + written, std::min(kInRest, bytes.size() - written));
    *link = index + 1;
    link = &more.next;
    *link = 0;
  }
}

void SharedTable::Drop(uint32_t index) {
  Cell& entry = cell(index);
  uint32_t* link = &header_->buckets[entry.hash % kBuckets];
  for (uint32_t steps = 0; *link != 0 && *link != index + 1 && steps < kCells; ++steps) {
    link = &cell(*link - 1).next;
  }
  if (*link == index + 1) *link = entry.next;
  const uint32_t cells = CellsFor(entry.size());
  header_->used[entry.timed()] -= cells;
  header_->accounts[entry.timed()][entry.account % kAccounts] -= cells;
  uint32_t more = entry.rest;
  for (uint32_t left = cells - 1; left > 0 && more != 0; --left) {
    const uint32_t next = rest(more - 1).next;
    FreeCell(more - 1);
    more = next;
  }
  FreeCell(index);
}

uint32_t SharedTable::TakeCell() {
  if (header_->free == 0) return header_->fresh++;
  const uint32_t index = header_->free - 1;
  header_->free = cell(index).next;
  return index;
}

void SharedTable::FreeCell(uint32_t index) {
  Cell& freed = cell(index);
  const uint32_t generation = freed.generation;
  ::explicit_bzero(&freed, sizeof freed);
  freed.generation = generation + 1;
  freed.next = std::exchange(header_->free, index + 1);
}

// Of both kinds together there are never more than kCells, so that one is free then.
bool SharedTable::HasRoom(bool timed, uint32_t account, uint32_t cells, uint64_t now) {
  auto fits = [&] {
    return header_->used[timed] + cells <= (timed ? kTimedMost : kOwnedMost) &&
           header_->accounts[timed][account] + cells <= (timed ? kTimedPerUser : kPerUser);
  };
  if (fits()) return true;
  Sweep(kSweepForRoom, now);
  return fits();
}

// How many entries of the session are still there; forgets the others.
size_t SharedTable::Holds(uint64_t session) {
  size_t count = 0;
  for (auto [at, end] = sessions_.equal_range(session); at != end;) {
    const bool there = cell(at->second.index).generation == at->second.generation;
    count += there;
    at = there ? std::next(at) : sessions_.erase(at);
  }
  return count;
}

// -- the calls ------------------------------------------------------------------------------------

int32_t SharedTable::Put(const Owner& owner, std::string_view key, std::string_view value,
                         uint64_t lifetime) {
  if (key.empty()) return RUM_E_ARGUMENT;
  if (key.size() > RUM_MOST_SHARED_KEY || value.size() > RUM_MOST_SHARED_VALUE ||
      lifetime > RUM_MOST_MILLISECONDS) {
    return RUM_E_LIMIT;
  }
  const bool timed = lifetime != 0;
  std::lock_guard guard(mutex_);
  Lock lock(*this);
  if (!lock.ok()) return RUM_E_FAILED;
  const uint64_t now = NowMillis();
  const uint64_t hash = SipHash(header_->hash_key, key);
  const auto account =
      static_cast<uint32_t>(SipHash({header_->hash_key[1], header_->hash_key[0]}, owner.user)) %
      kAccounts;
  Sweep(kSweepAlways, now);
  if (const uint32_t old = Seek(hash, key, now)) {
    const Cell& entry = cell(old - 1);
    const bool own =
        timed ? entry.timed() && entry.account == account
              : !entry.timed() && entry.process == process_ && entry.owner == owner.session;
    if (!own) return RUM_E_STATE;
    Drop(old - 1);
  }
  if (!timed && Holds(owner.session) >= RUM_MOST_SHARED_ENTRIES) return RUM_E_LIMIT;
  const uint32_t cells = CellsFor(key.size() + value.size());
  if (!HasRoom(timed, account, cells, now)) return RUM_E_LIMIT;
  const uint32_t index = TakeCell();
  Cell& entry = cell(index);
  entry.kind = timed ? kEntry | kTimed : kEntry;
  entry.hash = hash;
  entry.owner = timed ? now + lifetime : owner.session;
  entry.account = account;
  entry.process = static_cast<uint8_t>(process_);
  entry.key_size = static_cast<uint16_t>(key.size());
  entry.value_size = static_cast<uint16_t>(value.size());
  char buffer[kBytesMost];
  key.copy(buffer, key.size());
  value.copy(buffer + key.size(), value.size());
  Write(entry, {buffer, key.size() + value.size()});
  ::explicit_bzero(buffer, key.size() + value.size());
  entry.next = std::exchange(header_->buckets[hash % kBuckets], index + 1);
  header_->used[timed] += cells;
  header_->accounts[timed][account] += cells;
  if (!timed) sessions_.emplace(owner.session, Held{index, entry.generation});
  return RUM_OK;
}

int32_t SharedTable::Find(std::string_view key, void* value, size_t* size, bool take) {
  if (key.empty() || (!value && size && *size)) return RUM_E_ARGUMENT;
  const size_t room = size ? std::exchange(*size, 0) : 0;
  if (key.size() > RUM_MOST_SHARED_KEY) return RUM_E_LIMIT;
  std::lock_guard guard(mutex_);
  Lock lock(*this);
  if (!lock.ok()) return RUM_E_FAILED;
  const uint32_t found = Seek(SipHash(header_->hash_key, key), key, NowMillis());
  if (found == 0) return RUM_NOT_FOUND;
  Cell& entry = cell(found - 1);
  char buffer[kBytesMost];
  const std::string_view bytes = Read(entry, buffer).substr(key.size());
  if (size) {
    *size = bytes.size();
    if (bytes.size() > room) return RUM_E_LIMIT;
    if (!bytes.empty()) std::memcpy(value, bytes.data(), bytes.size());
  }
  entry.kind |= kSeen;
  if (take) Drop(found - 1);
  return RUM_FOUND;
}

int32_t SharedTable::Remove(uint64_t session, std::string_view key) {
  if (key.empty()) return RUM_E_ARGUMENT;
  if (key.size() > RUM_MOST_SHARED_KEY) return RUM_E_LIMIT;
  std::lock_guard guard(mutex_);
  Lock lock(*this);
  if (!lock.ok()) return RUM_E_FAILED;
  const uint32_t found = Seek(SipHash(header_->hash_key, key), key, NowMillis());
  if (found == 0) return RUM_NOT_FOUND;
  const Cell& entry = cell(found - 1);
  if (entry.timed() || entry.process != process_ || entry.owner != session) return RUM_NOT_FOUND;
  const bool seen = entry.kind & kSeen;
  Drop(found - 1);
  Holds(session);
  return seen ? RUM_FOUND : RUM_OK;
}

void SharedTable::End(uint64_t session) {
  std::lock_guard guard(mutex_);
  auto [begin, end] = sessions_.equal_range(session);
  if (begin == end) return;
  Lock lock(*this);
  if (lock.ok()) {
    for (auto at = begin; at != end; ++at) {
      if (cell(at->second.index).generation == at->second.generation) Drop(at->second.index);
    }
  }
  sessions_.erase(begin, end);
}

uint32_t SharedTable::used() {
  std::lock_guard guard(mutex_);
  Lock lock(*this);
  return lock.ok() ? header_->used[0] + header_->used[1] : 0;
}

}  // namespace rum
