// relay_from() and take_back(): one way flows unseen, the module sees the other. On the real core.
#include <gtest/gtest.h>

#include <atomic>
#include <ctime>
#include <future>
#include <string>
#include <thread>

#include "proxy/proxy.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;

// A session that connects and at once lets the server's bytes flow; a test adds client_data.
Hooks WatchClientOf(const Server& server) {
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.upstream_open = [](rum_session* s, uint32_t) {
    EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_OK);
  };
  hooks.upstream_data = [](rum_session*, std::string_view bytes) {
    ADD_FAILURE() << "the server's bytes were shown: " << bytes.substr(0, 40);
    return static_cast<int64_t>(bytes.size());
  };
  return hooks;
}

// A client may be faster than the connection to its server: nothing is done before the watch.
using DataHook = std::function<int64_t(rum_session*, std::string_view)>;
DataHook Watched(DataHook hook) {
  return [hook = std::move(hook)](rum_session* s, std::string_view bytes) -> int64_t {
    bool watching = host->need(s, RUM_UPSTREAM, 0) == RUM_E_STATE;
    return watching ? hook(s, bytes) : 0;
  };
}

// What is seen is sent on with a mark before it.
int64_t Mark(rum_session* s, std::string_view bytes) {
  Send(s, RUM_UPSTREAM, "<" + std::string(bytes) + ">");
  return static_cast<int64_t>(bytes.size());
}

// Passes everything on, as a module would that only counts.
int64_t PassOn(rum_session* s, std::string_view bytes) {
  Send(s, RUM_UPSTREAM, bytes);
  return static_cast<int64_t>(bytes.size());
}

TEST(Watch, OneWayFlowsUnseenAndTheOtherIsTheModules) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched(Mark);
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  for (int i = 0; i < 20; ++i) {
    client.Send("ask");
    EXPECT_EQ(upstream.Receive(5), "<ask>");
    upstream.Send("answer");
    EXPECT_EQ(client.Receive(6), "answer");
  }
  EXPECT_EQ(proxy.Sum(&Counters::relaying), 1u);
  client.Close();
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  upstream.Close();
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["reason"], "client_closed");
  EXPECT_EQ(end["received"], 60);
  EXPECT_EQ(end["upstream_sent"], 100);
  EXPECT_EQ(end["upstream_received"], 120);
  EXPECT_EQ(end["sent"], 120);
  EXPECT_EQ(proxy.Sum(&Counters::client_bytes), 60u);
  EXPECT_EQ(proxy.Sum(&Counters::upstream_bytes), 120u);
}

TEST(Watch, EitherSideMayBeTheOneThatIsSeen) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.upstream_open = [](rum_session* s, uint32_t) {
    EXPECT_EQ(host->relay_from(s, RUM_CLIENT), RUM_OK);
  };
  std::atomic<size_t> shown = 0;  // it may be faster than the connection
  hooks.client_data = [&](rum_session*, std::string_view bytes) {
    shown += bytes.size();
    return 0;
  };
  hooks.upstream_data = [](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, "<" + std::string(bytes) + ">");
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("ask");
  EXPECT_EQ(upstream.Receive(3), "ask");
  upstream.Send("answer");
  EXPECT_EQ(client.Receive(8), "<answer>");
  size_t before = shown;
  client.Send("ask again, no farewell");
  EXPECT_EQ(upstream.Receive(22), "ask again, no farewell");
  EXPECT_EQ(shown, before);
  upstream.Close();
  EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
  client.Close();
  EXPECT_EQ(proxy.NextReason(), "upstream_closed");
}

TEST(Watch, WhatWasNotConsumedGoesFirst) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.upstream_open = {};
  hooks.upstream_data = [](rum_session* s, std::string_view bytes) {
    if (bytes.size() < 10) return 0;
    Send(s, RUM_CLIENT, "OK ");
    EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_OK);
    return 5;
  };
  hooks.client_data = Watched(Mark);
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  upstream.Send("12345");
  upstream.Send("67890");
  EXPECT_EQ(client.Receive(8), "OK 67890");
  upstream.Send("more");
  EXPECT_EQ(client.Receive(4), "more");
}

TEST(Watch, WhatCameTooEarlyIsShownAgain) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched(Mark);
  hooks.upstream_open = {};
  hooks.upstream_data = [](rum_session* s, std::string_view bytes) {
    EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_OK);
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("early");
  std::this_thread::sleep_for(50ms);
  upstream.Send("go");
  EXPECT_EQ(upstream.Receive(7), "<early>");
}

TEST(Watch, NeedAndForwardGoOnForTheSideThatIsSeen) {
  Server server;
  Journal journal;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched([&](rum_session* s, std::string_view bytes) {
    journal.Add(std::string(bytes));
    EXPECT_EQ(host->need(s, RUM_UPSTREAM, 1), RUM_E_STATE);
    EXPECT_EQ(host->forward(s, RUM_UPSTREAM, 1), RUM_E_STATE);
    if (bytes.size() < 4) {
      EXPECT_EQ(host->need(s, RUM_CLIENT, 4), RUM_OK);
      return 0;
    }
    EXPECT_EQ(host->forward(s, RUM_CLIENT, 6), RUM_OK);
    return 2;
  });
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("a");
  ASSERT_TRUE(journal.WaitFor("a"));
  client.Send("bcd");
  EXPECT_EQ(upstream.Receive(2), "cd");
  client.Send("efgh");
  EXPECT_EQ(upstream.Receive(4), "efgh");
  client.Send("ijkl");
  EXPECT_EQ(upstream.Receive(2), "kl");
  EXPECT_EQ(journal.entries(), (std::vector<std::string>{"a", "abcd", "ijkl"}));
}

TEST(Watch, CallsAreRefusedThatMakeNoSense) {
  Server server;
  Journal journal;
  Hooks hooks = WatchClientOf(server);
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_E_STATE) << "nobody is connected";
    EXPECT_EQ(host->relay_from(s, 2), RUM_E_ARGUMENT);
    EXPECT_EQ(host->take_back(s, 2), RUM_E_ARGUMENT);
    return Connect(s, server.address());
  };
  hooks.upstream_open = [](rum_session* s, uint32_t) {
    EXPECT_EQ(host->take_back(s, RUM_UPSTREAM), RUM_E_STATE);
    EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_OK);
    EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_E_STATE) << "twice";
    EXPECT_EQ(host->relay_from(s, RUM_CLIENT), RUM_E_STATE) << "that is relay()";
    EXPECT_EQ(host->take_back(s, RUM_CLIENT), RUM_E_STATE);
  };
  hooks.client_data = Watched([&](rum_session* s, std::string_view bytes) {
    EXPECT_EQ(Connect(s, server.address()), RUM_E_STATE);
    EXPECT_EQ(host->start_tls(s, RUM_CLIENT, nullptr, 0), RUM_E_STATE);
    EXPECT_EQ(host->relay(s), RUM_OK);
    EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_E_STATE);
    EXPECT_EQ(host->take_back(s, RUM_UPSTREAM), RUM_E_STATE);
    return static_cast<int64_t>(bytes.size());
  });
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("x");
  client.Close();
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
}

TEST(Watch, RelayHandsTheRestOver) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched([](rum_session* s, std::string_view bytes) {
    Send(s, RUM_UPSTREAM, "<");
    if (bytes[0] == '!') {
      EXPECT_EQ(host->relay(s), RUM_OK);
    }
    return 1;
  });
  RunningProxy proxy(hooks, [](Settings& s) { s.log_logins = true; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("ab!cd");
  EXPECT_EQ(upstream.Receive(5), "<<<cd");
  client.Send("!ef");
  EXPECT_EQ(upstream.Receive(3), "!ef");
  upstream.Send("answer");
  EXPECT_EQ(client.Receive(6), "answer");
  EXPECT_EQ(proxy.Sum(&Counters::relaying), 1u);
  client.Close();
  upstream.Close();
  proxy.NextEnd();
  std::string text = proxy.LogText();
  size_t login = text.find("\"event\":\"login\"");
  EXPECT_NE(login, std::string::npos);
  EXPECT_EQ(text.find("\"event\":\"login\"", login + 1), std::string::npos) << "told once";
}

// -- bulk -----------------------------------------------------------------------------------------

TEST(Watch, BulkOfTheWayThatFlowsIsSplicedAndExact) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched(PassOn);
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  std::string down = Noise(32 << 20, 1), up = Noise(8 << 20, 2);
  auto sender = std::async(std::launch::async, [&] { upstream.Send(down); });
  auto other = std::async(std::launch::async, [&] { client.Send(up); });
  auto receiver = std::async(std::launch::async, [&] { return upstream.Receive(up.size()) == up; });
  EXPECT_TRUE(client.Receive(down.size()) == down);
  EXPECT_TRUE(receiver.get());
  sender.get(), other.get();
  EXPECT_GT(proxy.Sum(&Counters::spliced_bytes), 0u);
}

TEST(Watch, BulkThatTheModuleLetsThroughIsSplicedAndWhatFollowsIsSeen) {
  Server server;
  Journal journal;
  constexpr size_t kBulk = 32 << 20;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched([&](rum_session* s, std::string_view bytes) {
    journal.Add(std::string(bytes.substr(0, 1)));
    EXPECT_EQ(host->forward(s, RUM_CLIENT, kBulk), RUM_OK);
    return 1;
  });
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  std::string all;
  for (uint64_t i = 0; i < 3; ++i) all += "h" + Noise(kBulk, i);
  auto sender = std::async(std::launch::async, [&] { client.Send(all); });
  for (uint64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(upstream.Receive(kBulk) == Noise(kBulk, i)) << i;
  }
  sender.get();
  EXPECT_EQ(journal.entries(), (std::vector<std::string>{"h", "h", "h"}));
  EXPECT_GT(proxy.Sum(&Counters::spliced_bytes), 0u);
}

TEST(Watch, DoesNotReadAClientWhoseServerTakesNothing) {
  Server server;
  std::atomic<size_t> seen = 0;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched([&](rum_session* s, std::string_view bytes) {
    seen += bytes.size();
    return PassOn(s, bytes);
  });
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept(4096);
  std::string bulk = Noise(64 << 20, 3);
  size_t stuck = client.SendUntilStuck(bulk, 1000);
  ASSERT_LT(stuck, bulk.size()) << "the client was never held up";
  size_t before = seen;
  EXPECT_LT(before, bulk.size());
  // The other way is not in the way.
  upstream.Send("other way");
  EXPECT_EQ(client.Receive(9), "other way");
  EXPECT_EQ(seen, before);
  auto sender = std::async(std::launch::async, [&] {
    client.Send(std::string_view(bulk).substr(stuck));
    client.ShutWrite();
  });
  EXPECT_TRUE(upstream.ReceiveAll() == bulk);
  sender.get();
  EXPECT_EQ(seen, bulk.size());
  upstream.Close();
  EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["received"], bulk.size());
  EXPECT_EQ(end["upstream_sent"], bulk.size());
}

// What waits for the client is more than a pipe: it is not read by the client while the module
// speaks. The module's word comes behind all that had been read from the server, and between two
// bytes of it.
TEST(Watch, WhatTheModuleSendsComesBehindWhatHasFlowed) {
  for (bool take_back : {false, true}) {
    Server server;
    Hooks hooks = WatchClientOf(server);
    std::string word = "the module's word";
    hooks.client_data = Watched([&](rum_session* s, std::string_view bytes) {
      if (take_back) {
        EXPECT_EQ(host->take_back(s, RUM_UPSTREAM), RUM_OK);
      }
      Send(s, RUM_CLIENT, word);
      return static_cast<int64_t>(bytes.size());
    });
    hooks.upstream_data = [&](rum_session* s, std::string_view bytes) {
      EXPECT_TRUE(take_back);
      Send(s, RUM_CLIENT, bytes);
      return static_cast<int64_t>(bytes.size());
    };
    RunningProxy proxy(hooks);
    Peer client = proxy.Client(4096);
    Peer upstream = server.Accept();
    std::string bulk = Noise(24 << 20, 4);
    size_t stuck = upstream.SendUntilStuck(bulk, 500);
    ASSERT_LT(stuck, bulk.size());
    client.Send("speak");
    auto sender = std::async(std::launch::async, [&] {
      std::this_thread::sleep_for(50ms);
      upstream.Send(std::string_view(bulk).substr(stuck));
    });
    std::string all = client.Receive(bulk.size() + word.size());
    sender.get();
    size_t at = all.find(word);
    ASSERT_NE(at, std::string::npos);
    EXPECT_TRUE(all.erase(at, word.size()) == bulk) << "at " << at;
    client.Close();
    upstream.Close();
    proxy.NextEnd();
  }
}

TEST(Watch, ATurnOfASideThatIsSeenIsBounded) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  // Nothing is held up and the client never stops: another session of the worker must be served.
  std::atomic<bool> over = false;
  hooks.client_data = [](rum_session*, std::string_view bytes) {
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks);
  Peer flood = proxy.Client();
  Peer upstream = server.Accept();
  std::thread sender([&] {
    std::string bulk(1 << 20, 'x');
    while (!over) flood.Send(bulk);
  });
  Peer client = proxy.Client();
  Peer other = server.Accept();
  for (int i = 0; i < 20; ++i) {
    other.Send("answer");
    EXPECT_EQ(client.Receive(6), "answer");
  }
  over = true;
  sender.join();
}

// -- the way back ---------------------------------------------------------------------------------

TEST(Watch, AWayIsTakenBackAndHandedOverAgain) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    if (bytes == "login") {
      EXPECT_EQ(host->take_back(s, RUM_UPSTREAM), RUM_OK);
    }
    return Mark(s, bytes);
  };
  hooks.upstream_data = [](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, "[" + std::string(bytes) + "]");
    if (bytes == "welcome") {
      EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_OK);
    }
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks, [](Settings& s) {
    s.log_logins = true;
    s.login_timeout = 500ms;
    s.first_byte_timeout = 500ms;
  });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  for (int i = 0; i < 3; ++i) {
    upstream.Send("unseen");
    EXPECT_EQ(client.Receive(6), "unseen");
    client.Send("login");
    EXPECT_EQ(upstream.Receive(7), "<login>");
    std::this_thread::sleep_for(300ms);  // no deadline of a login runs any more
    upstream.Send("prove it");
    EXPECT_EQ(client.Receive(10), "[prove it]");
    EXPECT_EQ(proxy.Sum(&Counters::relaying), 1u);
    client.Send("proof");
    EXPECT_EQ(upstream.Receive(7), "<proof>");
    upstream.Send("welcome");
    EXPECT_EQ(client.Receive(9), "[welcome]");
  }
  client.Close();
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  upstream.Close();
  EXPECT_EQ(proxy.NextReason(), "client_closed");
  std::string text = proxy.LogText();
  EXPECT_EQ(text.find("\"event\":\"login\"", text.find("\"event\":\"login\"") + 1),
            std::string::npos);
}

TEST(Watch, AnEndWhileTheWayIsTakenBackIsTheModules) {
  Server server;
  Journal journal;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    EXPECT_EQ(host->take_back(s, RUM_UPSTREAM), RUM_OK);
    return Mark(s, bytes);
  };
  hooks.side_end = [&](rum_session*, uint32_t side) {
    journal.Add("end " + std::to_string(side));
    return RUM_END;
  };
  hooks.session_close = [](rum_session* s, uint32_t) { Send(s, RUM_CLIENT, "last words"); };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  upstream.Send("unseen");
  EXPECT_EQ(client.Receive(6), "unseen");
  client.Send("login");
  EXPECT_EQ(upstream.Receive(7), "<login>");
  upstream.Close();
  EXPECT_EQ(client.ReceiveAll(), "last words");
  EXPECT_EQ(proxy.NextReason(), "upstream_gone");
  EXPECT_EQ(journal.entries(), std::vector<std::string>{"end 1"});
}

// -- ends -----------------------------------------------------------------------------------------

TEST(Watch, TheEndOfTheWayThatFlowsIsPassedOnAndTheOtherIsStillSeen) {
  Server server;
  Journal journal;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    if (bytes == "speak") {
      EXPECT_EQ(Send(s, RUM_CLIENT, "too late"), RUM_E_STATE);
      EXPECT_EQ(host->take_back(s, RUM_UPSTREAM), RUM_E_STATE);
    }
    return Mark(s, bytes);
  };
  hooks.side_end = [&](rum_session*, uint32_t side) {
    journal.Add("end " + std::to_string(side));
    return RUM_END;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  std::string bulk = Noise(5 << 20, 6);
  auto sender = std::async(std::launch::async, [&] {
    upstream.Send(bulk);
    upstream.ShutWrite();
  });
  EXPECT_TRUE(client.ReceiveAll() == bulk);
  sender.get();
  client.Send("speak");
  EXPECT_EQ(upstream.Receive(7), "<speak>");
  EXPECT_EQ(journal.entries(), std::vector<std::string>{});
  client.ShutWrite();
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  EXPECT_EQ(proxy.NextReason(), "upstream_closed");
  EXPECT_EQ(journal.entries(), std::vector<std::string>{"end 0"});
}

TEST(Watch, TheEndOfTheSideThatIsSeenIsPassedOnBehindWhatIsLeft) {
  for (bool hook : {false, true}) {
    Server server;
    Hooks hooks = WatchClientOf(server);
    hooks.client_data = Watched([](rum_session* s, std::string_view bytes) -> int64_t {
      if (bytes.size() < 8) return host->need(s, RUM_CLIENT, 8), 0;
      return Mark(s, bytes.substr(0, 8));
    });
    if (hook) hooks.side_end = [](rum_session*, uint32_t) { return RUM_END; };
    RunningProxy proxy(hooks);
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    client.Send("12345678half");
    EXPECT_EQ(upstream.Receive(10), "<12345678>");  // it is watched: an end before that ends all
    client.ShutWrite();
    EXPECT_EQ(upstream.ReceiveAll(), "half");
    // The other way goes on.
    std::string bulk = Noise(5 << 20, 7);
    auto sender = std::async(std::launch::async, [&] {
      upstream.Send(bulk);
      upstream.ShutWrite();
    });
    EXPECT_TRUE(client.ReceiveAll() == bulk);
    sender.get();
    EXPECT_EQ(proxy.NextReason(), "client_closed");
  }
}

TEST(Watch, AModuleThatKeepsAnEndedSideDecidesItself) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = [](rum_session*, std::string_view) { return 0; };  // it thinks about it
  hooks.side_end = [](rum_session* s, uint32_t) { return host->timer(s, 100), RUM_KEEP; };
  hooks.timeout = [](rum_session* s, uint64_t) {
    Send(s, RUM_CLIENT, "no");
    Close(s, RUM_CLOSE_DENIED);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("may I?");
  client.ShutWrite();
  EXPECT_EQ(client.ReceiveAll(), "no");
  EXPECT_EQ(upstream.ReceiveAll(), "") << "what the module held back is not passed on";
  EXPECT_EQ(proxy.NextReason(), "denied");
}

TEST(Watch, AnEndInTheMiddleOfWhatWasLetThroughCostsNoTime) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched([](rum_session* s, std::string_view) {
    EXPECT_EQ(host->forward(s, RUM_CLIENT, 100), RUM_OK);
    return 0;
  });
  hooks.side_end = [](rum_session*, uint32_t) { return RUM_KEEP; };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("0123456789");
  EXPECT_EQ(upstream.Receive(10), "0123456789");
  client.ShutWrite();
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  std::clock_t before = std::clock();
  std::this_thread::sleep_for(1s);
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 2) << "of a second in which nothing happened";
  upstream.Send("answer");
  EXPECT_EQ(client.Receive(6), "answer");
  upstream.Close();
  EXPECT_EQ(proxy.NextReason(), "client_closed");
}

TEST(Watch, AnEndThatComesWhileTheModulePausesWaitsForIt) {
  Server server;
  Journal journal;
  std::atomic<uint64_t> ticket = 0;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched([&](rum_session* s, std::string_view bytes) -> int64_t {
    if (!ticket) {
      ticket = host->pause(s);
      journal.Add("paused");
      return 0;
    }
    return Mark(s, bytes);
  });
  hooks.resumed = [](rum_session*, uint64_t, int32_t, void*) {};
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("may I?");
  ASSERT_TRUE(journal.WaitFor("paused"));
  client.Send(" please");
  client.ShutWrite();
  upstream.Send("meanwhile");
  EXPECT_EQ(client.Receive(9), "meanwhile") << "what was handed over flows on";
  EXPECT_EQ(upstream.ReceiveWithin(100), "");
  host->resume(ticket, 0, nullptr, nullptr);
  std::string all = upstream.ReceiveAll();
  EXPECT_TRUE(all.starts_with("<") && all.ends_with(">")) << all;
  upstream.Close();
  EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
}

TEST(Watch, ResetsEndTheSessionAsInTheRelay) {
  for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
    Server server;
    Hooks hooks = WatchClientOf(server);
    hooks.client_data = Watched(PassOn);
    RunningProxy proxy(hooks);
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    client.Send("hello");
    EXPECT_EQ(upstream.Receive(5), "hello");
    (side == RUM_CLIENT ? client : upstream).Reset();
    EXPECT_EQ((side == RUM_CLIENT ? upstream : client).WaitForEnd(), Ending::kReset);
    EXPECT_EQ(proxy.NextReason(), side == RUM_CLIENT ? "client_reset" : "upstream_reset");
  }
}

TEST(Watch, AResetOfASideThatIsHeldUpIsNoticed) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched(PassOn);
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept(4096);
  std::string bulk = Noise(64 << 20, 8);
  ASSERT_LT(client.SendUntilStuck(bulk, 500), bulk.size());
  client.Reset();
  EXPECT_EQ(proxy.NextReason(), "client_reset");
  Ending ending;
  upstream.ReceiveAll(&ending);
  EXPECT_EQ(ending, Ending::kReset) << "not all of it came";
}

TEST(Watch, AModuleThatClosesHasItsLastWordsDelivered) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched([](rum_session* s, std::string_view) {
    Send(s, RUM_CLIENT, "no");
    Send(s, RUM_UPSTREAM, "bye");
    Close(s, RUM_CLOSE_DENIED, "not allowed");
    return 0;
  });
  RunningProxy proxy(hooks);
  for (int i = 0; i < 10; ++i) {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    upstream.Send("greeting");
    EXPECT_EQ(client.Receive(8), "greeting");
    client.Send("do it, and more that is not read" + std::string(100000, 'x'));
    Ending ending;
    EXPECT_EQ(client.ReceiveAll(&ending), "no");
    EXPECT_EQ(ending, Ending::kEnd);
    EXPECT_EQ(upstream.ReceiveAll(&ending), "bye");
    EXPECT_EQ(ending, Ending::kEnd);
    auto end = proxy.NextEnd();
    EXPECT_EQ(end["reason"], "denied");
    EXPECT_EQ(end["detail"], "not allowed");
  }
}

TEST(Watch, LastWordsOfAModuleComeBehindAPipeThatIsFull) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched([](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, "no");
    Close(s, RUM_CLOSE_DENIED);
    return static_cast<int64_t>(bytes.size());
  });
  RunningProxy proxy(hooks);
  Peer client = proxy.Client(4096);
  Peer upstream = server.Accept();
  std::string bulk = Noise(24 << 20, 9);
  ASSERT_LT(upstream.SendUntilStuck(bulk, 500), bulk.size());
  client.Send("do it");
  EXPECT_EQ(proxy.NextReason(), "denied");
  std::string all = client.ReceiveAll();
  ASSERT_TRUE(all.ends_with("no"));
  all.resize(all.size() - 2);
  EXPECT_TRUE(bulk.starts_with(all));
}

TEST(Watch, RumEndsASessionAsInTheRelay) {
  Server server;
  Journal journal;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched(PassOn);
  hooks.session_close = [&](rum_session* s, uint32_t reason) {
    journal.Add(std::to_string(reason));
    EXPECT_EQ(host->relay(s), RUM_E_STATE);
    EXPECT_EQ(host->take_back(s, RUM_UPSTREAM), RUM_E_STATE);
    EXPECT_EQ(host->relay_from(s, RUM_UPSTREAM), RUM_E_STATE);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("hello");
  EXPECT_EQ(upstream.Receive(5), "hello");
  proxy.Stop();
  EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  EXPECT_EQ(proxy.NextReason(), "drain");
  EXPECT_EQ(journal.entries(), std::vector<std::string>{std::to_string(RUM_CLOSE_DRAIN)});
}

TEST(Watch, TheIdleDeadlineEndsItAndTheLoginDeadlineDoesNot) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched(PassOn);
  RunningProxy proxy(hooks, [](Settings& s) {
    s.login_timeout = 100ms;
    s.idle_timeout = 1200ms;
  });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  std::this_thread::sleep_for(300ms);
  client.Send("hello");
  EXPECT_EQ(upstream.Receive(5), "hello");
  EXPECT_EQ(proxy.NextReason(), "idle_timeout");
}

TEST(Watch, TheHalfCloseDeadlineEndsIt) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched(PassOn);
  RunningProxy proxy(hooks, [](Settings& s) { s.half_close_timeout = 200ms; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  upstream.Send("bye");
  upstream.ShutWrite();
  EXPECT_EQ(client.ReceiveAll(), "bye");
  EXPECT_EQ(proxy.NextReason(), "half_close_timeout");
}

TEST(Watch, TimersAndLookUpsGoOn) {
  Server server;
  Hooks hooks = WatchClientOf(server);
  hooks.client_data = Watched([](rum_session* s, std::string_view bytes) {
    EXPECT_EQ(Lookup(s, bytes), RUM_OK);
    return static_cast<int64_t>(bytes.size());
  });
  hooks.looked_up = [](rum_session* s, int32_t status, std::string_view) {
    if (status == RUM_NOT_FOUND) host->timer(s, 1);
  };
  hooks.timeout = [](rum_session* s, uint64_t) { Send(s, RUM_UPSTREAM, "not found"); };
  RunningProxy proxy(hooks, [](Settings& s) { s.map = "users.cdb"; });
  proxy.SetMap({{"alice", "x"}});
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("bob");
  EXPECT_EQ(upstream.Receive(9), "not found");
}

}  // namespace
}  // namespace rum
