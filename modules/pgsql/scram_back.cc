#include <charconv>
#include <utility>

#include "pgsql/scram.h"
#include "pgsql/scram_crypto.h"

namespace rum::pgsql {
namespace {

using Fault = ScramBack::Fault;

ScramBack::Step Fail(Fault fault) { return {fault, {}}; }

bool IsMessage(std::string_view text) {
  return text.size() <= kMaxScramMessage && text.find('\0') == text.npos;
}

}  // namespace

ScramBack::Step ScramBack::Start(std::string_view mechanisms, Link link, std::string_view binding,
                                 std::string_view nonce) {
  if (std::exchange(state_, State::kDone) != State::kBegin || !IsNonce(nonce) ||
      (link == Link::kTlsWithHash) == binding.empty()) {
    return Fail(Fault::kInternal);
  }
  const Mechanisms offered = ParseMechanisms(mechanisms);
  if (!offered.well_formed) return Fail(Fault::kMalformed);
  plus_ = offered.plus && link == Link::kTlsWithHash;
  if (!plus_ && !offered.scram) return Fail(Fault::kNoMechanism);
  // "y" lets a server that did offer PLUS detect that somebody removed it from the list.
  const std::string_view header = plus_                        ? kPlusHeader
                                  : link == Link::kTlsWithHash ? std::string_view("y,,")
                                                               : std::string_view("n,,");
  channel_ = header;
  if (plus_) channel_.append(binding);
  nonce_ = nonce;
  // Servers ignore the name here; libpq leaves it empty, too.
  exchange_ = "n=,r=" + nonce_;
  state_ = State::kStarted;
  return {Fault::kNone, std::string(header) + exchange_};
}

ScramBack::Fault ScramBack::Prove(std::string_view auth_message, std::string* proof) {
  Key signature;
  if (!HmacSha256(verifier_.stored_key, auth_message, &signature)) return Fault::kInternal;
  *proof = EncodeBase64(Xor(client_key_, signature).text());
  return Fault::kNone;
}

ScramBack::Step ScramBack::Continue(std::string_view server_first) {
  if (std::exchange(state_, State::kDone) != State::kStarted) return Fail(Fault::kInternal);
  if (!IsMessage(server_first)) return Fail(Fault::kMalformed);
  Attributes attributes(server_first);  // of which m= is none that may be ignored
  auto nonce = attributes.Take('r');
  auto salt = attributes.Take('s');
  auto iterations = attributes.Take('i');
  if (!nonce || !salt || !iterations || !IsNonce(*nonce)) return Fail(Fault::kMalformed);
  while (!attributes.AtEnd()) {
    if (!attributes.Take(attributes.Next())) return Fail(Fault::kMalformed);
  }
  if (!nonce->starts_with(nonce_) || nonce->size() == nonce_.size()) {
    return Fail(Fault::kOtherNonce);
  }
  // With another salt the proof would be wrong, and would count as a failed login.
  if (*salt != EncodeBase64(verifier_.salt) ||
      *iterations != std::to_string(verifier_.iterations)) {
    return Fail(Fault::kOtherVerifier);
  }
  std::string client_final = "c=" + EncodeBase64(channel_) + ",r=" + std::string(*nonce);
  exchange_.append(",").append(server_first).append(",").append(client_final);
  std::string proof;
  if (Fault fault = Prove(exchange_, &proof); fault != Fault::kNone) return Fail(fault);
  state_ = State::kProved;
  return {Fault::kNone, client_final.append(",p=").append(proof)};
}

ScramBack::Fault ScramBack::Finish(std::string_view server_final) {
  if (std::exchange(state_, State::kDone) != State::kProved) return Fault::kInternal;
  if (!IsMessage(server_final)) return Fault::kMalformed;
  if (server_final.starts_with("e=")) return Fault::kRefused;
  Key right, given;
  Attributes attributes(server_final);
  auto signature = attributes.Take('v');
  if (!signature || !DecodeKey(*signature, &given)) return Fault::kMalformed;
  while (!attributes.AtEnd()) {
    if (!attributes.Take(attributes.Next())) return Fault::kMalformed;
  }
  if (!HmacSha256(verifier_.server_key, exchange_, &right)) return Fault::kInternal;
  return IsSame(given, right) ? Fault::kNone : Fault::kOtherServer;
}

}  // namespace rum::pgsql
