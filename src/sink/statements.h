/*
 * Statements: the SQL of a transaction, and the order in which it takes its locks.
 *
 *   repos (by DID: every repo of the batch) -> identity, account, floor, rev owed (rows locked already)
 *   -> records (by key) -> typed tables -> tables of counts (by name, then key) -> dead letters
 *
 * Whoever writes a record has locked its repo first, so two transactions meet at `repos`, in one
 * order. A guard that is false locks the row and writes nothing.
 */
#ifndef SINK_STATEMENTS_H
#define SINK_STATEMENTS_H

#include "sink/batch.h"
#include "sink/pg_connection.h"

/* A record `r` that a deletion of its repo `p` has removed; the view `records` says the same. */
#define STATEMENT_BELOW_FLOOR                                                                      \
    "r.rev < p.floor AND (r.rev <> '' OR coalesce(r.event_time < p.floor_time, true))"

/* Bytes of the setting standpipe.replaced from which on it names no more collections, and stands for all: a stranger's
 * commit may replace records of thousands, whose names would be searched and copied for each. */
#define STATEMENT_REPLACED_MAX "8192"

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
    STATEMENT_RECORDS_TOLD, /* the same for those who fill typed tables: they are told whether all were new */
    STATEMENT_DEAD_LETTERS,
    STATEMENT_COUNT,
    /* of typed tables: table_plan.h has their SQL */
    STATEMENT_CLEAR_ROWS,
    STATEMENT_GONE_ROWS,
    STATEMENT_LIVE_ROWS,
    STATEMENT_TABLE_COUNTS,
    STATEMENT_COMMIT,
};
extern const struct pg_statement statements[STATEMENT_COUNT];

struct statement_sent {
    enum statement statement;
    size_t table; /* of a statement of typed tables: the table's place, or the table of counts' */
};

/* Which statement each query of the request was. */
struct statements_sent {
    struct statement_sent order[STATEMENT_COUNT + 4 * TABLES_MAX];
    unsigned count;
};

/* Sends what has rows, between pg_connection_begin() and pg_connection_end(). Names are unqualified: the
 * search_path is the session's, or behind a pooler the transaction's own (pg_session.h). */
void statements_send(struct pg_connection *connection, struct batch *batch,
                     struct statements_sent *sent);

#endif
