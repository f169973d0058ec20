#include "mysql/rsa.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <utility>

namespace rum::mysql {
namespace {

constexpr int kSmallestKey = 1024;
constexpr int kLargestKey = 8192;  // an operation takes a millisecond at most
constexpr size_t kMaxPem = 4096;
// overhead of OAEP with SHA-1 per block
constexpr size_t kPaddingSize = 42;
constexpr uint8_t kMoreMark = 0x01;

template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Operation = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;

// The error queue belongs to the thread, and TLS reads it: leave no error in it.
class ErrorQueue {
 public:
  ~ErrorQueue() { ERR_clear_error(); }
};

// Without it, the library asks the terminal for the password of an encrypted PEM.
int GiveNoPassphrase(char*, int, int, void*) { return -1; }

void Cover(std::vector<uint8_t>* bytes, const Nonce& nonce) {
  for (size_t i = 0; i < bytes->size(); ++i) (*bytes)[i] ^= nonce[i % nonce.size()];
}

Key ReadPublicKey(std::string_view pem) {
  if (pem.size() > kMaxPem) return nullptr;
  Bio source(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!source) return nullptr;
  Key key(PEM_read_bio_PUBKEY(source.get(), nullptr, GiveNoPassphrase, nullptr));
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) return nullptr;
  int bits = EVP_PKEY_get_bits(key.get());
  return bits >= kSmallestKey && bits <= kLargestKey ? std::move(key) : nullptr;
}

}  // namespace

void Secret::Wipe() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

Parsed<std::string> EncryptPassword(Bytes packet, Bytes password, const Nonce& nonce) {
  ErrorQueue errors;
  if (!packet.empty() && packet[0] == kMoreMark) packet = packet.subspan(1);
  Key key = ReadPublicKey(AsText(packet));
  if (!key) return {.why = "the server gave no RSA key of 1024 to 8192 bits"};
  size_t size = static_cast<size_t>(EVP_PKEY_get_size(key.get()));
  if (password.size() + kPaddingSize > size) {
    return {.why = "the password is too long for the server's RSA key"};
  }
  std::vector<uint8_t> covered(password.begin(), password.end());
  Cover(&covered, nonce);
  std::string cipher(size, '\0');
  Operation operation(EVP_PKEY_CTX_new(key.get(), nullptr));
  bool done = operation && EVP_PKEY_encrypt_init(operation.get()) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(operation.get(), RSA_PKCS1_OAEP_PADDING) == 1 &&
              EVP_PKEY_encrypt(operation.get(), reinterpret_cast<uint8_t*>(cipher.data()), &size,
                               covered.data(), covered.size()) == 1;
  OPENSSL_cleanse(covered.data(), covered.size());
  if (!done) return {.why = "the password could not be encrypted with the server's RSA key"};
  cipher.resize(size);
  return {.value = std::move(cipher)};
}

std::unique_ptr<RsaKey> RsaKey::Make(unsigned bits) {
  ErrorQueue errors;
  Key key(EVP_RSA_gen(bits));
  Bio target(BIO_new(BIO_s_mem()));
  if (!key || !target || PEM_write_bio_PUBKEY(target.get(), key.get()) != 1) return nullptr;
  char* text = nullptr;
  long size = BIO_get_mem_data(target.get(), &text);
  std::unique_ptr<RsaKey> made(new RsaKey(key.release()));
  made->pem_.assign(text, static_cast<size_t>(size));
  return made;
}

RsaKey::~RsaKey() { EVP_PKEY_free(key_); }

std::optional<Secret> RsaKey::Decrypt(Bytes cipher, const Nonce& nonce) const {
  ErrorQueue errors;
  if (cipher.size() != static_cast<size_t>(EVP_PKEY_get_size(key_))) return std::nullopt;
  Operation operation(EVP_PKEY_CTX_new(key_, nullptr));
  if (!operation || EVP_PKEY_decrypt_init(operation.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(operation.get(), RSA_PKCS1_OAEP_PADDING) != 1) {
    return std::nullopt;
  }
  Secret secret(cipher);  // room for the result, which is shorter
  size_t size = secret.bytes_.size();
  if (EVP_PKEY_decrypt(operation.get(), secret.bytes_.data(), &size, cipher.data(),
                       cipher.size()) != 1) {
    return std::nullopt;
  }
  secret.bytes_.resize(size);
  Cover(&secret.bytes_, nonce);
  return secret;
}

}  // namespace rum::mysql
