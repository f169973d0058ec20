// rum's own answers to a server that asks for the password of an account of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "mysql/exchange.h"
#include "mysql/handshake.h"
#include "mysql/reader.h"
#include "mysql/rsa.h"

namespace rum::mysql {

class OwnLogin {
 public:
  // `safe`: who listens on the way reads nothing there. `password` outlives this.
  OwnLogin(const Secret& password, bool safe) : password_(password), safe_(safe) {}

  // The proof of mysql_native_password for `nonce`, before the server has asked for it.
  std::optional<std::string> Prove(const Nonce& nonce) const;
  // The payload that answers what the server says: a switch of the plugin, or more for it. Wipe it.
  // Nothing: the account has a plugin that rum cannot speak for, or the server does not keep to it.
  std::optional<std::string> Answer(Bytes payload);

 private:
  std::optional<std::string> Begin(Bytes payload);
  std::optional<std::string> GoOn(Bytes payload);
  Bytes word() const { return password_.get().first(password_.get().size() - 1); }

  const Secret& password_;
  const bool safe_;
  PluginKind kind_ = PluginKind::kClear;
  Nonce nonce_{};
  bool asked_for_key_ = false;
};

}  // namespace rum::mysql
