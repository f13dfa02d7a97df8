/*
 * Mark watch: notices that PostgreSQL went back in time (a restored backup, a failover to a standby that was behind)
 * and sets the consumer group back to the mark that it has now.
 *
 *   `saved` that Redis remembers (monitor's look) --first--> mark in PostgreSQL (store) --lower?--> monitor's rewind
 *
 * In this order: what Redis remembers was in PostgreSQL before it was remembered, so a lower mark means a loss. It looks
 * when a connection to PostgreSQL is new, when a save was refused, and every 10 seconds, in every process; the script of
 * the rewind lets the first one win.
 *
 * The mark is saved once a second, so a failover may lose rows above a mark that it kept. After each connection that was
 * lost the group goes back to the mark in any case: about a second of entries comes again and changes nothing.
 *
 * Where the mark is lower: one rewind in 30 seconds: two processes on different databases must not chase each
 * other for ever. docs/recovery.md says what an operator sees.
 * Ownership: embedded; borrows marks, monitor and counters. Threading: thread 0's loop.
 */
#ifndef RUNTIME_MARK_WATCH_H
#define RUNTIME_MARK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/counters.h"
#include "runtime/marks.h"
#include "sink/cursor_store.h"
#include "stream/stream_monitor.h"

struct mark_watch {
    struct marks *marks;
    struct stream_monitor *const *monitor; /* points at NULL where it is not open */
    struct counters *counters;
    struct position remembered; /* by Redis, at the last look */
    struct position seen; /* that, or what we alone know to be saved; PostgreSQL has to have it */
    struct stream_rewind rewind; /* asked for */
    struct position
        owed; /* a target that is not reached yet: PostgreSQL's mark may rise over it meanwhile */
    bool is_owed, is_lower;
    bool is_due, is_asking;
    bool was_connected, is_reconnected;
    uint64_t asked_at_ms, rewound_at_ms;
};

void mark_watch_init(struct mark_watch *watch, struct marks *marks,
                     struct stream_monitor *const *monitor, struct counters *counters);
void mark_watch_note_depth(struct mark_watch *watch, const struct stream_depth *depth);
/* A new connection to PostgreSQL; a refused save: looks before anything else is saved. */
void mark_watch_note_connected(struct mark_watch *watch);
void mark_watch_note_doubt(struct mark_watch *watch);
void mark_watch_note_loaded(struct mark_watch *watch, const struct cursor_found *found);
void mark_watch_note_rewound(struct mark_watch *watch, const struct stream_rewound *rewound);

#endif
