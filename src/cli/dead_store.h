/*
 * Dead store: standpipe_dead_letters for the command line, with blocking libpq.
 *
 * Ownership: embedded; results are the caller's (PQclear). Threading: the main thread.
 * Errors: ERROR_UNREACHABLE where PostgreSQL is away or busy, ERROR_REFUSED where it says no.
 */
#ifndef CLI_DEAD_STORE_H
#define CLI_DEAD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/sql_client.h"
#include "config/config.h"

struct pg_result;

/* Which letters are meant. All texts are borrowed; NULL: any. */
struct dead_filter {
    const char *ids; /* a PostgreSQL array, `{1,2}` */
    const char *reason;
    const char *collection; /* `app.bsky.feed.*` matches whole segments */
    const char *since;      /* RFC 3339 */
};

struct dead_store {
    struct sql_client client;
    char *table; /* qualified and quoted */
};

enum {
    DEAD_FILTER_PARAMETERS = 4,
    DEAD_PARAMETERS_MAX = 8
};
/* For a query's WHERE: $1 to $4 are the filter's parameters. */
#define DEAD_FILTER_SQL                                                                            \
    "($1::bigint[] IS NULL OR id = ANY ($1::bigint[])) AND ($2::text IS NULL OR reason = $2)"      \
    " AND ($3::text IS NULL OR collection = $3"                                                    \
    " OR (right($3, 2) = '.*' AND starts_with(collection, left($3, -1))))"                         \
    " AND ($4::timestamptz IS NULL OR created_at >= $4)"

bool dead_store_open(struct dead_store *store, const struct config *config, struct error *error)
    __attribute__((warn_unused_result));
void dead_store_close(struct dead_store *store);
/* Runs `sql` with the table's name for each `%s`, the filter's parameters, then `extra`
 * (terminated by NULL; NULL: none). NULL with `error` where it fails. */
struct pg_result *dead_store_query(struct dead_store *store, const char *sql,
                                   const struct dead_filter *filter, const char *const *extra,
                                   struct error *error) __attribute__((warn_unused_result));
/* BEGIN, COMMIT, ROLLBACK. */
bool dead_store_run(struct dead_store *store, const char *sql, struct error *error)
    __attribute__((warn_unused_result));
/* How many letters the filter takes. */
bool dead_store_count(struct dead_store *store, const struct dead_filter *filter, uint64_t *count,
                      struct error *error) __attribute__((warn_unused_result));

/* Removes up to `limit` of the letters and their mirror entries, in one transaction; the entries go first, so that
 * a crash in between leaves the row, which is what counts. */
struct dead_mirror;
bool dead_store_remove(struct dead_store *store, struct dead_mirror *mirror,
                       const struct dead_filter *filter, unsigned limit, uint64_t *removed,
                       struct error *error) __attribute__((warn_unused_result));

#endif
