/*
 * Purger: removes what a deletion has left of a large repo, piece by piece, beside the writers.
 *
 *   deletion --> repos.clearing (views hide what lies below the floor at once) --> find a piece --> one transaction:
 *   lock the repo, delete records, typed rows, counts --> ... --> nothing left: clearing is off
 *
 * All state is in PostgreSQL: after a kill, and in any process, the next piece is simply the next one that is there;
 * two purgers at one repo do no harm. A piece is short, and as much time as it took is left to others after it. What
 * the repo writes meanwhile lies above the floor and is not touched.
 *
 * Where no repo is to be cleared it forgets tombstones, piece by piece (tombstones.h).
 *
 * Ownership: heap; freed after `on_closed`; has a connection of its own. Threading: the loop's thread only.
 */
#ifndef SINK_PURGER_H
#define SINK_PURGER_H

#include "sink/sink.h"
#include "sink/table_plan.h"

struct purger;

struct purger_callbacks {
    /* As in sink_callbacks. */
    void (*on_rows)(void *owner, size_t table, const struct sink_rows *rows);
    void (*on_forgotten)(void *owner, uint64_t tombstones);
    void (*on_closed)(void *owner);
};

enum {
    PURGER_PIECE = 1000, /* records of one transaction */
};

/* `options` is read while opening; `plan` is borrowed, NULL: no typed tables. */
struct purger *purger_open(struct uv_loop_s *loop, const struct sink_options *options,
                           const struct table_plan *plan, const struct purger_callbacks *callbacks,
                           void *owner);
/* What is out is given up: it is there again for the next one. Safe twice. */
void purger_close(struct purger *purger);

#endif
