// How sessions end: reasons, last words, the log line, counters; and what a module may tell of a
// session for that line. On the real core.
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "proxy/probe.h"
#include "proxy/proxy.h"
#include "proxy/session_list.h"
#include "proxy/worker.h"
#include "support/few_descriptors.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace rum::test;

Hooks RelayTo(const std::string& address) {
  Hooks hooks;
  hooks.session_open = [address](rum_session* s) {
    Connect(s, address);
    return host->relay(s);
  };
  return hooks;
}

// -- close ----------------------------------------------------------------------------------------

TEST(Close, EveryReasonOfTheTableIsToldCountedAndGivenToSessionClose) {
  Journal journal;
  Hooks hooks;
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    Close(s, static_cast<uint32_t>(std::stoi(std::string(bytes))));
    return static_cast<int64_t>(bytes.size());
  };
  hooks.session_close = [&](rum_session*, uint32_t reason) { journal.Add(std::to_string(reason)); };
  RunningProxy proxy(hooks);
  for (const CloseReason& reason : kCloseReasons) {
    if (reason.number == RUM_CLOSE_PROBED) continue;
    Peer client = proxy.Client();
    client.Send(std::to_string(reason.number));
    EXPECT_EQ(proxy.NextReason(), reason.word);
    EXPECT_EQ(proxy.Ended(reason.number), 1u) << reason.word;
    EXPECT_EQ(journal.Count(std::to_string(reason.number)), 1u);
  }
  // What is not in the table, or is about probes, is the module's failure.
  for (std::string number : {"0", "99", "999", "29"}) {
    Peer client = proxy.Client();
    client.Send(number);
    if (number == "0") client.Close();
    std::string word = proxy.NextReason();
    EXPECT_TRUE(word == "module_failed" || (number == "0" && word == "client_gone")) << word;
  }
}

TEST(Close, TheFirstCallCounts) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) {
    Close(s, RUM_CLOSE_DENIED, "first");
    Close(s, RUM_CLOSE_LIMIT, "second");
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["reason"], "denied");
  EXPECT_EQ(end["detail"], "first");
}

TEST(Close, NoHookButSessionCloseFollows) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    host->timer(s, 0);
    Lookup(s, "x");
    Connect(s, RefusingAddress());
    host->resume(host->pause(s), 0, nullptr, nullptr);
    Close(s, RUM_CLOSE_DENIED);
    return RUM_OK;
  };
  auto never = [&](const char* hook) { journal.Add(hook); };
  hooks.client_data = [&](rum_session*, std::string_view) { return never("client_data"), 0; };
  hooks.upstream_open = [&](rum_session*, uint32_t) { never("upstream_open"); };
  hooks.looked_up = [&](rum_session*, int32_t, std::string_view) { never("looked_up"); };
  hooks.timeout = [&](rum_session*, uint64_t) { never("timeout"); };
  hooks.resumed = [&](rum_session*, uint64_t, int32_t, void*) { never("resumed"); };
  hooks.side_end = [&](rum_session*, uint32_t) { return never("side_end"), RUM_END; };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("hello");
  EXPECT_EQ(proxy.NextReason(), "denied");
  client.ShutWrite();
  client.ReceiveAll();
  EXPECT_EQ(journal.entries(), std::vector<std::string>{});
}

TEST(Close, DeliversWhatWasSentToBothSidesThoughTheyHadSentMore) {
  Server server;
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.upstream_open = [&](rum_session*, uint32_t) { journal.Add("open"); };
  hooks.client_data = [](rum_session* s, std::string_view) {
    Send(s, RUM_CLIENT, "to the client");
    Send(s, RUM_UPSTREAM, "to the server");
    Close(s, RUM_CLOSE_DENIED);
    return 0;  // nothing of what came is consumed
  };
  hooks.upstream_data = [](rum_session*, std::string_view) { return 0; };
  RunningProxy proxy(hooks);
  for (size_t i = 0; i < 20; ++i) {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    ASSERT_TRUE(Eventually([&] { return journal.Count("open") == i + 1; }));
    upstream.Send("unread");
    client.Send("login and a lot that nobody reads" + std::string(5000, 'x'));
    client.Send("more");
    Ending ending;
    EXPECT_EQ(client.ReceiveAll(&ending), "to the client");
    EXPECT_EQ(ending, Ending::kEnd) << "a reset may take the last words away";
    EXPECT_EQ(upstream.ReceiveAll(&ending), "to the server");
    EXPECT_EQ(ending, Ending::kEnd);
  }
}

TEST(Close, LastWordsReachAClientThatGoesOnSending) {
  Hooks hooks;
  hooks.client_data = [](rum_session* s, std::string_view) {
    Send(s, RUM_CLIENT, "no");
    Close(s, RUM_CLOSE_DENIED);
    return 0;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  for (int i = 0; i < 100; ++i) {
    client.Send(std::string(100, 'x'));
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(client.ReceiveAll(), "no");
}

TEST(Close, ALongFarewellIsDeliveredToASlowReader) {
  std::string farewell = Noise(3 << 20, 1);
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Send(s, RUM_CLIENT, farewell);
    Close(s, RUM_CLOSE_DENIED);
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client(4096);
  EXPECT_TRUE(client.ReceiveAll() == farewell);
}

// A side that takes no more, with bytes that still wait for it, while nobody reads it.
TEST(Broken, AServerThatBreaksWhileTheModuleIsPausedHoldsNobodyUp) {
  Server server;
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    if (bytes == "pause") Connect(s, server.address());
    Send(s, RUM_CLIENT, "heard");
    return static_cast<int64_t>(bytes.size());
  };
  hooks.upstream_open = [&](rum_session* s, uint32_t) {
    Send(s, RUM_UPSTREAM, Noise(16 << 20, 1));
    host->pause(s);
    journal.Add("paused");
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.login_timeout = 3s; });
  for (bool reset : {true, false}) {
    Peer client = proxy.Client();
    client.Send("pause");
    Peer upstream = server.Accept(4096);
    ASSERT_TRUE(Eventually([&] { return journal.Count("paused") == (reset ? 1u : 2u); }));
    std::this_thread::sleep_for(50ms);
    reset ? upstream.Reset() : upstream.Close();
    Peer other = proxy.Client();
    other.Send("x");
    ASSERT_EQ(other.Receive(5), "heard") << "the worker serves nobody any more";
  }
}

TEST(Broken, AClientThatBreaksWhileItsServerIsBeingConnectedHoldsNobodyUp) {
  BlackHole hole;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    if (bytes == "connect") {
      Connect(s, hole.address());
      Send(s, RUM_CLIENT, Noise(16 << 20, 1));
    } else {
      Send(s, RUM_CLIENT, "heard");
    }
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.login_timeout = 3s; });
  for (bool reset : {true, false}) {
    Peer client = proxy.Client(4096);
    client.Send("connect");
    client.Receive(1);
    reset ? client.Reset() : client.Close();
    Peer other = proxy.Client();
    other.Send("x");
    ASSERT_EQ(other.Receive(5), "heard") << "the worker serves nobody any more";
  }
}

TEST(Close, DoesNotWaitForAPeerThatNeverEnds) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) { return Close(s, RUM_CLOSE_DENIED), RUM_OK; };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
  // The client keeps its side open; descriptors are given back nevertheless.
  proxy.OnMain([](Proxy& p) { p.Drain(); });
  EXPECT_TRUE(Eventually(
      [&] {
        bool idle = false;
        proxy.OnMain([&](Proxy& p) { idle = p.Idle(); });
        return idle;
      },
      10s));
}

// -- session_close --------------------------------------------------------------------------------

// All calls but send, peer, note, log, now and metric_add are refused in session_close.
void ExpectOnlyLastCalls(rum_session* s, bool client_there) {
  EXPECT_EQ(Send(s, RUM_CLIENT, "bye"), client_there ? RUM_OK : RUM_E_STATE);
  EXPECT_EQ(host->need(s, RUM_CLIENT, 1), RUM_E_STATE);
  EXPECT_EQ(host->forward(s, RUM_CLIENT, 1), RUM_E_STATE);
  EXPECT_EQ(host->relay(s), RUM_E_STATE);
  EXPECT_EQ(Lookup(s, "x"), RUM_E_STATE);
  EXPECT_EQ(Identify(s, "x"), RUM_E_STATE);
  EXPECT_EQ(Connect(s, "tcp:a:1"), RUM_E_STATE);
  EXPECT_EQ(host->pause(s), 0u);
  EXPECT_EQ(host->timer(s, 1), 0u);
  host->timer_cancel(s, 1);
  Close(s, RUM_CLOSE_LIMIT);
  EXPECT_EQ(Note(s, "last", "note"), RUM_OK);
  EXPECT_NE(PeerOf(s, RUM_CLIENT), "");
  host->log(s, RUM_LOG_DEBUG, "closing", 7);
  host->metric_add(s, 0, 1);
  EXPECT_GT(host->now(), 0u);
}

TEST(SessionClose, AllowsLastWordsAndNothingElseInTheDialogue) {
  Server server;
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.upstream_open = [&](rum_session*, uint32_t) { journal.Add("open"); };
  hooks.client_data = [](rum_session* s, std::string_view) {
    return Close(s, RUM_CLOSE_DENIED), 0;
  };
  hooks.session_close = [](rum_session* s, uint32_t) {
    ExpectOnlyLastCalls(s, true);
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "bye upstream"), RUM_OK);
  };
  hooks.metrics = {{"test_ends", "Ends"}};
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  ASSERT_TRUE(journal.WaitFor("open"));
  client.Send("x");
  EXPECT_EQ(client.ReceiveAll(), "bye");
  EXPECT_EQ(upstream.ReceiveAll(), "bye upstream");
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["reason"], "denied");
  EXPECT_EQ(end["last"], "note");
  EXPECT_EQ(end["sent"], 3);
  EXPECT_EQ(end["upstream_sent"], 12);
  EXPECT_EQ(proxy.ModuleCounter(0), 1u);
}

TEST(SessionClose, AllowsLastWordsToBothSidesInTheRelay) {
  Server server;
  Hooks hooks = RelayTo(server.address());
  hooks.session_close = [](rum_session* s, uint32_t) {
    ExpectOnlyLastCalls(s, true);
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "bye upstream"), RUM_OK);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("x");
  EXPECT_EQ(upstream.Receive(1), "x");
  proxy.OnMain([](Proxy& p) { p.EndSessions(RUM_CLOSE_KILLED); });
  EXPECT_EQ(client.ReceiveAll(), "bye");
  EXPECT_EQ(upstream.ReceiveAll(), "bye upstream");
  EXPECT_EQ(proxy.NextReason(), "killed");
}

TEST(SessionClose, HasNoUpstreamToSendToWhenThereIsNone) {
  BlackHole hole;
  std::atomic<int> closed = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, hole.address()); };
  hooks.session_close = [&](rum_session* s, uint32_t) {
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "x"), RUM_E_STATE);
    EXPECT_EQ(PeerOf(s, RUM_UPSTREAM), "");
    closed++;
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.login_timeout = 50ms; });
  Peer client = proxy.Client();
  EXPECT_EQ(proxy.NextReason(), "login_timeout");
  EXPECT_EQ(closed, 1);
}

TEST(SessionClose, TheClientIsToldWhyRumEndsTheLogin) {
  Hooks hooks;
  hooks.session_close = [](rum_session* s, uint32_t reason) {
    Send(s, RUM_CLIENT, "reason " + std::to_string(reason));
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.login_timeout = 50ms; });
  Peer client = proxy.Client();
  EXPECT_EQ(client.ReceiveAll(), "reason " + std::to_string(RUM_CLOSE_LOGIN_TIMEOUT));
}

TEST(SessionClose, AClientThatBrokeCannotBeSentTo) {
  std::atomic<int32_t> status = 1;
  Hooks hooks;
  hooks.client_data = [](rum_session*, std::string_view) { return 0; };
  hooks.session_close = [&](rum_session* s, uint32_t) { status = Send(s, RUM_CLIENT, "x"); };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  std::this_thread::sleep_for(20ms);
  client.Reset();
  EXPECT_EQ(proxy.NextReason(), "client_gone");
  EXPECT_EQ(status, RUM_E_STATE);
}

TEST(SessionClose, ComesForEverySessionWhenRumStops) {
  Server server;
  std::atomic<int> closed = 0;
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    journal.Add("open");
    if (journal.Count("open") % 2) {
      Connect(s, server.address());
      host->relay(s);
    }
    return RUM_OK;
  };
  hooks.session_close = [&](rum_session*, uint32_t reason) {
    EXPECT_EQ(reason, RUM_CLOSE_DRAIN);
    closed++;
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.workers = 2; });
  std::vector<Peer> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(proxy.Client());
  ASSERT_TRUE(Eventually([&] { return journal.Count("open") == 10; }));
  proxy.Stop();
  EXPECT_TRUE(Eventually([&] { return closed == 10; }));
}

// -- the log line ---------------------------------------------------------------------------------

TEST(LogLine, SaysWhoWhereAndHowMuch) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(Identify(s, "first"), RUM_OK);
    EXPECT_EQ(Identify(s, "alice"), RUM_OK);
    Connect(s, server.address());
    return host->relay(s);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  std::string name = client.name();
  Peer upstream = server.Accept();
  client.Send("12345");
  upstream.Receive(5);
  upstream.Send("123");
  client.Receive(3);
  client.Close();
  upstream.Close();
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["event"], "session");
  EXPECT_EQ(end["level"], "info");
  EXPECT_TRUE(end["id"].is_number_unsigned());
  EXPECT_EQ(end["client"], name);
  EXPECT_EQ(end["listener"], proxy.address());
  EXPECT_EQ(end["user"], "alice");
  EXPECT_EQ(end["destination"], server.address());
  EXPECT_TRUE(end["connect"].is_number_float());
  EXPECT_TRUE(end["duration"].is_number_float());
  EXPECT_EQ(end["received"], 5);
  EXPECT_EQ(end["sent"], 3);
  EXPECT_EQ(end["upstream_received"], 3);
  EXPECT_EQ(end["upstream_sent"], 5);
  EXPECT_EQ(end["reason"], "client_closed");
  EXPECT_FALSE(end.contains("detail"));
}

TEST(LogLine, LeavesOutWhatIsNotKnown) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) { return Close(s, RUM_CLOSE_DENIED), RUM_OK; };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  auto end = proxy.NextEnd();
  for (const char* key : {"user", "destination", "connect", "detail"}) {
    EXPECT_FALSE(end.contains(key)) << key;
  }
}

TEST(LogLine, NoNameNoteDetailOrDestinationCanBreakIt) {
  Folder folder;
  std::string path = folder / "a b\n\"c\\\x1b";
  Server server(path);
  std::string nasty = "a\"b\\c\nd\0e\xff\x1b[31m"s;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(Identify(s, nasty), RUM_OK);
    EXPECT_EQ(Note(s, "note", nasty), RUM_OK);
    Connect(s, "sock:" + path);
    return RUM_OK;
  };
  hooks.upstream_open = [&](rum_session* s, uint32_t) { Close(s, RUM_CLOSE_DENIED, nasty); };
  for (bool json : {true, false}) {
    RunningProxy proxy(hooks, [&](Settings&) {
      if (json) return;
      // The text form: RunningProxy opened the log as JSON.
      log::Close();
      log::Options text;
      text.target = folder / "text";
      EXPECT_TRUE(log::Open(text).ok());
    });
    Peer client = proxy.Client();
    if (json) {
      auto end = proxy.NextEnd();
      std::string read = R"(a"b\\c\x0ad\x00e\xff\x1b[31m)";
      EXPECT_EQ(end["user"], read);
      EXPECT_EQ(end["note"], read);
      EXPECT_EQ(end["detail"], read);
      continue;
    }
    ASSERT_TRUE(Eventually(
        [&] { return Contents(folder / "text").find("reason=denied") != std::string::npos; }));
    std::string text = Contents(folder / "text");
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_NE(text.find(R"( user="a\"b\\c\x0ad\x00e\xff\x1b[31m" )"), std::string::npos) << text;
    EXPECT_NE(text.find(R"( note="a\"b\\c\x0ad\x00e\xff\x1b[31m" )"), std::string::npos) << text;
    EXPECT_NE(text.find(R"(/a b\x0a\"c\\\x1b" )"), std::string::npos) << text;
  }
}

TEST(LogLine, AUserHasAtMost512Bytes) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) {
    EXPECT_EQ(Identify(s, std::string(513, 'a')), RUM_E_ARGUMENT);
    EXPECT_EQ(host->identify(s, nullptr, 1), RUM_E_ARGUMENT);
    EXPECT_EQ(Identify(s, std::string(512, 'b')), RUM_OK);
    Close(s, RUM_CLOSE_DENIED);
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_EQ(proxy.NextEnd()["user"], std::string(512, 'b'));
}

TEST(LogLine, AnEmptyUserIsAUser) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) {
    EXPECT_EQ(Identify(s, ""), RUM_OK);
    Close(s, RUM_CLOSE_DENIED);
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_EQ(proxy.NextEnd()["user"], "");
}

TEST(Note, AddsEightPairsAndReplacesTheSameKey) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) {
    for (char c = 'a'; c < 'i'; ++c) EXPECT_EQ(Note(s, std::string(1, c).c_str(), "old"), RUM_OK);
    EXPECT_EQ(Note(s, "i", "x"), RUM_E_LIMIT);
    EXPECT_EQ(Note(s, "a", "new"), RUM_OK);
    EXPECT_EQ(Note(s, "b", std::string(257, 'x')), RUM_E_LIMIT);
    EXPECT_EQ(Note(s, "h", std::string(256, 'y')), RUM_OK);
    Close(s, RUM_CLOSE_DENIED);
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["a"], "new");
  EXPECT_EQ(end["b"], "old");
  EXPECT_EQ(end["h"], std::string(256, 'y'));
  EXPECT_FALSE(end.contains("i"));
}

TEST(Note, RefusesKeysThatAreNotWordsOrRumsOwn) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) {
    for (const char* key : {"", "A", "a1", "a-b", "a b", "a=b", "\xc3\xa4"}) {
      EXPECT_EQ(Note(s, key, "x"), RUM_E_ARGUMENT) << key;
    }
    EXPECT_EQ(host->note(s, nullptr, "x", 1), RUM_E_ARGUMENT);
    EXPECT_EQ(host->note(s, "key", nullptr, 1), RUM_E_ARGUMENT);
    EXPECT_EQ(Note(s, std::string(33, 'a').c_str(), "x"), RUM_E_ARGUMENT);
    EXPECT_EQ(Note(s, std::string(32, 'a').c_str(), "x"), RUM_OK);
    for (const char* key : {"id", "client", "listener", "user", "destination", "connect",
                            "duration", "received", "sent", "upstream_received", "upstream_sent",
                            "reason", "detail", "time", "level", "event"}) {
      EXPECT_EQ(Note(s, key, "forged"), RUM_E_ARGUMENT) << key;
    }
    Close(s, RUM_CLOSE_DENIED);
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_EQ(proxy.NextEnd()["reason"], "denied");
}

TEST(Log, OfAModuleIsOneLineThatNamesTheSession) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) {
    host->log(s, RUM_LOG_INFO, "two\nlines", 9);
    host->log(nullptr, RUM_LOG_WARNING, "no session", 10);
    host->log(s, 77, "odd level", 9);
    host->log(s, RUM_LOG_INFO, nullptr, 0);
    Close(s, RUM_CLOSE_DENIED);
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  auto id = proxy.NextEnd()["id"].get<uint64_t>();
  std::string text = proxy.LogText();
  EXPECT_NE(text.find("\"session " + std::to_string(id) + ": two\\\\x0alines\""), std::string::npos)
      << text;
  EXPECT_NE(text.find("\"no session\""), std::string::npos) << text;
}

TEST(LogLogins, WritesALineWhenTheLoginIsThrough) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Identify(s, "alice");
    Connect(s, server.address());
    return host->relay(s);
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.log_logins = true; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  EXPECT_TRUE(
      Eventually([&] { return proxy.LogText().find("\"event\":\"login\"") != std::string::npos; }));
  EXPECT_NE(proxy.LogText().find("\"user\":\"alice\""), std::string::npos);
}

// -- peers and counters ---------------------------------------------------------------------------

TEST(Peers, AreToldAsAddresses) {
  Server server;
  Folder folder;
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    journal.Add(PeerOf(s, RUM_CLIENT));
    EXPECT_EQ(PeerOf(s, RUM_UPSTREAM), "");
    EXPECT_EQ(PeerOf(s, 2), "");
    char cut[5] = "zzzz";
    EXPECT_EQ(host->peer(s, RUM_CLIENT, cut, 4), PeerOf(s, RUM_CLIENT).size());
    EXPECT_EQ(std::string(cut, 5), PeerOf(s, RUM_CLIENT).substr(0, 3) + "\0\0"s);
    EXPECT_EQ(host->peer(s, RUM_CLIENT, nullptr, 0), PeerOf(s, RUM_CLIENT).size());
    return Connect(s, server.address());
  };
  hooks.upstream_open = [&](rum_session* s, uint32_t) { journal.Add(PeerOf(s, RUM_UPSTREAM)); };
  RunningProxy proxy(hooks, [&](Settings& s) {
    s.listeners.push_back(*ParseAddress("sock:" + (folder / "here")));
  });
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor(client.name()));
  EXPECT_TRUE(journal.WaitFor(server.address().substr(4)));
  Peer unix_client = Peer::Connect(proxy.address(1));
  EXPECT_TRUE(journal.WaitFor("unix:" + (folder / "here")));
}

TEST(Peers, OfAUnixServerIsItsPath) {
  Folder folder;
  Server server(folder / "server");
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.upstream_open = [&](rum_session* s, uint32_t) { journal.Add(PeerOf(s, RUM_UPSTREAM)); };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor("unix:" + (folder / "server")));
}

TEST(Counters, OfAModuleAreSummedOverWorkersAndUnknownOnesIgnored) {
  Hooks hooks;
  hooks.metrics = {{"test_one", "One"}, {"test_two", "Two"}};
  hooks.session_open = [](rum_session* s) {
    host->metric_add(s, 0, 1);
    host->metric_add(s, 1, 1000000007);
    host->metric_add(s, 2, 1);
    host->metric_add(s, UINT32_MAX, 1);
    Close(s, RUM_CLOSE_DENIED);
    return RUM_OK;
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.workers = 3; });
  for (int i = 0; i < 30; ++i) proxy.Client().ReceiveAll();
  EXPECT_TRUE(Eventually([&] { return proxy.Ended(RUM_CLOSE_DENIED) == 30; }));
  EXPECT_EQ(proxy.ModuleCounter(0), 30u);
  EXPECT_EQ(proxy.ModuleCounter(1), 30ull * 1000000007);
}

TEST(Counters, AcceptedIsEndedAndActive) {
  Hooks hooks;
  hooks.client_data = [](rum_session* s, std::string_view) {
    return Close(s, RUM_CLOSE_DENIED), 0;
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.workers = 2; });
  std::vector<Peer> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(proxy.Client());
  ASSERT_TRUE(Eventually([&] { return proxy.Sum(&Counters::accepted) == 20; }));
  EXPECT_EQ(proxy.Sum(&Counters::active), 20u);
  for (int i = 0; i < 12; ++i) clients[static_cast<size_t>(i)].Send("x");
  EXPECT_TRUE(Eventually([&] { return proxy.Ended(RUM_CLOSE_DENIED) == 12; }));
  EXPECT_EQ(proxy.Sum(&Counters::active), 8u);
}

// -- workers, drain, lack of descriptors ----------------------------------------------------------

TEST(Workers, CallTheirHooksInOrderAndGiveEachSessionItsWorkersData) {
  Journal journal;
  std::atomic<int> started = 0;
  Hooks hooks;
  hooks.config_new = [&](const char* const*, size_t, void** config) {
    journal.Add("config_new");
    *config = &journal;
    return RUM_OK;
  };
  hooks.config_free = [&](void* config) {
    EXPECT_EQ(config, &journal);
    journal.Add("config_free");
  };
  hooks.worker_start = [&](rum_worker* worker, void** data) {
    EXPECT_NE(worker, nullptr);
    *data = &started;
    started++;
    journal.Add("worker_start");
    return RUM_OK;
  };
  hooks.worker_stop = [&](void* data) {
    EXPECT_EQ(data, &started);
    journal.Add("worker_stop");
  };
  hooks.session_open = [&](rum_session*) { return journal.Add("session"), RUM_OK; };
  {
    RunningProxy proxy(hooks, [](Settings& s) { s.workers = 2; });
    Peer client = proxy.Client();
    ASSERT_TRUE(journal.WaitFor("session"));
  }
  EXPECT_EQ(journal.entries(),
            (std::vector<std::string>{"config_new", "worker_start", "worker_start", "session",
                                      "worker_stop", "worker_stop", "config_free"}));
}

TEST(Drain, TakesNoNewClientsAndLetsTheOthersEnd) {
  Server server;
  Folder folder;
  Hooks hooks = RelayTo(server.address());
  RunningProxy proxy(hooks, [&](Settings& s) {
    s.workers = 2;
    s.listeners.push_back(*ParseAddress("sock:" + (folder / "here")));
  });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  proxy.OnMain([](Proxy& p) { p.Drain(); });
  EXPECT_TRUE(Eventually([&] {
    Fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto address = *ParseAddress(proxy.address());
    auto to = *SocketAddress::Numeric(address.host, address.port);
    return ::connect(probe.get(), to.get(), to.size()) != 0;
  }));
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(folder / "here"); }));
  client.Send("still");
  EXPECT_EQ(upstream.Receive(5), "still");
  bool idle = true;
  proxy.OnMain([&](Proxy& p) { idle = p.Idle(); });
  EXPECT_FALSE(idle);
  client.Close();
  upstream.Close();
  EXPECT_TRUE(Eventually([&] {
    while (server.SomebodyComes(0)) server.Accept();  // what came through before it closed
    proxy.OnMain([&](Proxy& p) { idle = p.Idle(); });
    return idle;
  }));
}

// A process that has handed over may live for days with a few sessions.
TEST(Drain, ListsEndsAndProbesAreAnsweredThoughAWorkerHasNoSession) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) { s.workers = 2; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  proxy.OnMain([](Proxy& p) { p.Drain(); });
  std::this_thread::sleep_for(100ms);  // for the worker that has none to be over
  Journal journal;
  proxy.OnMain([&](Proxy& p) {
    for (size_t i = 0; i < p.workers().size(); ++i) {
      Probe probe;
      probe.destination = *ParseAddress(server.address());
      probe.done = [&](ProbeOutcome outcome) {
        journal.Add("probe " + std::to_string(outcome.reason));
      };
      p.BeginProbe(std::move(probe));
    }
    EXPECT_TRUE(Eventually([&] { return p.Load() == 1; })) << p.Load() << ", the client's is one";
    for (uint32_t reason : {0u, uint32_t{RUM_CLOSE_KILLED}}) {
      p.lister().Ask({}, 10, reason, [&](SessionList list) {
        journal.Add("list of " + std::to_string(list.matched));
      });
    }
  });
  EXPECT_TRUE(Eventually([&] { return journal.Count("list of 1") == 2; })) << "nobody answers";
  EXPECT_EQ(journal.Count("probe " + std::to_string(RUM_CLOSE_DRAIN)), 2u);
  EXPECT_EQ(proxy.NextReason(), "killed");
}

TEST(Drain, WithoutSessionsIsOverSoonWhoeverIsConnecting) {
  for (int round = 0; round < 20; ++round) {
    Hooks hooks;
    hooks.client_data = [](rum_session*, std::string_view) { return 0; };
    RunningProxy proxy(hooks, [](Settings& s) { s.workers = 4; });
    std::atomic<bool> stop = false;
    auto address = *ParseAddress(proxy.address());
    auto to = *SocketAddress::Numeric(address.host, address.port);
    std::thread clients([&] {
      while (!stop) {
        Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        (void)!::connect(client.get(), to.get(), to.size());
      }
    });
    std::this_thread::sleep_for(2ms);
    proxy.OnMain([](Proxy& p) { p.Drain(); });
    EXPECT_TRUE(Eventually(
        [&] {
          bool idle = false;
          proxy.OnMain([&](Proxy& p) { idle = p.Idle(); });
          return idle;
        },
        8s));
    stop = true;
    clients.join();
  }
}

TEST(Descriptors, WhenThereAreNoneClientsAreToldSoAndItDoesNotSpin) {
  Hooks hooks;
  hooks.refusal = [](uint32_t reason, uint8_t* bytes, size_t size) {
    EXPECT_EQ(reason, RUM_CLOSE_NO_RESOURCES);
    EXPECT_GE(size, 4u);
    std::copy_n("full", 4, bytes);
    return size_t{4};
  };
  hooks.session_open = [](rum_session* s) { return Send(s, RUM_CLIENT, "open"); };
  RunningProxy proxy(hooks);
  Peer before = proxy.Client();
  EXPECT_EQ(before.Receive(4), "open");
  {
    FewDescriptors few(1);
    Peer client = proxy.Client();  // takes the last one
    EXPECT_EQ(client.ReceiveAll(), "full");
    EXPECT_EQ(proxy.Sum(&Counters::refused), 1u);
    std::this_thread::sleep_for(500ms);
    EXPECT_LT(proxy.Sum(&Counters::accept_failures), 10u);
  }
  Peer after = proxy.Client();
  EXPECT_EQ(after.Receive(4), "open");
  EXPECT_NE(proxy.LogText().find("cannot accept clients"), std::string::npos);
}

TEST(Descriptors, WhenThereAreNoneAConnectFailsForThatReason) {
  Server server;
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    Connect(s, server.address());
    return static_cast<int64_t>(bytes.size());
  };
  hooks.upstream_open = [&](rum_session*, uint32_t reason) { journal.Add(std::to_string(reason)); };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return proxy.Sum(&Counters::active) == 1; }));
  {
    FewDescriptors few(0);
    client.Send("x");
    EXPECT_TRUE(journal.WaitFor(std::to_string(RUM_CLOSE_NO_RESOURCES)));
  }
  EXPECT_EQ(proxy.NextReason(), "no_resources");
}

}  // namespace
}  // namespace rum
