/*
 * Marks: queued (all at or below it is in the stream, or was filtered) and committed (all at or below it
 * is in PostgreSQL), both as sequences of one epoch. The committed one is saved in standpipe_cursor.
 *
 *   writer's appended, monitor's depth --> marks --> cursor store
 *
 * Drained, committed equals queued, filtered events included: what was queued before the monitor looked
 * is behind the stream's last entry, and that one is acknowledged.
 * Ownership: embedded; borrows the store and the host. Threading: thread 0's loop.
 */
#ifndef RUNTIME_MARKS_H
#define RUNTIME_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "sink/cursor_store.h"
#include "stream/stream_monitor.h"

struct marks {
    struct cursor_store *store;
    const char *host;
    bool is_active;                /* this process has begun an epoch or gone on in one */
    struct position queued;        /* known to be stored */
    struct position queued_before; /* the same when the monitor's look began */
    int64_t committed;             /* the newest that was handed to the store */
    int64_t saved;                 /* the newest that the store has confirmed; -1: none */
};

void marks_init(struct marks *marks, struct cursor_store *store, const char *host);
/* Ingestion goes on after `queued`; PostgreSQL's row says `saved` (-1: there is none). */
void marks_begin(struct marks *marks, struct position queued, int64_t saved);
void marks_note_queued(struct marks *marks, struct position queued);
/* Call right before the monitor looks. */
void marks_before_look(struct marks *marks);
/* What it saw; saves the committed mark where it has risen. */
void marks_note_depth(struct marks *marks, const struct stream_depth *depth);
void marks_note_saved(struct marks *marks, const struct cursor_row *row);
/* The committed mark as of `depth`. Pure; for the two above and the tests. */
struct position marks_committed(struct position queued_before, const struct stream_depth *depth);

#endif
