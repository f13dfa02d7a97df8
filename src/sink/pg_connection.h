/*
 * PostgreSQL connection: libpq on the loop, in pipeline mode, that comes back by itself.
 *
 *   waiting -> connecting (pg_connector) -> setting up (pg_session) -> ready (pg_pipeline) -> lost
 *      ^                                                                                       |
 *      +--- backoff with full jitter (100 ms to 10 s; 30 s where the set-up is wrong) ---------+
 *
 * It logs at debug level only: its owner knows better what a loss means, and is told of each.
 *
 * Ownership: heap; freed after `on_closed`. Requests are embedded in their owner and borrowed until
 * their `on_done`; what a query points to is copied before pg_connection_query() returns.
 * Threading: the loop's thread only. Any callback may call any function here, close included.
 * SIGPIPE must be ignored by the process.
 */
#ifndef SINK_PG_CONNECTION_H
#define SINK_PG_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "sink/pg_failure.h"
#include "sink/pg_pipeline.h"

struct uv_loop_s;
struct pg_connection;

struct pg_connection_options {
    const char *conninfo;           /* libpq, URI or keywords; read while opening */
    const char *schema;             /* search_path; read while opening */
    const char *name;               /* application_name and the log's object; copied */
    uint64_t statement_timeout_ms;  /* on the server; ours is 5 s above it */
    uint64_t misconfigured_wait_ms; /* 0: 30,000 */
    bool prepared; /* false: nothing of the session is relied upon (transaction pooler) */
    const struct pg_statement *statements; /* borrowed for the life of the connection */
    unsigned statement_count;
};

struct pg_connection_callbacks {
    /* Requests may begin now. */
    void (*on_ready)(void *owner);
    /* After the requests have failed; also for each try that did not connect. It comes back alone. */
    void (*on_lost)(void *owner, const struct pg_failure *failure);
    void (*on_closed)(void *owner);
};

struct pg_connection *pg_connection_open(struct uv_loop_s *loop,
                                         const struct pg_connection_options *options,
                                         const struct pg_connection_callbacks *callbacks,
                                         void *owner);
bool pg_connection_is_ready(const struct pg_connection *connection);
/* Ready connections only; the three of pg_pipeline.h. */
void pg_connection_begin(struct pg_connection *connection, struct pg_request *request);
void pg_connection_query(struct pg_connection *connection, const struct pg_statement *statement,
                         const struct slice *values);
void pg_connection_end(struct pg_connection *connection);
/* Drops what there is and connects anew at once: requests fail as lost. */
void pg_connection_restart(struct pg_connection *connection, const char *why);
/* The same, with another timeout from then on. */
void pg_connection_set_timeout(struct pg_connection *connection, uint64_t statement_timeout_ms);
/* Safe twice. Requests fail as lost, inside this call. */
void pg_connection_close(struct pg_connection *connection);

#endif
