#include "base/backoff.h"

#include <stddef.h>
#include <sys/random.h>

#include "base/clock.h"

enum {
    BACKOFF_MAX_SHIFT = 20
};

uint64_t random_bits(void)
{
    uint64_t bits = 0;
    if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits)) {
        bits = (uint64_t)clock_wall_us() * 0x9e3779b97f4a7c15ULL;
    }
    return bits;
}

uint64_t backoff_next_ms(struct backoff *backoff)
{
    unsigned shift =
        backoff->attempts < BACKOFF_MAX_SHIFT ? backoff->attempts : (unsigned)BACKOFF_MAX_SHIFT;
    uint64_t ceiling = backoff->base_ms << shift;
    if (ceiling > backoff->limit_ms) {
        ceiling = backoff->limit_ms;
    }
    if (ceiling == 0) {
        ceiling = 1;
    }
    backoff->attempts++;
    return 1 + random_bits() % ceiling;
}

void backoff_reset(struct backoff *backoff)
{
    backoff->attempts = 0;
}
