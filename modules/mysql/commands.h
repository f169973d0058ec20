// Parses what a client sends after its login, as far as a proxy needs: where commands begin, KILL,
// and COM_CHANGE_USER.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mysql/reader.h"

namespace rum::mysql {

// The packet at the front of a window of bytes.
struct ClientPacket {
  enum class Kind : uint8_t {
    kPartial,     // call again when `size` bytes are there
    kOpaque,      // a packet of `size` bytes, with its header, that may pass unread
    kMayKill,     // a short COM_QUERY or a COM_PROCESS_KILL: see FindKill
    kChangeUser,  // COM_CHANGE_USER
    kTooLong,     // a COM_CHANGE_USER of more than kMaxPayload
  };
  Kind kind = Kind::kPartial;
  size_t size = 0;
  Bytes payload;  // complete, for kMayKill and kChangeUser
};

// Distinguishes commands from other packets: continuations of packets over 16 MB, data of LOAD DATA
// LOCAL, answers to a server's question. A command has sequence number 0, but numbers wrap after
// 255: a packet with 0 continues such data if and only if the packet before it was no command, had
// 255, and was not the empty packet that ends the data.
class CommandReader {
 public:
  // `bytes` begins with a packet. Unless the result is kPartial, the next call is for the next
  // packet.
  ClientPacket Next(Bytes bytes);

 private:
  bool split_ = false;    // the previous packet had all 16 MB: this one continues it
  bool command_ = false;  // the last packet that began is a command
  bool wraps_ = false;    // it was data, and the next packet with number 0 is data, too
};

// The same for a compressed session: the result is for a whole compressed frame. Only a short
// packet alone in its frame is readable, as clients leave it uncompressed; all others are kOpaque.
ClientPacket ReadCompressed(Bytes bytes);
// A packet alone in its frame and too short to be compressed: the first of a command.
std::string WrapCompressed(std::string_view packet);

// Position of the connection id in the payload of a KILL.
struct Kill {
  uint32_t id = 0;
  size_t begin = 0;  // of the digits
  size_t size = 0;   // 0: the payload is a COM_PROCESS_KILL
};

// KILL [HARD|SOFT] [CONNECTION|QUERY] <id>, as text or as COM_PROCESS_KILL. nullopt: another
// command, or a KILL without a connection id.
std::optional<Kill> FindKill(Bytes payload);

// The whole packet, with another id.
std::string BuildKill(Bytes payload, const Kill& kill, uint32_t id);

// What a client says when it leaves: any number of COM_STMT_CLOSE, and COM_QUIT, whole. Where a
// command begins is not checked: these may be the last bytes of another one.
bool IsLeave(Bytes bytes);
constexpr std::string_view kLeaveTail("\x01\0\0\0\x01", 5);

// COM_QUERY as a whole packet. `attributes`: QUERY_ATTRIBUTES is in use.
std::string BuildQuery(std::string_view text, bool attributes);

// COM_CHANGE_USER. Strings are raw bytes in the client's character set.
struct ChangeUser {
  std::string user;
  std::string auth;
  std::string database;
  std::optional<uint16_t> charset;  // later fields require it
  std::string plugin;               // with PLUGIN_AUTH; may be empty
  std::string attributes;           // with CONNECT_ATTRS: the pairs as received
};

// `capabilities` are those in use on the connection. Trailing fields may be missing, as servers
// allow.
Parsed<ChangeUser> ParseChangeUser(Bytes payload, uint64_t capabilities);
std::string BuildChangeUser(const ChangeUser& change, uint64_t capabilities);
// The whole packet that answers the switch of the server that follows it.
std::string BuildChangeProof(std::string_view proof);

}  // namespace rum::mysql
