// The first packet of a client: a request for TLS or GSSAPI, a cancel request, or the Startup.
// Pure; the bounds are those of PostgreSQL's servers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rum::pgsql {

// Sizes of a first packet, its length included. Beyond them a server closes without an answer.
constexpr size_t kMinFirst = 8;
constexpr size_t kMaxFirst = 10004;
// Bytes of a role or a database; servers cut longer names there, inside of a character if need be.
constexpr size_t kMaxName = 63;
// Bytes of the key in BackendKeyData and CancelRequest, behind the process id.
constexpr size_t kProcessId = 4;
constexpr size_t kMinKey = 4;
constexpr size_t kMaxKey = 256;

constexpr uint32_t kVersion3 = 0x00030000;

struct FirstPacket {
  enum class Kind : uint8_t {
    kPartial,     // call again when `size` bytes are there
    kTls,         // the client begins with TLS itself
    kSslRequest,  // of `size` bytes, as the kinds below
    kGssRequest,
    kCancel,
    kStartup,  // of any version
    kNone,     // not PostgreSQL's protocol
  };
  Kind kind = Kind::kPartial;
  size_t size = 0;
};
FirstPacket ReadFirst(std::string_view bytes);

// The process id and the key of a complete CancelRequest. nullopt: keys cannot have this length.
std::optional<std::string_view> ReadCancel(std::string_view packet);
std::string BuildCancel(std::string_view id_and_key);

std::string BuildSslRequest();
std::string BuildGssRequest();
// Of version 3.0, for a probe.
std::string BuildStartup(std::string_view user);

// As the server reads it: of a repeated parameter the last one counts, and long names are cut.
struct Startup {
  uint32_t version = 0;
  std::string user;
  std::string database;                 // the user's name if the client named none
  bool without_database = false;        // replication=true: the server ignores the database
  std::vector<std::string> extensions;  // names that begin with _pq_.
  std::string application;

  // rum answers what the server would answer with NegotiateProtocolVersion.
  bool NeedsNegotiation() const { return version > kVersion3 || !extensions.empty(); }
};

struct ParsedStartup {
  Startup value;
  const char* sqlstate = nullptr;  // nullptr: the packet is good
  const char* why = "";
  bool ok() const { return sqlstate == nullptr; }
};
// `packet` is whole, of kind kStartup.
ParsedStartup ParseStartup(std::string_view packet);

struct StartupChange {
  bool only_3_0 = false;                   // ask for 3.0, and for no _pq_. option
  std::optional<std::string> application;  // in place of each application_name
};
// The packet with these changes, and otherwise byte by byte as it was. Unchanged if it would be
// longer than a server reads. `packet` was parsed without a fault.
std::string ChangeStartup(std::string_view packet, const StartupChange& change);

// Appends " - `address`" to `name`, which is shortened so that the server keeps the whole address.
std::string AppendAddress(std::string_view name, std::string_view address);

}  // namespace rum::pgsql
