// A ClientHello: the reader gives the same whole and in pieces, and asks for more bytes than there
// are.
#include <cstdlib>

#include "sni/client_hello.h"

using rum::sni::HelloReader;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  HelloReader whole;
  HelloReader::State state = whole.Read(bytes);
  if (state == HelloReader::State::kNeeds && whole.needed() <= size) std::abort();
  if (whole.name().size() > rum::sni::kNameMost) std::abort();
  HelloReader pieces;
  HelloReader::State other = HelloReader::State::kNeeds;
  for (size_t i = 0; i <= size && other == HelloReader::State::kNeeds; ++i) {
    other = pieces.Read(bytes.substr(0, i));
  }
  if (other != state || whole.name() != pieces.name()) std::abort();
  return 0;
}
