#include "daemon/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/fd.h"
#include "base/log.h"

namespace rum {
namespace {

constexpr int kGroupsMost = 65536;  // NGROUPS_MAX

std::optional<unsigned> Number(const std::string& text) {
  unsigned number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  // The highest id means "no change" in system calls.
  if (error != std::errc() || end != text.data() + text.size() || number + 1 == 0) {
    return std::nullopt;
  }
  return number;
}

Error Failed(const std::string& what) {
  return Error{Fault::kSystem, what + ": " + std::strerror(errno)};
}

std::vector<gid_t> GroupsOf(const char* name, gid_t gid) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  while (::getgrouplist(name, gid, groups.data(), &count) < 0 && count <= kGroupsMost) {
    groups.resize(static_cast<size_t>(count));
  }
  groups.resize(static_cast<size_t>(count));
  return groups;
}

}  // namespace

Result<std::optional<Identity>> FindIdentity(const std::string& user, const std::string& group) {
  if (user.empty() && group.empty()) return std::optional<Identity>();
  Identity identity{::geteuid(), ::getegid(), {}};
  const struct group* found_group = group.empty() ? nullptr : ::getgrnam(group.c_str());
  std::optional<unsigned> group_number = Number(group);
  if (!group.empty() && !found_group && !group_number) {
    return Error{Fault::kConfig, "--user: there is no group '" + group + "'"};
  }
  if (!group.empty()) identity.gid = found_group ? found_group->gr_gid : *group_number;
  if (user.empty()) {
    identity.groups = {identity.gid};
    return std::optional(identity);
  }
  const passwd* found = ::getpwnam(user.c_str());
  auto number = Number(user);
  if (!found && number) found = ::getpwuid(*number);
  if (!found && !number) {
    return Error{Fault::kConfig, "--user: there is no user '" + user + "'"};
  }
  if (!found && group.empty()) {
    return Error{Fault::kConfig, "--user: number " + user + " has no name and so no group; " +
                                     "give one: --user " + user + ":GROUP"};
  }
  identity.uid = found ? found->pw_uid : *number;
  if (found && group.empty()) identity.gid = found->pw_gid;
  identity.groups = {identity.gid};
  if (found) identity.groups = GroupsOf(found->pw_name, identity.gid);
  return std::optional(identity);
}

std::vector<std::string> FindUserNames(uid_t uid) {
  std::set<std::string> names;
  if (const passwd* found = ::getpwuid(uid)) names.insert(found->pw_name);
  ::setpwent();
  while (const passwd* entry = ::getpwent()) {
    if (entry->pw_uid == uid) names.insert(entry->pw_name);
  }
  ::endpwent();
  return {names.begin(), names.end()};
}

Status EnterRoot(const std::string& folder) {
  ::tzset();
  log::ConnectSyslog();
  if (::chroot(folder.c_str()) != 0 || ::chdir("/") != 0) {
    return Failed("--chroot: '" + folder + "' cannot be the root directory");
  }
  return Ok();
}

void ForbidNewPrivileges() { ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

// Uses the C library's functions, which change all threads.
Status Become(const Identity& identity) {
  if (::geteuid() == identity.uid && ::getegid() == identity.gid && ::geteuid() != 0) return Ok();
  if (::geteuid() != 0) {
    return Error{Fault::kSystem, "only root can become another user or group (--user)"};
  }
  if (::setgroups(identity.groups.size(), identity.groups.data()) != 0 ||
      ::setresgid(identity.gid, identity.gid, identity.gid) != 0 ||
      ::setresuid(identity.uid, identity.uid, identity.uid) != 0) {
    return Failed("cannot change the user or group (--user)");
  }
  if (identity.uid != 0 && ::setuid(0) == 0) {
    return Error{Fault::kSystem, "--user: cannot drop the rights of root"};
  }
  return Ok();
}

int ErrorOfReadingAs(const Identity& identity, const std::string& path) {
  if (::geteuid() != 0) return 0;
  const gid_t own_group = ::getegid();
  std::vector<gid_t> own_groups(static_cast<size_t>(std::max(0, ::getgroups(0, nullptr))));
  if (::getgroups(static_cast<int>(own_groups.size()), own_groups.data()) < 0) return errno;
  int error = 0;
  if (::setgroups(identity.groups.size(), identity.groups.data()) != 0 ||
      ::setegid(identity.gid) != 0 || ::seteuid(identity.uid) != 0) {
    error = errno;
  } else if (!Fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC))) {
    error = errno;
  }
  if (::seteuid(0) != 0 || ::setegid(own_group) != 0 ||
      ::setgroups(own_groups.size(), own_groups.data()) != 0) {
    return errno;
  }
  return error;
}

void GiveTo(const Identity& identity, const std::string& path) {
  Fd file(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status;
  if (!file || ::fstat(file.get(), &status) != 0 || status.st_uid != ::geteuid()) return;
  bool plain = S_ISREG(status.st_mode) && status.st_nlink == 1;
  if (!plain && !S_ISDIR(status.st_mode) && !S_ISSOCK(status.st_mode)) return;
  // Ignored: an error is reported when the file is used.
  (void)!::fchownat(file.get(), "", identity.uid, identity.gid, AT_EMPTY_PATH);
}

void GiveFolderTo(const Identity& identity, const std::string& path) {
  ::mkdir(path.c_str(), 0700);
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0 || status.st_uid != ::geteuid()) return;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_regular_file(error)) GiveTo(identity, entry->path().string());
  }
  GiveTo(identity, path);
}

}  // namespace rum
