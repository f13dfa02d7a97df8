/*
 * Reader claim: takes over what is pending on dead consumers of the group, in sweeps of XAUTOCLAIM.
 *
 *   start --claim_interval_ms--> due --look: XINFO CONSUMERS--> nobody is silent ------------------> not due
 *                                       |                                                               ^
 *                                       +--> somebody is --> XAUTOCLAIM, piece by piece, to its end ----+
 *
 * XAUTOCLAIM looks at every pending entry of the group, and each process sweeps: with many of them behind a backlog, all
 * of Redis would go there. Who is dead asks for nothing, so where nobody with something pending is silent there is hardly
 * anything to find. The first sweep and every CLAIM_LOOKS-th after it are made all the same: for entries that a living
 * consumer has lost (one of another program, or by a connection that was cut while Redis served it), and for those that
 * were deleted under their group.
 *
 * Ownership: embedded; names are borrowed. Threading: one loop.
 */
#ifndef STREAM_READER_CLAIM_H
#define STREAM_READER_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "stream/reader_commands.h"
#include <uv.h>

struct redisReply;

enum {
    CLAIM_LOOKS = 12 /* with the interval by default one whole sweep a minute */
};

struct reader_claim {
    uv_timer_t timer;
    uint64_t min_idle_ms;
    struct buffer cursor; /* of XAUTOCLAIM; empty: from the start */
    unsigned looks;       /* since the last sweep that needed none */
    bool is_due;
    bool is_sweeping; /* the look is over */
    void (*on_due)(void *owner);
    void *owner;
};

/* `min_idle_ms`: who was silent for so long, and what is pending for so long, is taken over. */
void reader_claim_init(struct reader_claim *claim, struct uv_loop_s *loop, uint64_t min_idle_ms,
                       void (*on_due)(void *owner), void *owner);
void reader_claim_start(struct reader_claim *claim, uint64_t interval_ms);
/* The next step, where it is due: a look, or up to `count` entries. */
void reader_claim_format(const struct reader_claim *claim, struct buffer *out,
                         const struct reader_names *names, size_t count);
/* Whether that step is a look. */
bool reader_claim_is_look(const struct reader_claim *claim);
/* The answer to that step; an error only to a look, which then counts as one that has found somebody. The entries that
 * were taken over; NULL: none. `deleted` has how many were gone. */
const struct redisReply *reader_claim_take(struct reader_claim *claim,
                                           const struct redisReply *reply, size_t *deleted);
/* `on_closed` gets the timer, whose data is `owner` then. */
void reader_claim_close(struct reader_claim *claim, uv_close_cb on_closed, void *owner);
/* After that. */
void reader_claim_deinit(struct reader_claim *claim);

#endif
