// Giving up the rights of root: --user, --chroot.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace rum {

// Who the process is to be.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

// [main, before EnterRoot()] Names or numbers; an empty `group` is that of the user, an empty
// `user` stays who it is. Nothing: both are empty.
Result<std::optional<Identity>> FindIdentity(const std::string& user, const std::string& group);

// [main, before EnterRoot()] All names that the system has for this number. Where it does not list
// its users, as with some directories, this is the one that it tells when asked for the number.
std::vector<std::string> FindUserNames(uid_t uid);

// [main] From here on `folder` is the root folder. Time zone and syslog are taken along.
Status EnterRoot(const std::string& folder);

// [main, before any thread] Nothing that this process starts gets more rights than it has.
void ForbidNewPrivileges();
// [main] All threads become `identity`. Without root only what it is already can be asked for.
Status Become(const Identity& identity);

// [main] Gives a file, folder or socket of root's to `identity`, so that it can be opened again, by
// that name, later. What belongs to another user, or has another name as well, is not changed: it
// may be somebody's trick.
void GiveTo(const Identity& identity, const std::string& path);
// [main] The same for a folder, which is made if need be, and the files in it.
void GiveFolderTo(const Identity& identity, const std::string& path);

}  // namespace rum
