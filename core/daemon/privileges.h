// Drops root privileges: --user, --chroot.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace rum {

// The user and groups to run as.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

// [main, before EnterRoot()] Resolves names or numbers. An empty `group` is the user's group, an
// empty `user` the current user. nullopt: both are empty.
Result<std::optional<Identity>> FindIdentity(const std::string& user, const std::string& group);

// [main, before EnterRoot()] All names of this user id. If the system does not enumerate its users
// (as with some directory services), only the one that a look-up of the id returns.
std::vector<std::string> FindUserNames(uid_t uid);

// [main] Makes `folder` the root folder. Loads the time zone and connects to syslog before.
Status EnterRoot(const std::string& folder);

// [main, before any thread] Prevents this process and its children from gaining privileges.
void ForbidNewPrivileges();
// [main] Switches all threads to `identity`. Without root this fails, unless it is the current
// identity.
Status Become(const Identity& identity);

// [main] The errno of opening `path` for reading as `identity`; 0: it can be read. Only root can
// find out; for others it is 0.
int ErrorOfReadingAs(const Identity& identity, const std::string& path);

// [main] Changes the owner of root's file, folder or socket to `identity`, so that the process can
// open it by name later. Skips files of other users and files with several names, which may be an
// attack.
void GiveTo(const Identity& identity, const std::string& path);
// [main] As GiveTo(), for a folder, which is created if needed, and its files.
void GiveFolderTo(const Identity& identity, const std::string& path);

}  // namespace rum
