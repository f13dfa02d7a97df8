/*
 * Mark watch: notices that PostgreSQL may lack what is acknowledged, and sets the consumer group back to the mark that it
 * has now.
 *
 *   mark and server that Redis remembers (monitor's look) --first--> those of PostgreSQL (store) --less, or another?-->
 *   monitor's rewind, which remembers the new ones
 *
 * Less: a restored backup, a standby promoted that was behind. Another: started at another time, so it crashed, was
 * restarted, or somebody else took over. The mark is saved once a second, so it may have lost rows above a mark that it kept.
 * Then about a second of entries comes again and changes nothing. No mark is saved in a server that is not the remembered one
 * (marks), so none can cover what was lost; and all of it is in Redis, so no process has to live to the end of it.
 *
 * It looks when a connection to PostgreSQL is new, when a save was refused, and every 10 seconds, in every process. The script
 * of the rewind lets the first one win: `rewinds` is compared as it was before PostgreSQL was asked.
 *
 * One rewind in 30 seconds, unless a connection was lost: two processes on different databases must not chase each other for
 * ever. docs/recovery.md says what an operator sees.
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
    struct position remembered; /* by Redis, at the last look, as the two below */
    int64_t started_us;
    uint64_t rewinds;
    struct position seen;        /* `remembered` as of the ask, or what we alone know to be saved */
    int64_t seen_started_us;     /* as of the ask */
    struct stream_rewind rewind; /* asked for */
    bool is_lower;               /* its reason: less, and not only another */
    bool is_due, is_asking;
    bool was_connected, is_reconnected;
    uint64_t asked_at_ms, rewound_at_ms;
};

void mark_watch_init(struct mark_watch *watch, struct marks *marks,
                     struct stream_monitor *const *monitor, struct counters *counters);
void mark_watch_note_depth(struct mark_watch *watch, const struct stream_depth *depth);
/* A new connection to PostgreSQL; a refused save. */
void mark_watch_note_connected(struct mark_watch *watch);
void mark_watch_note_doubt(struct mark_watch *watch);
void mark_watch_note_loaded(struct mark_watch *watch, const struct cursor_found *found);
void mark_watch_note_rewound(struct mark_watch *watch, const struct stream_rewound *rewound);

#endif
