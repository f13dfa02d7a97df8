/*
 * SHA-256 by OpenSSL, one call a block.
 *
 * Threading: pure function.
 */
#ifndef ATPROTO_SHA256_H
#define ATPROTO_SHA256_H

#include <stdint.h>

#include "base/slice.h"

enum {
    SHA256_SIZE = 32
};

void sha256_digest(struct slice bytes, uint8_t digest[SHA256_SIZE]);

#endif
