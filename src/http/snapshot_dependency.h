/*
 * Dependencies: what readiness is made of, each with its state, the reason, and since when.
 * Ownership: part of a snapshot. Threading: pure functions.
 */
#ifndef HTTP_SNAPSHOT_DEPENDENCY_H
#define HTTP_SNAPSHOT_DEPENDENCY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SNAPSHOT_REASON_SIZE = 256
};

enum dependency {
    DEPENDENCY_RELAY,
    DEPENDENCY_REDIS,
    DEPENDENCY_POSTGRES,
    DEPENDENCY_SCHEMA,
    DEPENDENCY_BACKLOG,
    DEPENDENCY_DEAD_LETTERS,
    DEPENDENCY_COUNT
};

/* READY and CATCHING_UP are fine, all others fail readiness. */
enum dependency_state {
    DEPENDENCY_STARTING, /* never looked at yet */
    DEPENDENCY_READY,
    DEPENDENCY_CATCHING_UP, /* works, but is behind */
    DEPENDENCY_PAUSED,      /* a bound is reached: reading waits */
    DEPENDENCY_DRAINING,    /* the process is stopping */
    DEPENDENCY_MISCONFIGURED,
    DEPENDENCY_AWAY,
    DEPENDENCY_STATE_COUNT
};

struct snapshot_dependency {
    enum dependency_state state;
    char reason[SNAPSHOT_REASON_SIZE]; /* one sentence without secrets; may be empty where ready */
    int64_t since_us;                  /* of this state, microseconds since 1970; 0: unknown */
};

/* "relay", ... "dead_letters". */
const char *dependency_name(enum dependency dependency);
/* "starting", "ready", "catching up", "paused", "draining", "misconfigured", "away". */
const char *dependency_state_name(enum dependency_state state);
bool dependency_is_fine(enum dependency_state state);
/* Of DEPENDENCY_COUNT of them. */
bool dependencies_are_fine(const struct snapshot_dependency *dependencies);
/* The one of DEPENDENCY_COUNT dependencies whose state says most about all; the first where all are ready. */
enum dependency dependency_worst(const struct snapshot_dependency *dependencies);

#endif
