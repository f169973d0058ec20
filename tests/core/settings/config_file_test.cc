#include "settings/config_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "proxy/host_calls.h"
#include "settings/options.h"
#include "support/folder.h"

namespace rum {
namespace {

using test::Folder;

class ConfigFile : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }

  // The items as "name=value", a bare one as its name; `errors_` holds the mistakes.
  std::vector<std::string> Items() {
    errors_.clear();
    std::vector<std::string> all;
    for (const ConfigItem& item : ReadConfigFiles(folder_ / "rum.conf", errors_)) {
      all.push_back(item.bare ? item.name : item.name + "=" + item.value);
      places_.push_back(item.where.substr(folder_.path().size() + 1));
    }
    return all;
  }

  Result<CommandLine> Start(std::vector<std::string> arguments) {
    std::filesystem::copy_file(RUM_TEST_MODULES "/good.so", folder_ / "passthrough.so",
                               std::filesystem::copy_options::skip_existing);
    std::filesystem::copy_file(RUM_TEST_MODULES "/good.so", folder_ / "good.so",
                               std::filesystem::copy_options::skip_existing);
    arguments.insert(arguments.begin(), {"rum", "--module-dir", folder_.path(), "--config",
                                         std::string(folder_ / "rum.conf")});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    return ReadCommandLine(static_cast<int>(arguments.size()), argv.data(), kHost);
  }

  // Every mistake of a start, without the folder's name.
  std::string MistakesOf(std::vector<std::string> arguments = {}) {
    auto line = Start(std::move(arguments));
    if (line) return "none";
    std::string text = line.error().text, folder = folder_.path() + "/";
    for (size_t at; (at = text.find(folder)) != text.npos;) text.erase(at, folder.size());
    return text;
  }

  Folder folder_;
  std::vector<std::string> errors_, places_;
};

using Words = std::vector<std::string>;

TEST_F(ConfigFile, HasALongOptionALine) {
  Write("rum.conf",
        "# rum at the edge\n\n; old style\n  listen = tcp:127.0.0.1:3306\r\nverbose\n"
        "destination=tcp:a:1,tcp:b:2\nlog = \"/var/log/with # in it\"  # and a comment\n"
        "map = '/a b'\nmysql-version = 8.0.40 of ours # not this\ntls-ciphers = a#b\nlog =\n");
  EXPECT_EQ(Items(), (Words{"listen=tcp:127.0.0.1:3306", "verbose", "destination=tcp:a:1,tcp:b:2",
                            "log=/var/log/with # in it", "map=/a b", "mysql-version=8.0.40 of ours",
                            "tls-ciphers=a#b", "log="}));
  EXPECT_EQ(errors_, Words{});
  EXPECT_EQ(places_[0], "rum.conf:4");
  EXPECT_EQ(places_[6], "rum.conf:10");
}

TEST_F(ConfigFile, MayBeginWithTheMarkOfUtf8) {
  Write("rum.conf", "\xef\xbb\xbfsource = tcp:127.0.0.1:1\n");
  Write("rum.conf.d/more.conf", "\xef\xbb\xbf# a comment\nworkers = 2\n");
  EXPECT_EQ(Items(), (std::vector<std::string>{"source=tcp:127.0.0.1:1", "workers=2"}));
  EXPECT_TRUE(errors_.empty());
  Write("rum.conf", "workers = 2\n\xef\xbb\xbfsource = tcp:127.0.0.1:1\n");
  Items();
  EXPECT_EQ(errors_.size(), 1u) << "elsewhere it is a mistake";
}

TEST_F(ConfigFile, TellsEachMistakeWithItsPlace) {
  Write("rum.conf", "[mysql]\n--listen = x\nWorkers = 2\nlog = \"x\nlog = 'x' y\nfine = 1\n= 3\n");
  EXPECT_EQ(Items(), Words{"fine=1"});
  ASSERT_EQ(errors_.size(), 6u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(errors_[i].find("rum.conf:" + std::to_string(i + 1) + ": ") != std::string::npos)
        << errors_[i];
  }
}

TEST_F(ConfigFile, SaysHowANameOrAFileIsToBeWritten) {
  Write("rum.conf",
        std::string("connect_timeout = 1s\nConnect-Timeout = 1s\nlog = a\0b\nx y = 1\n", 59));
  EXPECT_EQ(Items(), Words{});
  ASSERT_EQ(errors_.size(), 4u);
  for (size_t i : {0, 1}) {
    EXPECT_TRUE(errors_[i].ends_with(": write this option as connect-timeout")) << errors_[i];
  }
  EXPECT_TRUE(
      errors_[2].ends_with("rum.conf:3: the line has a NUL byte; write the file as text, in "
                           "UTF-8"))
      << errors_[2];
  EXPECT_TRUE(errors_[3].ends_with("not of the form: name = value")) << errors_[3];
  for (const char* mark : {"\xff\xfe", "\xfe\xff"}) {
    Write("rum.conf", std::string(mark) + std::string("l\0o\0g\0\n\0", 8));
    EXPECT_EQ(Items(), Words{});
    ASSERT_EQ(errors_.size(), 1u);
    EXPECT_TRUE(errors_[0].ends_with("rum.conf:1: the file is in UTF-16; write it in UTF-8"));
  }
}

TEST_F(ConfigFile, MayHaveBlanksAfterTheCommasOfAList) {
  Write("rum.conf",
        "listen = tcp:127.0.0.1:1\ndestination = tcp:a:1, tcp:b:2\nallow = 192.0.2.1,  unix\n"
        "deny = 192.0.2.2, 192.0.2.3\nsource-address = 127.0.0.1, 127.0.0.2\n"
        "login-exempt = 192.0.2.4, 192.0.2.5\nlogin-failures = 5/m, block=9m\n"
        "proxy-from = 192.0.2.6, unix\n");
  std::string mistakes = MistakesOf();
  EXPECT_EQ(mistakes.find("not a"), mistakes.npos) << mistakes;
  Write("rum.conf", "listen = tcp:127.0.0.1:1\ndestination = tcp:a:1, tcp:b:2\n");
  auto line = Start({});
  ASSERT_TRUE(line.ok()) << line.error().text;
  ASSERT_EQ(line->settings->destinations.size(), 2u);
  EXPECT_EQ(line->settings->destinations[1].text(), "tcp:b:2");
}

TEST_F(ConfigFile, NamesTheLineOfTheValueAtFault) {
  Write("rum.conf",
        "listen = tcp:127.0.0.1:1\ndestination = tcp:a:1\nidle-timeout = 5s\n\n"
        "idle-timeout = 6s\nidle-timeout = 7q\nprotocol = none.so\n");
  const std::string mistakes = MistakesOf();
  for (const char* part : {"rum.conf:6: idle-timeout is given more than once, first at rum.conf:3",
                           "rum.conf:6: idle-timeout: '7q'", "rum.conf:7: protocol: "}) {
    EXPECT_NE(mistakes.find(part), std::string::npos) << part << "\n  is not in\n" << mistakes;
  }
  // A value of an earlier file does not count.
  Write("rum.conf", "listen = tcp:127.0.0.1:1\ndestination = tcp:a:1\nidle-timeout = 5s\n");
  Write("rum.conf.d/a.conf", "\nidle-timeout = 7q\n");
  EXPECT_EQ(MistakesOf().substr(0, 37), "rum.conf.d/a.conf:2: idle-timeout: '7");
}

TEST_F(ConfigFile, CheckNamesThePlaceOfAPathAtFault) {
  Write("rum.conf",
        "listen = tcp:127.0.0.1:1\ndestination = tcp:a:1\nlisten = sock:/none/a\n"
        "stats = sock:/none/b\ncontrol = sock:/none/c\npidfile = /none/d\nlog = /none/e\n"
        "tls-cert = /none/f\n");
  const std::string mistakes = MistakesOf({"--check"});
  for (const char* part :
       {"rum.conf:3: listen: cannot listen on sock:/none/a: its folder: No such file",
        "rum.conf:4: stats: cannot listen on sock:/none/b: its folder: ",
        "rum.conf:5: control: cannot listen on sock:/none/c: its folder: ",
        "rum.conf:6: pidfile: '/none/d' cannot be written: ", "rum.conf:7: log: '/none/e' cannot ",
        "rum.conf:8: tls-cert: no client can use TLS"}) {
    EXPECT_NE(mistakes.find(part), std::string::npos) << part << "\n  is not in\n" << mistakes;
  }
}

TEST_F(ConfigFile, GoesOnInItsFolderInTheOrderOfNames) {
  Write("rum.conf", "workers = 1\n");
  Write("rum.conf.d/20-b.conf", "workers = 3\n");
  Write("rum.conf.d/10-a.conf", "workers = 2\n");
  Write("rum.conf.d/10-a.conf~", "workers = 9\n");
  EXPECT_EQ(Items(), (Words{"workers=1", "workers=2", "workers=3"}));
}

TEST_F(ConfigFile, IsRefusedWhenItCannotBeReadOrIsHuge) {
  EXPECT_EQ(Items(), Words{});
  ASSERT_EQ(errors_.size(), 1u);
  EXPECT_NE(errors_[0].find("No such file"), std::string::npos);
  Write("rum.conf", std::string((1 << 20) + 1, '\n'));
  Items();
  ASSERT_EQ(errors_.size(), 1u);
  EXPECT_NE(errors_[0].find("larger than 1 MiB"), std::string::npos);
  std::filesystem::remove(folder_ / "rum.conf");
  std::filesystem::create_directory(folder_ / "rum.conf");
  Items();
  EXPECT_EQ(errors_.size(), 1u);
}

TEST_F(ConfigFile, MayHoldWholeCommandLine) {
  Write("rum.conf",
        "listen = tcp:127.0.0.1:1\nlisten = sock:/x\ndestination = tcp:a:1,tcp:b:2\n"
        "protocol = good.so\ngood-time = 3s\nverbose = no\nlog-logins = yes\nread-timeout = 9\n");
  auto line = Start({});
  ASSERT_TRUE(line.ok()) << line.error().text;
  EXPECT_EQ(line->settings->listeners.size(), 2u);
  EXPECT_EQ(line->settings->destinations.size(), 2u);
  EXPECT_EQ(line->settings->protocol, "good.so");
  EXPECT_EQ(line->settings->log.level, log::Level::kInfo);
  EXPECT_TRUE(line->settings->log_logins);
  EXPECT_EQ(line->settings->first_byte_timeout, Millis(9000)) << "the old name of 6.7";
}

TEST_F(ConfigFile, YieldsToTheCommandLineAndToLaterFiles) {
  Write("rum.conf",
        "listen = tcp:127.0.0.1:1\nlisten = tcp:127.0.0.1:2\ndestination = tcp:a:1\n"
        "workers = 2\nidle-timeout = 1s\n");
  Write("rum.conf.d/x.conf", "listen = tcp:127.0.0.1:3\nidle-timeout = 2s\n");
  auto line = Start({"-R", "tcp:c:3", "-w", "5"});
  ASSERT_TRUE(line.ok()) << line.error().text;
  ASSERT_EQ(line->settings->listeners.size(), 1u);
  EXPECT_EQ(line->settings->listeners[0].port, 3);
  ASSERT_EQ(line->settings->destinations.size(), 1u) << "-d, -f and -R are one thing";
  EXPECT_EQ(line->settings->destinations[0].host, "c");
  EXPECT_EQ(line->settings->workers, 5u);
  EXPECT_EQ(line->settings->idle_timeout, Millis(2000));
}

TEST_F(ConfigFile, MistakesInValuesAreToldInTheOrderOfTheirPlaces) {
  Write("rum.conf",
        "listen = tcp:127.0.0.1:1\nlisten = nonsense\ndestination = tcp:a:1\nconect-timeout = 5s\n"
        "idle-timeout = 5q\nworkers = 2\nworkers = 3\nverbose = perhaps\nmap\nconfig = x\n");
  std::string mistakes = MistakesOf({"--login-timeout", "x"});
  size_t at = 0;  // each behind the one before
  for (const char* part :
       {"rum.conf:2: listen: 'nonsense'",
        "rum.conf:4: unknown option 'conect-timeout', did you mean connect-timeout?",
        "rum.conf:5: idle-timeout: '5q'", "rum.conf:7: workers is given more than once",
        "rum.conf:8: verbose: 'perhaps' is not yes or no", "rum.conf:9: map needs a value",
        "rum.conf:10: 'config' is only allowed on the command line", "--login-timeout: 'x'"}) {
    const size_t found = mistakes.find(part, at);
    EXPECT_NE(found, std::string::npos) << part << "\n  is not in its place in\n" << mistakes;
    if (found != mistakes.npos) at = found;
  }
}

TEST_F(ConfigFile, NamesTheModuleThatHasItsOptions) {
  Write("rum.conf", "listen = tcp:127.0.0.1:1\ndestination = tcp:a:1\ngood-time = 3s\n");
  EXPECT_EQ(MistakesOf({"-P", "none.so"}).find("good-time"), std::string::npos)
      << "without its module an option cannot be judged";
  EXPECT_EQ(MistakesOf(), "none");
}

TEST_F(ConfigFile, UnderstandsOldNamesAndSaysWhatReplacesThoseThatAreGone) {
  Write("rum.conf",
        "listen = tcp:127.0.0.1:1\nfailover-r = tcp:a:1\nfailover-r = tcp:b:2\nverbose\nverbose\n");
  auto line = Start({});
  ASSERT_TRUE(line.ok()) << line.error().text;
  EXPECT_EQ(line->settings->destinations.size(), 2u);
  EXPECT_EQ(line->settings->balance, Balance::kRandom);
  EXPECT_EQ(line->settings->log.level, log::Level::kDebug);
  Write("rum.conf.d/x.conf", "verbose = no\nfailover = tcp:c:3\n");
  line = Start({"--balance", "least"});
  ASSERT_TRUE(line.ok()) << line.error().text;
  EXPECT_EQ(line->settings->destinations.size(), 1u);
  EXPECT_EQ(line->settings->balance, Balance::kLeast);
  EXPECT_EQ(line->settings->log.level, log::Level::kInfo);
  line = Start({"--log-level", "error"});
  ASSERT_TRUE(line.ok()) << line.error().text;
  EXPECT_EQ(line->settings->log.level, log::Level::kError);
  Write("rum.conf.d/x.conf", "login-block = 5m\ngroup = adm\nlogin-failures = 5/m,blok=1m\n");
  std::string mistakes = MistakesOf();
  for (const char* part : {"x.conf:1: --login-block is no longer an option: write --login-failures",
                           "x.conf:2: --group is no longer an option: write --user NAME:GROUP",
                           "x.conf:3: login-failures: '5/m,blok=1m' is not one such as 20/m"}) {
    EXPECT_NE(mistakes.find(part), std::string::npos) << part << "\n  is not in\n" << mistakes;
  }
}

}  // namespace
}  // namespace rum
