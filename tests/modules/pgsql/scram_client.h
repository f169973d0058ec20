// A client that knows the password, made of RFC 5802 and PBKDF2 alone: nothing of the code under
// test computes for it. And the exchanges that the tests share.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <string>
#include <string_view>

#include "pgsql/scram.h"
#include "pgsql/scram_crypto.h"

namespace rum::pgsql {

// RFC 7677, section 3: the password "pencil".
inline constexpr std::string_view kRfcVerifier =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

// A login of psql 15 at PostgreSQL 15.18 as it was on the wire; the password "pencil" again.
struct RecordedLogin {
  std::string_view verifier =
      "SCRAM-SHA-256$4096:5GVCL6zOr60eS8ObVabIiQ==$"
      "cbC5BHrHFUId5h988eMwq1HgWsX/9Lk4E4TC2BALj9Q=:Twbt5SSiwWG2rW0Dh9Urgwce6xkpjrB+T8Hbj1hl5vQ=";
  std::string_view client_nonce = "Aflnb+3gJ0zz8XCO/ySwLZvb";
  std::string_view server_nonce = "QI3hfV3YVOuSlTTKs8B3R7pW";
  std::string_view client_first = "n,,n=,r=Aflnb+3gJ0zz8XCO/ySwLZvb";
  std::string_view server_first =
      "r=Aflnb+3gJ0zz8XCO/ySwLZvbQI3hfV3YVOuSlTTKs8B3R7pW,s=5GVCL6zOr60eS8ObVabIiQ==,i=4096";
  std::string_view client_final =
      "c=biws,r=Aflnb+3gJ0zz8XCO/ySwLZvbQI3hfV3YVOuSlTTKs8B3R7pW,"
      "p=61Q9k6eApqyoNcASIm7VJ25h5qfBMh5Ye3YXFKWgLx4=";
  std::string_view server_final = "v=5TGfSM/oj/W8hqo34cCKIyVIpCXa37cn1JvQbcDJgU8=";
};

inline ScramVerifier VerifierOf(std::string_view text) {
  auto verifier = ParseScramVerifier(text);
  EXPECT_TRUE(verifier);
  return verifier ? *verifier : ScramVerifier();
}

class PasswordClient {
 public:
  explicit PasswordClient(std::string_view password, std::string_view header = "n,,",
                          std::string_view binding = "")
      : password_(password), header_(header), binding_(binding) {}

  std::string First() const { return header_ + kBare; }

  // `server_first` is that of a good server: nothing of it is checked.
  std::string Final(std::string_view server_first) const {
    const std::string_view nonce = Value(server_first, "r=");
    const std::string without =
        "c=" + EncodeBase64(header_ + binding_) + ",r=" + std::string(nonce);
    const std::string auth = kBare + "," + std::string(server_first) + "," + without;
    const std::string salt = *DecodeBase64(Value(server_first, ",s="), kMaxSalt);
    const int iterations = std::stoi(std::string(Value(server_first, ",i=")));
    std::string salted(kKeySize, '\0');
    PKCS5_PBKDF2_HMAC(password_.data(), static_cast<int>(password_.size()), Data(salt),
                      static_cast<int>(salt.size()), iterations, EVP_sha256(), kKeySize,
                      reinterpret_cast<uint8_t*>(salted.data()));
    const std::string client_key = Hmac(salted, "Client Key");
    std::string stored(kKeySize, '\0');
    EVP_Digest(client_key.data(), kKeySize, reinterpret_cast<uint8_t*>(stored.data()), nullptr,
               EVP_sha256(), nullptr);
    std::string proof = Hmac(stored, auth);
    for (size_t i = 0; i < kKeySize; ++i) proof[i] = static_cast<char>(proof[i] ^ client_key[i]);
    return without + ",p=" + EncodeBase64(proof);
  }

 private:
  inline static const std::string kBare = "n=,r=fyko+d2lbbFgONRv9qkxdawL";

  static const uint8_t* Data(const std::string& text) {
    return reinterpret_cast<const uint8_t*>(text.data());
  }
  static std::string Hmac(const std::string& key, const std::string& text) {
    std::string result(kKeySize, '\0');
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), Data(text), text.size(),
         reinterpret_cast<uint8_t*>(result.data()), nullptr);
    return result;
  }
  static std::string_view Value(std::string_view message, std::string_view name) {
    const size_t begin = message.find(name) + name.size();
    return message.substr(begin, message.find(',', begin) - begin);
  }

  const std::string password_, header_, binding_;
};

}  // namespace rum::pgsql
