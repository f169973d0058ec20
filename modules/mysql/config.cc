#include "mysql/config.h"

#include <string.h>
#include <sys/stat.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

namespace rum::mysql {

enum Option : size_t {
  kVersion,
  kAuth,
  kUnknownUser,
  kCapabilities,
  kClientAttributes,
  kGreeting,
  kChangeUser,
  kCompression,
  kSocketUser,
  kReuse,
  kReuseIdle,
  kReuseUser,
  kReusePasswordFile
};

// The default if nothing else is known. It suits MariaDB 10.x, whose drivers (Connector/J above
// all) choose their SQL by it.
constexpr char kDefaultVersion[] = "5.5.5-10.11.0-MariaDB";

const rum_option kOptions[kOptionCount] = {
    {"mysql-version", "VERSION", nullptr,
     "the server version in the greeting, such as 8.0.40, or a name such as mysql80 or "
     "mariadb1011; "
     "without it the servers' own",
     RUM_OPTION_TEXT, 't'},
    {"mysql-auth", "auto|relay|rewrite", "auto",
     "relay lets server and client agree; rewrite checks the stored hash first; auto rewrites only "
     "for clients that cannot switch plugins",
     RUM_OPTION_CHOICE, 0},
    {"mysql-unknown-user", "default|deny", "default",
     "users that are not in the map: send them to -d if it is set, or refuse them",
     RUM_OPTION_CHOICE, 0},
    {"mysql-capabilities", "HEX", nullptr,
     "the capability flags in the greeting; without it they follow from the version",
     RUM_OPTION_TEXT, 0},
    {"mysql-client-attrs", "on|off", "off",
     "tell servers the client's address and user by the connection attributes _client_ip, "
     "_client_port and _client_user",
     RUM_OPTION_CHOICE, 0},
    {"mysql-greeting", "learn|fixed", nullptr,
     "learn: version and capabilities follow the servers; fixed: they are those of the options "
     "(character set and plugin always follow); without it learn, but fixed with --mysql-version "
     "or "
     "--mysql-capabilities",
     RUM_OPTION_CHOICE, 0},
    {"mysql-change-user", "allow|same|deny", "allow",
     "whether a client that is logged in may become another user by COM_CHANGE_USER: any, only "
     "itself again, or none",
     RUM_OPTION_CHOICE, 0},
    {"mysql-compress", nullptr, nullptr,
     "offer compression to clients, which works where their servers have it", RUM_OPTION_FLAG, 0},
    {"mysql-socket-user", "NAME[,NAME...]|none", nullptr,
     "names of rum's own system user on servers behind sock:, which no client may use there; none: "
     "no account trusts the system; without it all names on this machine",
     RUM_OPTION_TEXT, 0},
    {"mysql-reuse", "NUMBER", "0",
     "keep at most so many connections of a server when their clients leave, and give them to the "
     "next clients; 0: none",
     RUM_OPTION_NUMBER, 0},
    {"mysql-reuse-idle", "TIME", "5s",
     "close a kept connection after this time; keep it below the servers' wait_timeout",
     RUM_OPTION_DURATION, 0},
    {"mysql-reuse-user", "NAME", nullptr,
     "the account without rights that a connection belongs to while it is kept", RUM_OPTION_TEXT,
     0},
    {"mysql-reuse-password-file", "FILE", nullptr, "a file with the password of that account",
     RUM_OPTION_TEXT, 0},
};
static_assert(kReusePasswordFile + 1 == kOptionCount);

namespace {

struct VersionName {
  std::string_view name;
  const char* version;
};
constexpr VersionName kVersionNames[] = {
    {"mysql50", "5.0.96"},
    {"mysql51", "5.1.73"},
    {"mysql55", "5.5.62"},
    {"mysql56", "5.6.51"},
    {"mysql57", "5.7.44"},
    {"mysql80", "8.0.40"},
    {"mysql84", "8.4.3"},
    {"mysql90", "9.0.1"},
    {"mariadb55", "5.5.68-MariaDB"},
    {"mariadb100", "5.5.5-10.0.38-MariaDB"},
    {"mariadb101", "5.5.5-10.1.48-MariaDB"},
    {"mariadb102", "5.5.5-10.2.44-MariaDB"},
    {"mariadb103", "5.5.5-10.3.39-MariaDB"},
    {"mariadb104", "5.5.5-10.4.34-MariaDB"},
    {"mariadb105", "5.5.5-10.5.27-MariaDB"},
    {"mariadb106", "5.5.5-10.6.20-MariaDB"},
    {"mariadb1011", "5.5.5-10.11.0-MariaDB"},
    {"mariadb114", "11.4.2-MariaDB"},
    {"mariadb118", "11.8.2-MariaDB"},
};

constexpr size_t kMaxVersion = 60;  // space that clients reserve for it
constexpr uint32_t kNeeded = kProtocol41 | kSecureConnection | kConnectWithDb;
constexpr uint8_t kUtf8 = 33;  // utf8_general_ci: servers before 5.5.3 have no utf8mb4
constexpr uint32_t kFirstUtf8Mb4 = 50503;

// Printable ASCII without need for JSON escapes.
bool IsPlain(std::string_view text) {
  for (char c : text) {
    if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') return false;
  }
  return true;
}

// All flags that servers have: those of the newest version of either kind.
uint64_t AllOffered() {
  return OfferedCapabilities({.mariadb = false, .number = 999999}) |
         OfferedCapabilities({.mariadb = true, .number = 999999});
}
// Greetings that are not based on the servers omit these: the first server without one would refuse
// clients that use it.
constexpr uint64_t kFixedMost = 0xffffffff & ~kChangesWhatFollows;

// nullopt: one of the parts is empty.
std::optional<std::vector<std::string>> ReadNames(std::string_view text) {
  std::vector<std::string> names;
  for (bool more = true; more;) {
    size_t comma = text.find(',');
    if (text.substr(0, comma).empty()) return std::nullopt;
    names.emplace_back(text.substr(0, comma));
    more = comma != text.npos;
    if (more) text.remove_prefix(comma + 1);
  }
  return names;
}

constexpr uint64_t kReuseMost = 10000;
constexpr uint64_t kReuseIdleMost = 60000;  // ms: longer nobody who leaves comes back
constexpr size_t kPasswordMost = 200;       // what fits the RSA keys of servers

uint64_t ReadNumber(std::string_view text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

Parsed<std::shared_ptr<const Secret>> ReadPasswordFile(const std::string& path) {
  struct Closer {
    void operator()(FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<FILE, Closer> file(std::fopen(path.c_str(), "re"));
  if (!file) return {.why = "--mysql-reuse-password-file: the file cannot be read"};
  struct stat about;
  if (::fstat(::fileno(file.get()), &about) != 0 || !S_ISREG(about.st_mode)) {
    return {.why = "--mysql-reuse-password-file: this is no file"};
  }
  if (about.st_mode & S_IRWXO) {
    return {.why = "--mysql-reuse-password-file: others can read the file; chmod o-rwx it"};
  }
  std::setvbuf(file.get(), nullptr, _IONBF, 0);  // which would be a copy
  std::array<uint8_t, kPasswordMost + 2> line{};
  size_t size = std::fread(line.data(), 1, line.size() - 1, file.get());
  const void* end = std::memchr(line.data(), '\n', size);
  if (end != nullptr) size = static_cast<size_t>(static_cast<const uint8_t*>(end) - line.data());
  line[size] = 0;
  auto secret = std::make_shared<const Secret>(Bytes(line.data(), size + 1));
  ::explicit_bzero(line.data(), line.size());
  if (size > kPasswordMost || size == 0) {
    return {.why =
                "--mysql-reuse-password-file: write the password into the first line, at most 200 "
                "bytes"};
  }
  return {.value = std::move(secret)};
}

namespace {

// Reads the options in parts. Each returns what is wrong; nullptr: nothing.
class ConfigReader {
 public:
  ConfigReader(const char* const* values, size_t count) : values_(values), count_(count) {}

  Parsed<Config> Read() {
    for (auto part : {&ConfigReader::ReadPromise, &ConfigReader::ReadCapabilities,
                      &ConfigReader::ReadChangeUser, &ConfigReader::ReadSocketUsers,
                      &ConfigReader::ReadReuse}) {
      if (const char* why = (this->*part)()) return {.why = why};
    }
    config_.learns =
        Given(kGreeting) ? Value(kGreeting) == "learn" : !Given(kVersion) && !Given(kCapabilities);
    if (Value(kAuth) == "relay") config_.auth = AuthMode::kRelay;
    if (Value(kAuth) == "rewrite") config_.auth = AuthMode::kRewrite;
    config_.unknown_to_default = Value(kUnknownUser) != "deny";
    config_.client_attributes = Value(kClientAttributes) == "on";
    return {.value = std::move(config_)};
  }

 private:
  bool Given(Option option) const { return option < count_ && values_[option] != nullptr; }
  std::string_view Value(Option option) const {
    if (Given(option)) return values_[option];
    const char* preset = kOptions[option].default_value;
    return preset != nullptr ? preset : "";
  }

  // Of greetings that do not follow the servers.
  const char* ReadPromise() {
    std::string& text = config_.promise.version;
    text = Given(kVersion) ? Value(kVersion) : kDefaultVersion;
    for (const VersionName& row : kVersionNames) {
      if (row.name == text) text = row.version;
    }
    version_ = ReadVersion(text);
    if (version_.number == 0 || text.size() > kMaxVersion || !IsPlain(text)) {
      return "--mysql-version: write a version of at most 60 characters, such as 8.0.40 or "
             "5.5.5-10.11.0-MariaDB, or a name such as mysql57, mysql80, mariadb106, mariadb118";
    }
    config_.promise.capabilities = OfferedCapabilities(version_) & kFixedMost;
    config_.capabilities = AllOffered();
    if (version_.number < kFirstUtf8Mb4) config_.promise.charset = kUtf8;
    return nullptr;
  }

  // Bounds all greetings.
  const char* ReadCapabilities() {
    std::string_view hex = Value(kCapabilities);
    if (hex.empty()) return nullptr;
    if (hex.starts_with("0x")) hex.remove_prefix(2);
    uint32_t bits = 0;
    auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), bits, 16);
    if (error != std::errc() || end != hex.data() + hex.size()) {
      return "--mysql-capabilities: write up to eight hexadecimal digits, such as 81fff7df";
    }
    if ((bits & kNeeded) != kNeeded) {
      return "--mysql-capabilities: CONNECT_WITH_DB (8), PROTOCOL_41 (200) and "
             "SECURE_CONNECTION (8000) are needed";
    }
    if ((bits & kLongPassword) == 0 || (bits & ~(AllOffered() & kFixedMost)) != 0) {
      return "--mysql-capabilities: bit 0 must be set, and only flags of 91fff7df may be";
    }
    config_.promise.capabilities = config_.capabilities = bits;
    return nullptr;
  }

  // With compression, as rum cannot read a change of user then.
  const char* ReadChangeUser() {
    if (Value(kChangeUser) == "same") config_.change_user = ChangeUserMode::kSame;
    if (Value(kChangeUser) == "deny") config_.change_user = ChangeUserMode::kDeny;
    if (!Value(kCompression).empty()) {
      if (config_.change_user != ChangeUserMode::kAllow) {
        return "--mysql-compress: rum cannot read COM_CHANGE_USER in compressed sessions; "
               "remove this or --mysql-change-user";
      }
      config_.capabilities |= kCompresses;
      bool has_zstd = !version_.mariadb && version_.number >= kFirstZstd;
      config_.promise.capabilities |= has_zstd ? kCompresses : kCompress;
    }
    return nullptr;
  }

  const char* ReadSocketUsers() {
    if (Value(kSocketUser) == "none") {
      config_.socket_users.emplace();
    } else if (Given(kSocketUser)) {
      config_.socket_users = ReadNames(Value(kSocketUser));
      if (!config_.socket_users) {
        return "--mysql-socket-user: write names separated by commas, or none";
      }
    }
    return nullptr;
  }

  // Connections that outlive their session.
  const char* ReadReuse() {
    const uint64_t most = ReadNumber(Value(kReuse));
    config_.reuse.idle = ReadNumber(Given(kReuseIdle) ? Value(kReuseIdle) : "5000");
    if (most > kReuseMost) return "--mysql-reuse: at most 10000 connections of a server";
    if (config_.reuse.idle > kReuseIdleMost) return "--mysql-reuse-idle: at most 60s";
    if (most > 0) {
      if (!Given(kReuseUser) || !Given(kReusePasswordFile)) {
        return "--mysql-reuse: an account without rights must own the connections that are kept; "
               "give --mysql-reuse-user and --mysql-reuse-password-file";
      }
      config_.reuse.most = static_cast<uint32_t>(most);
      config_.reuse.user = Value(kReuseUser);
      auto password = ReadPasswordFile(std::string(Value(kReusePasswordFile)));
      if (!password.ok()) return password.why;
      config_.reuse.password = std::move(password.value);
    }
    return nullptr;
  }

  const char* const* const values_;
  const size_t count_;
  Config config_;
  ServerVersion version_;  // of --mysql-version
};

}  // namespace

Parsed<Config> ReadConfig(const char* const* values, size_t count) {
  return ConfigReader(values, count).Read();
}

Promise PromiseNow(const Config& config, const Fleet::Snapshot& snapshot) {
  Promise promise = config.learns && snapshot.promise ? *snapshot.promise : config.promise;
  promise.capabilities &= config.capabilities;
  if (snapshot.promise) {
    promise.charset = snapshot.promise->charset;
    promise.plugin = snapshot.promise->plugin;
  }
  if (config.auth == AuthMode::kRewrite) promise.plugin = kNativePlugin;
  return promise;
}

std::string Describe(const Config& config, const Fleet::Snapshot& snapshot,
                     const Fleet::Summary& summary) {
  const char* auth = config.auth == AuthMode::kRelay     ? "relay"
                     : config.auth == AuthMode::kRewrite ? "rewrite"
                                                         : "auto";
  Promise promise = PromiseNow(config, snapshot);
  const char* from = !config.learns ? "fixed" : snapshot.promise ? "learned" : "default";
  nlohmann::ordered_json json = {{"version", promise.version},
                                 {"capabilities", HexOf(promise.capabilities)},
                                 {"charset", promise.charset},
                                 {"plugin", promise.plugin},
                                 {"greeting", from},
                                 {"servers", summary.servers},
                                 {"unsupported", summary.unsupported},
                                 {"mixed", snapshot.mixed},
                                 {"auth", auth},
                                 {"unknown_user", config.unknown_to_default ? "default" : "deny"},
                                 {"client_attrs", config.client_attributes ? "on" : "off"},
                                 {"reuse", config.reuse.most}};
  json["change_user"] = config.change_user == ChangeUserMode::kAllow  ? "allow"
                        : config.change_user == ChangeUserMode::kSame ? "same"
                                                                      : "deny";
  json["versions"] = nlohmann::json::object();
  for (const auto& [version, servers] : summary.versions) json["versions"][version] = servers;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace rum::mysql
