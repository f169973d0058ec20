#include "bench/mysql_wire.h"

#include <openssl/sha.h>

namespace rum::bench {
namespace {

constexpr uint32_t kProtocol41 = 0x200, kTransactions = 0x2000, kSecureConnection = 0x8000,
                   kPluginAuth = 0x80000;
constexpr uint32_t kCapabilities =
    1 | kProtocol41 | kTransactions | kSecureConnection | kPluginAuth;
constexpr char kUtf8Mb4 = 45;
constexpr size_t kNonce = 20;

std::string Little(uint32_t number, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(number >> (8 * i));
  return out;
}

std::string Sha1(const std::string& text) {
  std::string digest(SHA_DIGEST_LENGTH, '\0');
  ::SHA1(reinterpret_cast<const uint8_t*>(text.data()), text.size(),
         reinterpret_cast<uint8_t*>(digest.data()));
  return digest;
}

// Takes bytes from the front; a view that is too short makes everything after it fail.
class Taker {
 public:
  explicit Taker(std::string_view bytes) : bytes_(bytes) {}
  std::string_view Take(size_t n) {
    if (n > bytes_.size()) return ok_ = false, std::string_view();
    std::string_view taken = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return taken;
  }
  std::string_view TakeText() {  // up to a NUL, which is skipped
    size_t end = bytes_.find('\0');
    if (end == bytes_.npos) return ok_ = false, std::string_view();
    std::string_view taken = Take(end);
    Take(1);
    return taken;
  }
  uint8_t TakeByte() {
    std::string_view taken = Take(1);
    return taken.empty() ? 0 : static_cast<uint8_t>(taken[0]);
  }
  size_t left() const { return bytes_.size(); }
  bool ok() const { return ok_; }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace

bool PacketReader::Next(std::string_view& payload) {
  if (at_) {
    bytes_.erase(0, at_);
    at_ = 0;
  }
  if (bytes_.size() < 4) return false;
  auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(bytes_[i])); };
  size_t size = byte(0) | byte(1) << 8 | byte(2) << 16;
  if (bytes_.size() < 4 + size) return false;
  sequence_ = static_cast<uint8_t>(bytes_[3]);
  at_ = 4 + size;
  payload = std::string_view(bytes_).substr(4, size);
  return true;
}

void AppendPacket(std::string& out, uint8_t sequence, std::string_view payload) {
  out += Little(static_cast<uint32_t>(payload.size()), 3);
  out += static_cast<char>(sequence);
  out += payload;
}

std::string NativeToken(const std::string& password, std::string_view nonce) {
  if (password.empty()) return "";
  std::string token = Sha1(password);
  std::string mask = Sha1(std::string(nonce) + Sha1(token));
  for (size_t i = 0; i < token.size(); ++i) token[i] = static_cast<char>(token[i] ^ mask[i]);
  return token;
}

bool ReadGreeting(std::string_view payload, Greeting& greeting) {
  Taker taker(payload);
  if (taker.TakeByte() != 10) return false;
  taker.TakeText();  // version
  taker.Take(4);     // connection
  greeting.nonce = taker.Take(8);
  taker.Take(1 + 2 + 1 + 2 + 2 + 1 + 10);
  greeting.nonce += taker.Take(kNonce - 8);
  return taker.ok();
}

std::string WriteGreeting(uint32_t connection, std::string_view nonce) {
  std::string out =
      "\x0a"
      "5.5.5-10.11.0-MariaDB";
  out += '\0';
  out += Little(connection, 4);
  out += nonce.substr(0, 8);
  out += '\0';
  out += Little(kCapabilities & 0xffff, 2);
  out += kUtf8Mb4;
  out += Little(2, 2);  // status: autocommit
  out += Little(kCapabilities >> 16, 2);
  out += static_cast<char>(kNonce + 1);
  out.append(10, '\0');
  out += nonce.substr(8);
  out += '\0';
  return out + kNativePassword + '\0';
}

bool ReadLogin(std::string_view payload, LoginRequest& login) {
  Taker taker(payload);
  taker.Take(4 + 4 + 1 + 23);  // capabilities, largest packet, character set, zeroes
  login.user = taker.TakeText();
  login.token = taker.Take(taker.TakeByte());
  login.plugin = taker.TakeText();
  return taker.ok();
}

std::string WriteLogin(const LoginRequest& login) {
  std::string out = Little(kCapabilities, 4) + Little(1 << 24, 4) + kUtf8Mb4;
  out.append(23, '\0');
  out += login.user + '\0';
  out += static_cast<char>(login.token.size());
  return out + login.token + login.plugin + '\0';
}

bool ReadSwitch(std::string_view payload, std::string& plugin, std::string& nonce) {
  Taker taker(payload);
  if (taker.TakeByte() != 0xfe) return false;
  plugin = taker.TakeText();
  nonce = taker.Take(kNonce);
  return taker.ok();
}

std::string WriteSwitch(std::string_view plugin, std::string_view nonce) {
  return '\xfe' + std::string(plugin) + '\0' + std::string(nonce) + '\0';
}

}  // namespace rum::bench
