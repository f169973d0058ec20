// The coroutine layer of rum/dialogue.hpp: each wait whole, byte by byte and at random cuts, and
// against each end that a session can have.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <rum/dialogue.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check/scripted_host.h"

namespace {

size_t allocations = 0;

}  // namespace

// The thread sanitizer of clang has operators of its own.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RUM_NO_COUNT 1
#endif
#endif

#ifndef RUM_NO_COUNT
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size);
}
// Not inlined: the compiler would take malloc() and delete for a mismatch.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
#endif

namespace rum {
namespace {

using dialogue::Dialogue;
using dialogue::Event;
using dialogue::Parse;
using dialogue::ProbeQuestion;
using dialogue::Reason;
using dialogue::Record;
using dialogue::Resumed;
using dialogue::Script;
using dialogue::SharedValue;
using dialogue::Task;
using dialogue::View;

struct Config {};

// What the script of the running test is.
std::function<Script(Dialogue&)> script;
std::function<Script(Dialogue&, ProbeQuestion)> probe_script;
std::function<Script(Dialogue&, Reason)> refused_script;

Script Login(Dialogue& d, const Config&) { return script(d); }
Script Probe(Dialogue& d, const Config&, ProbeQuestion question) {
  return probe_script(d, std::move(question));
}

Script Refused(Dialogue& d, const Config&, Reason reason) { return refused_script(d, reason); }

const rum_module& Module() {
  static const rum_module module = [] {
    rum_module table = dialogue::Hooks<Login, Probe, Refused>::Table();
    table.name = "scripts";
    table.version = "1";
    table.summary = "made in a test";
    table.config_new = [](const char* const*, size_t, void** config, char*, size_t) -> int32_t {
      static Config one;
      *config = &one;
      return RUM_OK;
    };
    return table;
  }();
  return module;
}

struct Scripts : testing::Test {
  ~Scripts() override {
    EXPECT_EQ(host.violations(), std::vector<std::string>{});
    script = {};
    probe_script = {};
    refused_script = {};
  }
  // Feeds bytes in pieces of these sizes, the last one again and again.
  void Feed(uint32_t side, std::string_view bytes, size_t piece) {
    while (!bytes.empty() && host.open()) {
      size_t size = std::min(piece, bytes.size());
      host.Feed(side, bytes.substr(0, size));
      bytes.remove_prefix(size);
    }
  }
  ScriptedHost host{Module()};
  std::vector<std::string> seen;
};

// Tells of its end, to see that frames are destroyed once.
struct Witness {
  explicit Witness(std::vector<std::string>* out) : seen(out) {}
  Witness(Witness&& other) noexcept : seen(std::exchange(other.seen, nullptr)) {}
  ~Witness() {
    if (seen) seen->push_back("destroyed");
  }
  std::vector<std::string>* seen;
};

// Length, then so many bytes.
Parse Frame(std::string_view bytes) {
  size_t size = static_cast<uint8_t>(bytes[0]) + size_t{1};
  if (bytes[0] == '\xff') return Parse::Bad();
  return bytes.size() < size ? Parse::Need(size) : Parse::Whole(size);
}

Task<std::string> ReadName(Dialogue& d) {
  View line = co_await d.client.Line(32);
  if (!line) co_return "";
  co_return std::string(line.text().substr(0, line.size() - 1));
}

Script RouteByName(Dialogue& d) {
  d.client.Send("who?\n");
  std::string name = co_await ReadName(d);
  if (name.empty()) co_return;
  d.Identify(name);
  Record record = co_await d.Lookup(name);
  if (record.status() != Record::kFound) {
    d.client.Send("no\n");
    co_return d.Close(RUM_CLOSE_DENIED);
  }
  std::string server(record.value());
  Reason failed = co_await d.Connect(server);
  if (failed) {
    d.client.Send("down\n");
    co_return d.Close(failed);
  }
  View greeting = co_await d.upstream.Frame(Frame);
  if (!greeting) co_return;
  d.upstream.Send("user " + name + "\n");
  View verdict = co_await d.upstream.Read(2);
  if (!verdict) co_return;
  d.client.Send(verdict.text());
  d.Relay();
}

TEST_F(Scripts, ReadALoginWholeByteByByteAndAtRandomCuts) {
  script = RouteByName;
  host.AddToMap("alice", "tcp:192.0.2.9:25");
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    size_t piece = round == 0 ? 100 : round == 1 ? 1 : 1 + random() % 9;
    ASSERT_TRUE(host.Open());
    Feed(RUM_CLIENT, "alice\nmore", piece);
    ASSERT_EQ(host.connecting(), "tcp:192.0.2.9:25");
    host.ConnectOutcome(0);
    Feed(RUM_UPSTREAM, "\3abcokrest", piece);
    EXPECT_TRUE(host.relaying());
    EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "user alice\nmore");
    EXPECT_EQ(host.TakeSent(RUM_CLIENT), "who?\nokrest");
    host.CloseByRum(RUM_CLOSE_KILLED);
  }
}

TEST_F(Scripts, SayWhatTheyWantWhenSomethingFails) {
  script = RouteByName;
  host.AddToMap("alice", "tcp:192.0.2.9:25");
  host.Open();
  host.Feed(RUM_CLIENT, "bob\n");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "who?\nno\n");
  EXPECT_EQ(host.closed(), RUM_CLOSE_DENIED);
  host.Open();
  host.Feed(RUM_CLIENT, "alice\n");
  host.ConnectOutcome(RUM_CLOSE_CONNECT_REFUSED);
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "who?\ndown\n");
  EXPECT_EQ(host.closed(), RUM_CLOSE_CONNECT_REFUSED);
  host.Open();
  host.Feed(RUM_CLIENT, std::string(40, 'x'));
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_PROTOCOL) << "a line that is too long";
  host.Open();
  host.Feed(RUM_CLIENT, "alice\n");
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, "\xff");
  EXPECT_EQ(host.closed(), RUM_CLOSE_UPSTREAM_PROTOCOL) << "a frame that is bad";
}

TEST_F(Scripts, FindWhatAnyProcessSharesAndLearnWhoHasSeenTheirs) {
  std::vector<std::string> found;
  script = [&](Dialogue& d) -> Script {
    d.Share("own", "mine");
    d.Share("unseen", "mine");
    for (const char* key : {"own", "other", "none"}) {
      SharedValue value = co_await d.FindShared(key);
      found.push_back(std::to_string(value.status()) + std::string(value.value()));
    }
    found.emplace_back();
    for (const char* key : {"own", "own", "unseen"}) {
      found.back() += std::to_string(d.RemoveShared(key));
    }
    host.BreakElsewhere();
    SharedValue value = co_await d.FindShared("none");
    found.push_back(value.status() < 0 && !value.reason() ? "unknown" : "known");
    SharedValue bad = co_await d.FindShared("");
    found.push_back(std::to_string(bad.status() == RUM_E_ARGUMENT));
    d.Close(RUM_CLOSE_DENIED);
  };
  ASSERT_TRUE(host.Start());
  host.AddElsewhere("own", "theirs");
  host.AddElsewhere("other", "theirs");
  host.Open();
  const std::string none = std::to_string(RUM_NOT_FOUND), ok = std::to_string(RUM_OK);
  const std::string yes = std::to_string(RUM_FOUND), seen = std::to_string(RUM_SEEN);
  EXPECT_EQ(found, (std::vector<std::string>{yes + "mine", yes + "theirs", none, seen + none + ok,
                                             "unknown", "1"}));
}

TEST_F(Scripts, AFindEndsWithItsSession) {
  std::vector<uint32_t> reasons;
  script = [&](Dialogue& d) -> Script {
    SharedValue value = co_await d.FindShared("key");
    reasons.push_back(value.reason().number());
  };
  ASSERT_TRUE(host.Start());
  host.HoldAnswers(true);
  host.Open();
  EXPECT_TRUE(reasons.empty());
  host.CloseByRum(RUM_CLOSE_KILLED);
  EXPECT_EQ(reasons, std::vector<uint32_t>{RUM_CLOSE_KILLED});
}

TEST_F(Scripts, TellNotFoundFromUnavailable) {
  std::vector<int> statuses;
  script = [&](Dialogue& d) -> Script {
    Record record = co_await d.Lookup("alice");
    statuses.push_back(record.status());
    d.Close(RUM_CLOSE_DENIED);
  };
  host.has_map = false;
  host.Open();
  host.has_map = true;
  host.AddToMap("bob", "x");
  host.Open();
  host.BreakMap();
  host.Open();
  EXPECT_EQ(statuses,
            (std::vector<int>{Record::kNotFound, Record::kNotFound, Record::kUnavailable}));
}

// ------------------------------------------------------------------ every wait against every end

struct WaitCase {
  const char* name;
  bool connected;
  std::function<Task<Reason>(Dialogue&)> wait;
  // The sides whose end ends the wait; the end of another one ends the session.
  bool reads_client, reads_upstream;
};

Task<Reason> AwaitLine(Dialogue& d) {
  View line = co_await d.client.Line(100);
  co_return line.reason();
}
Task<Reason> AwaitFrame(Dialogue& d) {
  View frame = co_await d.upstream.Frame(Frame);
  co_return frame.reason();
}
Task<Reason> AwaitPeek(Dialogue& d) {
  View bytes = co_await d.client.Peek(5);
  co_return bytes.reason();
}
Task<Reason> AwaitLookup(Dialogue& d) {
  Record record = co_await d.Lookup("alice");
  co_return record.reason();
}
Task<Reason> AwaitConnect(Dialogue& d) { co_return co_await d.Connect("tcp:192.0.2.9:25"); }
Task<Reason> AwaitTls(Dialogue& d) { co_return co_await d.client.StartTls(); }
Task<Reason> AwaitSleep(Dialogue& d) { co_return co_await d.Sleep(1000); }
Task<Reason> AwaitFirst(Dialogue& d) {
  Event event = co_await d.First().Client(3).Upstream(3).After(5000);
  co_return event == Event::kEnded ? Reason(99) : Reason();
}
Task<Reason> AwaitPause(Dialogue& d) {
  auto pause = d.Pause();
  EXPECT_NE(pause.ticket(), 0u);
  Resumed resumed = co_await pause;
  co_return resumed.reason;
}

const WaitCase kWaits[] = {
    {"line", false, AwaitLine, true, false},        {"frame", true, AwaitFrame, false, true},
    {"peek", true, AwaitPeek, true, false},         {"lookup", true, AwaitLookup, false, false},
    {"connect", false, AwaitConnect, false, false}, {"tls", false, AwaitTls, false, false},
    {"sleep", true, AwaitSleep, false, false},      {"first", true, AwaitFirst, true, true},
    {"pause", true, AwaitPause, false, false},
};

TEST_F(Scripts, EndEachWaitByEachEnd) {
  host.tls_mode[RUM_CLIENT] = RUM_TLS_ON;
  host.HoldAnswers(true);
  host.AddToMap("alice", "x");
  struct End {
    const char* name;
    std::function<void(ScriptedHost&)> make;
    int side;  // -1: the whole session
    uint32_t reason;
  };
  const End ends[] = {
      {"the client ends", [](auto& h) { h.End(RUM_CLIENT); }, RUM_CLIENT, RUM_CLOSE_CLIENT_GONE},
      {"the server ends", [](auto& h) { h.End(RUM_UPSTREAM); }, RUM_UPSTREAM,
       RUM_CLOSE_UPSTREAM_GONE},
      {"the server breaks", [](auto& h) { h.Reset(RUM_UPSTREAM); }, -1, RUM_CLOSE_UPSTREAM_GONE},
      {"the deadline", [](auto& h) { h.CloseByRum(RUM_CLOSE_LOGIN_TIMEOUT); }, -1,
       RUM_CLOSE_LOGIN_TIMEOUT},
      {"a drain", [](auto& h) { h.CloseByRum(RUM_CLOSE_DRAIN); }, -1, RUM_CLOSE_DRAIN},
  };
  for (const WaitCase& one : kWaits) {
    for (const End& end : ends) {
      if (end.reason == RUM_CLOSE_UPSTREAM_GONE && !one.connected) continue;
      // No end is told of in a pause: the deadline goes on.
      if (end.side >= 0 && one.name == std::string("pause")) continue;
      for (const char* part : {"", "\2x"}) {  // less than any wait wants
        SCOPED_TRACE(std::string(one.name) + ", " + end.name + ", after " +
                     std::to_string(std::strlen(part)) + " bytes");
        seen.clear();
        Reason first, second;
        bool reached = false;
        script = [&](Dialogue& d) -> Script {
          Witness witness(&seen);
          if (one.connected) {
            Reason failed = co_await d.Connect("");
            EXPECT_FALSE(failed);
          }
          reached = true;
          first = co_await one.wait(d);
          d.client.Send("bye");
          second = co_await d.Sleep(1);
        };
        ASSERT_TRUE(host.Open());
        if (one.connected) host.ConnectOutcome(0);
        ASSERT_TRUE(reached);
        if (*part != 0 && one.reads_client) host.Feed(RUM_CLIENT, part);
        if (*part != 0 && one.reads_upstream) host.Feed(RUM_UPSTREAM, part);
        EXPECT_TRUE(host.open());
        end.make(host);
        const uint32_t reason =
            end.side >= 0 && one.name == std::string("tls") ? RUM_CLOSE_TLS : end.reason;
        bool by_side = (end.side == RUM_CLIENT && one.reads_client) ||
                       (end.side == RUM_UPSTREAM && one.reads_upstream);
        if (by_side) {  // the script goes on, and may do what it likes
          EXPECT_EQ(first, one.name == std::string("first") ? Reason(99) : Reason(reason));
          EXPECT_TRUE(host.open());
          host.Advance(1);
          EXPECT_EQ(second, Reason());
          EXPECT_EQ(host.closed(), reason) << "that of the last wait that failed";
        } else {
          EXPECT_EQ(first, one.name == std::string("first") ? Reason(99) : Reason(reason));
          EXPECT_EQ(second, Reason(reason)) << "the same at once";
          EXPECT_EQ(host.closed(), reason);
        }
        EXPECT_FALSE(host.open());
        EXPECT_EQ(host.TakeSent(RUM_CLIENT), "bye");
        EXPECT_EQ(seen, std::vector<std::string>{"destroyed"});
        EXPECT_EQ(host.violations(), std::vector<std::string>{});
        host.ForgetViolations();
      }
    }
  }
}

TEST_F(Scripts, ThatHeedNoEndAreDestroyed) {
  int waits = 0;
  script = [&](Dialogue& d) -> Script {
    Witness witness(&seen);
    for (;;) {
      (void)co_await d.Sleep(10);
      ++waits;
    }
  };
  host.Open();
  host.CloseByRum(RUM_CLOSE_KILLED);
  EXPECT_GT(waits, 1);
  EXPECT_LT(waits, 1000);
  EXPECT_EQ(seen, std::vector<std::string>{"destroyed"});
}

TEST_F(Scripts, EndTheSessionWhenTheyReturnWithoutAnOutcome) {
  script = [&](Dialogue& d) -> Script { co_return (void) d.client.Send("x"); };
  host.Open();
  EXPECT_EQ(host.closed(), RUM_CLOSE_MODULE);
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "x");
}

Task<int> Throw(Dialogue& d, std::vector<std::string>* seen) {
  Witness witness(seen);
  (void)co_await d.Sleep(1);
  throw std::runtime_error("a mistake");
}

TEST_F(Scripts, ThatThrowEndTheirSessionOnly) {
  script = [&](Dialogue& d) -> Script {
    Witness witness(&seen);
    int never = co_await Throw(d, &seen);
    seen.push_back("went on with " + std::to_string(never));
  };
  host.Open();
  host.Advance(1);
  EXPECT_EQ(host.closed(), RUM_CLOSE_MODULE);
  EXPECT_EQ(seen, (std::vector<std::string>{"destroyed", "destroyed"}));
  seen.clear();
  script = [&](Dialogue&) -> Script {
    Witness witness(&seen);
    throw std::runtime_error("at once");
    co_return;
  };
  host.Open();
  EXPECT_EQ(host.closed(), RUM_CLOSE_MODULE);
  EXPECT_EQ(seen, std::vector<std::string>{"destroyed"});
}

Task<Witness> MakeWitness(Dialogue& d, std::vector<std::string>* seen) {
  (void)co_await d.Sleep(1);
  Witness witness(seen);
  co_return witness;
}

// A value with a destructor, a named temporary, and an argument that is moved into the frame: what
// compilers have got wrong before.
TEST_F(Scripts, DestroyWhatPartsReturnOnce) {
  script = [&](Dialogue& d) -> Script {
    Witness one = co_await MakeWitness(d, &seen);
    seen.push_back("there");
    Witness two = co_await MakeWitness(d, &seen);
    (void)co_await d.Sleep(1000);
  };
  host.Open();
  host.Advance(2);
  EXPECT_EQ(seen, std::vector<std::string>{"there"});
  host.CloseByRum(RUM_CLOSE_KILLED);
  EXPECT_EQ(seen, (std::vector<std::string>{"there", "destroyed", "destroyed"}));
}

TEST_F(Scripts, GiveWhatCameBehindTheReadBytesToTls) {
  host.tls_mode[RUM_CLIENT] = RUM_TLS_ON;
  script = [&](Dialogue& d) -> Script {
    View asked = co_await d.client.Read(3);
    seen.emplace_back(asked.text());
    Reason failed = co_await d.client.StartTls();
    if (failed) co_return;
    View inside = co_await d.client.Read(3);
    seen.emplace_back(inside.text());
    d.Close(RUM_CLOSE_DENIED);
  };
  host.Open();
  host.Feed(RUM_CLIENT, "tlsNOT FOR US");
  EXPECT_TRUE(host.tls_wanted(RUM_CLIENT));
  host.TlsOutcome(RUM_CLIENT, RUM_OK);
  host.Feed(RUM_CLIENT, "yes");
  EXPECT_EQ(seen, (std::vector<std::string>{"tls", "yes"}));
  host.Open();
  host.Feed(RUM_CLIENT, "tls");
  host.TlsOutcome(RUM_CLIENT, RUM_E_FAILED);
  EXPECT_EQ(host.closed(), RUM_CLOSE_TLS);
}

TEST_F(Scripts, WaitForTheFirstOfSeveral) {
  script = [&](Dialogue& d) -> Script {
    Reason failed = co_await d.Connect("");
    if (failed) co_return;
    for (;;) {
      Event event = co_await d.First().Client(2).Upstream(3).After(50);
      if (event == Event::kEnded) co_return;
      if (event == Event::kTime) {
        seen.push_back("time");
      } else if (event == Event::kClient) {
        View bytes = co_await d.client.Read(2);
        seen.push_back("client " + std::string(bytes.text()));
      } else {
        View bytes = co_await d.upstream.Read(3);
        seen.push_back("server " + std::string(bytes.text()));
      }
    }
  };
  host.Open();
  host.ConnectOutcome(0);
  host.Feed(RUM_CLIENT, "a");
  host.Feed(RUM_UPSTREAM, "xyz");
  host.Feed(RUM_CLIENT, "bcd");
  host.Advance(50);
  host.Advance(10);
  host.Feed(RUM_UPSTREAM, "1");
  host.Feed(RUM_UPSTREAM, "2345");
  EXPECT_EQ(seen, (std::vector<std::string>{"server xyz", "client ab", "client cd", "time",
                                            "server 123"}));
  host.End(RUM_UPSTREAM);
  EXPECT_EQ(host.closed(), RUM_CLOSE_UPSTREAM_GONE);
}

TEST_F(Scripts, WatchOneWayAndHandOverTheRestWhenTheyReturn) {
  script = [&](Dialogue& d) -> Script {
    Reason failed = co_await d.Connect("");
    if (failed) co_return;
    EXPECT_EQ(d.RelayFrom(d.upstream), RUM_OK);
    for (int i = 0; i < 2; ++i) {
      View frame = co_await d.client.Frame(Frame);
      if (!frame) co_return;
      seen.emplace_back(frame.text().substr(1));
      d.upstream.Send(frame.text());
    }
  };
  host.Open();
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, "flows");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "flows");
  Feed(RUM_CLIENT, "\2ab\1c\5rest", 1);
  EXPECT_EQ(seen, (std::vector<std::string>{"ab", "c"}));
  EXPECT_TRUE(host.relaying());
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "\2ab\1c\5rest");
  host.CloseByRum(RUM_CLOSE_KILLED);
  // The end of the client is passed on, and what the server still says flows.
  host.Open();
  host.ConnectOutcome(0);
  host.Feed(RUM_CLIENT, "\2a");
  host.End(RUM_CLIENT);
  EXPECT_FALSE(host.closed());
  host.Feed(RUM_UPSTREAM, "late");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "late");
  host.CloseByRum(RUM_CLOSE_KILLED);
}

TEST_F(Scripts, MayGoOnWithoutTheClient) {
  script = [&](Dialogue& d) -> Script {
    d.client.GoOnAfterEnd(true);
    Reason failed = co_await d.Connect("");
    if (failed) co_return;
    d.upstream.Send(d.client.ended() ? "sorry" : "hello");
    View last = co_await d.upstream.Read(1);
    if (last) seen.emplace_back(last.text());
    View more = co_await d.client.Read(1);
    seen.push_back(std::to_string(more.reason().number()));
  };
  host.Open();
  host.End(RUM_CLIENT);
  EXPECT_TRUE(host.open());
  host.ConnectOutcome(0);
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "sorry");
  host.Feed(RUM_UPSTREAM, "k");
  EXPECT_EQ(seen, (std::vector<std::string>{"k", std::to_string(RUM_CLOSE_CLIENT_GONE)}));
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

// What came before the end is read, though the script was busy when it came.
TEST_F(Scripts, ReadWhatCameBeforeTheEnd) {
  script = [&](Dialogue& d) -> Script {
    d.client.GoOnAfterEnd(true);
    Reason failed = co_await d.Connect("");
    if (failed) co_return;
    View early = co_await d.client.Read(3);
    seen.emplace_back(early.text());
    View none = co_await d.client.Read(3);
    EXPECT_FALSE(none);
  };
  host.Open();
  host.Feed(RUM_CLIENT, "abcd");
  host.End(RUM_CLIENT);
  host.ConnectOutcome(0);
  EXPECT_EQ(seen, std::vector<std::string>{"abc"});
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST_F(Scripts, WaitForAnotherThread) {
  uint64_t ticket = 0;
  script = [&](Dialogue& d) -> Script {
    auto pause = d.Pause([](void* payload) { delete static_cast<int*>(payload); });
    ticket = pause.ticket();
    Resumed resumed = co_await pause;
    if (resumed.reason) co_return;
    std::unique_ptr<int> payload(static_cast<int*>(resumed.payload));
    seen.push_back(std::to_string(resumed.status) + " " + std::to_string(*payload));
    d.Close(RUM_CLOSE_DENIED);
  };
  host.Open();
  ASSERT_NE(ticket, 0u);
  std::thread other([&] {
    dialogue::host.calls->resume(ticket, 3, new int(42),
                                 [](void* payload) { delete static_cast<int*>(payload); });
  });
  other.join();
  EXPECT_TRUE(host.WaitResumed(10000));
  EXPECT_EQ(seen, std::vector<std::string>{"3 42"});
}

TEST_F(Scripts, RefuseWhatDoesNotFitTheWindow) {
  script = [&](Dialogue& d) -> Script {
    View much = co_await d.client.Read(300 * 1024);
    seen.push_back(std::to_string(much.reason().number()));
  };
  host.Open();
  EXPECT_EQ(seen, std::vector<std::string>{std::to_string(RUM_CLOSE_LIMIT)});
  EXPECT_EQ(host.closed(), RUM_CLOSE_LIMIT);
  // need() beyond the window is what the script asked for.
  host.ForgetViolations();
}

TEST_F(Scripts, ProbeWithTheSameMeans) {
  probe_script = [&](Dialogue& d, ProbeQuestion question) -> Script {
    seen.push_back(question.destination + (question.is_default ? " default" : ""));
    View greeting = co_await d.upstream.Frame(Frame);
    if (!greeting) co_return;
    d.Close(RUM_CLOSE_PROBED, greeting.text().substr(1));
  };
  ASSERT_TRUE(host.OpenProbe("tcp:192.0.2.9:25", {}, true));
  host.ConnectOutcome(0);
  Feed(RUM_UPSTREAM, "\2ok", 1);
  EXPECT_EQ(host.closed(), RUM_CLOSE_PROBED);
  EXPECT_EQ(host.close_text(), "ok");
  EXPECT_EQ(seen, std::vector<std::string>{"tcp:192.0.2.9:25 default"});
}

// What is made of the worker's handle may have timers of it, and shares what it learns.
struct Clock {
  explicit Clock(rum_worker* handle) : worker(handle) { Set(); }
  Clock(const Clock&) = delete;
  void Set() {
    dialogue::host.worker->timer(
        worker, 100,
        [](void*, void* self) {
          ++static_cast<Clock*>(self)->ticks;
          static_cast<Clock*>(self)->Set();
        },
        this, nullptr);
  }
  rum_worker* worker;
  int ticks = 0;
};

Script Tell(Dialogue& d, const Config&, Clock& clock) {
  View line = co_await d.client.Line(10);
  if (!line) co_return;
  const std::string ticks = std::to_string(clock.ticks);
  d.client.Send(d.Share("ticks", ticks) == RUM_OK ? ticks : "not shared");
}

TEST(Worker, IsMadeOfItsHandleWhereItTakesOne) {
  rum_module table = dialogue::Hooks<Tell>::Table();
  table.config_new = [](const char* const*, size_t, void** config, char*, size_t) -> int32_t {
    static Config none;
    *config = &none;
    return RUM_OK;
  };
  table.name = "clock";
  table.version = "1";
  table.summary = "made in a test";
  ScriptedHost host(table);
  ASSERT_TRUE(host.Start());
  host.Advance(350);
  host.Open();
  host.Feed(RUM_CLIENT, "?\n");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "3");
  EXPECT_EQ(host.violations(), std::vector<std::string>{});
}

TEST_F(Scripts, GetThePartsOfARecord) {
  script = [&](Dialogue& d) -> Script {
    Record record = co_await d.Lookup("alice");
    seen.push_back(std::string(record.destination()) + " " + std::string(record.secret()));
    seen.push_back(record.Column("scripts-db").value_or("none"));
    seen.push_back(record.Column("scripts-long").value_or("none"));
    seen.push_back(record.Column("scripts-other").value_or("none"));
  };
  const std::string long_value(3000, 'x');
  using namespace std::string_literals;
  host.AddToMap("alice", "secret\0tcp:a:1\0\x80scripts-db=\\s scripts-long="s + long_value);
  host.Open();
  EXPECT_EQ(seen, (std::vector<std::string>{"tcp:a:1 secret", " ", long_value, "none"}));
}

// Between the two a module may ask whether the client is admitted: a server must not see a
// connection that nobody uses.
TEST_F(Scripts, BeginAConnectionBeforeTheyAwaitIt) {
  bool admitted = false;
  script = [&](Dialogue& d) -> Script {
    auto connection = d.Connect("");
    Reason failed = connection.Begin();
    seen.push_back("begun " + std::to_string(failed.number()));
    if (failed || !admitted) co_return d.Close(RUM_CLOSE_DENIED);
    failed = co_await connection;
    seen.push_back("outcome " + std::to_string(failed.number()));
    d.Relay();
  };
  host.Open();
  EXPECT_EQ(host.closed(), RUM_CLOSE_DENIED);
  EXPECT_FALSE(host.connecting());

  admitted = true;
  host.Open();
  EXPECT_EQ(host.connecting(), "");
  host.ConnectOutcome(0);
  EXPECT_TRUE(host.relaying());
  host.CloseByRum(RUM_CLOSE_KILLED);

  host.default_destination = "";
  host.Open();
  EXPECT_EQ(host.closed(), RUM_CLOSE_DENIED);
  const std::string none = "begun " + std::to_string(RUM_CLOSE_NO_DESTINATION);
  EXPECT_EQ(seen, (std::vector<std::string>{"begun 0", "begun 0", "outcome 0", none}));
}

TEST_F(Scripts, GoOnWithAnotherServer) {
  script = [&](Dialogue& d) -> Script {
    Reason failed = co_await d.Connect("tcp:192.0.2.1:1");
    if (failed) co_return;
    {
      View line = co_await d.upstream.Line(100);
      if (!line) co_return;
      seen.emplace_back(line.text());
      View rest = co_await d.upstream.Read(1000);
      seen.emplace_back(rest ? "more" : std::to_string(rest.reason().number()));
    }
    failed = co_await d.Connect("tcp:192.0.2.2:1");
    if (failed) co_return d.Close(failed);
    EXPECT_EQ(d.Destination(), "tcp:192.0.2.2:1");
    View line = co_await d.upstream.Line(100);
    if (!line) co_return;
    seen.emplace_back(line.text());
    d.Relay();
  };
  host.Open();
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, "elsewhere\nold");
  host.End(RUM_UPSTREAM);
  ASSERT_EQ(host.connecting(), "tcp:192.0.2.2:1");
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, "he");
  host.Feed(RUM_UPSTREAM, "re\n");
  EXPECT_TRUE(host.relaying());
  EXPECT_EQ(seen, (std::vector<std::string>{"elsewhere\n", std::to_string(RUM_CLOSE_UPSTREAM_GONE),
                                            "here\n"}));
}

TEST_F(Scripts, GiveUpAServerInTheMiddleOfItsBytes) {
  script = [&](Dialogue& d) -> Script {
    for (const char* server : {"tcp:192.0.2.1:1", "tcp:192.0.2.2:1"}) {
      Reason failed = co_await d.Connect(server);
      if (failed) co_return d.Close(failed);
      View line = co_await d.upstream.Line(100);
      if (!line) co_return;
      seen.emplace_back(line.text());
    }
    d.Relay();
  };
  host.Open();
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, "one\nleft over");
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, "two\n");
  EXPECT_TRUE(host.relaying());
  EXPECT_EQ(seen, (std::vector<std::string>{"one\n", "two\n"}));
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "");
}

TEST_F(Scripts, LeadARefusedClientToItsError) {
  refused_script = [&](Dialogue& d, Reason reason) -> Script {
    View hello = co_await d.client.Line(100);
    if (!hello) co_return;
    d.client.Send("sorry " + std::to_string(reason.number()));
    d.Close(reason);
  };
  ASSERT_TRUE(host.OpenRefused(RUM_CLOSE_LIMIT));
  host.Feed(RUM_CLIENT, "hel");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "");
  host.Feed(RUM_CLIENT, "lo\n");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "sorry " + std::to_string(RUM_CLOSE_LIMIT));
  EXPECT_EQ(host.closed(), RUM_CLOSE_LIMIT);
}

TEST_F(Scripts, WaitUntilASideHasDrained) {
  script = [&](Dialogue& d) -> Script {
    View byte = co_await d.client.Read(1);
    if (!byte) co_return;
    d.client.Send("12345");
    seen.push_back(std::to_string(d.client.Waiting()));
    Reason failed = co_await d.client.WhenDrained(2);
    seen.push_back(failed ? "ended" : "drained");
    if (!failed) d.Close(RUM_CLOSE_CLIENT);
  };
  for (bool reads : {true, false}) {
    host.Open();
    host.StopReading(RUM_CLIENT);
    host.Feed(RUM_CLIENT, "x");
    EXPECT_TRUE(host.open());
    if (reads) {
      host.StartReading(RUM_CLIENT);
    } else {
      host.CloseByRum(RUM_CLOSE_LOGIN_TIMEOUT);
    }
    EXPECT_FALSE(host.open());
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"5", "drained", "5", "ended"}));
}

TEST_F(Scripts, WaitForTheConnectionOfAProbe) {
  probe_script = [&](Dialogue& d, ProbeQuestion) -> Script {
    Reason failed = co_await d.Connected();
    seen.push_back(std::to_string(failed.number()));
    if (!failed) d.Close(RUM_CLOSE_PROBED);
  };
  for (uint32_t outcome : {0u, RUM_CLOSE_CONNECT_REFUSED}) {
    ASSERT_TRUE(host.OpenProbe("tcp:192.0.2.9:25"));
    EXPECT_TRUE(host.open());
    host.ConnectOutcome(outcome);
    EXPECT_EQ(host.closed(), outcome ? outcome : RUM_CLOSE_PROBED);
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"0", std::to_string(RUM_CLOSE_CONNECT_REFUSED)}));
}

TEST_F(Scripts, AskWhetherAProofMayBeJudged) {
  script = [&](Dialogue& d) -> Script {
    View there = co_await d.client.Peek(1);
    if (!there) co_return;
    d.client.GoOnAfterEnd(true);
    int32_t verdict = co_await d.TryLogin();
    seen.push_back(std::to_string(verdict));
    if (verdict != RUM_OK) co_return d.Close(RUM_CLOSE_DENIED);
    // What was not consumed before the pause is there behind it.
    View proof = co_await d.client.Read(5);
    seen.push_back(std::string(proof.text()));
    d.Close(RUM_CLOSE_DENIED);
  };
  auto log_in = [&] {
    host.Open();
    host.Feed(RUM_CLIENT, "proof");
  };
  log_in();
  host.login_waits = true;
  log_in();
  EXPECT_TRUE(host.paused());
  EXPECT_TRUE(host.EndLoginWait());
  EXPECT_EQ(host.closed(), RUM_CLOSE_DENIED);
  // A client that breaks off meanwhile gives its proof up.
  host.login_waits = true;
  log_in();
  host.Reset(RUM_CLIENT);
  EXPECT_EQ(host.closed(), RUM_CLOSE_DENIED);
  host.login_waits = true;
  log_in();
  host.CloseByRum(RUM_CLOSE_LOGIN_TIMEOUT);
  host.login_waits = false;
  host.blocked = true;
  log_in();
  const std::string over = std::to_string(RUM_E_STATE);
  EXPECT_EQ(seen, (std::vector<std::string>{"0", "proof", "0", "proof", over, over,
                                            std::to_string(RUM_REFUSED_BLOCKED)}));
}

TEST_F(Scripts, ConsumeWhatTheyHaveSeen) {
  script = [&](Dialogue& d) -> Script {
    for (;;) {
      View bytes = co_await d.client.Peek(3);
      if (!bytes) co_return;
      seen.push_back(std::string(bytes.text()));
      d.client.Consume(2);
    }
  };
  host.Open();
  host.Feed(RUM_CLIENT, "abcdef");
  EXPECT_EQ(seen, (std::vector<std::string>{"abcdef", "cdef"}));
  EXPECT_EQ(host.unconsumed(RUM_CLIENT), "ef");
}

TEST_F(Scripts, AreNotWokenByLessThanAFrame) {
  script = [&](Dialogue& d) -> Script {
    auto parse = [](std::string_view bytes) {
      return bytes.size() < 4 ? Parse::Need(4) : Parse::Whole(4);
    };
    View frame = co_await d.client.Frame(parse, 4);
    seen.push_back(std::string(frame.text()));
    d.Close(RUM_CLOSE_DENIED);
  };
  host.Open();
  Feed(RUM_CLIENT, "wxyz", 1);
  EXPECT_EQ(host.hook_calls(), 1u);
  EXPECT_EQ(seen, std::vector<std::string>{"wxyz"});
}

// For what others keep of a session that is relayed for hours.
TEST_F(Scripts, LeaveACallForTheEndOfTheirSession) {
  static std::vector<uint64_t> ended;
  ended.clear();
  script = [&](Dialogue& d) -> Script {
    d.AtClose([](uint64_t value) { ended.push_back(value); }, 1);
    d.AtClose([](uint64_t value) { ended.push_back(value); }, 7);
    Reason failed = co_await d.Connect("");
    if (!failed) d.Relay();
  };
  host.Open();
  host.ConnectOutcome(0);
  EXPECT_TRUE(host.relaying());
  EXPECT_EQ(ended, std::vector<uint64_t>{});
  host.CloseByRum(RUM_CLOSE_KILLED);
  EXPECT_EQ(ended, std::vector<uint64_t>{7});
  host.Open();
  host.ConnectOutcome(RUM_CLOSE_CONNECT_REFUSED);
  EXPECT_EQ(ended, (std::vector<uint64_t>{7, 7}));
}

// What the scripts of a thread share may need its handle and the configuration.
struct Shared {
  Shared(rum_worker* worker, const Config&) { told.push_back(worker ? "made" : "made of nothing"); }
  void Reload(const Config&) { told.push_back("reloaded"); }
  static inline std::vector<std::string> told;
};
Script Greet(Dialogue& d, const Config&, Shared& shared) {
  shared.told.push_back("opened");
  d.Close(RUM_CLOSE_DENIED);
  co_return;
}

TEST(Hooks, MakeAWorkerOfItsHandleAndTellItOfReloads) {
  static const rum_module module = [] {
    rum_module table = dialogue::Hooks<Greet>::Table();
    table.name = "sharing";
    table.version = "1";
    table.summary = "made in a test";
    table.config_new = Module().config_new;
    return table;
  }();
  ScriptedHost host(module);
  ASSERT_TRUE(host.Start({}).ok());
  host.Open();
  ASSERT_TRUE(host.Reload({}).ok());
  EXPECT_EQ(Shared::told, (std::vector<std::string>{"made", "opened", "reloaded"}));
  EXPECT_EQ(Module().worker_reload, nullptr);
}

// The frames of the next session are those of the one before. What is left is the handle that stays
// until a session ends, and what the scripted host and the script itself allocate.
TEST_F(Scripts, AllocateOncePerSessionInTheSteadyState) {
#ifdef RUM_NO_COUNT
  GTEST_SKIP() << "allocations are not counted";
#endif
  auto count = [&](auto what) {
    script = what;
    size_t before = 0;
    for (int i = 0; i < 20; ++i) {
      if (i == 19) before = allocations;
      host.Open();
      host.CloseByRum(RUM_CLOSE_KILLED);
    }
    return allocations - before;
  };
  // As much happens in both, but for the frames: three of them, and none that must be destroyed.
  size_t deep = count([](Dialogue& d) -> Script {
    auto inner = [](Dialogue& of) -> Script { (void)co_await of.Sleep(1000); };
    auto outer = [&](Dialogue& of) -> Script { co_await inner(of); };
    co_await outer(d);
  });
  size_t flat = count([](Dialogue& d) -> Script { (void)co_await d.Sleep(1000); });
  EXPECT_EQ(deep, flat);
}

}  // namespace
}  // namespace rum
