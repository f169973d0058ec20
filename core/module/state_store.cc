#include "module/state_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/fd.h"
#include "base/log.h"
#include "base/trusted_file.h"
#include "map/atomic_file.h"
#include "module/current_module.h"
#include "rum/module.h"

namespace rum {
namespace {

// What changes often is written once in so long.
constexpr timeval kGather = {1, 0};
constexpr size_t kNameMost = 64;
constexpr const char* kNotTrusted = "belongs to another user, or others may write to it";

std::mutex mutex;  // guards the_store, so that it is not used while it goes
StateStore* the_store = nullptr;

// A name of the module that is loaded.
bool IsName(std::string_view name) {
  const std::string_view module = CurrentModule();
  return !module.empty() && name.size() <= kNameMost && name.starts_with(module) &&
         (name.size() == module.size() || name[module.size()] == '-') &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

// Tells processes apart by where they listen, in whatever order that was written (FNV-1a).
std::string KeyOf(const std::vector<Address>& listeners) {
  std::vector<std::string> texts;
  for (const Address& address : listeners) texts.push_back(address.text());
  std::sort(texts.begin(), texts.end());
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::string& text : texts) {
    for (char c : text + '\n') hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return fmt::format("{:016x}", hash);
}

Status WriteFile(const std::string& path, std::string_view bytes) {
  auto file = AtomicFile::Make(path);
  if (!file) return file.error();
  while (!bytes.empty()) {
    ssize_t n = TEMP_FAILURE_RETRY(::write(file->fd(), bytes.data(), bytes.size()));
    if (n <= 0) {
      return Error{Fault::kSystem, path + ": cannot be written: " + std::strerror(errno)};
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return file->Publish(0600);
}

}  // namespace

StateStore::StateStore(event_base* base, std::string directory,
                       const std::vector<Address>& listeners, uid_t owner)
    : directory_(std::move(directory)), key_(KeyOf(listeners)), owner_(owner), queue_(base) {
  due_ = evtimer_new(base, OnDue, this);
  std::lock_guard lock(mutex);
  the_store = this;
}

StateStore::~StateStore() {
  {
    std::lock_guard lock(mutex);
    the_store = nullptr;
  }
  if (due_) event_free(due_);
  WriteAll();
}

int32_t StateStore::SaveForModule(const char* name, const void* bytes, size_t size) {
  if (!name || !IsName(name) || (!bytes && size)) return RUM_E_ARGUMENT;
  if (size > kBytesMost) return RUM_E_LIMIT;
  std::lock_guard lock(mutex);
  if (!the_store) return RUM_E_UNSUPPORTED;
  the_store->Save(name, {static_cast<const char*>(bytes), size});
  return RUM_OK;
}

size_t StateStore::LoadForModule(const char* name, void* bytes, size_t size) {
  if (!name || !IsName(name) || (!bytes && size)) return 0;
  std::lock_guard lock(mutex);
  if (!the_store) return 0;
  std::string text = the_store->Load(name);
  if (!text.empty() && text.size() <= size) std::memcpy(bytes, text.data(), text.size());
  return text.size();
}

void StateStore::Save(std::string_view name, std::string bytes) {
  std::lock_guard lock(mutex_);
  if (given_up_) return;
  bool first = waiting_.empty();
  waiting_.insert_or_assign(std::string(name), std::move(bytes));
  if (first) queue_.Post([this] { event_add(due_, &kGather); });
}

std::string StateStore::Load(std::string_view name) const {
  std::string path = PathOf(name);
  if (!TrustedFolder(directory_, owner_)) {
    log::Warning("{}: {}, and is not used (see --state-dir)", directory_, kNotTrusted);
    return {};
  }
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!fd && errno == ENOENT) return {};
  std::string bytes(kBytesMost + 1, '\0');
  size_t have = 0;
  ssize_t n = -1;
  while (fd && have < bytes.size() &&
         (n = TEMP_FAILURE_RETRY(::read(fd.get(), &bytes[have], bytes.size() - have))) > 0) {
    have += static_cast<size_t>(n);
  }
  if (n != 0) {
    log::Warning("{}: cannot be read and is not used: {}", path,
                 n < 0 ? std::strerror(errno) : "it is too long");
    return {};
  }
  bytes.resize(have);
  return bytes;
}

std::string StateStore::PathOf(std::string_view name) const {
  return directory_ + "/" + std::string(name) + "." + key_ + ".state";
}

// While the last files are not on the disk the next ones wait.
void StateStore::OnDue(evutil_socket_t, short, void* self) {
  auto& store = *static_cast<StateStore*>(self);
  if (store.writes_) {
    event_add(store.due_, &kGather);
    return;
  }
  store.Join();
  Files files = store.TakeWaiting();
  if (files.empty()) return;
  store.writes_ = true;
  try {
    store.writer_ = std::thread([&store, files] {
      store.Write(files);
      store.writes_ = false;
    });
  } catch (const std::system_error&) {  // no thread can be had
    store.writes_ = false;
    store.Write(files);
  }
}

// What the thread has begun is finished before: the other process may write from here on.
void StateStore::GiveUp() {
  Join();
  std::lock_guard lock(mutex_);
  given_up_ = true;
  waiting_.clear();
}

void StateStore::WriteAll() {
  Join();
  Write(TakeWaiting());
}

void StateStore::Join() {
  if (writer_.joinable()) writer_.join();
}

StateStore::Files StateStore::TakeWaiting() {
  std::lock_guard lock(mutex_);
  return std::exchange(waiting_, {});
}

void StateStore::Write(const Files& files) {
  if (files.empty()) return;
  ::mkdir(directory_.c_str(), 0700);  // if that fails, the files tell why
  Status written = Ok();
  if (!TrustedFolder(directory_, owner_)) {
    written = Error{Fault::kSystem, directory_ + ": " + kNotTrusted};
  }
  for (const auto& [name, bytes] : files) {
    if (written) written = WriteFile(PathOf(name), bytes);
  }
  if (written) {
    failure_logged_ = false;
  } else if (!failure_logged_) {
    failure_logged_ = true;
    log::Warning("{}; what the module has learned is lost at a restart (see --state-dir)",
                 written.error().text);
  }
}

}  // namespace rum
