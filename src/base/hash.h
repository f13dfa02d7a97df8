/*
 * Hash: FNV-1a of bytes, which tells apart what differs and does not withstand anybody who wants it not to.
 *
 * Its values last: names of indexes and of sockets are made of them, and processes that run beside each other agree on them.
 * Source: draft-eastlake-fnv (RFC 9923), section 2.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

static inline uint32_t hash_32(struct slice bytes)
{
    uint32_t hash = UINT32_C(0x811C9DC5);
    for (size_t i = 0; i < bytes.size; i++) {
        hash = (hash ^ (uint8_t)bytes.data[i]) * UINT32_C(0x01000193);
    }
    return hash;
}

static inline uint64_t hash_64(struct slice bytes)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < bytes.size; i++) {
        hash = (hash ^ (uint8_t)bytes.data[i]) * UINT64_C(0x00000100000001B3);
    }
    return hash;
}

#endif
