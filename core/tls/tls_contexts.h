// The TLS of this run: what is offered to clients and what is used towards servers, made from the
// options, and made again when a file changed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "tls/tls_context.h"

namespace rum {

// As the numbers of rum.tls/1 in rum/module.h.
enum class TlsMode : int32_t { kOff = 0, kOn = 1, kRequire = 2, kMirror = 3, kVerify = 4 };

struct TlsSettings {
  TlsMode clients = TlsMode::kOff;
  TlsFiles files;
  TlsMode upstreams = TlsMode::kMirror;
  std::string upstream_authorities;
  std::string upstream_name;  // instead of the destination's host
  std::string state_dir;      // for a certificate of rum's own
  bool first = false;         // some listener is tls:HOST:PORT
  bool plain = false;         // some listener is tcp:HOST:PORT
};

struct TlsContexts {
  TlsMode clients = TlsMode::kOff;
  TlsMode upstreams = TlsMode::kMirror;
  std::string upstream_name;
  std::shared_ptr<const TlsContext> server;  // nullptr: no TLS for clients
  std::shared_ptr<const TlsContext> client;

  // [main] Blocks for as long as reading the files takes. Without a certificate it uses the one in
  // the state directory and makes it there at the first time. Warns in the log of a certificate
  // that has expired, or soon will.
  static Result<std::shared_ptr<const TlsContexts>> Make(const TlsSettings& settings);
  // [main] The same for who only looks (--check, --explain), perhaps as another user than the one
  // that is to serve: no file is made.
  static Result<std::shared_ptr<const TlsContexts>> Look(TlsSettings settings);
};

// Tells when the files that contexts were made of have changed.
class TlsFilesStamp {
 public:
  static TlsFilesStamp Of(const TlsSettings& settings);
  bool operator==(const TlsFilesStamp&) const = default;

 private:
  std::vector<int64_t> stamps_;
};

}  // namespace rum
