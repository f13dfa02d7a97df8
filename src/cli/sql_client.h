/*
 * SQL client: PostgreSQL for the command line, with blocking libpq.
 *
 * Ownership: embedded; results are the caller's (PQclear). Threading: the main thread.
 * Errors: ERROR_UNREACHABLE where PostgreSQL is away or busy, ERROR_REFUSED where it says no.
 */
#ifndef CLI_SQL_CLIENT_H
#define CLI_SQL_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "config/config.h"

struct pg_conn;
struct pg_result;

struct sql_client {
    struct pg_conn *native;
    char *schema; /* quoted */
};

enum {
    SQL_VALUES_MAX = 4
};

/* In binary format. */
struct sql_parameters {
    const struct slice *values;
    const uint32_t *types; /* OIDs */
    unsigned count;
};

/* Where it fails there is nothing to close. */
bool sql_client_open(struct sql_client *client, const struct config *config, struct error *error)
    __attribute__((warn_unused_result));
void sql_client_close(struct sql_client *client);
/* Runs `sql` with the quoted schema for each `%s` and up to SQL_VALUES_MAX texts (terminated by NULL; NULL: none).
 * A statement that returns no rows has an empty result. NULL with `error` where it fails. */
struct pg_result *sql_client_query(struct sql_client *client, const char *sql,
                                   const char *const *values, struct error *error)
    __attribute__((warn_unused_result));

/* The same with `name` for each `%s` and `count` texts, any of them NULL. */
struct pg_result *sql_client_ask(struct sql_client *client, const char *sql, const char *name,
                                 const char *const *values, int count, struct error *error)
    __attribute__((warn_unused_result));
/* Runs `sql` as it stands. ERROR_ROW where a row is refused. NULL with `error` where it fails. */
struct pg_result *sql_client_run(struct sql_client *client, const char *sql,
                                 const struct sql_parameters *parameters, struct error *error)
    __attribute__((warn_unused_result));

#endif
