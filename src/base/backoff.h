/*
 * Backoff: exponential, with full jitter, so that a thousand clients do not come back at once.
 */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint64_t base_ms;
    uint64_t limit_ms;
    unsigned attempts; /* since the last reset */
};

/* A wait drawn from 1 .. min(limit, base * 2^attempts) milliseconds; counts one attempt. */
uint64_t backoff_next_ms(struct backoff *backoff);
void backoff_reset(struct backoff *backoff);
/* 64 random bits, good for jitter and tokens, not for keys. */
uint64_t random_bits(void);

#endif
