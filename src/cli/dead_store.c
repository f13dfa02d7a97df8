#include "cli/dead_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "cli/dead_mirror.h"
#include "config/text.h"
#include "sink/sqlstate.h"

#include <libpq-fe.h>

static void ignore_notice(void *context, const PGresult *notice)
{
    (void)context;
    (void)notice; /* libpq would print it */
}

/* In one line: libpq says one per host and address. */
static void append_line(struct buffer *out, const char *message)
{
    struct slice rest = text_trim(slice_from_string(message));
    for (size_t i = 0; i < rest.size; i++) {
        if (rest.data[i] == '\n') {
            buffer_append_string(out, "; ");
        } else if (rest.data[i] != '\t') {
            buffer_append_byte(out, rest.data[i]);
        }
    }
}

static void explain(struct error *error, enum error_kind kind, const char *message,
                    const char *what_to_do)
{
    struct buffer line = {0};
    append_line(&line, message);
    error_set(error, kind, "postgres: %.*s: %s", SLICE_ARGS(buffer_slice(&line)), what_to_do);
    buffer_deinit(&line);
}

static void explain_result(const struct dead_store *store, const PGresult *result,
                           struct error *error)
{
    const char *found = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *sqlstate = found != NULL ? found : "";
    const char *message = PQerrorMessage(store->native);
    bool is_old = strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "42703") == 0;
    switch (sqlstate_classify(sqlstate, message)) {
    case SQLSTATE_OUTAGE:
    case SQLSTATE_SLOW:
    case SQLSTATE_STALE_PLAN:
        explain(error, ERROR_UNREACHABLE, message, "try again");
        return;
    case SQLSTATE_DONE:
    case SQLSTATE_ROW:
    case SQLSTATE_MISCONFIGURED:
        explain(error, ERROR_REFUSED, message,
                is_old ? "run `standpipe migrate`, or check postgres.schema"
                       : "check postgres.url and its rights");
        return;
    }
}

bool dead_store_open(struct dead_store *store, const struct config *config, struct error *error)
{
    /* What the URL says itself comes last and wins. */
    const char *names[] = {"connect_timeout", "fallback_application_name", "dbname", NULL};
    const char *values[] = {"10", "standpipe dead", config->postgres.url, NULL};
    *store = (struct dead_store){.native = PQconnectdbParams(names, values, 1)};
    if (store->native == NULL) {
        PANIC("out of memory");
    }
    if (PQstatus(store->native) != CONNECTION_OK) {
        bool is_there = PQpingParams(names, values, 1) == PQPING_OK;
        explain(error, is_there ? ERROR_REFUSED : ERROR_UNREACHABLE, PQerrorMessage(store->native),
                is_there ? "check postgres.url" : "check postgres.url, and that PostgreSQL runs");
        dead_store_close(store);
        return false;
    }
    (void)PQsetNoticeReceiver(store->native, ignore_notice, NULL); /* returns the old one */
    (void)PQsetErrorVerbosity(store->native, PQERRORS_TERSE);      /* likewise */
    char *schema =
        PQescapeIdentifier(store->native, config->postgres.schema, strlen(config->postgres.schema));
    struct buffer table = {0};
    buffer_append_format(&table, "%s.standpipe_dead_letters", schema != NULL ? schema : "public");
    buffer_append_byte(&table, '\0');
    store->table = table.data;
    PQfreemem(schema);
    return true;
}

void dead_store_close(struct dead_store *store)
{
    PQfinish(store->native);
    free(store->table);
    *store = (struct dead_store){0};
}

static void append_sql(struct buffer *out, const char *sql, const char *table)
{
    for (const char *place; (place = strstr(sql, "%s")) != NULL; sql = place + 2) {
        buffer_append(out, sql, (size_t)(place - sql));
        buffer_append_string(out, table);
    }
    buffer_append_string(out, sql);
    buffer_append_byte(out, '\0');
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
    struct buffer text = {0};
    append_sql(&text, sql, store->table);
    PGresult *result = PQexecParams(store->native, text.data, count, NULL, values, NULL, NULL, 0);
    buffer_deinit(&text);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        explain_result(store, result, error);
        PQclear(result);
        return NULL;
    }
    return result;
}

bool dead_store_run(struct dead_store *store, const char *sql, struct error *error)
{
    PGresult *result = PQexec(store->native, sql);
    bool is_done = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!is_done) {
        explain_result(store, result, error);
    }
    PQclear(result);
    return is_done;
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
        PQclear(PQexec(store->native, "ROLLBACK")); /* the first error is the one to tell */
    }
    PQclear(result);
    return is_done;
}
