/*
 * Pace: how much of its thread the HTTP server has used of late, and whether it should wait.
 *
 *   pace_begin ... pace_end: time fills the bucket; time that passes empties it at PACE_PERCENT of its speed
 *   over its brim: the server works on nothing new until it has run off
 *
 * The thread also ingests: whatever clients do, they get this share of it and no more. One piece of work may
 * overfill the bucket, and is then paid for by a longer wait. Work is CPU of this thread: a machine that gives the
 * thread no turn is not the clients' fault, and what they wait for would be put off by minutes.
 * Ownership: embedded; zero it. Threading: one thread.
 */
#ifndef HTTP_PACE_H
#define HTTP_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PACE_PERCENT = 5,
    PACE_BRIM_US = 5000, /* a burst of so much is never held up: some twenty pages of metrics */
};

struct pace {
    uint64_t level_us;
    uint64_t seen_us;  /* when the level was right */
    uint64_t begun_us; /* of the work that runs, in CPU of the thread */
    unsigned depth;    /* of pieces of work within each other */
    uint64_t busy_us;  /* in all */
};

/* Around each piece of work; pairs may nest. */
void pace_begin(struct pace *pace);
void pace_end(struct pace *pace);
bool pace_is_over(struct pace *pace);

#endif
