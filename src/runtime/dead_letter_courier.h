/*
 * Dead letter courier: carries letters between the dead-letter stream and standpipe_dead_letters.
 *
 *   frames:  stream --read--> PostgreSQL (keep) --commit--> acknowledge
 *   rows:    PostgreSQL (load) --> stream (add) --> mirror_id of the row (note) --> forget
 *
 * One of all processes carries, by a lease of its own; each one counts the letters, for its own pressure and pages.
 * Every step may run twice: a frame is kept once by its hash, a row is added once by its ID. Redis or PostgreSQL
 * away, Redis full: it waits with backoff, and the letters stay where they are.
 *
 * Bounds: 64 letters and about 1 MiB (at least one letter) at a time, one step in flight.
 * Ownership: heap; freed right after `on_closed`. Owns its lease, its Redis and its PostgreSQL connection.
 * Threading: the loop's thread.
 */
#ifndef RUNTIME_DEAD_LETTER_COURIER_H
#define RUNTIME_DEAD_LETTER_COURIER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "sink/dead_letter_store.h"

struct uv_loop_s;
struct dead_letter_courier;

struct dead_letter_courier_options {
    const struct config *config; /* borrowed while opening */
    const char *process_name;   /* borrowed while opening; for the names of our Redis connections */
    uint64_t interval_ms;       /* between two rounds; 0: 1,000 */
    uint64_t count_interval_ms; /* between two counts; 0: 10,000 */
};

/* Letters in standpipe_dead_letters, which nobody has retried or dropped. */
struct dead_letter_depth {
    bool is_known; /* counted once since the start */
    uint64_t undecided;
    uint64_t undecided_bytes; /* of data and frames */
};

struct dead_letter_courier_callbacks {
    /* After each count; may be NULL. `count` is borrowed for the call. */
    void (*on_counted)(void *owner, const struct dead_letter_depth *depth,
                       const struct dead_letter_count *count);
    /* Last call. */
    void (*on_closed)(void *owner);
};

struct dead_letter_courier *dead_letter_courier_open(
    struct uv_loop_s *loop, const struct dead_letter_courier_options *options,
    const struct dead_letter_courier_callbacks *callbacks, void *owner);
/* The last count. */
struct dead_letter_depth dead_letter_courier_depth(const struct dead_letter_courier *courier);
/* Carries what there is once more, for at most `drain_ms`; then closes. Safe in any callback, safe twice. */
void dead_letter_courier_close(struct dead_letter_courier *courier, uint64_t drain_ms);

#endif
