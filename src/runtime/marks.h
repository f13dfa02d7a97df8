/*
 * Marks: queued (all at or below it is in the stream, or was filtered) and committed (all at or below it
 * is in PostgreSQL), both as sequences of one epoch. The committed one is saved in standpipe_cursor.
 *
 *   monitor's depth (stream and meta of one moment) --> marks --> cursor store
 *
 * Drained, committed equals queued, filtered events included: the meta hash and the stream's last ID are
 * read in one script, and both are one prefix of what was written. Never from this process' memory: a Redis
 * that came back shorter or empty, or another process that refilled it, would make a mark of what is not there.
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
    struct position queued;    /* what this process knows to be stored; for logs and pages */
    struct position committed; /* the newest that was handed to the store */
    int64_t saved;             /* the newest that the store has confirmed; -1: none */
    uint64_t rewinds;          /* as of the last look */
};

void marks_init(struct marks *marks, struct cursor_store *store, const char *host);
/* Ingestion goes on after `queued`; PostgreSQL's row says `saved`. */
void marks_begin(struct marks *marks, struct position queued, int64_t saved);
void marks_note_queued(struct marks *marks, struct position queued);
/* What the monitor saw; saves the committed mark where it has risen, under the condition that it is the
 * PostgreSQL that has what is acknowledged, and still has what all processes know it to have had. Follows where the group was set back. */
void marks_note_depth(struct marks *marks, const struct stream_depth *depth);
/* A save was not made: the mark is handed over again. */
void marks_note_refused(struct marks *marks);
void marks_note_saved(struct marks *marks, const struct cursor_row *row);
/* The committed mark as of `depth`. Pure; for the two above and the tests. */
struct position marks_committed(const struct stream_depth *depth);

#endif
