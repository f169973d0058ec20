#include "daemon/handover_note.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace rum {
namespace {

HandoverNote Example() {
  HandoverNote note{.ready = 7,
                    .error_output = 8,
                    .detach = true,
                    .has_map = true,
                    .sockets = {},
                    .admin_states = {}};
  int fd = 9;
  for (const char* text : {"tcp:0.0.0.0:3306", "tcp:[::1]:1", "tls:localhost:0",
                           "sock:/run/a,b%c:d\n\te", "sock:relative"}) {
    note.sockets.push_back({fd++, fd % 2 == 0, *ParseAddress(text, true)});
  }
  note.pidfile = 20;
  note.shared = 21;
  note.admin_states = {{"tcp:db1:3306", AdminState::kDrain},
                       {"sock:/run/a,b", AdminState::kMaintenance}};
  note.generations = {{71, 1700000000, "/run/a,b:c.71"}, {72, 1700000001, "/run/c.72"}};
  note.ids_above = 4194308;
  note.pauses = {{LoginPauses::Kind::kUser, "a,b:c%\n", 86400000},
                 {LoginPauses::Kind::kServer, "tcp:db1:3306", 1}};
  return note;
}

TEST(HandoverNote, SaysWhatWasWritten) {
  HandoverNote note = Example();
  auto read = ReadHandoverNote(WriteHandoverNote(note));
  ASSERT_TRUE(read.ok()) << read.error().text;
  EXPECT_EQ(read->ready, 7);
  EXPECT_EQ(read->error_output, 8);
  EXPECT_TRUE(read->detach);
  EXPECT_TRUE(read->has_map);
  EXPECT_EQ(read->pidfile, 20);
  EXPECT_EQ(read->shared, 21);
  ASSERT_EQ(read->sockets.size(), note.sockets.size());
  for (size_t i = 0; i < note.sockets.size(); ++i) {
    EXPECT_EQ(read->sockets[i].fd, note.sockets[i].fd);
    EXPECT_EQ(read->sockets[i].given, note.sockets[i].given);
    EXPECT_EQ(read->sockets[i].address, note.sockets[i].address);
  }
  ASSERT_EQ(read->admin_states.size(), 2u);
  EXPECT_EQ(read->admin_states[0].server, "tcp:db1:3306");
  EXPECT_EQ(read->admin_states[0].state, AdminState::kDrain);
  EXPECT_EQ(read->admin_states[1].server, "sock:/run/a,b");
  EXPECT_EQ(read->admin_states[1].state, AdminState::kMaintenance);
  ASSERT_EQ(read->generations.size(), 2u);
  EXPECT_EQ(read->generations[0].pid, 71);
  EXPECT_EQ(read->generations[0].since, 1700000000);
  EXPECT_EQ(read->generations[0].socket, "/run/a,b:c.71");
  EXPECT_EQ(read->generations[1].socket, "/run/c.72");
  EXPECT_EQ(read->ids_above, 4194308u);
  ASSERT_EQ(read->pauses.size(), 2u);
  EXPECT_EQ(read->pauses[0].kind, LoginPauses::Kind::kUser);
  EXPECT_EQ(read->pauses[0].name, "a,b:c%\n");
  EXPECT_EQ(read->pauses[0].until, 86400000u);
  EXPECT_EQ(read->pauses[1].kind, LoginPauses::Kind::kServer);
  EXPECT_EQ(read->pauses[1].name, "tcp:db1:3306");
}

TEST(HandoverNote, IsOneReadableLine) {
  HandoverNote note{.ready = 7,
                    .error_output = 8,
                    .detach = true,
                    .has_map = true,
                    .sockets = {},
                    .admin_states = {}};
  note.sockets.push_back({5, false, *ParseAddress("tcp:0.0.0.0:3306")});
  note.sockets.push_back({6, true, *ParseAddress("sock:/run/a,b")});
  EXPECT_EQ(WriteHandoverNote(note),
            "ready:7,stderr:8,detach:,map:,own:5:tcp:0.0.0.0:3306,given:6:sock:/run/a%2Cb");
  EXPECT_EQ(ReadHandoverNote(WriteHandoverNote(note))->pidfile, -1);
}

TEST(HandoverNote, OneThatIsTooLongForTheEnvironmentContinuesInAFile) {
  HandoverNote note = Example();
  Fd rest;
  EXPECT_EQ(*WriteShortHandoverNote(note, &rest), WriteHandoverNote(note));
  EXPECT_FALSE(rest);
  for (int i = 0; i < 20000; ++i) {
    note.sockets.push_back({30 + i, false, *ParseAddress("tcp:db" + std::to_string(i) + ":1")});
  }
  auto text = WriteShortHandoverNote(note, &rest);
  ASSERT_TRUE(text.ok()) << text.error().text;
  ASSERT_TRUE(rest);
  EXPECT_EQ(*text, "ready:7,stderr:8,rest:" + std::to_string(rest.get()));
  EXPECT_EQ(::fcntl(rest.get(), F_GETFD), FD_CLOEXEC);
  auto read = ReadHandoverNote(*text);
  ASSERT_TRUE(read.ok()) << read.error().text;
  EXPECT_LT(::fcntl(rest.release(), F_GETFD), 0) << "it is closed by who reads it";
  EXPECT_EQ(read->pidfile, 20);
  EXPECT_EQ(read->admin_states.size(), 2u);
  ASSERT_EQ(read->sockets.size(), note.sockets.size());
  EXPECT_EQ(read->sockets.back().fd, note.sockets.back().fd);
  EXPECT_EQ(read->sockets.back().address, note.sockets.back().address);
}

TEST(HandoverNote, TheFileWithTheRestHasNoRestItselfAndIsRead) {
  for (const char* more : {"rest:7", "nonsense", "own:5"}) {
    Fd rest(::memfd_create("test", MFD_CLOEXEC));
    ASSERT_EQ(::write(rest.get(), more, std::strlen(more)),
              static_cast<ssize_t>(std::strlen(more)));
    EXPECT_FALSE(ReadHandoverNote("ready:7,stderr:8,rest:" + std::to_string(rest.release())).ok())
        << more;
  }
  Fd closed(::memfd_create("test", MFD_CLOEXEC));
  std::string number = std::to_string(closed.get());
  closed.reset();
  EXPECT_FALSE(ReadHandoverNote("ready:7,stderr:8,rest:" + number).ok());
}

TEST(HandoverNote, IsRefusedWhenItCannotBeRead) {
  for (const char* text : {"",
                           "ready:7",
                           "stderr:8",
                           "ready:7,stderr:8,map:1",
                           "ready:7,stderr:8,detach:1",
                           "ready:7,stderr:8,own:5",
                           "ready:7,stderr:8,own:5:nonsense",
                           "ready:7,stderr:8,own:x:tcp:a:1",
                           "ready:7,stderr:8,other:5:tcp:a:1",
                           "ready:-1,stderr:8",
                           "ready:2,stderr:8",
                           "ready:7:x,stderr:8",
                           "ready:7,stderr:8,pidfile:x",
                           "ready:7,stderr:8,own:5:sock:/a%2",
                           "ready:7,stderr:8,own:5:sock:/a%GG",
                           "ready:7,stderr:8,,",
                           "ready:7,stderr:8,drain",
                           "ready:7,stderr:8,pause:0:user:a",
                           "ready:7,stderr:8,pause:x:user:a",
                           "ready:7,stderr:8,pause:1:user:",
                           "ready:7,stderr:8,pause:1:users:a",
                           "ready:7,stderr:8,pause:1",
                           "ready:7,stderr:8,older:0:1:/c",
                           "ready:7,stderr:8,older:7:1:",
                           "ready:7,stderr:8,older:7",
                           "ready:7,stderr:8,older:-7:1:/c",
                           "ready:7,stderr:8,older:7:x:/c",
                           "ready:7,stderr:8,ids:",
                           "ready:7,stderr:8,ids:0",
                           "ready:7,stderr:8,ids:18446744073709551615",
                           "ready:7,stderr:8,maint:db1",
                           "ready:99999999999,stderr:8"}) {
    auto read = ReadHandoverNote(text);
    EXPECT_FALSE(read.ok()) << text;
  }
}

TEST(HandoverNote, ListsABoundedNumberOfOlderProcesses) {
  HandoverNote note = Example();
  note.generations.resize(kGenerationsMost, note.generations[0]);
  EXPECT_TRUE(ReadHandoverNote(WriteHandoverNote(note)).ok());
  note.generations.push_back(note.generations[0]);
  EXPECT_FALSE(ReadHandoverNote(WriteHandoverNote(note)).ok());
}

TEST(HandoverNote, ThatWasCutAnywhereDoesNoHarm) {
  std::string whole = WriteHandoverNote(Example());
  for (size_t size = 0; size < whole.size(); ++size) {
    auto read = ReadHandoverNote(whole.substr(0, size));
    if (read) {
      EXPECT_LE(read->sockets.size(), 5u);
    }
  }
}

}  // namespace
}  // namespace rum
