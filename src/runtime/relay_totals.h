/*
 * Relay totals: what this process has counted of the relay, over all the ingesters that it had. A reload may make the
 * ingester anew or leave the process without one, and no counter goes back for that.
 *
 *   ingester --as it counts--> decode_errors, collections
 *            --when it is closed--> connects, bytes, paused_us
 *
 * Ownership: embedded in the daemon, which outlives its ingesters; zero it. Threading: thread 0.
 */
#ifndef RUNTIME_RELAY_TOTALS_H
#define RUNTIME_RELAY_TOTALS_H

#include <stdint.h>

#include "atproto/frame.h"
#include "runtime/tally.h"

struct relay_totals {
    uint64_t decode_errors[FRAME_FAULT_COUNT];
    struct tally collections;            /* of the ops of events taken */
    uint64_t connects, bytes, paused_us; /* of ingesters that are closed: an open one has its own */
};

#endif
