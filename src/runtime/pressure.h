/*
 * Pressure: why reading the relay is paused. Each reason is raised and lowered on its own; the relay is
 * read only while none is raised.
 */
#ifndef RUNTIME_PRESSURE_H
#define RUNTIME_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

struct stream_depth;

enum pressure_reason {
    PRESSURE_WRITER = 1,  /* events wait for their append */
    PRESSURE_REDIS = 2,   /* Redis takes no writes: OOM, LOADING, READONLY, MISCONF, away */
    PRESSURE_DEPTH = 4,   /* the backlog or Redis' memory is at its limit */
    PRESSURE_LETTERS = 8, /* too many dead letters are undecided */
};

struct pressure {
    unsigned reasons;
    uint64_t paused_us; /* in all, without the pause that lasts */
    uint64_t since_us;  /* of the pause that lasts */
};

struct pressure_limits {
    uint64_t max_backlog;       /* entries */
    uint64_t max_backlog_bytes; /* as Redis holds them */
};

/* True where this was the first reason: pause now. */
bool pressure_raise(struct pressure *pressure, enum pressure_reason reason);
/* True where this was the last reason: resume now. */
bool pressure_lower(struct pressure *pressure, enum pressure_reason reason);
/* Lowers all at once: nothing is open that could be resumed. */
void pressure_clear(struct pressure *pressure);
/* How long reading was paused, in all. */
uint64_t pressure_paused_us(const struct pressure *pressure);
bool pressure_is_raised(const struct pressure *pressure);
/* "none" or the reasons, for the log. */
const char *pressure_name(const struct pressure *pressure);
/* Whether PRESSURE_DEPTH should stand: two watermarks, lowered only under 80 % of each limit. The
 * backlog's bytes are its share of the memory of all entries; memory counts from 85 % of maxmemory. */
bool pressure_is_deep(const struct pressure *pressure, const struct pressure_limits *limits,
                      const struct stream_depth *depth);

#endif
