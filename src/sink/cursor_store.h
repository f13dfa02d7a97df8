/*
 * Cursor store: the rows of standpipe_cursor, one per relay host: epoch, queued and committed sequence.
 * Ownership: heap; owns a PostgreSQL connection that reconnects by itself; freed after `on_closed`.
 * Threading: the loop's thread only.
 */
#ifndef SINK_CURSOR_STORE_H
#define SINK_CURSOR_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "base/error.h"

struct uv_loop_s;
struct cursor_store;

struct cursor_row {
    const char *host;
    uint64_t epoch;
    int64_t queued;    /* sequence */
    int64_t committed; /* sequence: all at or below it is in PostgreSQL */
    /* To save: the row is known to have stood here, or higher. A PostgreSQL that went back in time must not
     * get a mark over what it lost, so the save is refused then. CURSOR_NO_EXPECTATION: nothing is known. */
    int64_t expected;
    /* To save: the PostgreSQL that has all of this. Another one, or this one after a restart, may lack the last of it, so
     * the save is refused there. 0: any. */
    int64_t started_us;
    uint64_t tag; /* to save: the caller's own, comes back with the row */
};

enum {
    CURSOR_NO_EXPECTATION = -1
};

struct cursor_store_options {
    const char *conninfo; /* copied */
    const char *schema;   /* copied */
    bool prepared;        /* false behind a transaction pooler; works everywhere */
};

/* What is known: the newest row of `host` (the one with its highest epoch), and the newest of all.
 * Borrowed for the callback. */
struct cursor_found {
    bool has_row;
    struct cursor_row row;
    struct position
        newest; /* of all rows: the highest epoch and its mark; {0, 0} where there is no row at all */
    /* pg_postmaster_start_time() in microseconds since 1970: after a restart, a crash or a failover it is another. */
    int64_t started_us;
};

struct cursor_store_callbacks {
    /* The answer to cursor_store_load(); retried until PostgreSQL answers. */
    void (*on_loaded)(void *owner, const struct cursor_found *found);
    /* A save has committed. */
    void (*on_saved)(void *owner, const struct cursor_row *row);
    /* It was not made: the row is gone or lower than expected, or this is another PostgreSQL. Only saves that expect
     * something. May be NULL. */
    void (*on_refused)(void *owner);
    /* A connection is there, the first too: it may lead to a PostgreSQL that went back. May be NULL. */
    void (*on_connected)(void *owner);
    void (*on_closed)(void *owner);
};

struct cursor_store *cursor_store_open(struct uv_loop_s *loop,
                                       const struct cursor_store_options *options,
                                       const struct cursor_store_callbacks *callbacks, void *owner);
void cursor_store_load(struct cursor_store *store, const char *host);
/* The newest save wins: one in flight, at most one waiting. Marks only rise within an epoch. */
void cursor_store_save(struct cursor_store *store, const struct cursor_row *row);
/* Waits for saves; on_closed comes within `drain_ms`, also where PostgreSQL says nothing. */
void cursor_store_close(struct cursor_store *store, uint64_t drain_ms);

#endif
