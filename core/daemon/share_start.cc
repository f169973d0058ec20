#include "daemon/share_start.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <cctype>
#include <random>
#include <utility>

#include "base/log.h"
#include "daemon/secret_file.h"
#include "module/current_module.h"
#include "proxy/proxy.h"
#include "proxy/shared_table.h"
#include "share/sealed_message.h"
#include "share/share.h"
#include "share/share_ask.h"

namespace rum {
namespace {

// The host and the process may have a twin: machines are cloned, and containers have few numbers.
std::string UniqueName(const Settings& settings) {
  std::string name = settings.share_name;
  if (name.empty()) {
    char host[65] = "";
    ::gethostname(host, sizeof host - 1);
    name = host;
  }
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
  }
  std::random_device random;
  return fmt::format("{}:{}:{:08x}", name, ::getpid(), random());
}

Result<Share::Settings> Prepare(const Settings& settings) {
  Share::Settings share;
  share.server = *settings.share;
  auto password = ReadSecret("share-password-file", settings.share_password_file);
  if (!password) return password.error();
  share.password = std::move(*password);
  if (share.server.tls) {
    TlsFiles files;
    files.authorities = settings.share_ca;
    auto tls = TlsContext::Client(files, true);
    if (!tls) return Error{Fault::kConfig, "--share-ca: " + tls.error().text};
    share.tls = std::move(*tls);
  }
  return share;
}

// The secret of --share-key-file, which the caller must wipe.
Result<std::string> ReadKey(const std::string& path) {
  auto text = ReadSecret("share-key-file", path, OtherUsers::kRefuse);
  if (!text) return text.error();
  auto secret = DecodeSecret(*text);
  OPENSSL_cleanse(text->data(), text->size());
  if (secret) return secret;
  return Error{Fault::kConfig, "--share-key-file: '" + path + "': " + secret.error().text};
}

}  // namespace

Status MakeShare(const Settings& settings, Proxy& proxy) {
  if (!settings.share) return Ok();
  auto share = Prepare(settings);
  if (!share) return share.error();
  share->name = UniqueName(settings);
  if (settings.share_key_file.empty()) {
    log::Info("{}", kNothingAsked);
  } else {
    auto secret = ReadKey(settings.share_key_file);
    if (!secret) return secret.error();
    proxy.SetShareAsk(std::make_unique<ShareAsk>(
        proxy.resolver(), ShareAsk::Settings{.server = share->server,
                                             .password = share->password,
                                             .tls = share->tls,
                                             .name = share->name,
                                             .module = std::string(CurrentModule()),
                                             .secret = std::move(*secret),
                                             .find = FindInSharedTable}));
  }
  proxy.SetShare(std::make_unique<Share>(proxy.resolver(), std::move(*share), proxy.admission(),
                                         proxy.access_control(), proxy.other_nodes()));
  return Ok();
}

Status StartShare(Proxy& proxy) {
  if (proxy.share()) {
    if (auto started = proxy.share()->Start(); !started) return started;
  }
  return proxy.share_ask() ? proxy.share_ask()->Start() : Ok();
}

Status CheckShare(const Settings& settings) {
  if (!settings.share) return Ok();
  auto share = Prepare(settings);
  if (!share) return share.error();
  if (settings.share_key_file.empty()) return Ok();
  auto secret = ReadKey(settings.share_key_file);
  if (!secret) return secret.error();
  OPENSSL_cleanse(secret->data(), secret->size());
  return Ok();
}

}  // namespace rum
