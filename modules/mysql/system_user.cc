#include "mysql/system_user.h"

#include <pwd.h>
#include <unistd.h>

namespace rum::mysql {

const std::string& SystemUser() {
  static const std::string name = [] {
    char text[4096];
    passwd entry;
    passwd* found = nullptr;
    ::getpwuid_r(::geteuid(), &entry, text, sizeof text, &found);
    return std::string(found != nullptr ? found->pw_name : "");
  }();
  return name;
}

}  // namespace rum::mysql
