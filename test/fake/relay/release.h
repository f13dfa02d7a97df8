/*
 * Release: how many frames of the store are out, by a clock of so many a second, or all of them. The clock of a history
 * that has an end starts with the first client: none of it has passed when a slow machine comes to read it.
 * With a clock file an endless history goes on at the next start where this one stopped.
 * A log has a line each time that the clock lets frames out: "FRAMES_OUT MICROSECONDS_SINCE_1970".
 *
 * Ownership: embedded; borrows the store. Threading: one thread.
 */
#ifndef RELAY_RELEASE_H
#define RELAY_RELEASE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "options.h"
#include "store.h"

struct clock_page;

struct release {
    struct store *store;
    int64_t rate;       /* a second; 0: as fast as they are read */
    uint64_t anchor_us; /* 0: the clock has not started */
    int64_t anchor;     /* frames out at anchor_us */
    int64_t released;   /* frames out; with rate 0: frames that some client has had */
    struct clock_page *page;
    FILE *log; /* NULL: none */
};

bool release_init(struct release *release, struct store *store, const struct options *options,
                  struct error *error) __attribute__((warn_unused_result));
void release_deinit(struct release *release);
/* The first client is there. */
void release_start(struct release *release);
/* Lets the clock's frames out. */
void release_tick(struct release *release);
/* A client is at `index`: what is before it was out in an earlier life, or is out now. */
void release_reach(struct release *release, int64_t index);
/* May frame `index` be sent? An endless store without a clock makes it. */
bool release_allows(struct release *release, int64_t index);

#endif
