/*
 * Rates: what went through per second, over the last ten seconds.
 * Ownership: embedded; zero it. Threading: one thread.
 */
#ifndef RUNTIME_RATES_H
#define RUNTIME_RATES_H

#include <stdint.h>

#include "http/snapshot.h"

enum {
    RATES_SAMPLES = 11, /* one a second: ten seconds lie between the first and the last */
    RATES_FIGURES = 5,
};

struct rates_sample {
    uint64_t at_ms;
    uint64_t counters[RATES_FIGURES];
};

struct rates {
    struct rates_sample samples[RATES_SAMPLES]; /* a ring */
    unsigned count;
    unsigned next;
};

/* Once a second; `figures` is a filled snapshot of now. */
void rates_note(struct rates *rates, const struct metrics_snapshot *figures, uint64_t now_ms);
void rates_fill(const struct rates *rates, struct metrics_snapshot *snapshot);

#endif
