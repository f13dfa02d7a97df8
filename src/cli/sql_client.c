#include "cli/sql_client.h"

#include <string.h>

#include "base/buffer.h"
#include "base/panic.h"
#include "config/text.h"
#include "sink/sqlstate.h"

#include <libpq-fe.h>

enum {
    SQL_BINARY_MAX = 64
};

static void ignore_notice(void *context, const PGresult *notice)
{
    (void)context;
    (void)notice; /* libpq would print it */
}

/* In one line: libpq says one per host and address. */
static void explain(struct error *error, enum error_kind kind, const char *message,
                    const char *what_to_do)
{
    struct buffer line = {0};
    struct slice rest = text_trim(slice_from_string(message));
    for (size_t i = 0; i < rest.size; i++) {
        if (rest.data[i] == '\n') {
            buffer_append_string(&line, "; ");
        } else if (rest.data[i] != '\t') {
            buffer_append_byte(&line, rest.data[i]);
        }
    }
    error_set(error, kind, "postgres: %.*s: %s", SLICE_ARGS(buffer_slice(&line)), what_to_do);
    buffer_deinit(&line);
}

static void explain_result(const struct sql_client *client, const PGresult *result,
                           struct error *error)
{
    const char *found = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *sqlstate = found != NULL ? found : "";
    const char *message = PQerrorMessage(client->native);
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

bool sql_client_open(struct sql_client *client, const struct config *config, struct error *error)
{
    /* What the URL says itself comes last and wins. */
    const char *names[] = {"connect_timeout", "fallback_application_name", "dbname", NULL};
    const char *values[] = {"10", "standpipe", config->postgres.url, NULL};
    *client = (struct sql_client){.native = PQconnectdbParams(names, values, 1)};
    if (client->native == NULL) {
        PANIC("out of memory");
    }
    if (PQstatus(client->native) != CONNECTION_OK) {
        bool is_there = PQpingParams(names, values, 1) == PQPING_OK;
        explain(error, is_there ? ERROR_REFUSED : ERROR_UNREACHABLE, PQerrorMessage(client->native),
                is_there ? "check postgres.url" : "check postgres.url, and that PostgreSQL runs");
        sql_client_close(client);
        return false;
    }
    (void)PQsetNoticeReceiver(client->native, ignore_notice, NULL); /* returns the old one */
    (void)PQsetErrorVerbosity(client->native, PQERRORS_TERSE);      /* likewise */
    const char *schema = config->postgres.schema;
    client->schema = PQescapeIdentifier(client->native, schema, strlen(schema));
    if (client->schema == NULL) {
        explain(error, ERROR_REFUSED, PQerrorMessage(client->native), "check postgres.schema");
        sql_client_close(client);
        return false;
    }
    return true;
}

void sql_client_close(struct sql_client *client)
{
    PQfreemem(client->schema);
    PQfinish(client->native);
    *client = (struct sql_client){0};
}

static void append_sql(struct buffer *out, const char *sql, const char *name)
{
    for (const char *place; (place = strstr(sql, "%s")) != NULL; sql = place + 2) {
        buffer_append(out, sql, (size_t)(place - sql));
        buffer_append_string(out, name);
    }
    buffer_append_string(out, sql);
    buffer_append_byte(out, '\0');
}

/* NULL with `error` where it is none. */
static PGresult *checked(const struct sql_client *client, PGresult *result, struct error *error)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        return result;
    }
    explain_result(client, result, error);
    PQclear(result);
    return NULL;
}

static bool is_row_error(const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    enum sqlstate_class class = sqlstate_classify(sqlstate != NULL ? sqlstate : "", "");
    return sqlstate != NULL && (class == SQLSTATE_ROW || class == SQLSTATE_DONE);
}

PGresult *sql_client_run(struct sql_client *client, const char *sql,
                         const struct sql_parameters *parameters, struct error *error)
{
    const char *values[SQL_BINARY_MAX];
    int lengths[SQL_BINARY_MAX];
    int formats[SQL_BINARY_MAX];
    ASSERT(parameters->count <= SQL_BINARY_MAX);
    for (unsigned i = 0; i < parameters->count; i++) {
        values[i] = parameters->values[i].data;
        lengths[i] = (int)parameters->values[i].size;
        formats[i] = 1;
    }
    PGresult *result = PQexecParams(client->native, sql, (int)parameters->count, parameters->types,
                                    values, lengths, formats, 0);
    bool is_row = is_row_error(result);
    result = checked(client, result, error);
    if (result == NULL && is_row) {
        error->kind = ERROR_ROW;
    }
    return result;
}

PGresult *sql_client_ask(struct sql_client *client, const char *sql, const char *name,
                         const char *const *values, int count, struct error *error)
{
    struct buffer text = {0};
    append_sql(&text, sql, name);
    PGresult *result = PQexecParams(client->native, text.data, count, NULL, values, NULL, NULL, 0);
    buffer_deinit(&text);
    return checked(client, result, error);
}

PGresult *sql_client_query(struct sql_client *client, const char *sql, const char *const *values,
                           struct error *error)
{
    int count = 0;
    while (values != NULL && values[count] != NULL) {
        ASSERT(count < SQL_VALUES_MAX);
        count++;
    }
    return sql_client_ask(client, sql, client->schema, values, count, error);
}
