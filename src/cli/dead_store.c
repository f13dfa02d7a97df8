#include "cli/dead_store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/panic.h"
#include "cli/dead_mirror.h"

#include <libpq-fe.h>

bool dead_store_open(struct dead_store *store, const struct config *config, struct error *error)
{
    struct buffer table = {0};
    *store = (struct dead_store){0};
    if (!sql_client_open(&store->client, config, error)) {
        return false;
    }
    buffer_append_format(&table, "%s.standpipe_dead_letters", store->client.schema);
    buffer_append_byte(&table, '\0');
    store->table = table.data;
    return true;
}

void dead_store_close(struct dead_store *store)
{
    sql_client_close(&store->client);
    free(store->table);
    *store = (struct dead_store){0};
}

PGresult *dead_store_query(struct dead_store *store, const char *sql,
                           const struct dead_filter *filter, const char *const *extra,
                           struct error *error)
{
    const char *values[DEAD_PARAMETERS_MAX] = {filter->ids, filter->reason, filter->collection,
                                               filter->since};
    int count = DEAD_FILTER_PARAMETERS;
    for (; extra != NULL && *extra != NULL; extra++) {
        ASSERT(count < DEAD_PARAMETERS_MAX);
        values[count++] = *extra;
    }
    return sql_client_ask(&store->client, sql, store->table, values, count, error);
}

bool dead_store_run(struct dead_store *store, const char *sql, struct error *error)
{
    PGresult *result = sql_client_query(&store->client, sql, NULL, error);
    PQclear(result);
    return result != NULL;
}

bool dead_store_count(struct dead_store *store, const struct dead_filter *filter, uint64_t *count,
                      struct error *error)
{
    PGresult *result = dead_store_query(store, "SELECT count(*) FROM %s WHERE " DEAD_FILTER_SQL,
                                        filter, NULL, error);
    if (result == NULL) {
        return false;
    }
    *count = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return true;
}

static bool remove_entries(const PGresult *result, struct dead_mirror *mirror, struct error *error)
{
    for (int i = 0; i < PQntuples(result); i++) {
        if (PQgetisnull(result, i, 0) == 0) {
            dead_mirror_add(mirror, PQgetvalue(result, i, 0));
        }
    }
    return dead_mirror_remove(mirror, error);
}

bool dead_store_remove(struct dead_store *store, struct dead_mirror *mirror,
                       const struct dead_filter *filter, unsigned limit, uint64_t *removed,
                       struct error *error)
{
    static const char sql[] = "DELETE FROM %s WHERE id IN (SELECT id FROM %s WHERE " DEAD_FILTER_SQL
                              " ORDER BY id LIMIT $5::bigint) RETURNING mirror_id";
    char number[16];
    (void)snprintf(number, sizeof(number), "%u", limit);
    const char *const extra[] = {number, NULL};
    if (!dead_store_run(store, "BEGIN", error)) {
        return false;
    }
    PGresult *result = dead_store_query(store, sql, filter, extra, error);
    bool is_done = result != NULL && remove_entries(result, mirror, error) &&
                   dead_store_run(store, "COMMIT", error);
    if (is_done) {
        *removed = (uint64_t)PQntuples(result);
    } else {
        PQclear(PQexec(store->client.native, "ROLLBACK")); /* the first error is the one to tell */
    }
    PQclear(result);
    return is_done;
}
