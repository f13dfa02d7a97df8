/*
 * PostgreSQL connection: libpq on the loop, in pipeline mode, that comes back by itself.
 *
 *   queries --begin, query..., end--> [requests, FIFO] --> on_result per query, then on_done
 *
 * Life: resolve (off the loop) -> connect -> session settings and prepared statements -> ready -> lost
 * -> backoff with full jitter (100 ms to 10 s; 30 s where the set-up is wrong) -> resolve ...
 * A request is everything up to one Sync: one implicit transaction, unless it says BEGIN.
 *
 * Ownership: heap; freed after `on_closed`. Requests are embedded in their owner and borrowed until
 * their `on_done`; what a query points to is copied before pg_connection_query() returns.
 * Threading: the loop's thread only. Any callback may call any function here, close included.
 * SIGPIPE must be ignored by the process.
 */
#ifndef SINK_PG_CONNECTION_H
#define SINK_PG_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "sink/sqlstate.h"

struct uv_loop_s;
struct pg_connection;

/* Why a request or a connection failed. */
struct pg_failure {
    enum sqlstate_class class;
    bool is_lost;     /* the connection went: what a COMMIT did is unknown */
    unsigned query;   /* which query of the request, from 0 */
    char sqlstate[6]; /* empty where the server said nothing */
    char text[384];   /* one line */
};

/* A statement with a fixed number of parameters, sent in binary format, answered in text. */
struct pg_statement {
    const char *name; /* of the prepared statement */
    const char *sql;
    const uint32_t *types; /* OIDs of the parameters */
    unsigned count;
};

enum {
    PG_PARAMETERS_MAX = 16
};

/* What a query that worked brought; borrowed for the callback. */
struct pg_result {
    uint64_t affected; /* rows, by the command tag */
    unsigned rows;     /* that came back */
    const void *native;
};
/* A field as text, "" for null; lives as long as the result. */
const char *pg_result_text(const struct pg_result *result, unsigned row, unsigned column);

struct pg_request {
    struct list node; /* private, as all below down to the callbacks */
    unsigned sent;
    unsigned answered;
    bool has_failed;
    uint64_t deadline_ms;
    struct pg_failure failure;
    /* For each query that worked, in order; NULL where nobody cares. */
    void (*on_result)(struct pg_request *request, unsigned query, const struct pg_result *result);
    /* Once. `failure` is NULL where all queries worked and the Sync was answered. Never called from
     * inside begin, query or end. */
    void (*on_done)(struct pg_request *request, const struct pg_failure *failure);
};

struct pg_connection_options {
    const char *conninfo;           /* libpq, URI or keywords; copied */
    const char *schema;             /* search_path; copied */
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
/* Ready connections only. One request is begun and ended before the next. */
void pg_connection_begin(struct pg_connection *connection, struct pg_request *request);
/* `values` in the order of the statement's parameters; a slice with NULL data is null. */
void pg_connection_query(struct pg_connection *connection, const struct pg_statement *statement,
                         const struct slice *values);
void pg_connection_end(struct pg_connection *connection);
/* Drops what there is and connects anew at once: requests fail as lost. */
void pg_connection_restart(struct pg_connection *connection, const char *why);
/* Safe twice. Requests fail as lost, inside this call. */
void pg_connection_close(struct pg_connection *connection);

#endif
