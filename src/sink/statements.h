/*
 * Statements: the SQL of a transaction, and the order in which it takes its locks.
 *
 *   repos (by DID: every repo of the batch) -> identity, account, floor, rev owed (rows locked already)
 *   -> records (by key) -> dead letters
 *
 * Whoever writes a record has locked its repo first, so two transactions meet at `repos`, in one
 * order. A guard that is false locks the row and writes nothing.
 */
#ifndef SINK_STATEMENTS_H
#define SINK_STATEMENTS_H

#include "sink/batch.h"
#include "sink/pg_connection.h"

/* For pg_connection_options; in the order in which they are sent. */
enum statement {
    STATEMENT_REPOS,
    STATEMENT_IDENTITIES,
    STATEMENT_ACCOUNTS,
    STATEMENT_FLOORS,
    STATEMENT_CLEAR_REPOS,
    STATEMENT_CLEAR_RECORDS,
    STATEMENT_OWED,
    STATEMENT_RECORDS,
    STATEMENT_DEAD_LETTERS,
    STATEMENT_COUNT
};
extern const struct pg_statement statements[STATEMENT_COUNT];

/* Which statement each query of the request was. */
struct statements_sent {
    enum statement order[STATEMENT_COUNT + 1];
    unsigned count;
};

/* Sends what has rows, between pg_connection_begin() and pg_connection_end(). `settings` (with the
 * schema as search_path) go first where the session is not ours to keep; NULL elsewhere. */
void statements_send(struct pg_connection *connection, struct batch *batch, const char *settings,
                     struct statements_sent *sent);

#endif
