// connect() and relay() of rum/module.h on the real core: every outcome of the one, and what the
// other does with the bytes before and after it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <string>
#include <thread>

#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;

// Connects when the session opens and writes the outcome down.
Hooks ConnectTo(const std::string& address, Journal& journal) {
  Hooks hooks;
  hooks.session_open = [address](rum_session* s) {
    EXPECT_EQ(Connect(s, address), RUM_OK);
    return RUM_OK;
  };
  hooks.upstream_open = [&journal](rum_session*, uint32_t reason) {
    journal.Add("upstream_open " + std::to_string(reason));
  };
  return hooks;
}

std::string Outcome(uint32_t reason) { return "upstream_open " + std::to_string(reason); }

// -- connect --------------------------------------------------------------------------------------

TEST(Connect, ReachesATcpServer) {
  Server server;
  Journal journal;
  RunningProxy proxy(ConnectTo(server.address(), journal));
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  EXPECT_TRUE(journal.WaitFor(Outcome(0)));
  client.Close();
  upstream.Close();
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["destination"], server.address());
  EXPECT_TRUE(end.contains("connect"));
  EXPECT_EQ(proxy.Sum(&Counters::connects), 1u);
  EXPECT_EQ(proxy.Sum(&Counters::connect_failures), 0u);
}

TEST(Connect, ReachesAUnixSocketAndAName) {
  Folder folder;
  Server unix_server(folder / "server");
  Server tcp_server;
  Journal journal;
  Hooks hooks = ConnectTo("sock:" + (folder / "server"), journal);
  {
    RunningProxy proxy(hooks);
    Peer client = proxy.Client();
    Peer upstream = unix_server.Accept();
    EXPECT_TRUE(journal.WaitFor(Outcome(0)));
  }
  // localhost is in /etc/hosts; it may have an IPv6 address too, where nobody listens.
  hooks = ConnectTo("tcp:localhost:" + std::to_string(tcp_server.port()), journal);
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = tcp_server.Accept();
  EXPECT_TRUE(Eventually([&] { return journal.Count(Outcome(0)) == 2; }));
}

TEST(Connect, TellsThatNobodyListens) {
  Journal journal;
  RunningProxy proxy(ConnectTo(RefusingAddress(), journal));
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor(Outcome(RUM_CLOSE_CONNECT_REFUSED)));
  EXPECT_EQ(proxy.NextReason(), "connect_refused");
  EXPECT_EQ(proxy.Sum(&Counters::connect_failures), 1u);
  EXPECT_EQ(proxy.Sum(&Counters::connects), 0u);
}

TEST(Connect, TellsThatAUnixSocketIsNotThere) {
  Folder folder;
  for (std::string path : {folder / "nothing", folder / "file"}) {
    if (path.ends_with("file")) Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    Journal journal;
    RunningProxy proxy(ConnectTo("sock:" + path, journal));
    Peer client = proxy.Client();
    EXPECT_TRUE(journal.WaitFor(Outcome(RUM_CLOSE_CONNECT_REFUSED))) << path;
  }
}

TEST(Connect, TellsThatNobodyAnswered) {
  BlackHole hole;
  Journal journal;
  RunningProxy proxy(ConnectTo(hole.address(), journal),
                     [](Settings& s) { s.connect_timeout = 150ms; });
  Peer client = proxy.Client();
  EXPECT_TRUE(Eventually([&] { return proxy.Sum(&Counters::connecting) == 1; }));
  EXPECT_TRUE(journal.WaitFor(Outcome(RUM_CLOSE_CONNECT_TIMEOUT)));
  EXPECT_EQ(proxy.NextReason(), "connect_timeout");
  EXPECT_EQ(proxy.Sum(&Counters::connecting), 0u);
}

TEST(Connect, TellsThatANameHasNoAddress) {
  Folder folder;  // no name server at all: a resolv.conf that names none but a dead port
  Journal journal;
  RunningProxy proxy(ConnectTo("tcp:nobody.invalid:3306", journal), [&](Settings& s) {
    s.dns_timeout = 100ms;
    s.connect_timeout = 20s;
    s.login_timeout = 20s;
    s.resolv_conf = folder / "resolv.conf";
    std::ofstream(s.resolv_conf) << "nameserver 127.0.0.1:1\n";
  });
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor(Outcome(RUM_CLOSE_UNRESOLVED)));
  EXPECT_EQ(proxy.NextReason(), "unresolved");
}

TEST(Connect, DoesNotWaitForANameLongerThanForAServer) {
  Folder folder;
  // A name server that is there and says nothing.
  Fd silent(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(silent.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ::getsockname(silent.get(), reinterpret_cast<sockaddr*>(&address), &size);
  Journal journal;
  RunningProxy proxy(ConnectTo("tcp:nobody.invalid:3306", journal), [&](Settings& s) {
    s.dns_timeout = 20s;
    s.connect_timeout = 100ms;
    s.resolv_conf = folder / "resolv.conf";
    std::ofstream(s.resolv_conf) << "nameserver 127.0.0.1:" << ntohs(address.sin_port) << "\n";
  });
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor(Outcome(RUM_CLOSE_UNRESOLVED)));
}

TEST(Connect, TriesAListInItsOrderUntilOneAnswers) {
  BlackHole hole;
  Folder folder;
  Server server;
  Server not_asked;
  Journal journal;
  RunningProxy proxy(
      ConnectTo(RefusingAddress() + "," + hole.address() + ",sock:" + (folder / "nothing") + "," +
                    server.address() + "," + not_asked.address(),
                journal),
      [](Settings& s) { s.connect_timeout = 150ms; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  EXPECT_TRUE(journal.WaitFor(Outcome(0)));
  EXPECT_FALSE(not_asked.SomebodyComes(50));
  EXPECT_EQ(journal.entries().size(), 1u) << "failures on the way are not told";
  EXPECT_EQ(proxy.Sum(&Counters::connect_failures), 3u);
  client.Close();
  upstream.Close();
  EXPECT_EQ(proxy.NextEnd()["destination"], server.address());
}

TEST(Connect, TellsTheOutcomeOfTheLastWhenAllFail) {
  BlackHole hole;
  Journal journal;
  RunningProxy proxy(ConnectTo(hole.address() + "," + RefusingAddress(), journal),
                     [](Settings& s) { s.connect_timeout = 100ms; });
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor(Outcome(RUM_CLOSE_CONNECT_REFUSED)));
  EXPECT_EQ(journal.entries().size(), 1u);
}

TEST(Connect, MayBeTriedAgainAfterAFailure) {
  Server server;
  std::string refusing = RefusingAddress();
  Journal journal;
  Hooks hooks = ConnectTo(refusing, journal);
  hooks.upstream_open = [&](rum_session* s, uint32_t reason) {
    journal.Add(Outcome(reason));
    if (reason != 0) {
      EXPECT_EQ(host->relay(s), RUM_E_STATE);
      EXPECT_EQ(Connect(s, journal.entries().size() < 3 ? refusing : server.address()), RUM_OK);
    }
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  EXPECT_TRUE(journal.WaitFor(Outcome(0)));
  EXPECT_EQ(journal.entries().size(), 4u);
}

TEST(Connect, AFailureMayBeAnsweredByClosingWithAnotherReason) {
  Journal journal;
  Hooks hooks = ConnectTo(RefusingAddress(), journal);
  hooks.upstream_open = [](rum_session* s, uint32_t) {
    Send(s, RUM_CLIENT, "sorry");
    Close(s, RUM_CLOSE_DENIED, "no server for you");
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_EQ(client.ReceiveAll(), "sorry");
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["reason"], "denied");
  EXPECT_EQ(end["detail"], "no server for you");
}

TEST(Connect, RefusesWhatIsWrittenWrongAndTellsNoOutcomeThen) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    for (std::string wrong : {"nonsense", "tcp:host", "tcp:host:0", "sock:", "tcp:a:1,,tcp:b:2"}) {
      EXPECT_EQ(Connect(s, wrong), RUM_E_ARGUMENT) << wrong;
    }
    EXPECT_EQ(Connect(s, std::string("sock:a\0b", 8)), RUM_E_ARGUMENT);
    EXPECT_EQ(host->connect(s, nullptr, 3), RUM_E_ARGUMENT);
    std::string many = "tcp:a:1";
    for (int i = 0; i < 64; ++i) many += ",tcp:a:1";
    EXPECT_EQ(Connect(s, many), RUM_E_ARGUMENT);
    EXPECT_EQ(host->relay(s), RUM_E_STATE) << "nothing is being connected";
    host->timer(s, 30);
    return RUM_OK;
  };
  hooks.upstream_open = [&](rum_session*, uint32_t) { journal.Add("upstream_open"); };
  hooks.timeout = [&](rum_session*, uint64_t) { journal.Add("timeout"); };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  ASSERT_TRUE(journal.WaitFor("timeout"));
  EXPECT_EQ(journal.Count("upstream_open"), 0u);
}

TEST(Connect, IsRefusedWhileOneIsUnderWayOrAfterTheRelayWasAskedFor) {
  Server server;
  BlackHole hole;
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(Connect(s, server.address()), RUM_OK);
    EXPECT_EQ(Connect(s, server.address()), RUM_E_STATE);
    return RUM_OK;
  };
  hooks.upstream_open = [&](rum_session* s, uint32_t) {
    EXPECT_EQ(host->relay(s), RUM_OK);
    EXPECT_EQ(Connect(s, server.address()), RUM_E_STATE);
    journal.Add("done");
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  EXPECT_TRUE(journal.WaitFor("done"));
}

TEST(Connect, WithoutAnAddressGoesToTheDefaultDestinations) {
  Server server;
  Journal journal;
  RunningProxy proxy(ConnectTo("", journal), [&](Settings& s) {
    s.destinations = *ParseAddresses(RefusingAddress() + "," + server.address());
  });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  EXPECT_TRUE(journal.WaitFor(Outcome(0)));
}

TEST(Connect, WithoutAnAddressAndADefaultIsUnsupported) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(Connect(s, ""), RUM_E_UNSUPPORTED);
    EXPECT_EQ(host->connect(s, nullptr, 0), RUM_E_UNSUPPORTED);
    journal.Add("done");
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor("done"));
}

TEST(Connect, ShufflesTheDefaultDestinationsWhenAskedTo) {
  Server servers[2];
  Journal journal;
  RunningProxy proxy(ConnectTo("", journal), [&](Settings& s) {
    s.destinations = *ParseAddresses(servers[0].address() + "," + servers[1].address());
    s.balance = Balance::kRandom;
  });
  int came[2] = {0, 0};
  for (int i = 0; i < 64; ++i) {
    Peer client = proxy.Client();
    ASSERT_TRUE(Eventually([&] {
      for (int k : {0, 1}) {
        if (servers[k].SomebodyComes(0)) {
          servers[k].Accept();
          return ++came[k] > 0;
        }
      }
      return false;
    }));
  }
  // One of 2^63 runs fails by chance.
  EXPECT_GT(came[0], 0);
  EXPECT_GT(came[1], 0);
}

TEST(Connect, WaitsForAUnixSocketWhoseBacklogIsFull) {
  Folder folder;
  Server server(folder / "server", 0);
  Journal journal;
  RunningProxy proxy(ConnectTo(server.address(), journal),
                     [](Settings& s) { s.connect_timeout = s.login_timeout = 30s; });
  std::vector<Peer> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(proxy.Client());
  std::this_thread::sleep_for(50ms);
  std::vector<Peer> upstreams;
  for (int i = 0; i < 5; ++i) upstreams.push_back(server.Accept());
  EXPECT_TRUE(Eventually([&] { return journal.Count(Outcome(0)) == 5; }));
  EXPECT_EQ(journal.entries().size(), 5u);
}

TEST(Connect, AFullUnixSocketIsATimeoutInTheEnd) {
  Folder folder;
  Server server(folder / "server", 0);
  Peer filler = Peer::Connect(server.address());
  Journal journal;
  RunningProxy proxy(ConnectTo(server.address(), journal),
                     [](Settings& s) { s.connect_timeout = 200ms; });
  Peer client = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return !journal.entries().empty(); }));
  EXPECT_EQ(journal.entries()[0], Outcome(RUM_CLOSE_CONNECT_TIMEOUT));
}

TEST(Connect, AServerThatAnswersAndSaysNothingIsTold) {
  Server server;
  Journal journal;
  Hooks hooks = ConnectTo(server.address(), journal);
  hooks.upstream_data = [](rum_session*, std::string_view) { return 0; };
  RunningProxy proxy(hooks, [](Settings& s) { s.first_byte_timeout = 100ms; });
  {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    EXPECT_EQ(proxy.NextReason(), "first_byte_timeout");
  }
  {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    upstream.Send("x");
    std::this_thread::sleep_for(300ms);
    EXPECT_EQ(proxy.Sum(&Counters::active), 1u) << "it has spoken";
  }
}

// -- relay ----------------------------------------------------------------------------------------

Hooks RelayTo(const std::string& address) {
  Hooks hooks;
  hooks.session_open = [address](rum_session* s) {
    EXPECT_EQ(host->relay(s), RUM_E_STATE) << "nothing is connected";
    EXPECT_EQ(Connect(s, address), RUM_OK);
    EXPECT_EQ(host->relay(s), RUM_OK);
    return RUM_OK;
  };
  return hooks;
}

TEST(Relay, AskedForBeforeTheUpstreamIsThereBeginsWithIt) {
  Server server;
  Hooks hooks = RelayTo(server.address());
  auto never = [](const char* hook) { ADD_FAILURE() << hook << " in the relay"; };
  hooks.client_data = [&](rum_session*, std::string_view) { return never("client_data"), 0; };
  hooks.upstream_data = [&](rum_session*, std::string_view) { return never("upstream_data"), 0; };
  hooks.upstream_open = [&](rum_session*, uint32_t) { never("upstream_open"); };
  hooks.side_end = [&](rum_session*, uint32_t) { return never("side_end"), RUM_END; };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("early");
  Peer upstream = server.Accept();
  EXPECT_EQ(upstream.Receive(5), "early");
  upstream.Send("answer");
  EXPECT_EQ(client.Receive(6), "answer");
  EXPECT_EQ(proxy.Sum(&Counters::relaying), 1u);
  client.ShutWrite();
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  upstream.Send("after");
  upstream.ShutWrite();
  EXPECT_EQ(client.ReceiveAll(), "after");
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["reason"], "client_closed");
  EXPECT_EQ(end["received"], 5);
  EXPECT_EQ(end["sent"], 11);
  EXPECT_EQ(end["upstream_received"], 11);
  EXPECT_EQ(end["upstream_sent"], 5);
  EXPECT_EQ(proxy.Sum(&Counters::client_bytes), 5u);
  EXPECT_EQ(proxy.Sum(&Counters::upstream_bytes), 11u);
}

TEST(Relay, AFailedConnectEndsWithItsReason) {
  RunningProxy proxy(RelayTo(RefusingAddress()));
  Peer client = proxy.Client();
  client.Send("hello");
  client.ReceiveAll();
  EXPECT_EQ(proxy.NextReason(), "connect_refused");
}

TEST(Relay, PassesOnWhatIsNotConsumedBothWaysAndAfterWhatWasSent) {
  Server server;
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    journal.Add("client " + std::string(bytes));
    return 0;  // all of it is left
  };
  hooks.upstream_data = [&](rum_session* s, std::string_view bytes) {
    if (bytes.size() < 9) return 0;
    // "OK" was for the module; "surplus" is not.
    EXPECT_EQ(Send(s, RUM_CLIENT, "sent first, "), RUM_OK);
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "replayed, "), RUM_OK);
    EXPECT_EQ(host->relay(s), RUM_OK);
    return 2;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("early bytes");
  Peer upstream = server.Accept();
  ASSERT_TRUE(journal.WaitFor("client early bytes"));
  upstream.Send("OKsurplus");
  EXPECT_EQ(client.Receive(19), "sent first, surplus");
  EXPECT_EQ(upstream.Receive(21), "replayed, early bytes");
  client.Send(", more");
  EXPECT_EQ(upstream.Receive(6), ", more");
}

TEST(Relay, PassesASideOnThatHadEndedBefore) {
  Server server;
  Journal journal;
  Hooks hooks;
  hooks.client_data = [](rum_session*, std::string_view) { return 0; };
  hooks.side_end = [&](rum_session* s, uint32_t) {
    EXPECT_EQ(Connect(s, server.address()), RUM_OK);
    EXPECT_EQ(host->relay(s), RUM_OK);
    return RUM_KEEP;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("question");
  client.ShutWrite();
  Peer upstream = server.Accept();
  EXPECT_EQ(upstream.ReceiveAll(), "question");
  upstream.Send("answer");
  upstream.Close();
  EXPECT_EQ(client.ReceiveAll(), "answer");
  EXPECT_EQ(proxy.NextReason(), "client_closed");
}

TEST(Relay, TheLoginDeadlineEndsWhereItIsAskedFor) {
  BlackHole hole;
  Server server;
  RunningProxy proxy(RelayTo(hole.address() + "," + hole.address() + "," + server.address()),
                     [](Settings& s) {
                       s.login_timeout = 300ms;
                       s.connect_timeout = 250ms;
                     });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("there");
  EXPECT_EQ(upstream.Receive(5), "there");
}

TEST(Relay, WithoutSessionOpenIsWhatHappens) {
  Server server;
  Hooks hooks;
  hooks.without_session_open = true;
  RunningProxy proxy(hooks,
                     [&](Settings& s) { s.destinations = *ParseAddresses(server.address()); });
  Peer client = proxy.Client();
  client.Send("question");
  Peer upstream = server.Accept();
  EXPECT_EQ(upstream.Receive(8), "question");
}

TEST(Relay, WithoutSessionOpenAndADestinationEndsAtOnce) {
  Hooks hooks;
  hooks.without_session_open = true;
  RunningProxy proxy(hooks, [](Settings& s) { s.login_timeout = 1min; });
  Peer client = proxy.Client();
  EXPECT_EQ(proxy.NextReason(), "no_destination");
}

TEST(Relay, BulkIsExactInBothDirectionsAtOnceAndCounted) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()));
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  std::string up = Noise(20 << 20, 1), down = Noise(24 << 20, 2);
  std::thread client_sends([&] { client.Send(up), client.ShutWrite(); });
  std::thread upstream_sends([&] { upstream.Send(down), upstream.ShutWrite(); });
  std::string came_up;
  std::thread upstream_receives([&] { came_up = upstream.ReceiveAll(); });
  EXPECT_TRUE(client.ReceiveAll() == down);
  for (std::thread* t : {&client_sends, &upstream_sends, &upstream_receives}) t->join();
  EXPECT_TRUE(came_up == up);
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["received"], up.size());
  EXPECT_EQ(end["upstream_received"], down.size());
  EXPECT_EQ(end["sent"], down.size());
  EXPECT_EQ(end["upstream_sent"], up.size());
  EXPECT_GT(proxy.Sum(&Counters::spliced_bytes), 0u);
}

TEST(Relay, AResetOfOneSideIsAResetOfTheOther) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()));
  {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    client.Send("x");
    upstream.Receive(1);
    client.Reset();
    EXPECT_EQ(upstream.WaitForEnd(), Ending::kReset);
    EXPECT_EQ(proxy.NextReason(), "client_reset");
  }
  {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    upstream.Send("x");
    client.Receive(1);
    upstream.Reset();
    EXPECT_EQ(client.WaitForEnd(), Ending::kReset);
    EXPECT_EQ(proxy.NextReason(), "upstream_reset");
  }
}

TEST(Relay, AResetRightBehindBytesIsNoticed) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()));
  for (int i = 0; i < 4; ++i) {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    client.Send("begin");
    upstream.Receive(5);
    (i % 2 ? client : upstream).Send("x");
    (i % 2 ? client : upstream).Reset();
    EXPECT_EQ(proxy.NextReason(), i % 2 ? "client_reset" : "upstream_reset");
  }
}

TEST(Relay, AResetIsNoticedThoughTheOtherSideTakesNothing) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()));
  std::string bulk = Noise(64 << 20, 3);
  for (bool client_sends : {true, false}) {
    Peer client = proxy.Client(4096);
    Peer upstream = server.Accept(4096);
    Peer& sender = client_sends ? client : upstream;
    ASSERT_LT(sender.SendUntilStuck(bulk, 500), bulk.size());
    sender.Reset();
    EXPECT_TRUE(Eventually([&] { return proxy.Sum(&Counters::active) == 0; }, 10s));
    if (proxy.Sum(&Counters::active) == 0) {
      EXPECT_EQ(proxy.NextReason(), client_sends ? "client_reset" : "upstream_reset");
    }
  }
}

TEST(Relay, AClientThatLeavesWhileTheServerIsStillConnectedIsNoticed) {
  BlackHole hole;
  RunningProxy proxy(RelayTo(hole.address()), [](Settings& s) { s.connect_timeout = 1min; });
  Peer client = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return proxy.Sum(&Counters::connecting) == 1; }));
  client.Reset();
  EXPECT_TRUE(Eventually([&] { return proxy.Sum(&Counters::active) == 0; }, 10s));
}

TEST(Relay, AServerThatEndsFirstIsTheReason) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()));
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  upstream.Send("bye");
  upstream.ShutWrite();
  EXPECT_EQ(client.ReceiveAll(), "bye");
  client.Send("last words");
  client.ShutWrite();
  EXPECT_EQ(upstream.ReceiveAll(), "last words");
  EXPECT_EQ(proxy.NextReason(), "upstream_closed");
}

Hooks WithFarewell(Hooks hooks) {
  hooks.farewell = "QUIT!";
  return hooks;
}

TEST(Relay, AFarewellIsOneReasonWhicheverEndIsReadFirst) {
  Server server;
  RunningProxy proxy(WithFarewell(RelayTo(server.address())));
  for (bool client_first : {false, true}) {
    Peer client = proxy.Client();
    client.Send("QUIT!");
    Peer upstream = server.Accept();
    EXPECT_EQ(upstream.Receive(5), "QUIT!");
    HeldWorker held(proxy);
    (client_first ? client : upstream).ShutWrite();
    (client_first ? upstream : client).ShutWrite();
    held.Go();
    EXPECT_EQ(proxy.NextReason(), "client_closed") << client_first;
  }
}

// The client closes only when it has seen the server's end.
TEST(Relay, AServersEndAfterAFarewellIsTheClientsWishAndAfterAnythingElseItsOwn) {
  Server server;
  RunningProxy proxy(WithFarewell(RelayTo(server.address())));
  struct Case {
    std::string greeting, last_words, reason;
  };
  for (const Case& c : {Case{"hello", "QUIT!", "client_closed"},
                        {"hello", Noise(100'000, 3) + "QUIT!", "client_closed"},
                        {"hello", "PING!", "upstream_closed"},
                        {"hello", "QUIT! not", "upstream_closed"},
                        {"hello", "", "upstream_closed"}}) {
    Peer client = proxy.Client();
    client.Send("request");
    Peer upstream = server.Accept();
    EXPECT_EQ(upstream.Receive(7), "request");
    upstream.Send(c.greeting);
    EXPECT_EQ(client.Receive(c.greeting.size()), c.greeting);
    client.Send(c.last_words);
    EXPECT_EQ(upstream.Receive(c.last_words.size()), c.last_words);
    upstream.Close();
    EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
    client.Close();
    EXPECT_EQ(proxy.NextReason(), c.reason) << c.greeting << " " << c.last_words;
  }
}

TEST(Relay, AClientThatClosesBehindItsFarewellEndsTheSessionWithoutTheServersEnd) {
  Server server;
  RunningProxy proxy(WithFarewell(RelayTo(server.address())));
  Peer client = proxy.Client();
  client.Send("request");
  Peer upstream = server.Accept();
  EXPECT_EQ(upstream.Receive(7), "request");
  upstream.Send("reply");
  EXPECT_EQ(client.Receive(5), "reply");
  client.Send("QUIT!");
  client.ShutWrite();
  EXPECT_EQ(upstream.ReceiveAll(), "QUIT!");
  EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
  EXPECT_EQ(proxy.NextReason(), "client_closed");
}

TEST(Relay, AFarewellBehindARequestDoesNotCostTheReply) {
  Server server;
  RunningProxy proxy(WithFarewell(RelayTo(server.address())));
  for (const std::string& said : {std::string("requestQUIT!"), std::string("request!")}) {
    Peer client = proxy.Client();
    client.Send(said);
    client.ShutWrite();
    Peer upstream = server.Accept();
    EXPECT_EQ(upstream.ReceiveAll(), said);
    upstream.Send("reply");
    upstream.Close();
    EXPECT_EQ(client.ReceiveAll(), "reply");
    EXPECT_EQ(proxy.NextReason(), "client_closed");
  }
}

TEST(Relay, AReplyOfTenMegabytesAfterTheClientsEndArrives) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()));
  Peer client = proxy.Client(4096);
  Peer upstream = server.Accept();
  client.ShutWrite();
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  std::string reply = Noise(10 << 20, 4);
  std::thread sender([&] { upstream.Send(reply), upstream.Close(); });
  EXPECT_TRUE(client.ReceiveAll() == reply);
  sender.join();
}

// Each has sent something and is gone before it is passed on: the write that fails eats the error,
// so that a read of that side tells an end and no reset.
TEST(Relay, EndsAtOnceWhenNeitherSideTakesWhatTheOtherHasSent) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) { s.half_close_timeout = 5min; });
  Peer client = proxy.Client();
  client.Send("hello");
  Peer upstream = server.Accept();
  ASSERT_EQ(upstream.Receive(5), "hello");
  HeldWorker held(proxy);
  upstream.Send("abc");
  client.Send("def");
  upstream.Reset();
  client.Reset();
  held.Go();
  std::string reason = proxy.NextReason();
  EXPECT_TRUE(reason == "client_reset" || reason == "upstream_reset") << reason;
}

// A reset must not look like the end of a stream that is complete, whoever meets it.
TEST(Relay, AResetThatAWriteMeetsFirstIsAResetOfTheOther) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()));
  for (bool client_resets : {true, false}) {
    Peer client = proxy.Client();
    client.Send("hello");
    Peer upstream = server.Accept();
    ASSERT_EQ(upstream.Receive(5), "hello");
    HeldWorker held(proxy);
    Peer& resets = client_resets ? client : upstream;
    Peer& other = client_resets ? upstream : client;
    other.Send("is written first");
    resets.NoDelay();
    resets.Send("half");
    resets.Reset();
    held.Go();
    Ending ending;
    EXPECT_EQ(other.ReceiveAll(&ending), "half");
    EXPECT_EQ(ending, Ending::kReset);
    EXPECT_EQ(proxy.NextReason(), client_resets ? "client_reset" : "upstream_reset");
  }
}

// The same of one that is not read meanwhile.
TEST(Relay, AResetThatAWriteMeetsFirstIsNoticedThoughTheOtherSideTakesNothing) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()));
  Peer client = proxy.Client();
  Peer upstream = server.Accept(4096);
  std::string bulk = Noise(64 << 20, 5);
  ASSERT_LT(client.SendUntilStuck(bulk, 500), bulk.size());
  HeldWorker held(proxy);
  upstream.Send("is written first");
  client.Reset();
  held.Go();
  EXPECT_EQ(proxy.NextReason(), "client_reset");
  Ending ending;
  upstream.ReceiveAll(&ending);
  EXPECT_EQ(ending, Ending::kReset) << "not all of it came";
}

// TCP's urgent mark makes a read short although more is there.
TEST(Relay, UrgentDataHoldsNothingUp) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()));
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  for (int i = 0; i < 20; ++i) {
    ::send(client.fd(), "abc", 3, 0);
    ::send(client.fd(), "!", 1, MSG_OOB);
    ::send(client.fd(), "def", 3, 0);
    std::string got;
    EXPECT_TRUE(Eventually(
        [&] {
          got += upstream.ReceiveWithin(10);
          return got.ends_with("def");
        },
        10s))
        << "stuck after " << got;
    if (!got.ends_with("def")) break;
  }
}

TEST(Relay, ManySessionsEachGetTheirOwnBytes) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) { s.workers = 2; });
  std::thread echo([&] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 40; ++i) {
      threads.emplace_back([upstream = server.Accept()]() mutable {
        std::string all = upstream.ReceiveAll();
        upstream.Send(all);
        upstream.Close();
      });
    }
    for (auto& t : threads) t.join();
  });
  std::vector<std::thread> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back([&, i] {
      std::string mine = Noise(1000 + static_cast<size_t>(i) * 20011, static_cast<uint64_t>(i));
      Peer client = proxy.Client();
      client.Send(mine);
      client.ShutWrite();
      EXPECT_TRUE(client.ReceiveAll() == mine) << i;
    });
  }
  for (auto& t : clients) t.join();
  echo.join();
  EXPECT_TRUE(Eventually([&] { return proxy.Ended(RUM_CLOSE_CLIENT) == 40; }));
}

}  // namespace
}  // namespace rum
