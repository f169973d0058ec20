#include "proxy/shared_table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "base/clock.h"
#include "base/keyed_hash.h"
#include "module/current_module.h"
#include "proxy/shared_memory.h"

namespace rum {

using namespace shared_memory;

namespace {

constexpr uint64_t kMagic = 0x32646572616873ull;  // "shared2"
constexpr int kProcesses = 64;                    // at a time that use the memory
constexpr uint32_t kSweepAlways = 2;              // cells checked by each put()
constexpr long kLockNanos = 500'000'000;          // then another process was stopped with the lock
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
  Write(entry, key, value);
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
  return seen ? RUM_SEEN : RUM_OK;
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
