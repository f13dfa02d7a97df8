/*
 * Tombstones: forgets deletes whose creates can no longer come, behind a horizon (docs/delivery.md).
 *
 *   committed mark --noted, `age` later--> horizon --> find a piece at or below it --> lock the repos, delete
 *
 * The horizon is a position of the stream, kept in PostgreSQL and rising only. What lies at or below it has been written,
 * so a create from there whose row is gone was deleted since: STATEMENT_RECORDS lets it in no more. It is committed before
 * the first tombstone goes, and whoever writes a record has locked its repo: nobody can miss both.
 *
 * It stays below the committed mark as it was `age` ago, and is believed only when the mark of the same epoch has moved on
 * since: then the stream has nothing older that is not acknowledged. What a dead letter may still bring back when it is
 * tried again is guarded by tombstones: those of its repo stay, and the horizon stays below a broken frame, of which
 * nobody knows the repo.
 *
 * A sweep goes through all at or below the horizon once, a bounded piece at a time; the next one follows when the horizon
 * has risen, or after an hour, for letters that were decided.
 *
 * Ownership: embedded in the purger, whose connection and requests it uses. Threading: the loop's thread only.
 */
#ifndef SINK_TOMBSTONES_H
#define SINK_TOMBSTONES_H

#include <stdbool.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "sink/pg_array.h"
#include "sink/pg_connection.h"

enum {
    TOMBSTONES_PIECE =
        200, /* looked at, and at most the ops of one commit more: as many repos are locked */
    TOMBSTONES_COLUMNS = 3,
};

struct tombstones {
    int64_t age_ms;        /* 0: all are kept */
    struct position after; /* where the sweep stands; {0, 0}: none is under way */
    uint64_t swept_ms;     /* when the last one ended */
    bool has_risen;        /* the horizon, since the last sweep began */
    bool is_found;         /* the piece: rows were looked at */
    struct pg_array keys[TOMBSTONES_COLUMNS];
    unsigned count; /* of the piece that may go */
};

void tombstones_init(struct tombstones *tombstones, uint64_t age_ms);
void tombstones_deinit(struct tombstones *tombstones);

/* Between pg_connection_begin() and pg_connection_end(): raises the horizon where it is time, and looks for the next piece
 * where a sweep is due. Each answer of that request goes to tombstones_take(); then `count` is what may go, and where it
 * is 0 `is_found` says whether there is more to look at. */
void tombstones_send_find(struct tombstones *tombstones, struct pg_connection *connection);
void tombstones_take(struct tombstones *tombstones, unsigned query, const struct pg_answer *answer);
/* A piece may not have gone: the next sweep begins at once, from the first. */
void tombstones_begin_anew(struct tombstones *tombstones);
/* The piece that was found; its second answer tells how many were deleted. */
void tombstones_send_delete(struct tombstones *tombstones, struct pg_connection *connection);

#endif
