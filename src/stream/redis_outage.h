/*
 * Redis outage: what the log says of the connections that go away and come back together. A process has dozens; one
 * line tells that they go, one every ten seconds how many are gone, one that all are back.
 *
 * Ownership: `struct redis_absence` is embedded in each connection; zero it. Threading: any; shared by all threads of the
 * process, under a lock that is held for a few instructions and the line itself.
 */
#ifndef STREAM_REDIS_OUTAGE_H
#define STREAM_REDIS_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct redis_absence {
    bool is_away;
};

/* A connection is lost, or a try failed. `connection` is its name. */
void redis_outage_note_lost(struct redis_absence *absence, const char *connection,
                            const struct error *error, uint64_t retry_ms);
/* It is ready. */
void redis_outage_note_back(struct redis_absence *absence);
/* It was closed by us: whatever it waited for, nobody misses it. */
void redis_outage_forget(struct redis_absence *absence);

#endif
