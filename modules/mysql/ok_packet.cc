#include "mysql/ok_packet.h"

#include <openssl/evp.h>

#include <algorithm>

#include "mysql/digest.h"
#include "mysql/packet.h"

namespace rum::mysql {
namespace {

constexpr uint8_t kOkMark = 0x00;
constexpr char kProofMark = 0x01;
constexpr char kDigits[] = "0123456789ABCDEF";
constexpr size_t kProofSize = 1 + 2 * std::tuple_size_v<Fingerprint>;

}  // namespace

Parsed<OkPacket> ParseOk(Bytes payload) {
  Reader reader(payload);
  if (reader.ReadU8() != kOkMark) return {.why = "this is not an OK packet"};
  reader.ReadLength();  // rows
  reader.ReadLength();  // id
  reader.ReadU16();     // status
  reader.ReadU16();     // warnings
  if (!reader.ok()) return {.why = "the OK packet is cut short"};
  OkPacket ok;
  ok.head = payload.first(payload.size() - reader.left());
  if (reader.left() > 0) {
    ok.info = AsText(reader.ReadBytes(reader.ReadLength()));
    if (!reader.ok()) return {.why = "the OK packet's info is cut short"};
  }
  ok.tail = payload.last(reader.left());
  return {.value = ok};
}

std::string BuildOk(const OkPacket& ok) {
  PacketWriter packet;
  packet.WriteBytes(ok.head);
  if (!ok.info.empty() || !ok.tail.empty()) {
    packet.WriteLength(ok.info.size()).WriteText(ok.info).WriteBytes(ok.tail);
  }
  return packet.Finish(0).substr(kHeaderSize);
}

bool IsCertificateProof(std::string_view info) {
  return info.size() == kProofSize && info[0] == kProofMark &&
         info.find_first_not_of(kDigits, 1) == info.npos;
}

std::optional<std::string> MakeCertificateProof(Bytes hash, const Nonce& scramble,
                                                const Fingerprint& certificate) {
  std::string seed;
  seed.append(AsText(hash)).append(AsText(scramble)).append(AsText(certificate));
  Fingerprint digest;
  unsigned size = 0;
  if (EVP_Digest(seed.data(), seed.size(), digest.data(), &size, Sha256Digest(), nullptr) != 1 ||
      size != digest.size()) {
    return std::nullopt;
  }
  std::string proof(1, kProofMark);
  for (uint8_t byte : digest) proof.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return proof;
}

}  // namespace rum::mysql
