/*
 * Stream lease: one of all processes ingests. A key in Redis (<stream key>:lease) holds a token, is
 * renewed at a third of its time, released on close. The append script fences a holder that slept.
 * Ownership: heap; freed after `on_closed`. Threading: the loop's thread only.
 */
#ifndef STREAM_STREAM_LEASE_H
#define STREAM_STREAM_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "stream/redis.h"

struct stream_lease;

struct stream_lease_options {
    struct redis_options redis;
    const char *key;   /* the stream's key; copied */
    const char *name;  /* what it is for, in the log; borrowed; NULL: ingest */
    uint64_t lease_ms; /* PX */
};

struct stream_lease_callbacks {
    void (*on_acquired)(void *owner);
    /* Lost or not renewable in time: stop ingesting at once. */
    void (*on_lost)(void *owner);
    void (*on_closed)(void *owner);
};

struct stream_lease *stream_lease_open(struct uv_loop_s *loop,
                                       const struct stream_lease_options *options,
                                       const struct stream_lease_callbacks *callbacks, void *owner);
/* The last answer was that another holds it. */
bool stream_lease_is_elsewhere(const struct stream_lease *lease);
/* The last answer was a refusal: ERROR_UNREACHABLE where waiting mends it (a replica, a full Redis); ERROR_NONE: none. */
const struct error *stream_lease_trouble(const struct stream_lease *lease);
/* Releases the lease where it is ours (compared by token), so that another takes over at once. */
void stream_lease_close(struct stream_lease *lease);

#endif
