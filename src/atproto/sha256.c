/* The functions below are deprecated in favour of EVP, which takes 60 to 90 ns more a block (a fifth of hashing 300 bytes)
 * to find its way to the same code; a frame has a dozen blocks. They are in OpenSSL 3 and 3.5 all the same. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "atproto/sha256.h"

#include <openssl/sha.h>

#include "base/panic.h"

void sha256_digest(struct slice bytes, uint8_t digest[SHA256_SIZE])
{
    SHA256_CTX context;
    bool is_done = SHA256_Init(&context) == 1 &&
                   SHA256_Update(&context, bytes.data, bytes.size) == 1 &&
                   SHA256_Final(digest, &context) == 1;
    ASSERT(is_done); /* says no only where it is not OpenSSL's own code */
}
