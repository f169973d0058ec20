#include "daemon/share_start.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cctype>
#include <random>
#include <utility>

#include "daemon/secret_file.h"
#include "proxy/proxy.h"

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

}  // namespace

Result<std::unique_ptr<Share>> MakeShare(const Settings& settings, Proxy& proxy) {
  if (!settings.share) return std::unique_ptr<Share>();
  auto share = Prepare(settings);
  if (!share) return share.error();
  share->name = UniqueName(settings);
  return std::make_unique<Share>(proxy.resolver(), std::move(*share), proxy.admission(),
                                 proxy.access_control(), proxy.other_nodes());
}

Status CheckShare(const Settings& settings) {
  if (!settings.share) return Ok();
  auto share = Prepare(settings);
  return share ? Ok() : Status(share.error());
}

}  // namespace rum
