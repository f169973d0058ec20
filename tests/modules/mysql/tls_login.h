// Logins of clients that ask for TLS, for tests.
#pragma once

#include "login.h"

namespace rum::mysql {

class TlsLogin : public Login {
 protected:
  static constexpr uint64_t kTlsServer = kServer | kSsl;

  void Offer(uint32_t clients, uint32_t servers = RUM_TLS_MIRROR) {
    host.tls_mode[RUM_CLIENT] = clients;
    host.tls_mode[RUM_UPSTREAM] = servers;
  }

  std::string SslRequest(uint8_t sequence = 1) {
    return Packet(sequence, FromHex("85aeff19 00000001 ff") + std::string(23, '\0'));
  }

  // A client that has asked for TLS and has it.
  void GreetByTls() {
    Greet();
    host.Feed(RUM_CLIENT, SslRequest());
    ASSERT_TRUE(host.TlsOutcome(RUM_CLIENT, RUM_OK));
  }

  // Responses inside TLS are the client's second packet.
  void RespondByTls(const std::string& user, const std::string& auth) {
    std::string packet = ResponsePacket(user, auth);
    packet[3] = 2;
    ASSERT_TRUE(host.Feed(RUM_CLIENT, packet));
  }

  // A server's switch to a plugin, with kServerNonce.
  static std::string Asking(const std::string& plugin) {
    return "\xfe" + plugin + "\0servers-nonce-server\0"s;
  }
};

}  // namespace rum::mysql
