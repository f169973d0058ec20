// Asks a server who it is: reads its greeting, and leaves by a login that fails, since a server
// counts those who only look and shuts out the whole proxy after max_connect_errors of them.
// For --explain: what a user's login would meet.
#pragma once

#include <rum/module.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mysql/config.h"
#include "mysql/conversation.h"
#include "mysql/exchange.h"
#include "mysql/fleet.h"
#include "mysql/packet.h"

namespace rum::mysql {

class Probe final : public Conversation {
 public:
  // All of them outlive it, but for `probe`, of which it takes what it needs. [worker]
  Probe(const rum_host& host, rum_session* handle, const Config& config, Fleet::View& view,
        const rum_probe& probe);

  // False: there is nothing to ask.
  [[nodiscard]] bool Open();

  int64_t OnUpstreamData(Bytes bytes) override;
  void OnLookedUp(int32_t status, Bytes value) override;
  void OnUpstreamOpen(uint32_t reason) override;
  void OnTlsOpen(uint32_t side, int32_t status) override;
  void OnClose(uint32_t reason) override;

 private:
  enum class State : uint8_t {
    kAwaitMap,       // where the user lives was asked; left by the answer
    kAwaitGreeting,  // left by the greeting
    kAwaitTls,       // the server is to become TLS; left when it is
    kAwaitVerdict,   // a login was sent; left by the server's last word
    kClosed,
  };

  void FindWay(int32_t status, Bytes value);
  void TakeGreeting(Bytes payload);
  void LogIn();
  void TakeVerdict(Bytes payload);
  void Judge(uint16_t code, std::string_view text);
  void Note(const char* key, std::string_view value);
  void Send(std::string_view packet);
  void Close(uint32_t reason, std::string_view text);

  const rum_host& host_;
  const rum_tls* const tls_;  // nullptr: this rum has none
  rum_session* const handle_;
  const Config& config_;
  Fleet& fleet_;
  Fleet::View& view_;
  const bool is_default_;
  const bool asks_way_;
  const std::optional<std::string> user_;

  State state_ = State::kAwaitGreeting;
  bool greeted_ = false;                    // and not answered: it must not be left like that
  uint8_t sequence_ = 0;                    // due next
  std::string_view no_plugin_ = kNoPlugin;  // of this server
  uint64_t capabilities_ = 0;
  PluginKind plugin_ = PluginKind::kNative;  // that the server asks for
  unsigned answered_ = 0;                    // how often this plugin was
  int answers_ = 0;                          // to all that the server asked
};

}  // namespace rum::mysql
