// The TLS contexts for clients and servers, made from the options and remade when a file changes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "tls/tls_context.h"

namespace rum {

// The values match rum.tls/1 in rum/module.h.
enum class TlsMode : int32_t { kOff = 0, kOn = 1, kRequire = 2, kMirror = 3, kVerify = 4 };

struct TlsSettings {
  TlsMode clients = TlsMode::kOff;
  TlsFiles files;
  TlsMode upstreams = TlsMode::kMirror;
  std::string upstream_authorities;
  std::string upstream_name;  // replaces the destination's host
  std::string state_dir;      // for rum's self-signed certificate
  bool first = false;         // at least one listener is tls:HOST:PORT
  bool plain = false;         // at least one listener is tcp:HOST:PORT
  bool statistics = false;    // --stats is tls:HOST:PORT
};

struct TlsContexts {
  TlsMode clients = TlsMode::kOff;
  TlsMode upstreams = TlsMode::kMirror;
  std::string upstream_name;
  std::shared_ptr<const TlsContext> server;  // nullptr: clients are not offered TLS
  std::shared_ptr<const TlsContext> client;
  // As `server`, but asks for no certificate of the client, even with --tls-ca: probes and scrapers
  // have none. nullptr: the statistics are plain.
  std::shared_ptr<const TlsContext> statistics;

  // [main] Reads the files, which blocks. Without --tls-cert it uses the self-signed certificate of
  // the state directory and creates it on first use. Logs a warning if the certificate has expired
  // or expires soon.
  static Result<std::shared_ptr<const TlsContexts>> Make(const TlsSettings& settings);
  // [main] As Make(), for --check and --explain, which may run as another user: creates no file.
  static Result<std::shared_ptr<const TlsContexts>> Look(TlsSettings settings);
};

// Detects changes of the files that contexts were made from.
class TlsFilesStamp {
 public:
  static TlsFilesStamp Of(const TlsSettings& settings);
  bool operator==(const TlsFilesStamp&) const = default;

 private:
  std::vector<int64_t> stamps_;
};

}  // namespace rum
