#include "pgsql/message.h"

#include "pgsql/startup.h"
#include "pgsql/wire.h"

namespace rum::pgsql {
namespace {

constexpr size_t kMaxMechanisms = 16;

// Removes the text before the next NUL, and the NUL, from `rest`. Returns the text; nullopt: there
// is no NUL.
std::optional<std::string_view> TakeText(std::string_view* rest) {
  size_t end = rest->find('\0');
  if (end == rest->npos) return {};
  std::string_view text = rest->substr(0, end);
  rest->remove_prefix(end + 1);
  return text;
}

}  // namespace

Frame ReadFrame(std::string_view bytes) {
  if (bytes.size() < kHeaderSize) return {};
  const uint32_t length = ReadU32(bytes.substr(1));
  if (length < 4 || length >= kMaxMessage) return {Frame::Kind::kBad, 0};
  const size_t size = size_t{length} + 1;
  return {bytes.size() < size ? Frame::Kind::kPartial : Frame::Kind::kWhole, size};
}

std::string BuildMessage(char type, std::string_view body) {
  std::string message(1, type);
  return message.append(U32(static_cast<uint32_t>(4 + body.size()))).append(body);
}

std::optional<AuthRequest> ParseAuth(std::string_view body) {
  if (body.size() < 4) return {};
  const auto kind = static_cast<Auth>(ReadU32(body));
  std::string_view data = body.substr(4);
  switch (kind) {
    case Auth::kOk:
    case Auth::kClearText:
    case Auth::kGss:
    case Auth::kSspi:
      return data.empty() ? std::optional(AuthRequest{kind, data}) : std::nullopt;
    case Auth::kMd5:
      return data.size() == 4 ? std::optional(AuthRequest{kind, data}) : std::nullopt;
    case Auth::kGssContinue:
    case Auth::kSasl:
    case Auth::kSaslContinue:
    case Auth::kSaslFinal:
      return AuthRequest{kind, data};
  }
  return {};
}

std::string BuildAuth(Auth kind, std::string_view data) {
  return BuildMessage('R', U32(static_cast<uint32_t>(kind)).append(data));
}

const char* NameOf(Auth kind) {
  switch (kind) {
    case Auth::kOk:
      return "trust";
    case Auth::kClearText:
      return "password";
    case Auth::kMd5:
      return "md5";
    case Auth::kGss:
    case Auth::kGssContinue:
      return "gss";
    case Auth::kSspi:
      return "sspi";
    case Auth::kSasl:
    case Auth::kSaslContinue:
    case Auth::kSaslFinal:
      break;
  }
  return "sasl";
}

std::optional<std::vector<std::string_view>> ListMechanisms(std::string_view data) {
  std::vector<std::string_view> mechanisms;
  for (;;) {
    auto name = TakeText(&data);
    if (!name || mechanisms.size() > kMaxMechanisms) return {};
    if (name->empty()) return data.empty() ? std::optional(std::move(mechanisms)) : std::nullopt;
    mechanisms.push_back(*name);
  }
}

std::string BuildMechanisms(const std::vector<std::string_view>& mechanisms) {
  std::string list;
  for (std::string_view name : mechanisms) list.append(name).append(1, '\0');
  return BuildAuth(Auth::kSasl, list.append(1, '\0'));
}

std::optional<std::string_view> ParsePassword(std::string_view body) {
  auto password = TakeText(&body);
  return body.empty() ? password : std::nullopt;
}

std::optional<ServerError> ParseError(std::string_view body) {
  ServerError error;
  while (!body.empty() && body.front() != '\0') {
    const char field = body.front();
    body.remove_prefix(1);
    auto value = TakeText(&body);
    if (!value) return {};
    if (field == 'C') error.sqlstate = *value;
    if (field == 'M') error.text = *value;
  }
  if (body.size() != 1) return {};
  return error;
}

std::string BuildError(std::string_view sqlstate, std::string_view text) {
  std::string body;
  auto field = [&body](char name, std::string_view value) {
    body.append(1, name).append(value).append(1, '\0');
  };
  field('S', "FATAL");
  field('V', "FATAL");
  field('C', sqlstate);
  field('M', text);
  return BuildMessage('E', body.append(1, '\0'));
}

std::string BuildOldError(std::string_view text) {
  std::string message(1, 'E');
  return message.append(text).append(1, '\0');
}

std::optional<std::string_view> ParseKeyData(std::string_view body) {
  if (body.size() < kProcessId + kMinKey || body.size() > kProcessId + kMaxKey) return {};
  return body;
}

std::string BuildNegotiation(uint32_t newest, const std::vector<std::string>& unknown) {
  std::string body = U32(newest) + U32(static_cast<uint32_t>(unknown.size()));
  for (const std::string& name : unknown) body.append(name).append(1, '\0');
  return BuildMessage('v', body);
}

}  // namespace rum::pgsql
