/*
 * Stream watch: says what an operator has to know about the stream before it hurts.
 *
 *   struct stream_depth of each look --> a warning in the log, a sentence for readiness
 *
 * A group that nobody has read for an hour holds trimming back, and at last the intake (docs/delivery.md). A Redis
 * that may evict keys may throw the stream away.
 * Ownership: embedded, no memory of its own. Threading: one thread. Pure but for the log.
 */
#ifndef RUNTIME_STREAM_WATCH_H
#define RUNTIME_STREAM_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "stream/stream_monitor.h"

enum {
    STREAM_WATCH_UNREAD_MS = 3600 * 1000,
    STREAM_WATCH_NAME_SIZE = 96, /* longer names of groups are cut */
    STREAM_WATCH_REASON_SIZE = 192
};

struct watched_group {
    char name[STREAM_WATCH_NAME_SIZE];
    uint64_t alone_since_ms; /* behind, and without a consumer that could tell since when */
    uint64_t next_warning_ms;
    bool is_listed; /* by the look that is being noted */
    bool is_alone;
};

struct stream_watch {
    struct watched_group groups[STREAM_GROUPS_MAX];
    unsigned group_count;
    char unread[STREAM_WATCH_REASON_SIZE];   /* "", or which group nobody reads */
    char eviction[STREAM_WATCH_REASON_SIZE]; /* "", or what the policy may cost */
    char policy[STREAM_POLICY_SIZE];         /* that was told of last */
};

void stream_watch_note(struct stream_watch *watch, const struct stream_depth *depth,
                       uint64_t now_ms);

#endif
