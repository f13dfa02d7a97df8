/*
 * PostgreSQL connector: one connection out of the hosts that a conninfo names, each address in turn.
 *
 *   start -> resolve (off the loop) -> PQconnectPoll -> on_connected(native)
 *                 ^                         |
 *                 +---- next address, next host; after the last one on_failed
 *
 * Ownership: embedded; what on_connected brings is the owner's. Threading: the loop's thread only. Neither
 * callback is called from inside a function of this header.
 */
#ifndef SINK_PG_CONNECTOR_H
#define SINK_PG_CONNECTOR_H

#include <stdbool.h>

#include "sink/pg_failure.h"
#include "sink/pg_target.h"
#include "sink/pg_watcher.h"

#include <netinet/in.h>
#include <uv.h>

enum {
    PG_ADDRESSES_MAX = 8
};

enum pg_connector_state {
    PG_CONNECTOR_IDLE,
    PG_CONNECTOR_TURNING, /* the timer starts the next attempt */
    PG_CONNECTOR_RESOLVING,
    PG_CONNECTOR_CONNECTING,
    PG_CONNECTOR_CLOSED
};

struct pg_connector_callbacks {
    void (*on_connected)(void *owner, struct pg_conn *native);
    /* No host was left; `failure` is that of the last one. */
    void (*on_failed)(void *owner, const struct pg_failure *failure);
    void (*on_closed)(void *owner);
};

/* Private. */
struct pg_connector {
    struct pg_connector_callbacks callbacks;
    void *owner;
    const char *name; /* application_name; borrowed */
    enum pg_connector_state state;
    struct pg_targets targets;
    unsigned target; /* which is being tried */
    char addresses[PG_ADDRESSES_MAX][INET6_ADDRSTRLEN];
    unsigned address;
    unsigned address_count; /* of `target`; 0: not resolved, or in no need of it */
    struct pg_conn *native; /* while connecting */
    struct pg_watcher watcher;
    uv_timer_t timer;
    bool timer_is_closed;
    uv_getaddrinfo_t resolver;
    bool is_resolving;
    unsigned resolving_target; /* whose answer is to come */
};

/* `conninfo` has been checked by the configuration: one that libpq cannot read is a panic. */
void pg_connector_init(struct pg_connector *connector, struct uv_loop_s *loop, const char *conninfo,
                       const char *name);
/* From the first host on; only where nothing is being tried. */
void pg_connector_start(struct pg_connector *connector);
/* What on_connected brought is of no use: goes on with the address after it. False where it was the last. */
bool pg_connector_next(struct pg_connector *connector) __attribute__((warn_unused_result));
/* Drops an attempt; safe where there is none. */
void pg_connector_stop(struct pg_connector *connector);
/* Once; on_closed follows. */
void pg_connector_close(struct pg_connector *connector);

#endif
