// Redis' protocol (RESP2, and RESP3 as far as rum asks for it): replies of a server that nobody
// trusts, and commands. Pure. https://redis.io/docs/latest/develop/reference/protocol-spec/
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace rum {

// Bounds of one reply; whatever announces more is broken, before a byte of it is awaited.
inline constexpr size_t kRespBulkMost = 64 * 1024;    // bytes of a string
inline constexpr size_t kRespLineMost = 4 * 1024;     // bytes of a line
inline constexpr size_t kRespItemsMost = 1024;        // elements, all levels together
inline constexpr int kRespDepthMost = 6;              // arrays in arrays
inline constexpr size_t kRespReplyMost = 256 * 1024;  // bytes in all

struct RespReply {
  enum class Type : uint8_t { kText, kError, kNumber, kNil, kArray, kPush };
  Type type = Type::kNil;
  std::string text;              // kText: of a simple or bulk string; kError: the message
  int64_t number = 0;            // kNumber
  std::vector<RespReply> items;  // kArray (a map has its keys and values in turn), kPush

  bool is(std::string_view word) const { return type == Type::kText && text == word; }
};

// Reads one reply from the beginning of `bytes`. kDone: `*used` bytes were read. kMore: it is not
// there as a whole. kBroken: it is no reply, or one beyond the bounds.
enum class RespRead { kDone, kMore, kBroken };
RespRead ReadResp(std::string_view bytes, size_t* used, RespReply* reply);

// A command; its words may have any bytes.
void AppendResp(std::string& out, std::initializer_list<std::string_view> words);

}  // namespace rum
