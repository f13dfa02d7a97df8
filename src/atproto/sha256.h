/*
 * SHA-256 by OpenSSL: the algorithm is fetched once and the context kept (EVP_sha256() anew for each
 * block costs more than hashing it).
 *
 * Ownership: embedded; sha256_deinit() frees. Threading: one thread.
 */
#ifndef ATPROTO_SHA256_H
#define ATPROTO_SHA256_H

#include <stdint.h>

#include "base/slice.h"

enum {
    SHA256_SIZE = 32
};

struct evp_md_st;
struct evp_md_ctx_st;

struct sha256 {
    struct evp_md_st *algorithm;
    struct evp_md_ctx_st *context;
};

void sha256_init(struct sha256 *sha256);
void sha256_deinit(struct sha256 *sha256);
void sha256_digest(struct sha256 *sha256, struct slice bytes, uint8_t digest[SHA256_SIZE]);

#endif
