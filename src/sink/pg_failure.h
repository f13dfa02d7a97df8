/*
 * PostgreSQL failure: what the server or libpq said, split into what a log may hold and what it may not.
 *
 * A message of the server may quote the record that it refuses (`invalid input syntax ...: "<value>"`),
 * and DETAIL does so by design. So `text` is the primary message only where its SQLSTATE says that it can
 * name nothing but the server and the schema; elsewhere it is the constraint, table and column.
 * `detail` is both as they came: it belongs into the row of the dead letter and nowhere else.
 *
 * Ownership: values. Threading: pure functions, but for reading the connection.
 */
#ifndef SINK_PG_FAILURE_H
#define SINK_PG_FAILURE_H

#include <stdbool.h>

#include "sink/sqlstate.h"

struct pg_conn;
struct pg_result;

enum {
    PG_SQLSTATE_SIZE = 6,
    PG_TEXT_SIZE = 384,
    PG_DETAIL_SIZE = 256,
    PG_NAME_SIZE = 64 /* NAMEDATALEN */
};

/* Why a request or a connection failed. */
struct pg_failure {
    enum sqlstate_class class;
    bool is_lost;                    /* the connection went: what a COMMIT did is unknown */
    unsigned query;                  /* which query of the request, from 0 */
    char sqlstate[PG_SQLSTATE_SIZE]; /* empty where the server said nothing */
    char text[PG_TEXT_SIZE];         /* one line, free of record content */
    char table[PG_NAME_SIZE];        /* whose constraint it was; empty where that is not said */
    char detail[PG_DETAIL_SIZE]; /* valid UTF-8, may quote the record; empty where there is none */
};

/* A connection that failed for a reason of ours; `text` is cut to a line. */
void pg_failure_set(struct pg_failure *failure, const char *text);
/* A connection that failed, by what libpq says of it; `otherwise` where it says nothing. The verbosity must
 * have been PQERRORS_VERBOSE while connecting (libpq has no other way to tell the SQLSTATE of a refusal)
 * and PQERRORS_SQLSTATE after, so that there is no record content in it. */
void pg_failure_of_connection(struct pg_failure *failure, const struct pg_conn *native,
                              const char *otherwise);
/* A query that failed, or a notice. */
void pg_failure_of_result(struct pg_failure *failure, const struct pg_result *native);

/* Finds the line of a message that carries an SQLSTATE (`SEVERITY:  XXXXX: text` or `SEVERITY:  XXXXX`, the
 * severity in the server's language) and its code. False where there is none: `line` is then the first one. */
bool pg_failure_parse(const char *message, char sqlstate[PG_SQLSTATE_SIZE],
                      char line[PG_TEXT_SIZE]);

#endif
