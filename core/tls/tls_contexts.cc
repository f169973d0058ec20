#include "tls/tls_contexts.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

#include "base/date.h"
#include "base/log.h"

namespace rum {
namespace {

constexpr int64_t kSoon = 14 * 24 * 3600;

// Clients that verify certificates fail, or will soon. It is only a warning: other clients still
// work.
void WarnOfDates(const TlsContext& server, const std::string& path) {
  const int64_t now = ::time(nullptr);
  if (now > server.not_after()) {
    log::Warning("the certificate '{}' has expired, on {}", path, FormatDate(server.not_after()));
  } else if (now > server.not_after() - kSoon) {
    log::Warning("the certificate '{}' expires soon, on {}", path, FormatDate(server.not_after()));
  }
  if (now < server.not_before()) {
    log::Warning("the certificate '{}' is not valid before {}", path,
                 FormatDate(server.not_before()));
  }
}

std::string OwnCertificate(const TlsSettings& settings) {
  return settings.state_dir + "/rum-selfsigned.pem";
}

// The certificate and key to use; without --tls-cert, rum's own.
Result<TlsFiles> ChooseFiles(const TlsSettings& settings) {
  TlsFiles files = settings.files;
  if (!files.certificate.empty()) return files;
  files.certificate = OwnCertificate(settings);
  files.key.clear();
  struct stat status;
  if (::stat(files.certificate.c_str(), &status) == 0) return files;
  if (::mkdir(settings.state_dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error{Fault::kConfig, "no --tls-cert is given, and '" + settings.state_dir +
                                     "' for a self-signed one cannot be created: " +
                                     std::strerror(errno) + " (see --state-dir)"};
  }
  if (auto written = WriteSelfSignedCertificate(files.certificate); !written) {
    return written.error();
  }
  log::Warning(
      "no --tls-cert is given: created a self-signed certificate, {}; clients that verify need one "
      "from a CA",
      files.certificate);
  return files;
}

// With --tls-ca, every TCP client must present a certificate, so clients without TLS may not be
// accepted. (Access to a unix socket is controlled by its file.)
Status JudgeAuthorities(const TlsSettings& settings) {
  if (settings.files.authorities.empty() || settings.clients == TlsMode::kRequire) return Ok();
  if (!settings.plain) return Ok();
  return Error{Fault::kConfig,
               "--tls-ca: on a tcp: listener clients without TLS would be accepted without a "
               "certificate; give --tls require, or listen on tls:HOST:PORT only"};
}

}  // namespace

Result<std::shared_ptr<const TlsContexts>> TlsContexts::Look(TlsSettings settings) {
  if (auto judged = JudgeAuthorities(settings); !judged) return judged.error();
  if (settings.files.certificate.empty() && ::access(OwnCertificate(settings).c_str(), F_OK) != 0) {
    settings.clients = TlsMode::kOff;
    settings.first = false;
    settings.statistics = false;
  }
  return Make(settings);
}

Result<std::shared_ptr<const TlsContexts>> TlsContexts::Make(const TlsSettings& settings) {
  if (auto judged = JudgeAuthorities(settings); !judged) return judged.error();
  auto contexts = std::make_shared<TlsContexts>();
  contexts->clients = settings.clients;
  contexts->upstreams = settings.upstreams;
  contexts->upstream_name = settings.upstream_name;
  const bool for_clients = settings.clients != TlsMode::kOff || settings.first;
  if (for_clients || settings.statistics) {
    auto files = ChooseFiles(settings);
    if (!files) return files.error();
    auto server = TlsContext::Server(*files);
    if (!server) return server.error();
    WarnOfDates(**server, files->certificate);
    if (for_clients) contexts->server = std::move(*server);
    if (settings.statistics) {
      files->authorities.clear();
      auto statistics = TlsContext::Server(*files);
      if (!statistics) return statistics.error();
      contexts->statistics = std::move(*statistics);
    }
  }
  TlsFiles files;
  files.authorities = settings.upstream_authorities;
  files.min_version = settings.files.min_version;
  auto client = TlsContext::Client(files, settings.upstreams == TlsMode::kVerify);
  if (!client) return client.error();
  contexts->client = std::move(*client);
  return std::shared_ptr<const TlsContexts>(std::move(contexts));
}

TlsFilesStamp TlsFilesStamp::Of(const TlsSettings& settings) {
  TlsFilesStamp stamp;
  for (const std::string& path : {settings.files.certificate, settings.files.key,
                                  settings.files.authorities, settings.upstream_authorities}) {
    struct stat status = {};
    if (!path.empty()) ::stat(path.c_str(), &status);
    stamp.stamps_.insert(stamp.stamps_.end(),
                         {static_cast<int64_t>(status.st_ino), status.st_mtim.tv_sec,
                          status.st_mtim.tv_nsec, status.st_size});
  }
  return stamp;
}

}  // namespace rum
