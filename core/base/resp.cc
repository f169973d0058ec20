#include "base/resp.h"

#include <charconv>
#include <utility>

namespace rum {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view bytes) : bytes_(bytes) {}
  size_t used() const { return at_; }

  RespRead Read(RespReply& reply, int depth) {
    if (depth > kRespDepthMost || ++items_ > kRespItemsMost) return RespRead::kBroken;
    std::string_view line;
    if (RespRead read = Line(line); read != RespRead::kDone) return read;
    if (line.empty()) return RespRead::kBroken;
    const char type = line[0];
    line.remove_prefix(1);
    switch (type) {
      case '+':
      case ',':  // a double, as text
      case '(':  // a big number, as text
        return Text(RespReply::Type::kText, line, reply);
      case '-':
        return Text(RespReply::Type::kError, line, reply);
      case ':':
        reply.type = RespReply::Type::kNumber;
        return Number(line, reply.number) ? RespRead::kDone : RespRead::kBroken;
      case '#':
        reply.type = RespReply::Type::kNumber;
        reply.number = line == "t";
        return line == "t" || line == "f" ? RespRead::kDone : RespRead::kBroken;
      case '_':
        return line.empty() ? RespRead::kDone : RespRead::kBroken;
      case '$':
      case '=':
        return Bulk(RespReply::Type::kText, line, reply);
      case '!':
        return Bulk(RespReply::Type::kError, line, reply);
      case '*':
      case '~':
        return Items(RespReply::Type::kArray, line, 1, reply, depth);
      case '%':
        return Items(RespReply::Type::kArray, line, 2, reply, depth);
      case '>':
        return depth == 0 ? Items(RespReply::Type::kPush, line, 1, reply, depth)
                          : RespRead::kBroken;
      default:
        return RespRead::kBroken;
    }
  }

 private:
  static bool Number(std::string_view text, int64_t& number) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
  }

  static RespRead Text(RespReply::Type type, std::string_view line, RespReply& reply) {
    reply.type = type;
    reply.text = line;
    return RespRead::kDone;
  }

  RespRead Line(std::string_view& line) {
    const std::string_view rest = bytes_.substr(at_, kRespLineMost + 2);
    const size_t end = rest.find('\n');
    if (end == rest.npos) {
      return rest.size() < kRespLineMost + 2 ? RespRead::kMore : RespRead::kBroken;
    }
    if (end == 0 || rest[end - 1] != '\r') return RespRead::kBroken;
    line = rest.substr(0, end - 1);
    at_ += end + 1;
    return RespRead::kDone;
  }

  RespRead Bulk(RespReply::Type type, std::string_view line, RespReply& reply) {
    int64_t size = 0;
    if (!Number(line, size) || size < -1 || size > static_cast<int64_t>(kRespBulkMost)) {
      return RespRead::kBroken;
    }
    if (size < 0) return RespRead::kDone;  // nil
    const size_t bytes = static_cast<size_t>(size);
    const std::string_view rest = bytes_.substr(at_, bytes + 2);
    if (rest.size() < bytes + 2) return RespRead::kMore;
    if (rest.substr(bytes) != "\r\n") return RespRead::kBroken;
    at_ += bytes + 2;
    return Text(type, rest.substr(0, bytes), reply);
  }

  RespRead Items(RespReply::Type type, std::string_view line, int64_t each, RespReply& reply,
                 int depth) {
    int64_t count = 0;
    const auto most = static_cast<int64_t>(kRespItemsMost);
    if (!Number(line, count) || count < -1 || count > most) return RespRead::kBroken;
    if (count < 0) return RespRead::kDone;  // nil
    reply.type = type;
    for (int64_t i = 0; i < count * each; ++i) {
      RespReply item;
      if (RespRead read = Read(item, depth + 1); read != RespRead::kDone) return read;
      reply.items.push_back(std::move(item));
    }
    return RespRead::kDone;
  }

  const std::string_view bytes_;
  size_t at_ = 0;
  size_t items_ = 0;
};

}  // namespace

RespRead ReadResp(std::string_view bytes, size_t* used, RespReply* reply) {
  *reply = RespReply();
  Parser parser(bytes);
  const RespRead read = parser.Read(*reply, 0);
  if (read == RespRead::kDone) *used = parser.used();
  const bool endless = read == RespRead::kMore && bytes.size() > kRespReplyMost;
  return endless ? RespRead::kBroken : read;
}

void AppendResp(std::string& out, std::initializer_list<std::string_view> words) {
  out += '*' + std::to_string(words.size()) + "\r\n";
  for (std::string_view word : words) {
    out += '$' + std::to_string(word.size()) + "\r\n";
    out.append(word).append("\r\n");
  }
}

}  // namespace rum
