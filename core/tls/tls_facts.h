// What the handshake of a TLS connection has agreed on, and what is in the certificates.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rum {

// The protocol that was agreed on; empty: none.
std::string_view ChosenAlpn(const SSL* ssl);

// The server name (SNI) that the client asked for; empty: none.
std::string_view AskedServerName(const SSL* ssl);

// The certificates of the two ends in DER form; empty: that end has shown none.
std::string PeerCertificate(const SSL* ssl);

// The channel binding tls-server-end-point (RFC 5929): the hash of the certificate that the server
// has shown, by the hash function of its signature, or SHA-256 for MD5 and SHA-1. Nothing: it is
// not defined for this signature, such as Ed25519, or there is no certificate. `server`: `ssl` is
// the server's end.
std::optional<std::string> ServerEndPoint(const SSL* ssl, bool server);

}  // namespace rum
