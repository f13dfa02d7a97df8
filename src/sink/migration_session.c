#include "sink/migration_session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/panic.h"
#include "sink/pg_encoding.h"
#include "sink/pg_failure.h"
#include "sink/pg_target.h"
#include "sink/sqlstate.h"

#include <libpq-fe.h>

/* Any number will do, as long as it never changes. */
#define TRY_LOCK "SELECT pg_try_advisory_xact_lock(6076279138281)"

enum {
    VERSION_TRANSACTION_TIMEOUT = 170000, /* of PostgreSQL: has transaction_timeout */
    CONNECT_TIMEOUT_MS = 10000,           /* of one host */
    LOCK_TIMEOUT_MS = 30000,
    LOCK_INTERVAL_MS = 50,
    SAID_SIZE = MIGRATION_SAID_SIZE - 1, /* of PostgreSQL's words, so that there is room for ours */
};

static enum error_kind kind_of(const char *sqlstate, const char *message)
{
    switch (sqlstate_classify(sqlstate, message)) {
    case SQLSTATE_OUTAGE:
    case SQLSTATE_SLOW:
    case SQLSTATE_STALE_PLAN:
        return ERROR_UNREACHABLE;
    case SQLSTATE_DONE:
    case SQLSTATE_ROW:
    case SQLSTATE_MISCONFIGURED:
        break;
    }
    return ERROR_REFUSED;
}

/* One line: what PostgreSQL says goes on with the statement, which helps nobody here. */
static void explain(struct migration_session *session, enum error_kind kind, const char *message)
{
    size_t size = strcspn(message, "\n");
    error_set(session->error, kind, "postgres: %.*s: %s",
              (int)(size < SAID_SIZE ? size : SAID_SIZE), message,
              kind == ERROR_UNREACHABLE ? "check postgres.url, and that PostgreSQL runs"
                                        : "check postgres.url and the rights of its user");
}

static bool fail(struct migration_session *session, const char *what, const PGresult *result)
{
    char said[SAID_SIZE + 1];
    const char *sqlstate = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *message = PQerrorMessage(session->native);
    const char *primary =
        result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    (void)snprintf(session->sqlstate, sizeof(session->sqlstate), "%s",
                   sqlstate != NULL ? sqlstate : ""); /* both are cut where they are longer */
    (void)snprintf(session->said, sizeof(session->said), "%s", primary != NULL ? primary : "");
    (void)snprintf(said, sizeof(said), "%s: %s", what, message); /* cut where it is longer */
    explain(session, kind_of(sqlstate != NULL ? sqlstate : "", message), said);
    return false;
}

bool migration_session_run(struct migration_session *session, const char *what, const char *sql)
{
    PGresult *answer = PQexec(session->native, sql);
    ExecStatusType status = PQresultStatus(answer);
    bool is_done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!is_done) {
        (void)fail(session, what, answer); /* says false */
    }
    PQclear(answer);
    return is_done;
}

bool migration_session_try(struct migration_session *session, const char *sql,
                           const uint32_t *types, unsigned count, bool *is_refused)
{
    *is_refused = false;
    if (!migration_session_run(session, "trying a statement", "SAVEPOINT standpipe_trial")) {
        return false;
    }
    PGresult *answer = PQprepare(session->native, "", sql, (int)count, types);
    if (PQresultStatus(answer) != PGRES_COMMAND_OK) {
        (void)fail(session, "trying a statement", answer); /* says false */
        PQclear(answer);
        *is_refused = session->error->kind == ERROR_REFUSED;
        return *is_refused && migration_session_run(session, "trying a statement",
                                                    "ROLLBACK TO SAVEPOINT standpipe_trial");
    }
    PQclear(answer);
    return true;
}

struct pg_result *migration_session_query(struct migration_session *session, const char *sql,
                                          const char *parameter)
{
    PGresult *result = PQexecParams(session->native, sql, parameter != NULL ? 1 : 0, NULL,
                                    &parameter, NULL, NULL, 0);
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        return result;
    }
    (void)fail(session, "asking for the schema", result); /* says false */
    PQclear(result);
    return NULL;
}

bool migration_session_ask(struct migration_session *session, const char *sql,
                           const char *parameter, struct buffer *text)
{
    PGresult *result = migration_session_query(session, sql, parameter);
    buffer_clear(text);
    if (result != NULL && PQntuples(result) == 1) {
        buffer_append_string(text, PQgetvalue(result, 0, 0));
    }
    buffer_append_byte(text, '\0');
    PQclear(result);
    return result != NULL;
}

/* As PQconnectdb does, but with a deadline for each host, and verbose from the start: libpq tells the
 * SQLSTATE of a refused connection in no other way. */
static bool finish_connecting(PGconn *native)
{
    uint64_t deadline_ms = clock_monotonic_ms() + CONNECT_TIMEOUT_MS;
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    (void)PQsetErrorVerbosity(native, PQERRORS_VERBOSE); /* returns the old one */
    while (step == PGRES_POLLING_WRITING || step == PGRES_POLLING_READING) {
        uint64_t now_ms = clock_monotonic_ms();
        struct pollfd socket = {.fd = PQsocket(native),
                                .events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        if (now_ms >= deadline_ms) {
            return false;
        }
        int ready = poll(&socket, 1, (int)(deadline_ms - now_ms));
        if (ready > 0) {
            step = PQconnectPoll(native);
        } else if (ready < 0 && errno != EINTR) {
            return false;
        }
    }
    return step == PGRES_POLLING_OK;
}

static bool connect_target(struct migration_session *session, const struct pg_targets *targets,
                           const struct pg_target *target)
{
    struct pg_failure failure;
    PQfinish(session->native); /* of the host before; NULL is fine */
    session->native = pg_target_start(targets, target, NULL, "standpipe migrate");
    if (session->native == NULL) {
        PANIC("out of memory");
    }
    if (PQstatus(session->native) != CONNECTION_BAD && finish_connecting(session->native)) {
        return true;
    }
    pg_failure_of_connection(&failure, session->native, "no connection in time");
    bool is_wrong = failure.class == SQLSTATE_MISCONFIGURED;
    explain(session, is_wrong ? ERROR_REFUSED : ERROR_UNREACHABLE, failure.text);
    return false;
}

static bool connect_native(struct migration_session *session)
{
    struct pg_targets targets;
    bool is_connected = false;
    if (!pg_targets_init(&targets, session->conninfo, session->error)) {
        return false;
    }
    for (unsigned i = 0; i < targets.count && !is_connected; i++) {
        is_connected = connect_target(session, &targets, &targets.list[i]);
    }
    pg_targets_deinit(&targets);
    if (!is_connected) {
        return false;
    }
    (void)PQsetErrorVerbosity(session->native, PQERRORS_TERSE); /* returns the old one */
    return true;
}

/* Of the transaction, because behind a pooler the next one may run in another session. A stricter level than
 * READ COMMITTED would see what was there before the lock was ours. */
static void build_begin(struct migration_session *session)
{
    buffer_append_format(&session->begin,
                         "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path = %s; "
                         "SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = 0; "
                         "SET LOCAL idle_in_transaction_session_timeout = 0; "
                         "SET LOCAL synchronous_commit = on; "
                         "SET LOCAL standard_conforming_strings = on; "
                         "SET LOCAL client_min_messages = warning",
                         session->quoted_schema.data);
    if (PQserverVersion(session->native) >= VERSION_TRANSACTION_TIMEOUT) {
        buffer_append_string(&session->begin, "; SET LOCAL transaction_timeout = 0");
    }
    buffer_append_byte(&session->begin, '\0');
}

static bool check_encoding(struct migration_session *session)
{
    struct buffer encoding = {0};
    char why[PG_TEXT_SIZE];
    bool is_known = migration_session_ask(session, "SELECT current_setting('server_encoding')",
                                          NULL, &encoding);
    bool is_good = is_known && pg_encoding_check(encoding.data, why);
    if (is_known && !is_good) {
        error_set(session->error, ERROR_REFUSED, "postgres: %s", why);
    }
    buffer_deinit(&encoding);
    return is_good;
}

static bool quote_schema(struct migration_session *session)
{
    char *schema = PQescapeIdentifier(session->native, session->schema, strlen(session->schema));
    if (schema == NULL) {
        return fail(session, "the name of the schema", NULL);
    }
    buffer_append_string(&session->quoted_schema, schema);
    buffer_append_byte(&session->quoted_schema, '\0');
    PQfreemem(schema);
    return true;
}

bool migration_session_open(struct migration_session *session)
{
    if (!connect_native(session) || !check_encoding(session) || !quote_schema(session)) {
        return false;
    }
    build_begin(session);
    return true;
}

void migration_session_close(struct migration_session *session)
{
    PQfinish(session->native);
    session->native = NULL;
    buffer_deinit(&session->quoted_schema);
    buffer_deinit(&session->begin);
}

bool migration_session_begin(struct migration_session *session)
{
    return migration_session_run(session, "beginning", session->begin.data);
}

static bool try_lock(struct migration_session *session, bool *is_locked)
{
    PGresult *answer = PQexec(session->native, TRY_LOCK);
    bool is_good = PQresultStatus(answer) == PGRES_TUPLES_OK ||
                   fail(session, "waiting for another migration", answer);
    *is_locked = is_good && strcmp(PQgetvalue(answer, 0, 0), "t") == 0;
    PQclear(answer);
    return is_good;
}

/* Asks again and again: a statement that waits has a snapshot, for which the one who has the lock would wait in turn
 * when it builds an index concurrently. */
bool migration_session_lock(struct migration_session *session)
{
    uint64_t deadline_ms = clock_monotonic_ms() + LOCK_TIMEOUT_MS;
    bool is_locked = false;
    bool is_good = migration_session_begin(session) && try_lock(session, &is_locked);
    while (is_good && !is_locked && clock_monotonic_ms() < deadline_ms) {
        (void)poll(NULL, 0, LOCK_INTERVAL_MS);
        is_good = try_lock(session, &is_locked);
    }
    if (is_good && !is_locked) {
        error_set(session->error, ERROR_UNREACHABLE,
                  "postgres: another migration is at work: wait for it");
    }
    return is_locked;
}
