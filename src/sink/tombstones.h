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
 * since: then the stream has nothing older that is not acknowledged. And it stays below every undecided dead letter,
 * which may still be tried again.
 *
 * Ownership: embedded in the purger, whose connection and requests it uses. Threading: the loop's thread only.
 */
#ifndef SINK_TOMBSTONES_H
#define SINK_TOMBSTONES_H

#include <stdbool.h>
#include <stdint.h>

#include "sink/pg_array.h"
#include "sink/pg_connection.h"

enum {
    TOMBSTONES_PIECE = 200, /* of one transaction: it holds as many repos */
    TOMBSTONES_COLUMNS = 3,
};

struct tombstones {
    int64_t age_ms; /* 0: all are kept */
    struct pg_array keys[TOMBSTONES_COLUMNS];
    unsigned count; /* of the piece that was found */
};

void tombstones_init(struct tombstones *tombstones, uint64_t age_ms);
void tombstones_deinit(struct tombstones *tombstones);

/* Between pg_connection_begin() and pg_connection_end(): raises the horizon where it is time, then looks for a piece.
 * Each answer of that request goes to tombstones_take(). */
void tombstones_send_find(struct tombstones *tombstones, struct pg_connection *connection);
void tombstones_take(struct tombstones *tombstones, unsigned query, const struct pg_answer *answer);
/* The piece that was found; its second answer tells how many were deleted. */
void tombstones_send_delete(struct tombstones *tombstones, struct pg_connection *connection);

#endif
