#include "atproto/sha256.h"

#include <openssl/evp.h>

#include "base/panic.h"

void sha256_init(struct sha256 *sha256)
{
    sha256->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    sha256->context = EVP_MD_CTX_new();
    ASSERT(sha256->algorithm != NULL && sha256->context != NULL);
    ASSERT(EVP_DigestInit_ex2(sha256->context, sha256->algorithm, NULL) == 1);
}

void sha256_deinit(struct sha256 *sha256)
{
    EVP_MD_CTX_free(sha256->context);
    EVP_MD_free(sha256->algorithm);
    *sha256 = (struct sha256){0};
}

void sha256_digest(struct sha256 *sha256, struct slice bytes, uint8_t digest[SHA256_SIZE])
{
    ASSERT(EVP_DigestInit_ex2(sha256->context, NULL, NULL) == 1);
    ASSERT(EVP_DigestUpdate(sha256->context, bytes.data, bytes.size) == 1);
    ASSERT(EVP_DigestFinal_ex(sha256->context, digest, NULL) == 1);
}
