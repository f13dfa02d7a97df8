/*
 * Lanes: which transactions of this process may run at the same time without waiting for each other's repos.
 *
 *   DID --hash--> lane ; a sink takes the lanes of a transaction before it sends it, and gives them back at its end
 *
 * Whoever writes a record locks its repo until the commit, and two transactions of a few hundred events nearly always
 * share one. Of two that have no lane in common none waits. Lanes only spare time: what is right does not depend on
 * them, so a transaction that is held up gives them back at once, and other processes have lanes of their own.
 *
 * A lane that others wait for goes round: the next of them is woken and has it for itself until it has taken it or has
 * looked again (lanes_settle).
 *
 * Ownership: heap; members leave before it is destroyed. Threading: any; a mutex, held for a few instructions;
 * `on_free` comes on the member's own loop.
 */
#ifndef SINK_LANES_H
#define SINK_LANES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct uv_loop_s;
struct lanes;
struct lane_member;

enum {
    LANE_COUNT =
        16 /* twice what most processes have connections, so that a transaction of some lanes finds them free */
};

struct lanes *lanes_create(void);
void lanes_destroy(struct lanes *lanes);
/* The lane of a repo. */
unsigned lanes_of(struct slice did);

/* `on_free`: something that lanes_take() did not get may be had now. */
struct lane_member *lanes_join(struct lanes *lanes, struct uv_loop_s *loop,
                               void (*on_free)(void *owner), void *owner);
/* Gives back what it has. `on_left` is the last call; safe once. */
void lanes_leave(struct lane_member *member, void (*on_left)(void *owner));
/* False where somebody has it; then `on_free` follows. */
bool lanes_take(struct lane_member *member, unsigned lane) __attribute__((warn_unused_result));
/* A bit each. */
void lanes_give_back(struct lane_member *member, uint32_t held);
/* What was kept for this member and was not taken is for the next one. */
void lanes_settle(struct lane_member *member);

#endif
