// OpenSSL's digests, fetched once: without that it looks for one by its name at each use, which
// costs more than the digest of a few bytes.
#pragma once

#include <openssl/types.h>

namespace rum::mysql {

// [any] Valid until the process ends. If there is no memory at the first call, OpenSSL looks for it
// each time, and may fail.
const EVP_MD* Sha1Digest();
const EVP_MD* Sha256Digest();

}  // namespace rum::mysql
