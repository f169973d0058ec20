// Parses one kind of packet of a MySQL login, as often as it is told: parse KIND TIMES.
// contrib/bench counts the instructions.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "modules/mysql/bytes.h"
#include "mysql/handshake.h"
#include "mysql/ok_packet.h"
#include "mysql/record.h"
#include "mysql/reply.h"

namespace rum::mysql {
namespace {

struct Kind {
  std::string packet;
  bool (*parse)(Bytes);
};

// As MariaDB 10.11, the mariadb client and rum-map make them.
const std::map<std::string, Kind> kKinds = {
    {"greeting",
     {FromHex(
          "0a352e352e352d31302e31312e31392d4d6172696144422d302b6465623132753100030000005826534e6d"
          "59572b00fef7080200ff81150000000000001d0000006d643061764f653160703657006d7973716c5f6e61"
          "746976655f70617373776f726400"),
      [](Bytes b) { return ParseGreeting(b).ok(); }}},
    {"response",
     {FromHex("84a29f01000000012d0000000000000000000000000000000000000000000000"
              "616c69636500140102030405060708090a0b0c0d0e0f1011121314"
              "6d7973716c5f6e61746976655f70617373776f726400"
              "160c5f636c69656e745f6e616d6508") +
          "mysqlcli",
      [](Bytes b) { return ParseResponse(b).ok(); }}},
    {"switch",
     {std::string("\xfemysql_native_password\0abcdefghijklmnopqrst\0", 44),
      [](Bytes b) { return ParsePluginRequest(b).ok(); }}},
    {"ok", {std::string("\0\0\0\2\0\0\0", 7), [](Bytes b) { return ParseOk(b).ok(); }}},
    {"record",
     {"*2B86DAEFDCCC9C4922069F768CCAE501F8B81289" + std::string(1, '\0') +
          "tcp:db17.example.net:3306" + std::string(1, '\0'),
      [](Bytes b) { return ParseRecord(b).ok(); }}},
};

}  // namespace
}  // namespace rum::mysql

int main(int argc, char** argv) {
  using namespace rum::mysql;
  auto kind = argc == 3 ? kKinds.find(argv[1]) : kKinds.end();
  if (kind == kKinds.end()) {
    std::fprintf(stderr, "usage: parse KIND TIMES\n");
    return 2;
  }
#ifndef __OPTIMIZE__
  std::puts("not optimized");  // and so not what anybody runs
  return 0;
#endif
  const std::string& packet = kind->second.packet;
  for (long i = std::atol(argv[2]); i > 0; --i) {
    if (!kind->second.parse({reinterpret_cast<const uint8_t*>(packet.data()), packet.size()})) {
      std::fprintf(stderr, "parse: the %s cannot be read\n", argv[1]);
      return 1;
    }
  }
  return 0;
}
