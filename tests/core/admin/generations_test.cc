// The older processes of a hand-over: asked over their sockets, and parsed without trust.
#include "admin/generations.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

#include "admin/merge.h"
#include "base/fd.h"
#include "support/folder.h"

namespace rum {
namespace {

using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;

std::string Answer(const std::string& body, const std::string& status = "200 OK") {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

Fd ListenAt(const std::string& path) {
  sockaddr_un where = {};
  where.sun_family = AF_UNIX;
  path.copy(where.sun_path, sizeof where.sun_path - 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
  EXPECT_EQ(::listen(fd.get(), 16), 0);
  return fd;
}

// Answers on a unix socket, as this process: by its answers, or by nothing.
class OldProcess {
 public:
  explicit OldProcess(const std::string& path, std::map<std::string, std::string> answers)
      : path_(path),
        answers_(std::move(answers)),
        socket_(ListenAt(path)),
        thread_([this] { Serve(); }) {}
  ~OldProcess() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }

  Generation generation() const { return {::getpid(), 1700000000, path_}; }
  std::vector<std::string> asked() {
    std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  void Serve() {
    for (;;) {
      Fd client(::accept(socket_.get(), nullptr, nullptr));
      if (!client) return;
      std::string request;
      char bytes[4096];
      while (request.find("\r\n\r\n") == request.npos) {
        const ssize_t n = ::read(client.get(), bytes, sizeof bytes);
        if (n <= 0) break;
        request.append(bytes, static_cast<size_t>(n));
      }
      const std::string what = request.substr(0, request.find(" HTTP"));
      {
        std::lock_guard lock(mutex_);
        asked_.push_back(what);
      }
      auto found = answers_.find(what);
      if (found == answers_.end()) {
        held_.push_back(std::move(client));
        continue;
      }
      for (size_t at = 0; at < found->second.size();) {
        const ssize_t n = ::send(client.get(), found->second.data() + at, found->second.size() - at,
                                 MSG_NOSIGNAL);
        if (n <= 0) break;
        at += static_cast<size_t>(n);
      }
    }
  }

  const std::string path_;
  const std::map<std::string, std::string> answers_;
  std::mutex mutex_;
  std::vector<std::string> asked_;
  std::vector<Fd> held_;
  Fd socket_;
  std::thread thread_;
};

const std::string kStats = R"({"rum":{"version":"1.0.0","uptime_seconds":90},
  "sessions":{"active":7,"relaying":6,"connecting":1},
  "destinations":[{"address":"tcp:db:1","sessions":5},{"address":"tcp:db:2","sessions":0}]})";

class OlderProcesses : public testing::Test {
 protected:
  ~OlderProcesses() override {
    generations_.reset();
    event_base_free(base_);
  }

  void Start(std::vector<Generation> processes) {
    generations_ = std::make_unique<Generations>(base_, std::move(processes));
  }
  void Refresh() {
    bool done = false;
    generations_->Refresh([&] { done = true; });
    while (!done) event_base_loop(base_, EVLOOP_ONCE);
  }
  std::shared_ptr<const Generations::Answers> Wait(
      const std::function<void(Generations::Done)>& ask) {
    std::shared_ptr<const Generations::Answers> result;
    ask([&](auto answers) { result = std::move(answers); });
    while (!result) event_base_loop(base_, EVLOOP_ONCE);
    return result;
  }
  auto List(const std::string& what) {
    return Wait([&](auto done) { generations_->List(what, std::move(done)); });
  }
  auto Command(const std::string& what) {
    return Wait([&](auto done) { generations_->Command(what, std::move(done)); });
  }

  test::Folder folder_;
  event_base* base_ = event_base_new();
  std::unique_ptr<Generations> generations_;
};

TEST_F(OlderProcesses, AreAskedOnceASecondForWhatTheyHave) {
  OldProcess process(folder_ / "a",
                     {{"GET /stats", Answer(kStats)},
                      {"GET /users?limit=1000",
                       Answer(R"({"users":[{"user":"alice","sessions":3},{"user":1},5]})")}});
  Start({process.generation()});
  const uint64_t begin = NowMillis();
  for (int i = 0; i < 20; ++i) Refresh();
  EXPECT_LE(process.asked().size(), 2 * (2 + (NowMillis() - begin) / 1000));
  ASSERT_EQ(generations_->states().size(), 1u);
  const GenerationState& state = generations_->states()[0];
  EXPECT_FALSE(state.silent);
  EXPECT_EQ(state.version, "1.0.0");
  EXPECT_EQ(state.uptime_seconds, 90u);
  EXPECT_EQ(state.sessions, 7u);
  EXPECT_EQ(state.users, (std::map<std::string, uint64_t>{{"alice", 3}}));
  EXPECT_EQ(generations_->SessionsAt("tcp:db:1"), 5u);
  EXPECT_EQ(generations_->SumOf(&GenerationState::relaying), 6u);
}

TEST_F(OlderProcesses, ThatAreSilentKeepNobodyElseFromAnswering) {
  OldProcess silent(folder_ / "a", {}), good(folder_ / "b", {{"GET /sessions", Answer("{}")}});
  Start({silent.generation(), good.generation()});
  auto answers = List("/sessions");
  ASSERT_EQ(answers->size(), 2u);
  EXPECT_EQ((*answers)[0].status, 0);
  EXPECT_EQ((*answers)[1].status, 200);
  Start({silent.generation()});
  Refresh();
  EXPECT_TRUE(generations_->states()[0].silent);
}

TEST_F(OlderProcesses, ThatHaveEndedAreForgottenAndTheirFilesRemoved) {
  const std::string left = folder_ / "left", other = folder_ / "other", none = folder_ / "none";
  ListenAt(left);  // closed at once
  Fd alive = ListenAt(other);
  Start({{::getpid(), 1, left}, {::getpid() + 1, 1, other}, {::getpid() + 2, 1, none}});
  Refresh();
  EXPECT_TRUE(generations_->states().empty());
  EXPECT_FALSE(std::filesystem::exists(left));
  auto answers = Command("/kill?id=1");
  EXPECT_TRUE(answers->empty());
}

TEST_F(OlderProcesses, OnlyLoseTheFileThatWasTheirs) {
  const std::string path = folder_ / "a";
  ListenAt(path);
  Start({{::getpid() + 1, 1, path}});
  ASSERT_EQ(::rename(path.c_str(), (folder_ / "b").c_str()), 0);
  Fd alive = ListenAt(path);  // another process has taken the path
  Refresh();
  EXPECT_TRUE(generations_->states().empty());
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(OlderProcesses, MaySayAnything) {
  const std::string deep(200000, '[');
  for (const std::string& text :
       {std::string("nonsense"), std::string(), Answer("nonsense"), Answer(deep), Answer("[]"),
        Answer("{}"), Answer(kStats, "500 Internal"), Answer(kStats).substr(0, 90),
        std::string("HTTP/1.1 2x0 OK\r\n\r\n{}"), std::string("HTTP/1.1 200\r\n\r\n"),
        Answer(std::string(9 << 20, ' ')),
        Answer(R"({"rum":[],"sessions":{"active":-1,"relaying":1e99,"connecting":"x"},
                   "destinations":{"address":1}})"),
        Answer(R"({"rum":{"version":7},"sessions":7,"destinations":[[],{"address":"a"}]})")}) {
    OldProcess process(folder_ / "a", {{"GET /stats", text}, {"GET /users?limit=1000", text}});
    Start({process.generation()});
    Refresh();
    EXPECT_EQ(generations_->SumOf(&GenerationState::sessions), 0u) << text.substr(0, 100);
    EXPECT_TRUE(generations_->states()[0].servers.empty());
    std::filesystem::remove(folder_ / "a");
  }
}

TEST_F(OlderProcesses, ListsAreSharedForASecondButNotAfterACommand) {
  OldProcess process(folder_ / "a",
                     {{"GET /sessions?limit=1", Answer(R"({"matched":2,"sessions":[]})")},
                      {"POST /kill?id=1", Answer("{}")}});
  Start({process.generation()});
  const uint64_t begin = NowMillis();
  int answered = 0;
  for (int i = 0; i < 5; ++i) {
    generations_->List("/sessions?limit=1", [&](auto answers) {
      EXPECT_EQ(answers->at(0).json.at("matched"), 2);
      ++answered;
    });
  }
  while (answered < 5) event_base_loop(base_, EVLOOP_ONCE);
  List("/sessions?limit=1");
  const size_t asked = process.asked().size();
  EXPECT_LE(asked, 2 + (NowMillis() - begin) / 1000);
  EXPECT_EQ(Command("/kill?id=1")->at(0).status, 200);
  List("/sessions?limit=1");
  EXPECT_GE(process.asked().size(), asked + 2);
}

TEST_F(OlderProcesses, MayBeAskedWhenThereIsNoneAndBeGivenUpWhileTheyAreAsked) {
  Start({});
  Refresh();
  EXPECT_TRUE(List("/sessions")->empty());
  OldProcess silent(folder_ / "a", {});
  Start({silent.generation()});
  generations_->Refresh([] { FAIL(); });
  generations_->List("/sessions", [](auto) { FAIL(); });
  generations_.reset();
  Start({silent.generation()});
  generations_->Forget();
  Refresh();
}

TEST(MergedSessions, AreSortedBoundedAndOfTheExpectedForm) {
  Ordered own = Ordered::parse(R"({"matched":1,"sessions":[{"id":900,"client":"own"}]})");
  Generations::Answers answers = {
      {7, 200, Json::parse(R"({"matched":4,"sessions":[
         {"id":3,"client":"c","listener":"l","state":"relay","seconds":1.5,"received":1,"sent":2,
          "user":"u","extra":"<script>"}, {"id":2,"client":[],"seconds":"x"}]})")},
      {8, 0, nullptr},
      {9, 500, Json::parse(R"({"error":"no"})")},
      {10, 200, Json::parse(R"({"matched":"x","sessions":[{"id":"3"}, 7]})")},
      {11, 200, Json::parse(R"({"sessions":[{"client":"no id"}, []]})")}};
  MergeSessions(own, answers, 2);
  EXPECT_EQ(own["matched"], 5);
  ASSERT_EQ(own["sessions"].size(), 2u);
  EXPECT_EQ(own["sessions"][0].dump(),
            R"({"id":2,"client":"","listener":"","state":"","seconds":0.0,"received":0,"sent":0,)"
            R"("process":7})");
  EXPECT_EQ(own["sessions"][1]["user"], "u");
  EXPECT_FALSE(own["sessions"][1].contains("extra"));
  EXPECT_EQ(own["no_answer"], Ordered({8, 9}));
}

TEST(MergedHistory, WeighsTheSamplesOfEach) {
  // The new process has samples of 2 minutes, the older one of 10.
  Ordered own = Ordered::parse(
      R"({"active":1,"samples":2,"users":[{"user":"a","sessions_mean":5.0,"sessions_most":6}]})");
  MergeHistory(own, {{7, 200, Json::parse(R"({"samples":10,"users":[
      {"user":"a","sessions_mean":4.0,"sessions_most":9},
      {"user":"b","sessions_mean":1.0,"sessions_most":2}]})")}},
               10);
  EXPECT_EQ(own["samples"], 10);
  ASSERT_EQ(own["users"].size(), 2u);
  EXPECT_EQ(own["users"][0]["user"], "a");
  EXPECT_DOUBLE_EQ(own["users"][0]["sessions_mean"].get<double>(), 5.0);
  EXPECT_EQ(own["users"][0]["sessions_most"], 9);
}

TEST(Answers, OfCommandsNameTheProcesses) {
  EXPECT_EQ(*AlsoDone({}), "");
  EXPECT_EQ(*AlsoDone({{7, 200, {}}, {8, 200, {}}}), "; also in process 7, 8");
  auto failed = AlsoDone({{7, 200, {}}, {8, 0, {}}, {9, 500, Json::parse(R"({"error":"why"})")}});
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().text,
            "; also in process 7; process 8 does not answer; process 9 refuses: why");
  EXPECT_EQ(ExplainOlder({{7, 200, Json::parse(R"({"matched":0})")},
                          {8, 200, Json::parse(R"({"matched":2})")},
                          {9, 0, {}}}),
            (std::vector<std::string>{
                "process 8 still has 2 sessions of the user, beside the limits above",
                "process 9 does not answer"}));
}

}  // namespace
}  // namespace rum
