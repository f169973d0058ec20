// What rum/module.h promises of the dialogue: when hooks are called, with which bytes, and what the
// calls do that move bytes. On the real core, with sockets.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "lookup/remote_map.h"
#include "proxy/proxy.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;

std::string Text(std::string_view hook, std::string_view bytes) {
  return std::string(hook) + " " + std::string(bytes);
}

TEST(Dialogue, OpensASessionWhenAClientComesAndClosesItOnce) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session*) { return journal.Add("open"), RUM_OK; };
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    journal.Add(Text("client_data", bytes));
    return static_cast<int64_t>(bytes.size());
  };
  hooks.session_close = [&](rum_session*, uint32_t reason) {
    journal.Add("close " + std::to_string(reason));
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  ASSERT_TRUE(journal.WaitFor("open"));
  client.Send("hello");
  ASSERT_TRUE(journal.WaitFor("client_data hello"));
  client.ShutWrite();
  EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
  EXPECT_EQ(proxy.NextReason(), "client_gone");
  EXPECT_EQ(journal.entries(),
            (std::vector<std::string>{"open", "client_data hello",
                                      "close " + std::to_string(RUM_CLOSE_CLIENT_GONE)}));
  EXPECT_EQ(proxy.Ended(RUM_CLOSE_CLIENT_GONE), 1u);
}

TEST(Dialogue, GivesAllUnconsumedBytesInOnePiece) {
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    journal.Add(std::string(bytes));
    return bytes == "abcdef" ? 6 : 0;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  std::string all;
  for (const char* piece : {"a", "bc", "d", "ef"}) {
    client.Send(piece);
    all += piece;
    ASSERT_TRUE(journal.WaitFor(all)) << all;
  }
  client.Send("next");
  EXPECT_TRUE(journal.WaitFor("next"));
}

TEST(Dialogue, CallsAgainAtOnceWithTheRestWhenNotAllWasConsumed) {
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    journal.Add(std::string(bytes));
    return 1;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("abcd");
  ASSERT_TRUE(journal.WaitFor("d"));
  auto entries = journal.entries();
  for (const std::string& entry : entries) EXPECT_TRUE(std::string("abcd").ends_with(entry));
  EXPECT_LE(entries.size(), 7u);  // four, and more only if the kernel cut what was sent
}

TEST(Dialogue, CallsTheHookOfTheSideThatSentSomething) {
  Journal journal;
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.upstream_open = [&](rum_session*, uint32_t reason) {
    journal.Add("upstream_open " + std::to_string(reason));
  };
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    journal.Add(Text("client", bytes));
    Send(s, RUM_UPSTREAM, bytes);
    return static_cast<int64_t>(bytes.size());
  };
  hooks.upstream_data = [&](rum_session* s, std::string_view bytes) {
    journal.Add(Text("upstream", bytes));
    Send(s, RUM_CLIENT, bytes);
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  ASSERT_TRUE(journal.WaitFor("upstream_open 0"));
  upstream.Send("greeting");
  EXPECT_EQ(client.Receive(8), "greeting");
  client.Send("login");
  EXPECT_EQ(upstream.Receive(5), "login");
  EXPECT_EQ(journal.entries(),
            (std::vector<std::string>{"upstream_open 0", "upstream greeting", "client login"}));
  client.Close();
  upstream.Close();
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["received"], 5);
  EXPECT_EQ(end["sent"], 8);
  EXPECT_EQ(end["upstream_received"], 8);
  EXPECT_EQ(end["upstream_sent"], 5);
}

TEST(Dialogue, ARefusedSessionOpenClosesTheConnectionAndNoHookFollows) {
  Hooks hooks;
  hooks.session_open = [](rum_session*) { return RUM_E_FAILED; };
  hooks.client_data = [](rum_session*, std::string_view) -> int64_t {
    ADD_FAILURE() << "a hook of a session that was not opened";
    return 0;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("hello");
  client.ReceiveAll();
  EXPECT_EQ(proxy.NextReason(), "module_failed");
}

TEST(Dialogue, ANegativeReturnIsABreachOfTheProtocolByThatSide) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.client_data = [](rum_session*, std::string_view) { return RUM_E_FAILED; };
  hooks.upstream_data = [](rum_session*, std::string_view) { return RUM_E_FAILED; };
  RunningProxy proxy(hooks);
  {
    Peer client = proxy.Client();
    client.Send("x");
    EXPECT_EQ(proxy.NextReason(), "client_protocol");
  }
  server.Accept();
  {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    upstream.Send("x");
    EXPECT_EQ(proxy.NextReason(), "upstream_protocol");
  }
}

TEST(Dialogue, ConsumingMoreThanThereIsIsTheModulesFailure) {
  Hooks hooks;
  hooks.client_data = [](rum_session*, std::string_view bytes) {
    return static_cast<int64_t>(bytes.size()) + 1;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("x");
  EXPECT_EQ(proxy.NextReason(), "module_failed");
}

// -- need and the window --------------------------------------------------------------------------

TEST(Need, WaitsUntilSoManyBytesAreThere) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [](rum_session* s) { return host->need(s, RUM_CLIENT, 10); };
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    journal.Add(std::string(bytes));
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("1234");
  std::this_thread::sleep_for(30ms);
  client.Send("56789");
  std::this_thread::sleep_for(30ms);
  EXPECT_TRUE(journal.entries().empty());
  client.Send("0");
  ASSERT_TRUE(journal.WaitFor("1234567890"));
  client.Send("x");  // it holds for one call
  EXPECT_TRUE(journal.WaitFor("x"));
}

TEST(Need, IsMetByTheEndOfTheSideToo) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [](rum_session* s) { return host->need(s, RUM_CLIENT, 10); };
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    journal.Add(std::string(bytes));
    return 0;
  };
  hooks.side_end = [&](rum_session*, uint32_t side) {
    journal.Add("end " + std::to_string(side));
    return RUM_END;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("1234");
  client.ShutWrite();
  ASSERT_TRUE(journal.WaitFor("end 0"));
  EXPECT_EQ(journal.entries(), (std::vector<std::string>{"1234", "end 0"}));
}

TEST(Need, IsMetByBytesThatTheHookHasLeftBefore) {
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    journal.Add(Text("data", bytes));
    if (journal.Count("timeout") == 0) {
      host->timer(s, 1);
      return 0;
    }
    return static_cast<int>(bytes.size());
  };
  hooks.timeout = [&](rum_session* s, uint64_t) {
    journal.Add("timeout");
    // Now the module wants to go on with what it left.
    EXPECT_EQ(host->need(s, RUM_CLIENT, 3), RUM_OK);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("abc");
  EXPECT_TRUE(Eventually([&] { return journal.Count("data abc") == 2; }, 5s));
}

// A module that asks for more again and again must not keep the worker in a circle.
TEST(Need, AskedForAgainAfterTheEndIsNotMetAgain) {
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    journal.Add(std::string(bytes));
    EXPECT_EQ(host->need(s, RUM_CLIENT, 10), RUM_OK);
    return 0;
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.login_timeout = 1min; });
  Peer client = proxy.Client();
  client.Send("1234");
  client.ShutWrite();
  EXPECT_EQ(proxy.NextReason(), "client_gone");
  EXPECT_LE(journal.entries().size(), 3u);
}

TEST(Need, ForWhatWasNotTakenIsNoCircle) {
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    journal.Add(std::string(bytes));
    EXPECT_EQ(host->need(s, RUM_CLIENT, 1), RUM_OK);
    return 0;
  };
  RunningProxy proxy(hooks);
  Peer stubborn = proxy.Client();
  stubborn.Send("x");
  ASSERT_TRUE(journal.WaitFor("x"));
  Peer other = proxy.Client();
  other.Send("other");
  EXPECT_TRUE(journal.WaitFor("other")) << "the worker serves nobody any more";
  stubborn.Send("y");
  EXPECT_TRUE(journal.WaitFor("xy"));
}

TEST(Need, HasLimits) {
  std::atomic<bool> asked = false;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(host->need(s, 2, 1), RUM_E_ARGUMENT);
    EXPECT_EQ(host->need(s, RUM_CLIENT, 256 * 1024 + 1), RUM_E_LIMIT);
    EXPECT_EQ(host->need(s, RUM_UPSTREAM, 1), RUM_OK);
    EXPECT_EQ(host->need(s, RUM_CLIENT, 256 * 1024), RUM_OK);
    asked = true;
    return RUM_OK;
  };
  std::atomic<size_t> seen = 0;
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    seen = bytes.size();
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  std::string whole = Noise(256 * 1024, 1);
  client.Send(std::string_view(whole).substr(0, whole.size() - 1));
  ASSERT_TRUE(Eventually([&] { return asked.load(); }));
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(seen, 0u);
  client.Send("x");
  EXPECT_TRUE(Eventually([&] { return seen == whole.size(); }));
}

TEST(Window, HoldsSixtyFourKilobytesAndEndsTheSessionWhenNothingIsConsumed) {
  std::atomic<size_t> most = 0;
  Hooks hooks;
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    most = std::max(most.load(), bytes.size());
    return 0;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.SendUntilStuck(Noise(1 << 20, 2), 200);
  EXPECT_EQ(proxy.NextReason(), "client_protocol");
  EXPECT_EQ(most, 64u * 1024);
}

TEST(Window, AConsumingModuleMayReadAsMuchAsItLikes) {
  std::string all;
  std::atomic<size_t> size = 0;
  Hooks hooks;
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    size_t n = bytes.size() > 1 ? bytes.size() - 1 : 1;
    all += bytes.substr(0, n);
    size += n;
    return static_cast<int64_t>(n);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  std::string bulk = Noise(3 << 20, 3);
  client.Send(bulk);
  ASSERT_TRUE(Eventually([&] { return size == bulk.size(); }));
  EXPECT_TRUE(all == bulk);
}

// -- send -----------------------------------------------------------------------------------------

TEST(Send, KeepsTheOrderOfBytesAndCopiesThem) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) {
    std::string text = "first ";
    EXPECT_EQ(Send(s, RUM_CLIENT, text), RUM_OK);
    text = "second";
    EXPECT_EQ(Send(s, RUM_CLIENT, ""), RUM_OK);
    EXPECT_EQ(Send(s, RUM_CLIENT, text), RUM_OK);
    text.assign(100, 'x');
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_EQ(client.Receive(12), "first second");
}

TEST(Send, RefusesWhatMakesNoSense) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(host->send(s, 2, "x", 1), RUM_E_ARGUMENT);
    EXPECT_EQ(host->send(s, RUM_CLIENT, nullptr, 1), RUM_E_ARGUMENT);
    EXPECT_EQ(host->send(s, RUM_CLIENT, nullptr, 0), RUM_OK);
    EXPECT_EQ(host->send(s, RUM_UPSTREAM, "x", 1), RUM_E_STATE);
    journal.Add("done");
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor("done"));
}

TEST(Send, DoesNotReachAnUpstreamThatIsStillBeingConnected) {
  BlackHole hole;
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(Connect(s, hole.address()), RUM_OK);
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "x"), RUM_E_STATE);
    host->timer(s, 50);
    return RUM_OK;
  };
  hooks.timeout = [&](rum_session* s, uint64_t) {
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "x"), RUM_E_STATE);
    journal.Add("done");
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor("done"));
}

TEST(Send, DeliversMoreThanTheSocketTakesAtOnce) {
  std::string bulk = Noise(12 << 20, 4);
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Send(s, RUM_CLIENT, bulk); };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client(4096);
  std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(client.Receive(bulk.size()) == bulk);
}

// More than a mebibyte waits for the client: the server is not read. When the client has taken it,
// the server is read on, although nothing new comes from it.
TEST(Send, HoldsTheOtherSideUpAboveHighWaterAndLetsItGoOnAfterIt) {
  for (size_t size : {(1u << 20) + 1, 3u << 19, 2u << 20, 4u << 20, 8u << 20}) {
    Server server;
    Journal journal;
    std::string bulk = Noise(size, 5);
    Hooks hooks;
    hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
    hooks.upstream_open = [&](rum_session* s, uint32_t) {
      // The greeting comes while the session is paused, so it is not read before the bulk is sent.
      uint64_t ticket = host->pause(s);
      std::thread([ticket] {
        std::this_thread::sleep_for(60ms);
        host->resume(ticket, 0, nullptr, nullptr);
      }).detach();
      journal.Add("open");
    };
    hooks.resumed = [&](rum_session* s, uint64_t, int32_t, void*) { Send(s, RUM_CLIENT, bulk); };
    hooks.upstream_data = [&](rum_session*, std::string_view bytes) {
      journal.Add(std::string(bytes));
      return static_cast<int64_t>(bytes.size());
    };
    RunningProxy proxy(hooks);
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    ASSERT_TRUE(journal.WaitFor("open"));
    upstream.Send("greeting");
    EXPECT_TRUE(client.Receive(bulk.size()) == bulk);
    EXPECT_TRUE(Eventually([&] { return journal.Count("greeting") == 1; }, 5s))
        << "the server is never read again after " << size << " bytes";
  }
}

// -- forward --------------------------------------------------------------------------------------

TEST(Forward, PassesBytesThatAreThereAndThoseToComeUnseen) {
  Server server;
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    journal.Add(std::string(bytes));
    if (bytes[0] == '!') {
      EXPECT_EQ(host->forward(s, RUM_CLIENT, 4), RUM_OK);
      EXPECT_EQ(host->forward(s, RUM_CLIENT, 6), RUM_OK);  // adds up
      return 1;
    }
    return static_cast<int>(bytes.size());
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("!abc");
  EXPECT_EQ(upstream.Receive(3), "abc");
  client.Send("defghijKLM");
  EXPECT_EQ(upstream.Receive(7), "defghij");
  EXPECT_TRUE(journal.WaitFor("KLM"));
  EXPECT_EQ(upstream.ReceiveWithin(30), "");
}

TEST(Forward, WorksInTheOtherDirectionAsWellAndForMuch) {
  Server server;
  Journal journal;
  constexpr size_t kMuch = 5 << 20;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.upstream_open = [&](rum_session* s, uint32_t) {
    EXPECT_EQ(host->forward(s, RUM_UPSTREAM, kMuch), RUM_OK);
  };
  hooks.upstream_data = [&](rum_session*, std::string_view bytes) {
    journal.Add(std::string(bytes));
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  std::string bulk = Noise(kMuch, 6);
  std::thread sender([&] { upstream.Send(bulk + "tail"); });
  EXPECT_TRUE(client.Receive(kMuch) == bulk);
  sender.join();
  EXPECT_TRUE(journal.WaitFor("tail"));
}

TEST(Forward, WorksWithoutADataHook) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Connect(s, server.address());
    host->forward(s, RUM_UPSTREAM, 5);
    return host->forward(s, RUM_CLIENT, 5);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("12345678");
  EXPECT_EQ(upstream.Receive(5), "12345");
  EXPECT_EQ(upstream.ReceiveWithin(30), "");
  upstream.Send("abcdefg");
  EXPECT_EQ(client.Receive(5), "abcde");
  EXPECT_EQ(client.ReceiveWithin(30), "");
}

TEST(Forward, WaitsForTheUpstreamAndSurvivesAddressesThatFail) {
  Server server;
  std::string refusing = RefusingAddress();
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view) {
    // The bytes are there, the first address refuses, the second one answers.
    EXPECT_EQ(Connect(s, refusing + "," + server.address()), RUM_OK);
    EXPECT_EQ(host->forward(s, RUM_CLIENT, 10), RUM_OK);
    return 0;
  };
  RunningProxy proxy(hooks);
  for (int i = 0; i < 20; ++i) {
    Peer client = proxy.Client();
    client.Send("0123456789");
    Peer upstream = server.Accept();
    EXPECT_EQ(upstream.Receive(10), "0123456789");
  }
}

TEST(Forward, DoesNotHideThatNobodyListens) {
  std::string refusing = RefusingAddress();
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    if (bytes.size() == 10) {
      Connect(s, refusing);
      host->forward(s, RUM_CLIENT, 10);
    }
    return 0;
  };
  hooks.upstream_open = [&](rum_session*, uint32_t reason) { journal.Add(std::to_string(reason)); };
  RunningProxy proxy(hooks);
  for (int i = 0; i < 20; ++i) {
    Peer client = proxy.Client();
    client.Send("0123456789");
    EXPECT_EQ(proxy.NextReason(), "connect_refused");
  }
  EXPECT_EQ(journal.Count(std::to_string(RUM_CLOSE_CONNECT_REFUSED)), 20u);
}

TEST(Forward, RefusesMoreThanCanBeCounted) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(host->forward(s, 2, 1), RUM_E_ARGUMENT);
    EXPECT_EQ(host->forward(s, RUM_CLIENT, INT64_MAX), RUM_OK);
    EXPECT_EQ(host->forward(s, RUM_CLIENT, 1), RUM_E_LIMIT);
    journal.Add("done");
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor("done"));
}

// -- side_end -------------------------------------------------------------------------------------

TEST(SideEnd, ComesOnceAfterTheLastBytesAndMayKeepTheSession) {
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    journal.Add(Text("data", bytes));
    return static_cast<int64_t>(bytes.size());
  };
  hooks.side_end = [&](rum_session* s, uint32_t side) {
    journal.Add("end " + std::to_string(side));
    EXPECT_EQ(Send(s, RUM_CLIENT, "still here"), RUM_OK);
    host->timer(s, 50);
    return RUM_KEEP;
  };
  hooks.timeout = [&](rum_session* s, uint64_t) {
    EXPECT_EQ(Send(s, RUM_CLIENT, ", bye"), RUM_OK);
    Close(s, RUM_CLOSE_DENIED);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("last");
  client.ShutWrite();
  EXPECT_EQ(client.ReceiveAll(), "still here, bye");
  EXPECT_EQ(journal.entries(), (std::vector<std::string>{"data last", "end 0"}));
  EXPECT_EQ(proxy.NextReason(), "denied");
}

TEST(SideEnd, EndsTheSessionUnlessItIsKept) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.client_data = [](rum_session*, std::string_view) { return 0; };
  hooks.upstream_data = [](rum_session*, std::string_view) { return 0; };
  hooks.side_end = [](rum_session*, uint32_t) { return RUM_END; };
  RunningProxy proxy(hooks);
  {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    upstream.ShutWrite();
    EXPECT_EQ(proxy.NextReason(), "upstream_gone");
    EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
    EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  }
  {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    client.ShutWrite();
    EXPECT_EQ(proxy.NextReason(), "client_gone");
    EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  }
}

TEST(SideEnd, IsAskedWhenTheClientBreaksSoThatTheServerCanBeLeftWell) {
  Server server;
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.client_data = [](rum_session*, std::string_view) { return 0; };
  hooks.upstream_data = [](rum_session* s, std::string_view bytes) {
    Close(s, RUM_CLOSE_CLIENT_GONE);
    return static_cast<int64_t>(bytes.size());
  };
  bool keep = true;
  hooks.side_end = [&](rum_session* s, uint32_t side) {
    journal.Add("end " + std::to_string(side));
    EXPECT_EQ(Send(s, RUM_CLIENT, "anybody?"), RUM_E_STATE);
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "he has gone"), RUM_OK);
    return keep ? RUM_KEEP : RUM_END;
  };
  RunningProxy proxy(hooks);
  for (bool kept : {true, false}) {
    keep = kept;
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    client.Send("abc");
    client.Reset();
    EXPECT_EQ(upstream.Receive(11), "he has gone");
    if (kept) upstream.Send("good-bye");
    EXPECT_EQ(proxy.NextReason(), "client_gone");
  }
  EXPECT_EQ(journal.entries(), (std::vector<std::string>{"end 0", "end 0"}));
}

TEST(SideEnd, OfTheServerMayBeKeptWhileTheClientIsToldWhy) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.upstream_data = [](rum_session*, std::string_view bytes) {
    return static_cast<int64_t>(bytes.size());
  };
  hooks.client_data = [](rum_session* s, std::string_view) {
    Send(s, RUM_CLIENT, "the server is gone");
    Close(s, RUM_CLOSE_UPSTREAM_GONE);
    return 0;
  };
  hooks.side_end = [](rum_session*, uint32_t side) {
    return side == RUM_UPSTREAM ? RUM_KEEP : RUM_END;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  upstream.Close();
  std::this_thread::sleep_for(30ms);
  client.Send("anybody?");
  EXPECT_EQ(client.ReceiveAll(), "the server is gone");
  EXPECT_EQ(proxy.NextReason(), "upstream_gone");
}

// Bytes and a reset right behind them: the bytes are given, and the end is noticed soon.
TEST(SideEnd, AResetRightBehindBytesIsNoticed) {
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    journal.Add(std::string(bytes));
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.login_timeout = 1min; });
  for (int i = 0; i < 20; ++i) {
    Peer client = proxy.Client();
    client.Send("x");
    client.Reset();
  }
  EXPECT_TRUE(Eventually([&] { return proxy.Ended(RUM_CLOSE_CLIENT_GONE) == 20; }, 10s))
      << proxy.Ended(RUM_CLOSE_CLIENT_GONE) << " of 20 are noticed";
}

// -- lookup ---------------------------------------------------------------------------------------

TEST(Lookup, FindsValuesAndTellsThoseThatAreNotThere) {
  Journal journal;
  Hooks hooks;
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    EXPECT_EQ(Lookup(s, bytes), RUM_OK);
    EXPECT_EQ(Lookup(s, bytes), RUM_E_STATE);
    return static_cast<int64_t>(bytes.size());
  };
  hooks.looked_up = [&](rum_session*, int32_t status, std::string_view value) {
    journal.Add(std::to_string(status) + " " + std::string(value));
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.map = "users.cdb"; });
  using namespace std::string_literals;
  proxy.SetMap({{"alice", "\0tcp:a:1\0"s}, {"b\0b"s, "secret\0sock:/x\0more"s}});
  Peer client = proxy.Client();
  client.Send("alice");
  EXPECT_TRUE(journal.WaitFor("0 \0tcp:a:1\0"s));
  client.Send("b\0b"s);
  EXPECT_TRUE(journal.WaitFor("0 secret\0sock:/x\0more"s));
  client.Send("Alice");
  EXPECT_TRUE(journal.WaitFor(std::to_string(RUM_NOT_FOUND) + " "));
  EXPECT_EQ(proxy.Sum(&Counters::lookups), 3u);
  EXPECT_EQ(proxy.Sum(&Counters::lookup_misses), 1u);
  EXPECT_EQ(proxy.Sum(&Counters::lookup_failures), 0u);
}

TEST(Lookup, WithoutAMapIsAFailureAndNotAMiss) {
  std::atomic<int32_t> told = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    int32_t asked = Lookup(s, "alice");
    if (asked != RUM_OK) told = asked;
    return RUM_OK;
  };
  hooks.looked_up = [&](rum_session*, int32_t status, std::string_view) {
    EXPECT_NE(status, RUM_FOUND);
    told = status;
  };
  // A map is configured, but none is loaded yet.
  RunningProxy proxy(hooks, [](Settings& s) { s.map = "users.cdb"; });
  Peer client = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return told != 0; }));
  EXPECT_LT(told, 0);
  EXPECT_EQ(proxy.Sum(&Counters::lookup_misses), 0u);
}

TEST(Lookup, IsUnsupportedWhenThereIsToBeNoMap) {
  std::atomic<int32_t> told = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return told = Lookup(s, "alice"), RUM_OK; };
  hooks.looked_up = [](rum_session*, int32_t, std::string_view) { ADD_FAILURE() << "no answer"; };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return told != 0; }));
  EXPECT_EQ(told, RUM_E_UNSUPPORTED);
}

// Nothing of a source that answers at once is left, though the next one is asked, too: the end of
// the proxy checks it.
TEST(Lookup, PassesSourcesThatAreDown) {
  std::atomic<int> failed = 0;
  Hooks hooks;
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    EXPECT_EQ(Lookup(s, bytes), RUM_OK);
    return static_cast<int64_t>(bytes.size());
  };
  hooks.looked_up = [&](rum_session*, int32_t status, std::string_view) {
    EXPECT_LT(status, 0);
    ++failed;
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.map = "users.cdb"; });
  proxy.OnMain([](Proxy& p) {
    auto sources = ParseMapSources("redis+sock:/none/a?key={user},redis+sock:/none/b?key={user}");
    ASSERT_TRUE(sources.ok()) << sources.error().text;
    auto remote = std::make_unique<RemoteMap>(p.resolver(), *sources, RemoteMap::Settings{});
    ASSERT_TRUE(remote->Start({}).ok());
    p.SetRemoteMap(std::move(remote));
  });
  ASSERT_TRUE(Eventually([&] {
    const auto states = proxy.proxy().remote_map()->States();
    return states[0].known && states[1].known;
  }));
  Peer client = proxy.Client();
  for (int i = 1; i <= 3; ++i) {
    client.Send("alice");
    ASSERT_TRUE(Eventually([&] { return failed == i; }));
  }
}

TEST(Lookup, TakesKeysOfOneTo65535Bytes) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [](rum_session* s) {
    EXPECT_EQ(host->lookup(s, nullptr, 1), RUM_E_ARGUMENT);
    EXPECT_EQ(Lookup(s, ""), RUM_E_ARGUMENT);
    EXPECT_EQ(Lookup(s, std::string(65536, 'x')), RUM_E_LIMIT);
    EXPECT_EQ(Lookup(s, std::string(65535, 'x')), RUM_OK);
    return RUM_OK;
  };
  hooks.looked_up = [&](rum_session*, int32_t status, std::string_view) {
    journal.Add(std::to_string(status));
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.map = "users.cdb"; });
  proxy.SetMap({{"alice", std::string("\0tcp:a:1\0", 9)}});
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor(std::to_string(RUM_NOT_FOUND)));
}

TEST(Lookup, MayBeAskedAgainFromItsAnswer) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [](rum_session* s) { return Lookup(s, "first"); };
  hooks.looked_up = [&](rum_session* s, int32_t status, std::string_view) {
    journal.Add(std::to_string(status));
    if (status == RUM_FOUND) Lookup(s, "second");
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.map = "users.cdb"; });
  proxy.SetMap({{"first", std::string("\0tcp:a:1\0", 9)}});
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor(std::to_string(RUM_NOT_FOUND)));
  EXPECT_EQ(journal.entries(), (std::vector<std::string>{"0", "1"}));
}

// -- all of them at once --------------------------------------------------------------------------

// Whatever is asked for within one hook: no hook is called before it has returned (hooks.cc looks).
TEST(Dialogue, NoCallCallsAHook) {
  Folder folder;
  Server server(folder / "server");  // a unix socket connects at once
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, "answer");
    host->need(s, RUM_CLIENT, 1);
    Lookup(s, "alice");
    Connect(s, server.address());
    host->timer(s, 0);
    uint64_t ticket = host->pause(s);
    host->resume(ticket, 7, nullptr, nullptr);
    host->forward(s, RUM_CLIENT, 1);
    Identify(s, "alice");
    Note(s, "key", "value");
    PeerOf(s, RUM_CLIENT);
    PeerOf(s, RUM_UPSTREAM);
    host->log(s, RUM_LOG_DEBUG, "text", 4);
    journal.Add("returned");
    return static_cast<int64_t>(bytes.size());
  };
  hooks.upstream_open = [&](rum_session*, uint32_t reason) {
    journal.Add("upstream_open " + std::to_string(reason));
  };
  hooks.looked_up = [&](rum_session*, int32_t, std::string_view) { journal.Add("looked_up"); };
  hooks.timeout = [&](rum_session*, uint64_t) { journal.Add("timeout"); };
  hooks.resumed = [&](rum_session* s, uint64_t, int32_t status, void*) {
    journal.Add("resumed " + std::to_string(status));
    host->timer(s, 20);
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.map = "users.cdb"; });
  proxy.SetMap({{"alice", std::string("\0tcp:a:1\0", 9)}});
  Peer client = proxy.Client();
  client.Send("go");
  for (const char* hook : {"returned", "upstream_open 0", "looked_up", "timeout", "resumed 7"}) {
    EXPECT_TRUE(journal.WaitFor(hook)) << hook;
  }
  EXPECT_EQ(journal.entries()[0], "returned");
}

}  // namespace
}  // namespace rum
