#include "tls/tls_context.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ui.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

#include "base/alpn_list.h"
#include "base/fd.h"

namespace rum {
namespace {

constexpr long kTenYears = 3650L * 24 * 3600;

Error TlsError(const std::string& what) {
  return Error{Fault::kConfig, what + ": " + TakeOpensslError()};
}

// Set when OpenSSL requested a pass phrase for a key.
thread_local bool asked_for_pass_phrase = false;

int RefuseToAsk(UI*) {
  asked_for_pass_phrase = true;
  return 0;
}

// OpenSSL would ask on the terminal for the pass phrase of a key and block the process. This makes
// each such request fail.
void NeverAskForPassPhrases() {
  static const bool done = [] {
    UI_METHOD* method = UI_create_method("rum asks nothing");
    if (!method) return false;
    UI_method_set_opener(method, RefuseToAsk);
    UI_set_default_method(method);
    return true;
  }();
  (void)done;
  asked_for_pass_phrase = false;
}

// Explains why OpenSSL rejected a file that should contain `content`. The first error is the cause;
// later ones only name the library that passed it on.
Error FileError(const std::string& what, const char* content) {
  if (asked_for_pass_phrase) {
    ERR_clear_error();
    return Error{Fault::kConfig, what + ": it is encrypted; keep it without a pass phrase, as " +
                                     "'openssl pkey -in FILE -out NEW' writes a key"};
  }
  unsigned long cause = ERR_peek_error();
  const char* reason = ERR_reason_error_string(cause);
  std::string why;
  if (ERR_SYSTEM_ERROR(cause)) {
    why = std::strerror(ERR_GET_REASON(cause));
  } else if (int number = ERR_GET_REASON(cause);
             number == ERR_R_UNSUPPORTED ||
             (ERR_GET_LIB(cause) == ERR_LIB_PEM && number == PEM_R_NO_START_LINE) ||
             (ERR_GET_LIB(cause) == ERR_LIB_X509 && number == X509_R_NO_CERTIFICATE_OR_CRL_FOUND)) {
    why = std::string("the file has no ") + content + " in PEM form";
  } else {
    why = reason ? reason : "error " + std::to_string(cause);
  }
  ERR_clear_error();
  return Error{Fault::kConfig, what + ": " + why};
}

int64_t SecondsOf(const ASN1_TIME* time) {
  tm parts = {};
  return ASN1_TIME_to_tm(time, &parts) ? ::timegm(&parts) : 0;
}

int VersionOf(std::string_view text) {
  if (text.starts_with("tls")) text.remove_prefix(3);  // older versions wrote "tls1.2"
  return text == "1.2" ? TLS1_2_VERSION : text == "1.3" ? TLS1_3_VERSION : 0;
}

template <class T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* object) const { Free(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509, X509_free>>;

bool AddExtension(X509* certificate, int id, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value);
  bool added = extension && X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return added;
}

Certificate SelfSigned(EVP_PKEY* key) {
  Certificate certificate(X509_new());
  if (!certificate || !key) return nullptr;
  X509* x = certificate.get();
  uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<uint8_t*>(&serial), sizeof serial);
  X509_NAME* name = X509_get_subject_name(x);
  const auto* common = reinterpret_cast<const uint8_t*>("rum");
  bool fine = X509_set_version(x, X509_VERSION_3) &&
              ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1) &&
              X509_gmtime_adj(X509_getm_notBefore(x), -24 * 3600) &&
              X509_gmtime_adj(X509_getm_notAfter(x), kTenYears) &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common, -1, -1, 0) &&
              X509_set_issuer_name(x, name) && X509_set_pubkey(x, key) &&
              AddExtension(x, NID_basic_constraints, "critical,CA:TRUE") &&
              AddExtension(x, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") &&
              X509_sign(x, key, EVP_sha256());
  return fine ? std::move(certificate) : nullptr;
}

// No common protocol is no failure: the module decides. The client sends the offer in any length.
int SelectAlpn(SSL* ssl, const unsigned char** name, unsigned char* name_size,
               const unsigned char* list, unsigned size, void*) {
  auto* choice = static_cast<std::unique_ptr<AlpnChoice>*>(SSL_get_app_data(ssl));
  const std::string_view offered(reinterpret_cast<const char*>(list), size);
  if (!choice || !IsAlpnList(offered)) return SSL_TLSEXT_ERR_NOACK;
  if (!*choice) *choice = std::make_unique<AlpnChoice>();
  const std::string_view found = FirstCommonAlpn((*choice)->wanted, offered);
  size_t kept = 0;
  for (size_t end = 0; end <= offered.size() && end <= AlpnChoice::kOfferedMost;) {
    kept = end;
    if (end == offered.size()) break;
    end += 1 + static_cast<unsigned char>(offered[end]);
  }
  (*choice)->offered = offered.substr(0, kept);
  if (found.empty()) return SSL_TLSEXT_ERR_NOACK;
  *name = reinterpret_cast<const unsigned char*>(found.data());
  *name_size = static_cast<unsigned char>(found.size());
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

std::string TakeOpensslError() {
  unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code ? ERR_reason_error_string(code) : nullptr;
  if (reason) return reason;
  return code ? "error " + std::to_string(code) : "no reason known";
}

TlsContext::TlsContext(TicketKeys::Clock clock) : tickets_(clock), context_(nullptr, SSL_CTX_free) {
  NeverAskForPassPhrases();
}

Status TlsContext::Fill(const TlsFiles& files) {
  SSL_CTX* c = context_.get();
  if (!c) return TlsError("TLS cannot be set up");
  int version = VersionOf(files.min_version);
  if (!version || !SSL_CTX_set_min_proto_version(c, version)) {
    return Error{Fault::kConfig, "'" + files.min_version + "' is not a TLS version: 1.2 or 1.3"};
  }
  if (!files.ciphers.empty() && !SSL_CTX_set_cipher_list(c, files.ciphers.c_str())) {
    return TlsError("the ciphers '" + files.ciphers + "'");
  }
  // Idle sessions hold no buffers.
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(c, 1);  // reads the header and body of a record by one recv(2)
  // Many peers close without close_notify; the proxied protocols delimit their messages themselves.
  SSL_CTX_set_options(
      c, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  ERR_clear_error();
  if (files.certificate.empty()) return Ok();
  const std::string& key = files.key.empty() ? files.certificate : files.key;
  if (SSL_CTX_use_certificate_chain_file(c, files.certificate.c_str()) != 1) {
    return FileError("the certificate '" + files.certificate + "'", "certificate");
  }
  if (SSL_CTX_use_PrivateKey_file(c, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return FileError("the certificate '" + files.certificate + "': the key '" + key + "'",
                     "private key");
  }
  const X509* certificate = SSL_CTX_get0_certificate(c);
  unsigned size = 0;
  X509_digest(certificate, EVP_sha256(), fingerprint_.data(), &size);
  not_before_ = SecondsOf(X509_get0_notBefore(certificate));
  not_after_ = SecondsOf(X509_get0_notAfter(certificate));
  return Ok();
}

Result<std::shared_ptr<const TlsContext>> TlsContext::Server(const TlsFiles& files,
                                                             TicketKeys::Clock clock) {
  auto context = std::shared_ptr<TlsContext>(new TlsContext(clock));
  context->context_.reset(SSL_CTX_new(TLS_server_method()));
  if (auto filled = context->Fill(files); !filled) return filled.error();
  SSL_CTX* c = context->get();
  // Restricts tickets to this context: a session is not resumed on a listener with another policy.
  uint8_t id[SSL_MAX_SID_CTX_LENGTH];
  RAND_bytes(id, sizeof id);
  SSL_CTX_set_session_id_context(c, id, sizeof id);
  context->tickets_.Serve(c);
  SSL_CTX_set_alpn_select_cb(c, SelectAlpn, nullptr);
  // A TLS 1.2 server may renegotiate and treats a refusal as a failure; clients must not
  // renegotiate.
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION);
  if (!files.authorities.empty()) {
    if (SSL_CTX_load_verify_locations(c, files.authorities.c_str(), nullptr) != 1) {
      return FileError("the authorities '" + files.authorities + "'", "certificate");
    }
    SSL_CTX_set_client_CA_list(c, SSL_load_client_CA_file(files.authorities.c_str()));
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    context->verify_ = true;
  }
  return std::shared_ptr<const TlsContext>(std::move(context));
}

Result<std::shared_ptr<const TlsContext>> TlsContext::Client(const TlsFiles& files, bool verify) {
  auto context = std::shared_ptr<TlsContext>(new TlsContext);
  context->context_.reset(SSL_CTX_new(TLS_client_method()));
  if (auto filled = context->Fill(files); !filled) return filled.error();
  SSL_CTX* c = context->get();
  context->verify_ = verify;
  SSL_CTX_set_verify(c, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (verify) {
    int loaded = files.authorities.empty()
                     ? SSL_CTX_set_default_verify_paths(c)
                     : SSL_CTX_load_verify_locations(c, files.authorities.c_str(), nullptr);
    if (loaded != 1) return FileError("the authorities '" + files.authorities + "'", "certificate");
  }
  return std::shared_ptr<const TlsContext>(std::move(context));
}

Status WriteSelfSignedCertificate(const std::string& path) {
  Key key(EVP_EC_gen("P-256"));
  Certificate certificate = SelfSigned(key.get());
  if (!certificate) return TlsError("a certificate cannot be made");
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  FILE* file = fd ? ::fdopen(fd.get(), "w") : nullptr;
  if (!file) {
    return Error{Fault::kConfig, "cannot write '" + path + "': " + std::strerror(errno)};
  }
  (void)fd.release();
  bool written = PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr) &&
                 PEM_write_X509(file, certificate.get());
  written = ::fclose(file) == 0 && written;
  if (written) return Ok();
  ::unlink(path.c_str());
  return Error{Fault::kConfig, "cannot write '" + path + "'"};
}

}  // namespace rum
