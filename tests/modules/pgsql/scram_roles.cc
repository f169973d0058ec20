// Rum's two roles for scram_test.py, which has the sockets. Reads one command a line, with words in
// hexadecimal ("-" for none); answers "ok" and a message in hexadecimal, or "fault" and why.
#include <cstdio>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "pgsql/scram.h"
#include "pgsql/scram_crypto.h"

using namespace rum::pgsql;

namespace {

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

void Answer(std::string_view message) {
  std::string hex;
  for (unsigned char byte : message) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    hex += digits;
  }
  std::cout << "ok " << (hex.empty() ? "-" : hex) << std::endl;
}

void Answer(const ScramStep& step, std::string_view user) {
  if (step.ok()) return Answer(step.message);
  const ScramError error = ErrorOf(step.fault, user);
  std::cout << "fault " << error.sqlstate << " " << error.message << std::endl;
}

void Answer(const ScramBack::Step& step) {
  if (step.ok()) return Answer(step.message);
  std::cout << "fault " << static_cast<int>(step.fault) << std::endl;
}

}  // namespace

int main() {
  std::unique_ptr<ScramEdge> edge;
  std::unique_ptr<ScramBack> back;
  ScramVerifier verifier;
  std::string user;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command, a, b;
    words >> command >> a >> b;
    a = FromHex(a);
    b = FromHex(b);
    if (command == "user") {
      user = a;
      Answer("");
    } else if (command == "hash") {  // of a certificate
      Answer(HashForBinding(a).value_or(""));
    } else if (command == "edge") {  // verifier, binding
      if (auto parsed = ParseScramVerifier(a)) verifier = *parsed;
      edge = std::make_unique<ScramEdge>(verifier, b);
      Answer(edge->mechanisms());
    } else if (command == "mock") {  // user, binding
      edge = std::make_unique<ScramEdge>(ScramEdge::MakeMock(Key(), a, b));
      Answer(edge->mechanisms());
    } else if (command == "initial") {  // the body of SASLInitialResponse
      auto initial = ParseSaslInitial(a);
      Answer(initial ? edge->Start(initial->mechanism, initial->message, *MakeScramNonce())
                     : ScramStep{ScramFault::kMalformed, {}},
             user);
    } else if (command == "final") {
      Answer(edge->Finish(a), user);
    } else if (command == "back") {  // the server's mechanisms, binding
      back = std::make_unique<ScramBack>(verifier, edge->client_key());
      auto link = b.empty() ? ScramBack::Link::kPlain : ScramBack::Link::kTlsWithHash;
      auto step = back->Start(a, link, b, *MakeScramNonce());
      if (step.ok()) step.message = FormatSaslInitial(back->mechanism(), step.message);
      Answer(step);
    } else if (command == "continue") {
      Answer(back->Continue(a));
    } else if (command == "finish") {
      Answer(ScramBack::Step{back->Finish(a), {}});
    } else if (command == "md5") {  // the stored text, the salt
      auto hash = ParseMd5Hash(a);
      Answer(hash ? MakeMd5Answer(*hash, b).value_or("") : "");
    } else {
      return 2;
    }
  }
  return 0;
}
