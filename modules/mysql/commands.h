// What a client sends after its login, as far as a proxy must understand it: where commands begin,
// KILL, and COM_CHANGE_USER.
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
    kOpaque,      // a packet of `size` bytes, header included, that need not be looked at
    kMayKill,     // a short COM_QUERY or a COM_PROCESS_KILL: see FindKill
    kChangeUser,  // COM_CHANGE_USER
    kTooLong,     // a COM_CHANGE_USER of more than kMaxPayload
  };
  Kind kind = Kind::kPartial;
  size_t size = 0;
  Bytes payload;  // of kMayKill and kChangeUser, whole
};

// Tells commands from what is no command: the rest of a packet of more than 16 MB, the data of LOAD
// DATA LOCAL, answers to a server's question. A command begins with sequence number 0, but numbers
// wrap after 255: a packet with 0 goes on with such data if and only if the one before was no
// command, had 255, and was not the empty one that ends them.
class CommandReader {
 public:
  // `bytes` begin with a packet. Unless the answer is kPartial the next call is about the next one.
  ClientPacket Next(Bytes bytes);

 private:
  bool split_ = false;    // the packet before had all 16 MB: this one belongs to it
  bool command_ = false;  // the packet that was begun last is a command
  bool wraps_ = false;    // it was data, and the next one with number 0 is, too
};

// The same where the client compresses: the answer is about a whole frame of that protocol. Only a
// short packet in a frame of its own can be read, and clients leave those as they are; all else is
// kOpaque.
ClientPacket ReadCompressed(Bytes bytes);
// A packet, too short to be worth compressing, in a frame of its own: the first of a command.
std::string WrapCompressed(std::string_view packet);

// Where the connection id stands in the payload of a KILL.
struct Kill {
  uint32_t id = 0;
  size_t begin = 0;  // of the digits
  size_t size = 0;   // 0: the payload is a COM_PROCESS_KILL
};

// KILL [HARD|SOFT] [CONNECTION|QUERY] <id>, as text or as COM_PROCESS_KILL. Nothing: another
// command, or a KILL that does not name a connection by its id.
std::optional<Kill> FindKill(Bytes payload);

// The whole packet with another id in it.
std::string BuildKill(Bytes payload, const Kill& kill, uint32_t id);

// What a client says when it leaves: any number of COM_STMT_CLOSE, and COM_QUIT, whole. Where a
// command begins is not looked at: these may be the last bytes of another one.
bool IsLeave(Bytes bytes);
constexpr std::string_view kLeaveTail("\x01\0\0\0\x01", 5);

// COM_QUERY, the whole packet. `attributes`: QUERY_ATTRIBUTES is in force.
std::string BuildQuery(std::string_view text, bool attributes);

// COM_CHANGE_USER. Strings hold raw bytes in the client's character set.
struct ChangeUser {
  std::string user;
  std::string auth;
  std::string database;
  std::optional<uint16_t> charset;  // what follows needs it
  std::string plugin;               // with PLUGIN_AUTH; may be empty
  std::string attributes;           // with CONNECT_ATTRS: the pairs as they came
};

// `capabilities` are those in force on the link. Trailing fields may be missing, as servers allow.
Parsed<ChangeUser> ParseChangeUser(Bytes payload, uint64_t capabilities);
std::string BuildChangeUser(const ChangeUser& change, uint64_t capabilities);

}  // namespace rum::mysql
