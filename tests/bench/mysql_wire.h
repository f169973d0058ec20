// As much of the MySQL protocol as a login and SELECT 1 need, for both ends.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rum::bench {

inline constexpr char kNativePassword[] = "mysql_native_password";

// Collects bytes and hands out whole packets.
class PacketReader {
 public:
  void Append(const void* bytes, size_t size) {
    bytes_.append(static_cast<const char*>(bytes), size);
  }
  // The payload of the next packet; valid until the next call of any other member.
  bool Next(std::string_view& payload);
  uint8_t sequence() const { return sequence_; }  // of the packet that Next() gave

 private:
  std::string bytes_;
  size_t at_ = 0;
  uint8_t sequence_ = 0;
};

void AppendPacket(std::string& out, uint8_t sequence, std::string_view payload);

// The answer to a nonce of 20 bytes; empty for an empty password.
std::string NativeToken(const std::string& password, std::string_view nonce);

struct Greeting {
  std::string nonce;  // 20 bytes
};
bool ReadGreeting(std::string_view payload, Greeting& greeting);
std::string WriteGreeting(uint32_t connection, std::string_view nonce);

struct LoginRequest {
  std::string user, token, plugin;
};
bool ReadLogin(std::string_view payload, LoginRequest& login);
std::string WriteLogin(const LoginRequest& login);

// The switch to a plugin with its nonce, as a server asks for it.
bool ReadSwitch(std::string_view payload, std::string& plugin, std::string& nonce);
std::string WriteSwitch(std::string_view plugin, std::string_view nonce);

}  // namespace rum::bench
