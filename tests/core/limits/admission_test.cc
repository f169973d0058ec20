// Who is let in: the rules in their order, defaults and exceptions, and through a whole rum.
#include "limits/admission.h"

#include <gtest/gtest.h>

#include <atomic>
#include <utility>

#include "core/geo/geo_bytes.h"
#include "geo/geo_database.h"
#include "proxy/proxy.h"
#include "rum/module.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::string_literals;
using namespace rum::test;

SocketAddress At(const std::string& host) { return *SocketAddress::Numeric(host, 40000); }

std::string Record(const std::string& words) { return "\0tcp:a:1\0\x80"s + words; }

int32_t Judge(const std::string& words, bool safe_way = false, int64_t now = 1000) {
  auto rules = ParseMapRules("\x80" + words);
  EXPECT_TRUE(rules.ok()) << words;
  SocketAddress address = At("192.0.2.1");
  return JudgeRules(*rules, {"alice", address, safe_way}, now);
}

TEST(JudgeRules, AppliesEachRule) {
  EXPECT_EQ(Judge(""), RUM_OK);
  EXPECT_EQ(Judge("disabled"), RUM_REFUSED_DISABLED);
  EXPECT_EQ(Judge("from=1000"), RUM_OK);
  EXPECT_EQ(Judge("from=1001"), RUM_REFUSED_TIME);
  EXPECT_EQ(Judge("until=1001"), RUM_OK);
  EXPECT_EQ(Judge("until=1000"), RUM_REFUSED_TIME);
  EXPECT_EQ(Judge("allow=192.0.2.0/24"), RUM_OK);
  EXPECT_EQ(Judge("allow=192.0.3.0/24,unix"), RUM_REFUSED_ADDRESS);
  EXPECT_EQ(Judge("deny=192.0.2.1"), RUM_REFUSED_ADDRESS);
  EXPECT_EQ(Judge("allow=192.0.2.0/24 deny=192.0.2.1"), RUM_REFUSED_ADDRESS);
  EXPECT_EQ(Judge("deny=192.0.2.2"), RUM_OK);
  EXPECT_EQ(Judge("tls=require"), RUM_REFUSED_TLS);
  EXPECT_EQ(Judge("tls=require", true), RUM_OK);
}

TEST(JudgeRules, AppliesCountries) {
  if (!GeoDatabase::Available()) GTEST_SKIP() << "there is no libmaxminddb";
  GeoBytes bytes;
  bytes.SetV4({192, 0, 2}, 24, bytes.Data(GeoCountry("CZ")));
  bytes.SetV4({198, 51, 100}, 24, bytes.Data(GeoCountry("DE")));
  auto geo = GeoDatabase::FromBytes("x.mmdb", bytes.File());
  ASSERT_TRUE(geo.ok()) << geo.error().text;
  auto judge = [&](const std::string& tail, const SocketAddress& from, bool with_geo = true) {
    auto rules = ParseMapRules(tail);
    EXPECT_TRUE(rules.ok()) << tail;
    return JudgeRules(*rules, {"alice", from, true, with_geo ? geo->get() : nullptr}, 1000);
  };
  const SocketAddress czech = At("192.0.2.1"), german = At("198.51.100.1"), home = At("10.1.1.1"),
                      unix_socket;
  const std::string only =
                        "\x80"
                        "country=CZ,SK",
                    but =
                        "\x80"
                        "not-country=DE",
                    older =
                        "\x02\x01"
                        "CZ";
  EXPECT_EQ(judge(only, czech), RUM_OK);
  EXPECT_EQ(judge(only, german), RUM_REFUSED_ADDRESS);
  EXPECT_EQ(judge(but, czech), RUM_OK);
  EXPECT_EQ(judge(but, german), RUM_REFUSED_ADDRESS);
  EXPECT_EQ(judge(older, czech), RUM_OK);
  EXPECT_EQ(judge(older, german), RUM_REFUSED_ADDRESS);
  // Without a country an address is in no list.
  for (const SocketAddress* unknown : {&home, &unix_socket}) {
    EXPECT_EQ(judge(only, *unknown), RUM_REFUSED_ADDRESS);
    EXPECT_EQ(judge(older, *unknown), RUM_REFUSED_ADDRESS);
    EXPECT_EQ(judge(but, *unknown), RUM_OK);
  }
  // Each rule restricts by itself.
  EXPECT_EQ(judge("\x80"
                  "country=CZ,DE not-country=DE",
                  german),
            RUM_REFUSED_ADDRESS);
  EXPECT_EQ(judge("\x80"
                  "country=CZ allow=10.0.0.0/8",
                  czech),
            RUM_REFUSED_ADDRESS);
  EXPECT_EQ(judge("\x80"
                  "country=CZ allow=192.0.0.0/8",
                  czech),
            RUM_OK);
  // Without a database, only version 6.7 ignored its rules.
  EXPECT_EQ(judge(only, czech, false), RUM_REFUSED_RULES);
  EXPECT_EQ(judge(but, czech, false), RUM_REFUSED_RULES);
  EXPECT_EQ(judge(older, german, false), RUM_OK);
}

class AdmissionTest : public testing::Test {
 protected:
  // An admission with its settings.
  struct Door {
    Admission::Settings settings;
    Admission admission{};
  };
  // A login from start to end.
  int32_t Ask(Door& door, const std::string& record, UserLimits::Lease* lease,
              const std::string& from = "192.0.2.1") {
    Admission::Candidate candidate;
    lease->Release();
    int32_t verdict = Admit(door, record, &candidate, from);
    return verdict == RUM_OK ? door.admission.Confirm(&candidate, lease) : verdict;
  }
  // The first half of one.
  int32_t Admit(Door& door, const std::string& record, Admission::Candidate* candidate,
                const std::string& from = "192.0.2.1") {
    SocketAddress address = At(from);
    UserLimits::Lease none;
    return door.admission.Admit(door.settings, {"alice", address, false}, record, none, candidate);
  }
  // How many sessions the user gets, of at most ten.
  int Count(Door& door, const std::string& record) {
    std::vector<UserLimits::Lease> leases(10);
    int count = 0;
    for (auto& lease : leases) count += Ask(door, record, &lease) == RUM_OK;
    return count;
  }
};

TEST_F(AdmissionTest, TheRecordSaysMoreThanTheDefault) {
  Door none{{{}, {}}};
  EXPECT_EQ(Count(none, ""), 10);
  EXPECT_EQ(Count(none, Record("max=3")), 3);
  Door two{{{2, {}}, {}}};
  EXPECT_EQ(Count(two, ""), 2);
  EXPECT_EQ(Count(two, Record("note=x")), 2);
  EXPECT_EQ(Count(two, "\0tcp:a:1\0"s), 2);
  EXPECT_EQ(Count(two, Record("max=3")), 3);
  EXPECT_EQ(Count(two, Record("max=off")), 10);
}

TEST_F(AdmissionTest, WhatIsNotUnderstoodIsNoAdmission) {
  Door door{{{}, {}}};
  UserLimits::Lease lease;
  for (const std::string& record : {Record("later=1"), "\0tcp:a:1\0\x01\x05"s, "no record"s}) {
    EXPECT_EQ(Ask(door, record, &lease), RUM_REFUSED_RULES);
    EXPECT_FALSE(lease);
  }
}

// Whoever knows the name of a user can begin logins as that user.
TEST_F(AdmissionTest, StrangersTakeNothingOfAUser) {
  Door door{{{2, {2, Millis(3600000)}}, {}}};
  std::vector<Admission::Candidate> strangers(1000);
  int admitted = 0;
  for (auto& stranger : strangers) {
    admitted += Admit(door, "", &stranger, "198.51.100.7") == RUM_OK;
  }
  EXPECT_EQ(admitted, 2) << "the server is spared what could not be";
  UserLimits::Lease one, two, three;
  EXPECT_EQ(Ask(door, "", &one), RUM_OK);
  EXPECT_EQ(Ask(door, "", &two), RUM_OK);
  EXPECT_EQ(Ask(door, "", &three), RUM_REFUSED_CONNECTIONS);
  // One of them knew the password after all.
  EXPECT_EQ(door.admission.Confirm(&strangers[0], &three), RUM_REFUSED_CONNECTIONS);
  EXPECT_EQ(door.admission.users().Sessions("alice"), 2u);
  one.Release();
  EXPECT_EQ(door.admission.Confirm(&strangers[1], &three), RUM_REFUSED_RATE);
  EXPECT_FALSE(three);
}

TEST_F(AdmissionTest, GuessesThatFailLeaveTheRateAlone) {
  Door door{{{0, {2, Millis(3600000)}}, {}}};
  for (int i = 0; i < 100; ++i) {
    Admission::Candidate guess;
    EXPECT_EQ(Admit(door, "", &guess), RUM_OK);
  }
  UserLimits::Lease lease;
  EXPECT_EQ(Ask(door, "", &lease), RUM_OK);
  EXPECT_EQ(Ask(door, "", &lease), RUM_OK);
  EXPECT_EQ(Ask(door, "", &lease), RUM_REFUSED_RATE);
}

TEST_F(AdmissionTest, CandidatesOfOneAddressAreNoMoreThanThePlaces) {
  Door door{{{3, {}}, {}}};
  UserLimits::Lease lease;
  EXPECT_EQ(Ask(door, "", &lease), RUM_OK);
  Admission::Candidate one, two, three, other;
  EXPECT_EQ(Admit(door, "", &one), RUM_OK);
  EXPECT_EQ(Admit(door, "", &two), RUM_OK);
  EXPECT_EQ(Admit(door, "", &three), RUM_REFUSED_CONNECTIONS);
  EXPECT_EQ(Admit(door, "", &other, "192.0.2.2"), RUM_OK);
  one.Drop();
  EXPECT_EQ(Admit(door, "", &three), RUM_OK);
}

TEST_F(AdmissionTest, TheRateIsThatOfTheRecord) {
  Door door{{{0, {1, Millis(3600000)}}, {}}};
  UserLimits::Lease lease;
  EXPECT_EQ(Ask(door, Record("rate=2/h"), &lease), RUM_OK);
  EXPECT_EQ(Ask(door, Record("rate=2/h"), &lease), RUM_OK);
  EXPECT_EQ(Ask(door, Record("rate=2/h"), &lease), RUM_REFUSED_RATE);
  EXPECT_EQ(Ask(door, Record("rate=off"), &lease), RUM_OK);
}

class ChangeTest : public AdmissionTest {
 protected:
  // A session that is in.
  struct Guest {
    UserLimits::Lease lease{};
    Admission::Candidate candidate{};
  };
  int32_t Change(Door& door, const std::string& user, const std::string& record, Guest* guest) {
    SocketAddress address = At("192.0.2.1");
    return door.admission.Admit(door.settings, {user, address, false}, record, guest->lease,
                                &guest->candidate);
  }
  static int32_t Confirm(Door& door, Guest* guest) {
    return door.admission.Confirm(&guest->candidate, &guest->lease);
  }
  Guest Alice(Door& door) {
    Guest guest;
    EXPECT_EQ(Ask(door, "", &guest.lease), RUM_OK);
    return guest;
  }
  static std::pair<uint32_t, uint32_t> Sessions(const Door& door) {
    const UserLimits& users = door.admission.users();
    return {users.Sessions("alice"), users.Sessions("bob")};
  }
  using Counts = std::pair<uint32_t, uint32_t>;
};

TEST_F(ChangeTest, CountsForTheOneBeforeUntilItIsProved) {
  Door door{{{1, {}}, {}}};
  Guest guest = Alice(door);
  EXPECT_EQ(Change(door, "bob", "", &guest), RUM_OK);
  EXPECT_EQ(Sessions(door), Counts(1, 0));
  UserLimits::Lease other;
  EXPECT_EQ(Ask(door, "", &other), RUM_REFUSED_CONNECTIONS) << "alice may go on";
  EXPECT_EQ(Confirm(door, &guest), RUM_OK);
  EXPECT_EQ(Sessions(door), Counts(0, 1));
  EXPECT_EQ(Ask(door, "", &other), RUM_OK);
}

TEST_F(ChangeTest, ThatIsRefusedLeavesTheSessionAsItWas) {
  Door door{{{1, {}}, {{3, Millis(60000)}, Millis(60000), {}}}};
  Guest guest = Alice(door), other;
  EXPECT_EQ(Change(door, "bob", Record("disabled"), &guest), RUM_REFUSED_DISABLED);
  EXPECT_FALSE(guest.candidate);
  EXPECT_EQ(Change(door, "bob", "", &other), RUM_OK);
  EXPECT_EQ(Confirm(door, &other), RUM_OK);
  EXPECT_EQ(Change(door, "bob", "", &guest), RUM_REFUSED_CONNECTIONS);
  EXPECT_EQ(Sessions(door), Counts(1, 1));
  for (int i = 0; i < 5; ++i) door.admission.guard().Failed(door.settings.guard, At("192.0.2.1"));
  EXPECT_EQ(Change(door, "bob", "", &guest), RUM_REFUSED_BLOCKED);
  EXPECT_EQ(Sessions(door), Counts(1, 1));
}

TEST_F(ChangeTest, ThatComesTooLateLeavesThePlaceToTheOneBefore) {
  Door door{{{1, {}}, {}}};
  Guest guest = Alice(door), other;
  EXPECT_EQ(Change(door, "bob", "", &guest), RUM_OK);
  SocketAddress elsewhere = At("192.0.2.2");
  EXPECT_EQ(door.admission.Admit(door.settings, {"bob", elsewhere, false}, "", other.lease,
                                 &other.candidate),
            RUM_OK);
  EXPECT_EQ(Confirm(door, &other), RUM_OK);
  EXPECT_EQ(Confirm(door, &guest), RUM_REFUSED_CONNECTIONS);
  EXPECT_EQ(Sessions(door), Counts(1, 1));
}

TEST_F(ChangeTest, ToTheSameUserIsJudgedAndCountsOnce) {
  Door door{{{1, {1, Millis(3600000)}}, {}}};
  Guest guest = Alice(door);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Change(door, "alice", "", &guest), RUM_OK);
    EXPECT_EQ(Confirm(door, &guest), RUM_OK);
  }
  EXPECT_EQ(Change(door, "alice", Record("disabled"), &guest), RUM_REFUSED_DISABLED);
  EXPECT_EQ(Sessions(door), Counts(1, 0));
}

// -- through a whole rum --------------------------------------------------------------------------

const rum_limits& Limits() {
  return *static_cast<const rum_limits*>(host->extension(RUM_LIMITS_1));
}

// A client says a name and is told a verdict; "fail" counts as a failed login.
Hooks Doorman() {
  Hooks hooks;
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    if (bytes == "fail") {
      Limits().login_failed(s);
      Send(s, RUM_CLIENT, "f");
      return static_cast<int64_t>(bytes.size());
    }
    if (bytes == "blocked") {
      Send(s, RUM_CLIENT, std::to_string(Limits().blocked(s)));
      return static_cast<int64_t>(bytes.size());
    }
    Identify(s, bytes);
    int32_t verdict = Limits().admit(s, nullptr, 0);
    if (verdict == RUM_OK) verdict = Limits().confirm(s);
    Send(s, RUM_CLIENT, std::to_string(verdict));
    if (verdict != RUM_OK) Close(s, RUM_CLOSE_LIMIT);
    return static_cast<int64_t>(bytes.size());
  };
  hooks.refusal = [](uint32_t reason, uint8_t* bytes, size_t size) {
    std::string text = "refused " + std::to_string(reason);
    return text.copy(reinterpret_cast<char*>(bytes), size);
  };
  return hooks;
}

TEST(Limits, PlacesAreFreeAsSoonAsASessionHasEnded) {
  RunningProxy proxy(Doorman(), [](Settings& s) {
    s.admission.limit.max = 2;
    s.workers = 3;
  });
  const std::string full = std::to_string(RUM_REFUSED_CONNECTIONS);
  Peer one = proxy.Client(), two = proxy.Client();
  for (Peer* peer : {&one, &two}) {
    peer->Send("alice");
    EXPECT_EQ(peer->Receive(1), "0");
  }
  for (int i = 0; i < 5; ++i) {
    Peer more = proxy.Client();
    more.Send("alice");
    EXPECT_EQ(more.ReceiveAll(), full);
  }
  Peer bob = proxy.Client();
  bob.Send("bob");
  EXPECT_EQ(bob.Receive(1), "0");
  EXPECT_EQ(proxy.proxy().admission().users().active(), 2u);
  one.Reset();
  EXPECT_TRUE(Eventually([&] {
    Peer again = proxy.Client();
    again.Send("alice");
    return again.Receive(1) == "0";
  }));
  two.Close();
  bob.Close();
  EXPECT_TRUE(Eventually([&] { return proxy.proxy().admission().users().active() == 0; }));
}

TEST(Limits, AUserMayBeAskedForAgainInTheSameSession) {
  RunningProxy proxy(Doorman(), [](Settings& s) { s.admission.limit.max = 1; });
  Peer client = proxy.Client();
  for (const char* user : {"alice", "bob", "alice"}) {
    client.Send(user);
    EXPECT_EQ(client.Receive(1), "0");
  }
  EXPECT_EQ(proxy.proxy().admission().users().active(), 1u);
}

// "NAME" is who the session becomes next, "ok" and "back" are what becomes of that.
TEST(Limits, ASessionThatIsInHoldsItsPlaceUntilAChangeOfItsUserIsThrough) {
  Server server;
  Hooks hooks;
  std::atomic<bool> in = false;
  hooks.session_open = [&](rum_session* s) {
    Identify(s, "alice");
    EXPECT_EQ(Limits().admit(s, nullptr, 0), RUM_OK);
    return Connect(s, server.address());
  };
  hooks.upstream_open = [&](rum_session* s, uint32_t) {
    EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_OK);
    in = true;
  };
  hooks.client_data = [&](rum_session* s, std::string_view bytes) -> int64_t {
    if (bytes == "ok" || bytes == "back") {
      if (bytes == "back") {
        Identify(s, "alice");
        EXPECT_EQ(Limits().admit(s, nullptr, 0), RUM_OK);
      }
      EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_OK);
      Send(s, RUM_CLIENT, "+");
    } else {
      EXPECT_EQ(host->take_back(s, RUM_UPSTREAM), RUM_OK);
      Identify(s, bytes);
      Send(s, RUM_CLIENT, std::to_string(Limits().admit(s, nullptr, 0)));
    }
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.admission.limit.max = 1; });
  const UserLimits& users = proxy.proxy().admission().users();
  auto counts = [&] { return std::pair(users.Sessions("alice"), users.Sessions("bob")); };
  using Counts = std::pair<uint32_t, uint32_t>;
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  ASSERT_TRUE(Eventually([&] { return in.load(); }));
  auto say = [&](const std::string& text) {
    client.Send(text);
    return client.Receive(1);
  };
  EXPECT_EQ(counts(), Counts(1, 0)) << "letting it through confirms";
  EXPECT_EQ(say("bob"), "0");
  EXPECT_EQ(counts(), Counts(1, 0));
  EXPECT_EQ(say("back"), "+");
  EXPECT_EQ(counts(), Counts(1, 0));
  EXPECT_EQ(say("alice"), "0");
  EXPECT_EQ(say("ok"), "+");
  EXPECT_EQ(counts(), Counts(1, 0));
  EXPECT_EQ(say("bob"), "0");
  EXPECT_EQ(say("ok"), "+");
  EXPECT_EQ(counts(), Counts(0, 1));
  EXPECT_EQ(say("alice"), "0");
  EXPECT_EQ(counts(), Counts(0, 1));
  client.Reset();
  EXPECT_TRUE(Eventually([&] { return counts() == Counts(0, 0); })) << "in the middle of a change";
}

// Each client sends a proof, "t"; the server's verdict comes later, "f" or "c".
Hooks Examiner(std::atomic<int>& under_way) {
  Hooks hooks;
  auto ask = [&under_way](rum_session* s) {
    const int32_t verdict = Limits().try_login(s);
    if (verdict == RUM_OK) ++under_way;
    if (verdict != RUM_E_AGAIN) Send(s, RUM_CLIENT, verdict == RUM_OK ? "+" : "-");
  };
  hooks.session_open = [](rum_session* s) {
    Identify(s, "alice");
    return RUM_OK;
  };
  hooks.client_data = [ask](rum_session* s, std::string_view bytes) -> int64_t {
    if (bytes[0] == 't') ask(s);
    if (bytes[0] == 'f') Limits().login_failed(s);
    if (bytes[0] == 'c') {
      EXPECT_EQ(Limits().admit(s, nullptr, 0), RUM_OK);
      EXPECT_EQ(Limits().confirm(s), RUM_OK);
    }
    return 1;
  };
  hooks.resumed = [ask](rum_session* s, uint64_t, int32_t, void* payload) {
    EXPECT_EQ(payload, nullptr);
    ask(s);
  };
  return hooks;
}

std::vector<Peer> Provers(RunningProxy& proxy, size_t number) {
  std::vector<Peer> peers;
  for (size_t i = 0; i < number; ++i) {
    peers.push_back(proxy.Client());
    peers.back().Send("t");
  }
  return peers;
}

TEST(Limits, OfManyGuessesAtOnceNoMoreAreUnderWayThanMayFail) {
  std::atomic<int> under_way = 0;
  RunningProxy proxy(Examiner(under_way), [](Settings& s) {
    s.admission.guard.failures = {5, Millis(3600000)};
    s.admission.guard.block = Millis(3600000);
    s.workers = 3;
  });
  std::vector<Peer> peers = Provers(proxy, 40);
  ASSERT_TRUE(Eventually([&] { return under_way == 5 && proxy.Sum(&Counters::accepted) == 40; }));
  int blocked = 0;
  for (Peer& peer : peers) peer.Send("f");  // of those that wait nothing is read
  for (Peer& peer : peers) blocked += peer.Receive(1) == "-";
  EXPECT_EQ(under_way, 5);
  EXPECT_EQ(blocked, 35);
}

TEST(Limits, ManyGoodLoginsAtOnceAllComeInInTurn) {
  std::atomic<int> under_way = 0;
  RunningProxy proxy(Examiner(under_way), [](Settings& s) {
    s.admission.guard.failures = {3, Millis(3600000)};
    s.workers = 3;
  });
  std::vector<Peer> peers = Provers(proxy, 40);
  ASSERT_TRUE(Eventually([&] { return under_way == 3; }));
  for (Peer& peer : peers) peer.Send("c");  // which those that wait say when it is their turn
  for (Peer& peer : peers) EXPECT_EQ(peer.Receive(1), "+");
  EXPECT_TRUE(
      Eventually([&] { return proxy.proxy().admission().users().Sessions("alice") == 40; }));
  EXPECT_EQ(proxy.Sum(&Counters::login_failures), 0u);
}

TEST(Limits, WhoLeavesWithAProofUnderWayHasFailedAndWhoOnlyWaitedHasNot) {
  std::atomic<int> under_way = 0;
  RunningProxy proxy(Examiner(under_way), [](Settings& s) {
    s.admission.guard.failures = {2, Millis(3600000)};
    s.admission.guard.block = Millis(3600000);
  });
  std::vector<Peer> peers = Provers(proxy, 3);
  ASSERT_TRUE(Eventually([&] { return under_way == 2; }));
  peers[2].Reset();
  EXPECT_EQ(proxy.NextReason(), "client_gone");
  EXPECT_EQ(proxy.Sum(&Counters::login_failures), 0u);
  peers[1].Close();
  proxy.NextReason();
  EXPECT_EQ(proxy.Sum(&Counters::login_failures), 1u);
  peers[0].Close();
  proxy.NextReason();
  EXPECT_EQ(proxy.Sum(&Counters::login_blocks), 1u);
}

TEST(Limits, AdmitWantsAUserAndASession) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    journal.Add(std::to_string(Limits().admit(s, nullptr, 0)));
    Identify(s, "alice");
    journal.Add(std::to_string(Limits().admit(s, nullptr, 1)));
    Close(s, RUM_CLOSE_DENIED);
    journal.Add(std::to_string(Limits().admit(s, nullptr, 0)));
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.WaitForEnd();
  EXPECT_EQ(journal.entries(),
            (std::vector{std::to_string(RUM_E_STATE), std::to_string(RUM_E_ARGUMENT),
                         std::to_string(RUM_E_STATE)}));
}

TEST(Limits, ABlockedAddressIsRefusedBeforeTheModuleSeesIt) {
  Journal journal;
  Hooks hooks = Doorman();
  hooks.session_open = [&](rum_session*) {
    journal.Add("open");
    return RUM_OK;
  };
  RunningProxy proxy(hooks, [](Settings& s) {
    s.admission.guard.failures = {2, Millis(3600000)};
    s.admission.guard.block = Millis(3600000);
    s.workers = 2;
  });
  Peer early = proxy.Client();  // there before the block
  early.Send("fail");
  EXPECT_EQ(early.Receive(1), "f");
  early.Send("blocked");
  EXPECT_EQ(early.Receive(1), "0");
  Peer client = proxy.Client();
  client.Send("fail");
  EXPECT_EQ(client.Receive(1), "f");
  client.Close();
  EXPECT_EQ(proxy.NextReason(), "client_gone");
  for (int i = 0; i < 3; ++i) {
    Peer blocked = proxy.Client();
    EXPECT_EQ(blocked.ReceiveAll(), "refused " + std::to_string(RUM_CLOSE_BLOCKED));
    EXPECT_EQ(proxy.NextReason(), "blocked");
  }
  EXPECT_EQ(journal.Count("open"), 2u);
  EXPECT_EQ(proxy.Ended(RUM_CLOSE_BLOCKED), 3u);
  // Who is inside already gets no further.
  early.Send("blocked");
  EXPECT_EQ(early.Receive(1), "1");
  early.Send("alice");
  EXPECT_EQ(early.Receive(1), std::to_string(RUM_REFUSED_BLOCKED));
  EXPECT_EQ(proxy.Sum(&Counters::login_failures), 2u);
  EXPECT_EQ(proxy.Sum(&Counters::login_blocks), 1u);
  EXPECT_NE(proxy.LogText().find("127.0.0.1: too many failed logins (2/h), blocked for 1h"),
            std::string::npos);
}

}  // namespace
}  // namespace rum
