#include "config/text.h"
#include "runtime/reach.h"
#include "sink/pg_encoding.h"

#include <libpq-fe.h>

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

/* A server that answers a ping but not us refuses us: the password, the database, the rules. */
static void explain(PGconn *connection, const char *const *names, const char *const *values,
                    struct error *error)
{
    struct buffer message = {0};
    bool is_there = PQpingParams(names, values, 1) == PQPING_OK;
    append_line(&message, PQerrorMessage(connection));
    error_set(error, is_there ? ERROR_REFUSED : ERROR_UNREACHABLE, "%.*s: check postgres.url%s",
              SLICE_ARGS(buffer_slice(&message)), is_there ? "" : ", and that PostgreSQL runs");
    buffer_deinit(&message);
}

static const char timeout_s[] = "5";
_Static_assert(REACH_TIMEOUT_S == 5, "timeout_s says the same");

static bool describe(PGconn *connection, struct buffer *found, struct error *error)
{
    char why[PG_TEXT_SIZE];
    const char *version = PQparameterStatus(connection, "server_version");
    const char *encoding = PQparameterStatus(connection, "server_encoding");
    if (encoding != NULL && !pg_encoding_check(encoding, why)) {
        error_set(error, ERROR_REFUSED, "%s", why);
        return false;
    }
    buffer_append_format(found, "%s answers, version %s", PQhost(connection),
                         version != NULL ? version : "unknown");
    return true;
}

bool reach_postgres(const struct config *config, struct buffer *found, struct error *error)
{
    /* What the URL says itself comes last and wins. */
    const char *names[] = {"connect_timeout", "fallback_application_name", "dbname", NULL};
    const char *values[] = {timeout_s, "standpipe check", config->postgres.url, NULL};
    PGconn *connection = PQconnectdbParams(names, values, 1);
    bool is_good = connection != NULL && PQstatus(connection) == CONNECTION_OK;
    if (is_good) {
        is_good = describe(connection, found, error);
    } else if (connection == NULL) {
        error_set(error, ERROR_INTERNAL, "no memory for a connection");
    } else {
        explain(connection, names, values, error);
    }
    PQfinish(connection);
    return is_good;
}
