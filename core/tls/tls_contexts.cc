#include "tls/tls_contexts.h"

#include <errno.h>
#include <sys/stat.h>

#include <cstring>

#include "base/log.h"

namespace rum {
namespace {

std::string OwnCertificate(const TlsSettings& settings) {
  return settings.state_dir + "/rum-selfsigned.pem";
}

// The files with the certificate that is to be used; rum's own if none is named.
Result<TlsFiles> ChooseFiles(const TlsSettings& settings) {
  TlsFiles files = settings.files;
  if (!files.certificate.empty()) return files;
  files.certificate = OwnCertificate(settings);
  files.key.clear();
  struct stat status;
  if (::stat(files.certificate.c_str(), &status) == 0) return files;
  if (::mkdir(settings.state_dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error{Fault::kConfig, "no --tls-cert is given, and '" + settings.state_dir +
                                     "' for one of rum's own cannot be made: " +
                                     std::strerror(errno) + " (see --state-dir)"};
  }
  if (auto written = WriteSelfSignedCertificate(files.certificate); !written) {
    return written.error();
  }
  log::Warning(
      "no --tls-cert is given: made a certificate that signs itself, {}; clients that "
      "verify need one from an authority",
      files.certificate);
  return files;
}

}  // namespace

Result<std::shared_ptr<const TlsContexts>> TlsContexts::Make(const TlsSettings& settings) {
  auto contexts = std::make_shared<TlsContexts>();
  contexts->clients = settings.clients;
  contexts->upstreams = settings.upstreams;
  contexts->upstream_name = settings.upstream_name;
  if (settings.clients != TlsMode::kOff || settings.first) {
    auto files = ChooseFiles(settings);
    if (!files) return files.error();
    auto server = TlsContext::Server(*files);
    if (!server) return server.error();
    contexts->server = std::move(*server);
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
