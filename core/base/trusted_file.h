// Files that a user names and that rum may open as root: not by way of a symbolic link or a file
// that another user has put there.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace rum {

// [any] open(2), close-on-exec. A last component that is a symbolic link is followed if it belongs
// to root or to this user, and its folder cannot be written by everybody. In a folder that others
// can write to, a file must have one name only and belong to root, to this user or to the folder's
// owner. The error's text does not name the path.
Result<Fd> OpenTrusted(const std::string& path, int flags, mode_t mode);

// [any] Whether nobody but root, this user and `also` can put files into the folder. A folder that
// is not there yet is one.
bool TrustedFolder(const std::string& path, uid_t also);

}  // namespace rum
