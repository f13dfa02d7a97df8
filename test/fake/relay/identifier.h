/*
 * Identifiers of the made-up network: TIDs (13 characters of base32-sortable, atproto's tid syntax),
 * did:plc DIDs and the URIs of posts. Threading: pure functions.
 */
#ifndef RELAY_IDENTIFIER_H
#define RELAY_IDENTIFIER_H

#include <stdint.h>

#include "base/buffer.h"
#include "cbor.h"

enum {
    TID_LENGTH = 13,
    DID_LENGTH = 32
};

/* A TID's number: microseconds since 1970 and ten bits of clock. */
static inline uint64_t tid_of(int64_t time_us, uint32_t clock)
{
    return (uint64_t)time_us << 10 | (clock & 1023);
}

/* `text` holds TID_LENGTH + 1 bytes. */
void tid_format(uint64_t tid, char *text);
/* `did:plc:` and 24 characters that depend on seed and number; `text` holds DID_LENGTH + 1 bytes. */
void did_format(uint64_t seed, uint32_t number, char *text);

#endif
