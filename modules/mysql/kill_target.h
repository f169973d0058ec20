// Which session a KILL names: what the table of "rum.shared/1" holds for each, so that it is found
// from every process that shares. Only of the same user on the same server: both are in the key, so
// that nobody else's KILL finds, or marks, the entry.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rum::mysql {

// [any] Returns an id that rum has not used recently: 31 bits, for drivers that store it as a
// signed integer, and above the servers' own ids, so that a misdirected KILL hits nobody. The first
// id is random, so that two rums with the same servers rarely share ids.
uint32_t NextConnectionId();
// Whether another process may have given it.
bool MayBeOurId(uint32_t id);

// `server`: the connected address, such as "10.0.0.1:3306" or "unix:/path". One that is local means
// another server on each machine: such a key is found on this one only. Empty if OpenSSL is out of
// memory.
std::string KillKey(uint32_t id, std::string_view user, std::string_view server);
std::string KillValue(uint32_t thread_id);
// The server's id of the session. nullopt: written by another version.
std::optional<uint32_t> ThreadOf(std::string_view value);

// The address is one that each machine, or each container, has for itself.
bool IsLocalServer(std::string_view server);

}  // namespace rum::mysql
