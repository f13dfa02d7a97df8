/*
 * PostgreSQL pipeline: requests on one connected libpq connection, answered in order.
 *
 *   begin, query..., end --> [requests, FIFO] --> on_result per query, then on_done
 *
 * A request is everything up to one Sync: one implicit transaction, unless it says BEGIN. Where the
 * session is not ours to keep (a transaction pooler), each request begins with a preamble that sets what it
 * relies on for its own transaction.
 *
 * Ownership: embedded; owns what it is attached to. Requests are embedded in their owner and borrowed until
 * their on_done; what a query points to is copied before pg_pipeline_query() returns.
 * Threading: the loop's thread only. Callbacks come from the loop, never from inside begin, query or end.
 */
#ifndef SINK_PG_PIPELINE_H
#define SINK_PG_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "sink/pg_failure.h"
#include "sink/pg_watcher.h"

#include <uv.h>

/* A statement with a fixed number of parameters, sent in binary format, answered in text. */
struct pg_statement {
    const char *name; /* of the prepared statement; NULL: is never prepared */
    const char *sql;
    const uint32_t *types; /* OIDs of the parameters */
    unsigned count;
};

enum {
    PG_PARAMETERS_MAX = 64,
    PG_INT8_SIZE = 8
};

/* A parameter of type int8 in its binary format; borrows `bytes`. */
struct slice pg_int8(int64_t number, char bytes[PG_INT8_SIZE]);

/* What a query that worked brought; borrowed for the callback. */
struct pg_answer {
    uint64_t affected; /* rows, by the command tag */
    unsigned rows;     /* that came back */
    const struct pg_result *native;
};
/* A field as text, "" for null; lives as long as the answer. */
const char *pg_answer_text(const struct pg_answer *answer, unsigned row, unsigned column);

struct pg_request {
    struct list node; /* private, as all below down to the callbacks */
    unsigned sent;
    unsigned answered;
    unsigned preambles; /* queries before the owner's own: 0 or 1 */
    bool has_failed;
    uint64_t deadline_ms;
    struct pg_failure failure;
    /* For each query that worked, in order; NULL where nobody cares. */
    void (*on_result)(struct pg_request *request, unsigned query, const struct pg_answer *answer);
    /* Once. `failure` is NULL where all queries worked and the Sync was answered. */
    void (*on_done)(struct pg_request *request, const struct pg_failure *failure);
};

struct pg_pipeline_options {
    const char *object; /* the log's; borrowed */
    bool prepared;
    uint64_t deadline_ms;                /* from the end of a request's sending to its Sync */
    const struct pg_statement *preamble; /* NULL: none; borrowed, as its values */
    const struct slice *preamble_values;
};

struct pg_pipeline_callbacks {
    /* It is of no use any more; the requests are still waiting. */
    void (*on_broken)(void *owner, const struct pg_failure *failure);
    void (*on_closed)(void *owner);
};

/* Private. */
struct pg_pipeline {
    struct pg_pipeline_options options;
    struct pg_pipeline_callbacks callbacks;
    void *owner;
    struct pg_conn *native; /* NULL: detached */
    unsigned generation; /* of `native`, so that a drain notices that a callback has replaced it */
    struct pg_watcher watcher;
    uv_timer_t timer;
    bool is_broken; /* a send failed: the timer is set to fire at once */
    struct list requests;
    struct pg_request *begun;  /* between begin and end */
    struct pg_failure failure; /* of what is broken; has a text where the server has said goodbye */
};

void pg_pipeline_init(struct pg_pipeline *pipeline, struct uv_loop_s *loop,
                      const struct pg_pipeline_options *options);
/* Takes `native`, connected. False where libpq has no pipeline mode for it; it is attached all the same. */
bool pg_pipeline_attach(struct pg_pipeline *pipeline, struct pg_conn *native)
    __attribute__((warn_unused_result));
/* Ends the connection; requests stay. Safe twice. */
void pg_pipeline_detach(struct pg_pipeline *pipeline);
/* All requests end as lost. Their on_done may begin nothing. */
void pg_pipeline_fail_requests(struct pg_pipeline *pipeline, const struct pg_failure *failure);
/* Detached first; once; on_closed follows. */
void pg_pipeline_close(struct pg_pipeline *pipeline);

/* One request is begun and ended before the next. */
void pg_pipeline_begin(struct pg_pipeline *pipeline, struct pg_request *request);
/* `values` in the order of the statement's parameters; a slice with NULL data is null. */
void pg_pipeline_query(struct pg_pipeline *pipeline, const struct pg_statement *statement,
                       const struct slice *values);
void pg_pipeline_prepare(struct pg_pipeline *pipeline, const struct pg_statement *statement);
void pg_pipeline_end(struct pg_pipeline *pipeline);

#endif
