// Opens files that a user names, safely also as root: another user cannot redirect the open by a
// symbolic link or by a file placed in a shared folder.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace rum {

// [any] open(2), close-on-exec. Follows a symbolic link as the last component only if it belongs to
// root or this user and its folder is not world-writable. In a folder that others can write to, a
// regular file must have exactly one name and belong to root, to this user or to the folder's
// owner. The error's text does not contain the path.
Result<Fd> OpenTrusted(const std::string& path, int flags, mode_t mode);

// [any] Whether only root, this user and `also` can create files in the folder. True if the folder
// does not exist.
bool TrustedFolder(const std::string& path, uid_t also);

}  // namespace rum
