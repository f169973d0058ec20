#include <utility>

#include "pgsql/scram.h"
#include "pgsql/scram_crypto.h"

namespace rum::pgsql {
namespace {

ScramStep Fail(ScramFault fault) { return {fault, {}}; }

}  // namespace

ScramEdge ScramEdge::MakeMock(const Key& secret, std::string_view user, std::string_view binding) {
  ScramVerifier verifier;
  Key salt;
  const std::string name(user);
  // Each with a purpose before the name, so that the salt, which is sent, reveals nothing about the
  // keys.
  bool computed = HmacSha256(secret, "salt," + name, &salt) &&
                  HmacSha256(secret, "stored," + name, &verifier.stored_key) &&
                  HmacSha256(secret, "server," + name, &verifier.server_key);
  verifier.salt = salt.text().substr(0, kMockSalt);
  verifier.iterations = kMockIterations;
  ScramEdge edge(std::move(verifier), binding);
  if (!computed) edge.state_ = State::kDone;
  return edge;
}

// Removes the gs2 header from the message and returns it.
ScramFault ScramEdge::ReadHeader(std::string_view* message, bool plus) {
  const std::string_view all = *message;
  if (all.empty()) return ScramFault::kMalformed;
  switch (all[0]) {
    case 'n':
    case 'y':
      if (plus) return ScramFault::kMalformed;
      if (all.size() < 2 || all[1] != ',') return ScramFault::kMalformed;
      if (all[0] == 'y' && !binding_.empty()) return ScramFault::kDowngrade;
      message->remove_prefix(2);
      break;
    case 'p': {
      if (!plus) return ScramFault::kMalformed;
      Attributes attributes(all);
      auto type = attributes.Take('p');
      if (!type || attributes.AtEnd()) return ScramFault::kMalformed;
      if (*type != "tls-server-end-point") return ScramFault::kBindingType;
      message->remove_prefix(2 + type->size() + 1);
      break;
    }
    default:
      return ScramFault::kMalformed;
  }
  if (message->starts_with('a')) return ScramFault::kAuthorizationName;
  if (!message->starts_with(',')) return ScramFault::kMalformed;
  message->remove_prefix(1);
  header_ = all.substr(0, all.size() - message->size());
  return ScramFault::kNone;
}

ScramStep ScramEdge::Start(std::string_view mechanism, std::string_view client_first,
                           std::string_view nonce) {
  if (std::exchange(state_, State::kDone) != State::kBegin || !IsNonce(nonce)) {
    return Fail(ScramFault::kInternal);
  }
  const bool plus = mechanism == kScramPlus && !binding_.empty();
  if (!plus && mechanism != kScram) return Fail(ScramFault::kMechanism);
  if (client_first.size() > kMaxScramMessage) return Fail(ScramFault::kTooLong);
  if (client_first.find('\0') != client_first.npos) return Fail(ScramFault::kMalformed);
  std::string_view bare = client_first;
  if (ScramFault fault = ReadHeader(&bare, plus); fault != ScramFault::kNone) return Fail(fault);
  if (bare.starts_with('m')) return Fail(ScramFault::kExtension);
  Attributes attributes(bare);
  // The name is ignored, as by servers: the one of the Startup packet counts.
  if (!attributes.Take('n')) return Fail(ScramFault::kMalformed);
  auto client_nonce = attributes.Take('r');
  if (!client_nonce || client_nonce->empty()) return Fail(ScramFault::kMalformed);
  if (!IsNonce(*client_nonce)) return Fail(ScramFault::kNonceCharacters);
  while (!attributes.AtEnd()) {  // extensions that may be ignored
    if (!attributes.Take(attributes.Next())) return Fail(ScramFault::kMalformed);
  }
  nonce_.assign(*client_nonce).append(nonce);
  std::string server_first = "r=" + nonce_ + ",s=" + EncodeBase64(verifier_.salt) +
                             ",i=" + std::to_string(verifier_.iterations);
  exchange_.assign(bare).append(",").append(server_first).append(",");
  state_ = State::kStarted;
  return {ScramFault::kNone, std::move(server_first)};
}

ScramFault ScramEdge::ReadFinal(std::string_view message, Key* proof,
                                std::string_view* without_proof) const {
  if (message.size() > kMaxScramMessage) return ScramFault::kTooLong;
  if (message.find('\0') != message.npos) return ScramFault::kMalformed;
  Attributes attributes(message);
  auto channel = attributes.Take('c');
  if (!channel) return ScramFault::kMalformed;
  const bool plus = header_[0] == 'p';
  if (*channel != EncodeBase64(plus ? header_ + binding_ : header_)) {
    return plus ? ScramFault::kOtherChannel : ScramFault::kBindingHeader;
  }
  auto nonce = attributes.Take('r');
  if (!nonce) return ScramFault::kMalformed;
  while (attributes.Next() != 'p') {
    if (!attributes.Take(attributes.Next())) return ScramFault::kMalformed;
  }
  *without_proof = attributes.Before();
  auto proof_text = attributes.Take('p');
  if (!proof_text || !attributes.AtEnd() || !DecodeKey(*proof_text, proof)) {
    return ScramFault::kMalformed;
  }
  return *nonce == nonce_ ? ScramFault::kNone : ScramFault::kOtherNonce;
}

ScramFault ScramEdge::Check(const Key& proof, std::string_view auth_message) {
  Key signature, stored;
  if (!HmacSha256(verifier_.stored_key, auth_message, &signature)) return ScramFault::kInternal;
  Key client_key = Xor(proof, signature);
  if (!Sha256(client_key, &stored)) return ScramFault::kInternal;
  if (!IsSame(stored, verifier_.stored_key)) return ScramFault::kPassword;
  client_key_ = client_key;
  return ScramFault::kNone;
}

ScramStep ScramEdge::Finish(std::string_view client_final) {
  if (std::exchange(state_, State::kDone) != State::kStarted) return Fail(ScramFault::kInternal);
  Key proof, signature;
  std::string_view without_proof;
  if (ScramFault fault = ReadFinal(client_final, &proof, &without_proof);
      fault != ScramFault::kNone) {
    return Fail(fault);
  }
  exchange_.append(without_proof);
  if (ScramFault fault = Check(proof, exchange_); fault != ScramFault::kNone) return Fail(fault);
  if (!HmacSha256(verifier_.server_key, exchange_, &signature)) {
    return Fail(ScramFault::kInternal);
  }
  return {ScramFault::kNone, "v=" + EncodeBase64(signature.text())};
}

}  // namespace rum::pgsql
