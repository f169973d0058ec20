#include "mysql/attributes.h"

#include <algorithm>

#include "mysql/handshake.h"
#include "mysql/packet.h"
#include "mysql/reader.h"

namespace rum::mysql {
namespace {

constexpr std::string_view kIp = "_client_ip";
constexpr std::string_view kPort = "_client_port";
constexpr std::string_view kUser = "_client_user";

bool IsOurs(std::string_view name) {
  name = name.substr(0, name.find_last_not_of(' ') + 1);
  auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a | 0x20 : a) == b; };
  auto is = [&](std::string_view ours) {
    return std::equal(name.begin(), name.end(), ours.begin(), ours.end(), same);
  };
  return is(kIp) || is(kPort) || is(kUser);
}

std::string Pair(std::string_view name, std::string_view value) {
  return PacketWriter()
      .WriteLength(name.size())
      .WriteText(name)
      .WriteLength(value.size())
      .WriteText(value)
      .Finish(0)
      .substr(kHeaderSize);
}

}  // namespace

std::string WithClientFacts(std::string_view attributes, const ClientFacts& facts) {
  std::string result;
  if (!facts.ip.empty()) result += Pair(kIp, facts.ip);
  if (!facts.port.empty()) result += Pair(kPort, facts.port);
  if (!facts.user.empty()) result += Pair(kUser, facts.user);
  Reader reader(AsBytes(attributes));
  while (reader.left() > 0) {
    std::string_view name = AsText(reader.ReadBytes(reader.ReadLength()));
    std::string_view value = AsText(reader.ReadBytes(reader.ReadLength()));
    if (!reader.ok()) break;
    if (IsOurs(name)) continue;
    std::string pair = Pair(name, value);
    if (result.size() + pair.size() > kMaxAttributes) break;
    result += pair;
  }
  return result;
}

}  // namespace rum::mysql
