/*
 * Migration session: one blocking connection that changes the schema, in transactions that hold the advisory lock of
 * all migrations.
 *
 * Ownership: embedded; close ends what a failure has left open. Threading: a thread that may block.
 * Errors: ERROR_UNREACHABLE where PostgreSQL is away or busy, ERROR_REFUSED where it says no.
 */
#ifndef SINK_MIGRATION_SESSION_H
#define SINK_MIGRATION_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct pg_conn;
struct pg_result;

enum {
    MIGRATION_SAID_SIZE = 221
};

struct migration_session {
    const char *conninfo; /* borrowed, as the next two */
    const char *schema;
    struct error *error;
    struct pg_conn *native;
    struct buffer quoted_schema;    /* terminated */
    struct buffer begin;            /* of each transaction, terminated */
    char sqlstate[6];               /* of the statement that has failed; empty where none has */
    char said[MIGRATION_SAID_SIZE]; /* what PostgreSQL said of it */
};

/* Connects and checks the encoding; the schema need not exist. */
bool migration_session_open(struct migration_session *session) __attribute__((warn_unused_result));
void migration_session_close(struct migration_session *session);
/* BEGIN with settings that no role's defaults bend, without the lock: for reading. */
bool migration_session_begin(struct migration_session *session) __attribute__((warn_unused_result));
/* The same, and waits until no other migration is at work. */
bool migration_session_lock(struct migration_session *session) __attribute__((warn_unused_result));
/* Statements whose answers nobody needs; `what` goes into the error. */
bool migration_session_run(struct migration_session *session, const char *what, const char *sql)
    __attribute__((warn_unused_result));
/* Whether PostgreSQL would run `sql` with parameters of these `count` types: it is parsed and analysed, and forgotten. What
 * it refuses is in `said`, and the transaction goes on; any other failure is one. */
bool migration_session_try(struct migration_session *session, const char *sql,
                           const uint32_t *types, unsigned count, bool *is_refused)
    __attribute__((warn_unused_result));
/* Rows, to be cleared by the caller, or NULL. `parameter` is $1, or NULL where there is none. */
struct pg_result *migration_session_query(struct migration_session *session, const char *sql,
                                          const char *parameter)
    __attribute__((warn_unused_result));
/* The one field of the one row that `sql` gives, terminated. */
bool migration_session_ask(struct migration_session *session, const char *sql,
                           const char *parameter, struct buffer *text)
    __attribute__((warn_unused_result));

#endif
