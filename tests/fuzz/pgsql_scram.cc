// Hostile clients and servers: the first byte says which, the second which certificate there is;
// messages are separated by 0xff.
#include <cstdlib>
#include <string>
#include <string_view>

#include "pgsql/scram.h"
#include "pgsql/scram_crypto.h"

using namespace rum::pgsql;

namespace {

constexpr std::string_view kVerifier =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

std::string_view Next(std::string_view* rest) {
  const size_t end = rest->find('\xff');
  std::string_view message = rest->substr(0, end);
  rest->remove_prefix(end == rest->npos ? rest->size() : end + 1);
  return message;
}

// Nobody guesses ClientKey: whatever logs in is a fault.
void TryClient(ScramEdge edge, bool plus, std::string_view rest) {
  if (!ParseMechanisms(edge.mechanisms()).well_formed) std::abort();
  std::string_view message = Next(&rest);
  if (auto initial = ParseSaslInitial(message)) {
    if (FormatSaslInitial(initial->mechanism, initial->message) != message) std::abort();
  }
  ScramStep first = edge.Start(plus ? kScramPlus : kScram, message, "nonce");
  if (first.message.empty() == first.ok()) std::abort();
  // The nonce of this exchange, so that a final message can get as far as its proof.
  std::string final_message(Next(&rest));
  if (edge.Finish(final_message).ok()) std::abort();
  ErrorOf(first.fault, message);
}

// Nobody guesses ServerKey, either.
void TryServer(bool tls, std::string_view rest) {
  ScramBack back(*ParseScramVerifier(kVerifier), Key());
  std::string_view mechanisms = Next(&rest);
  auto link = tls ? ScramBack::Link::kTlsWithHash : ScramBack::Link::kPlain;
  ScramBack::Step first = back.Start(mechanisms, link, tls ? "hash" : "", "nonce");
  if (first.message.empty() == first.ok()) std::abort();
  ScramBack::Step last = back.Continue(Next(&rest));
  if (last.message.empty() == last.ok()) std::abort();
  if (back.Finish(Next(&rest)) == ScramBack::Fault::kNone) std::abort();
}

void TrySecret(std::string_view text) {
  if (auto verifier = ParseScramVerifier(text)) {
    if (verifier->salt.empty() || verifier->salt.size() > kMaxSalt || verifier->iterations == 0 ||
        verifier->iterations > kMaxIterations) {
      std::abort();
    }
  }
  if (auto hash = ParseMd5Hash(text)) {
    if (!MakeMd5Answer(*hash, "salt")) std::abort();
  }
  auto bytes = DecodeBase64(text, 1000);
  if (bytes && bytes->size() > 1000) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  const bool tls = (data[1] & 1) != 0;
  switch (data[0] % 5) {
    case 0:
      TryClient(ScramEdge(*ParseScramVerifier(kVerifier), tls ? "hash" : ""), tls, rest);
      break;
    case 1:
      TryClient(ScramEdge::MakeMock(Key(), "alice", tls ? "hash" : ""), tls, rest);
      break;
    case 2:
      TryServer(tls, rest);
      break;
    case 3:
      TrySecret(rest);
      break;
    default:
      HashForBinding(rest);
  }
  return 0;
}
