#include "settings/option_origins.h"

#include <gtest/gtest.h>

namespace rum {
namespace {

TEST(OptionOrigins, LocateErrorsOfOptionsAndOfTheirFiles) {
  const OptionTexts texts = {{"map", {"users.cdb"}},
                             {"tls-cert", {"/etc/c.pem"}},
                             {"protocol", {"x.so"}},
                             {"geo-db", {"of the command line"}},
                             {"pidfile", {""}}};
  const OptionPlaces places = {{"map", {"rum.conf:3"}},
                               {"tls-cert", {"rum.conf:4"}},
                               {"protocol", {"rum.conf:5"}},
                               {"pidfile", {"rum.conf:6"}}};
  const OptionOrigins origins(texts, places);
  EXPECT_EQ(origins.Locate("--map: no"), "rum.conf:3: map: no");
  EXPECT_EQ(origins.Locate("users.cdb: no such file"), "rum.conf:3: map: users.cdb: no such file");
  EXPECT_EQ(origins.Locate("/lib/x.so: no such file"),
            "rum.conf:5: protocol: /lib/x.so: no such file");
  EXPECT_EQ(origins.Locate("certificate '/etc/c.pem': no"),
            "rum.conf:4: tls-cert: certificate '/etc/c.pem': no");
  // Others stay as they are.
  for (const char* same : {"--geo-db: of the command line: no", "--mapper: no", "myusers.cdb: no",
                           "'/etc/c.pem.old': no", "users.cdb is large", "", ": no"}) {
    EXPECT_EQ(origins.Locate(same), same);
  }
  EXPECT_EQ(OptionOrigins().Locate("--map: no"), "--map: no");
}

}  // namespace
}  // namespace rum
