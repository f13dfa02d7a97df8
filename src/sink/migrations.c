#include "sink/migrations.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/panic.h"
#include "sink/pg_encoding.h"
#include "sink/pg_failure.h"
#include "sink/pg_target.h"
#include "sink/schema_steps.h"
#include "sink/sqlstate.h"

#include <libpq-fe.h>

/* Any number will do, as long as it never changes. */
#define LOCK_MIGRATIONS "SELECT pg_advisory_xact_lock(6076279138281)"

enum {
    VERSION_NONE = -1,
    VERSION_FAILED = -2,
    VERSION_TRANSACTION_TIMEOUT = 170000, /* of PostgreSQL: has transaction_timeout */
    CONNECT_TIMEOUT_MS = 10000            /* of one host */
};

struct migration {
    const struct migrations_options *options;
    struct buffer *report;
    struct error *error;
    PGconn *native;
    struct buffer begin; /* of each transaction, terminated */
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

static bool fail(struct migration *migration, const char *what, const PGresult *result)
{
    const char *sqlstate = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *message = PQerrorMessage(migration->native);
    error_set(migration->error, kind_of(sqlstate != NULL ? sqlstate : "", message),
              "postgres: %s: %.250s", what, message);
    return false;
}

static bool run(struct migration *migration, const char *what, const char *sql)
{
    PGresult *answer = PQexec(migration->native, sql);
    ExecStatusType status = PQresultStatus(answer);
    bool is_done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!is_done) {
        (void)fail(migration, what, answer); /* says false */
    }
    PQclear(answer);
    return is_done;
}

static bool query_text(struct migration *migration, const char *sql, const char *parameter,
                       struct buffer *text)
{
    PGresult *result = PQexecParams(migration->native, sql, parameter != NULL ? 1 : 0, NULL,
                                    &parameter, NULL, NULL, 0);
    bool is_done = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    buffer_clear(text);
    if (is_done) {
        buffer_append_string(text, PQgetvalue(result, 0, 0));
    } else {
        (void)fail(migration, "asking for the schema", result); /* says false */
    }
    buffer_append_byte(text, '\0');
    PQclear(result);
    return is_done;
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

static bool connect_target(struct migration *migration, const struct pg_targets *targets,
                           const struct pg_target *target)
{
    struct pg_failure failure;
    PQfinish(migration->native); /* of the host before; NULL is fine */
    migration->native = pg_target_start(targets, target, NULL, "standpipe migrate");
    if (migration->native == NULL) {
        PANIC("out of memory");
    }
    if (PQstatus(migration->native) != CONNECTION_BAD && finish_connecting(migration->native)) {
        return true;
    }
    pg_failure_of_connection(&failure, migration->native, "no connection in time");
    bool is_wrong = failure.class == SQLSTATE_MISCONFIGURED;
    error_set(migration->error, is_wrong ? ERROR_REFUSED : ERROR_UNREACHABLE, "postgres: %s",
              failure.text);
    return false;
}

static bool connect_native(struct migration *migration)
{
    struct pg_targets targets;
    bool is_connected = false;
    if (!pg_targets_init(&targets, migration->options->conninfo, migration->error)) {
        return false;
    }
    for (unsigned i = 0; i < targets.count && !is_connected; i++) {
        is_connected = connect_target(migration, &targets, &targets.list[i]);
    }
    pg_targets_deinit(&targets);
    if (!is_connected) {
        return false;
    }
    (void)PQsetErrorVerbosity(migration->native, PQERRORS_TERSE); /* returns the old one */
    return true;
}

/* Of the transaction, because behind a pooler the next one may run in another session. A stricter level than
 * READ COMMITTED would see what was there before the lock was ours. */
static void build_begin(struct migration *migration, const char *schema)
{
    buffer_append_format(&migration->begin,
                         "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path = %s; "
                         "SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = 0; "
                         "SET LOCAL idle_in_transaction_session_timeout = 0; "
                         "SET LOCAL synchronous_commit = on; "
                         "SET LOCAL standard_conforming_strings = on; "
                         "SET LOCAL client_min_messages = warning",
                         schema);
    if (PQserverVersion(migration->native) >= VERSION_TRANSACTION_TIMEOUT) {
        buffer_append_string(&migration->begin, "; SET LOCAL transaction_timeout = 0");
    }
    buffer_append_byte(&migration->begin, '\0');
}

static bool check_encoding(struct migration *migration)
{
    struct buffer encoding = {0};
    char why[PG_TEXT_SIZE];
    bool is_known =
        query_text(migration, "SELECT current_setting('server_encoding')", NULL, &encoding);
    bool is_good = is_known && pg_encoding_check(encoding.data, why);
    if (is_known && !is_good) {
        error_set(migration->error, ERROR_REFUSED, "postgres: %s", why);
    }
    buffer_deinit(&encoding);
    return is_good;
}

static bool create_schema(struct migration *migration, const char *schema)
{
    struct buffer sql = {0};
    buffer_append_format(&sql, "CREATE SCHEMA IF NOT EXISTS %s", schema);
    buffer_append_byte(&sql, '\0');
    buffer_append_format(migration->report, "%s;\n", sql.data);
    bool is_done =
        migration->options->dry_run ||
        (run(migration, "beginning", migration->begin.data) &&
         run(migration, "waiting for another migration", LOCK_MIGRATIONS) &&
         run(migration, "creating the schema", sql.data) && run(migration, "committing", "COMMIT"));
    buffer_deinit(&sql);
    return is_done;
}

static bool enter_schema(struct migration *migration)
{
    struct buffer answer = {0};
    char *schema = PQescapeIdentifier(migration->native, migration->options->schema,
                                      strlen(migration->options->schema));
    if (schema == NULL) {
        return fail(migration, "the name of the schema", NULL);
    }
    build_begin(migration, schema);
    bool is_done = query_text(migration, "SELECT count(*) FROM pg_namespace WHERE nspname = $1",
                              migration->options->schema, &answer);
    if (is_done && strcmp(answer.data, "0") == 0) {
        is_done = create_schema(migration, schema);
    }
    PQfreemem(schema);
    buffer_deinit(&answer);
    return is_done;
}

/* The highest step that is done; VERSION_NONE where there is not even the table. */
static int read_version(struct migration *migration)
{
    struct buffer text = {0};
    int version = VERSION_FAILED;
    /* to_regclass alone would find a table of that name further down a search path. */
    if (query_text(migration,
                   "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                   "WHERE n.nspname = $1 AND c.relname = 'standpipe_migrations'",
                   migration->options->schema, &text)) {
        version = strcmp(text.data, "0") == 0 ? VERSION_NONE : 0;
    }
    if (version == 0) {
        version = VERSION_FAILED;
        if (query_text(migration, "SELECT coalesce(max(step), 0) FROM standpipe_migrations", NULL,
                       &text)) {
            version = (int)strtol(text.data, NULL, 10);
        }
    }
    buffer_deinit(&text);
    return version;
}

static bool refuse_newer(struct migration *migration, int version)
{
    if (version <= schema_step_count) {
        return true;
    }
    error_set(migration->error, ERROR_REFUSED,
              "postgres: schema %s is at step %d, this standpipe knows %d: run a newer one",
              migration->options->schema, version, schema_step_count);
    return false;
}

static bool dry_run(struct migration *migration)
{
    if (!run(migration, "beginning", migration->begin.data)) {
        return false;
    }
    int version = read_version(migration);
    if (version == VERSION_FAILED || !refuse_newer(migration, version)) {
        return false;
    }
    for (int i = version == VERSION_NONE ? 0 : version; i < schema_step_count; i++) {
        buffer_append_format(migration->report, "-- step %d: %s\n%s", i + 1, schema_steps[i].name,
                             schema_steps[i].sql);
    }
    return true;
}

static bool run_step(struct migration *migration, int index)
{
    struct buffer sql = {0};
    buffer_append_string(&sql, schema_steps[index].sql);
    buffer_append_format(&sql, "INSERT INTO standpipe_migrations (step, name) VALUES (%d, '%s')",
                         index + 1, schema_steps[index].name);
    buffer_append_byte(&sql, '\0');
    bool is_done = run(migration, schema_steps[index].name, sql.data) &&
                   run(migration, "committing", "COMMIT");
    buffer_deinit(&sql);
    if (is_done) {
        buffer_append_format(migration->report, "step %d: %s\n", index + 1,
                             schema_steps[index].name);
    }
    return is_done;
}

/* One transaction a step; the lock is taken before the version is read, so that of two at once the
 * second sees what the first has done. Sets `*is_over` where nothing is left. */
static bool step_once(struct migration *migration, bool *is_over)
{
    if (!run(migration, "beginning", migration->begin.data) ||
        !run(migration, "waiting for another migration", LOCK_MIGRATIONS)) {
        return false;
    }
    int version = read_version(migration);
    if (version == VERSION_FAILED || !refuse_newer(migration, version)) {
        return false;
    }
    if (version == VERSION_NONE) {
        version = 0;
        if (!run(migration, "creating standpipe_migrations",
                 "CREATE TABLE standpipe_migrations (step integer PRIMARY KEY, name text NOT NULL, "
                 "applied_at timestamptz NOT NULL DEFAULT now())")) {
            return false;
        }
    }
    *is_over = version == schema_step_count;
    return *is_over ? run(migration, "committing", "COMMIT") : run_step(migration, version);
}

bool migrations_run(const struct migrations_options *options, struct buffer *report,
                    struct error *error)
{
    struct migration migration = {.options = options, .report = report, .error = error};
    bool is_done =
        connect_native(&migration) && check_encoding(&migration) && enter_schema(&migration);
    if (is_done && options->dry_run) {
        is_done = dry_run(&migration);
    } else {
        for (bool is_over = false; is_done && !is_over;) {
            is_done = step_once(&migration, &is_over);
        }
    }
    PQfinish(migration.native); /* ends what a failure has left open */
    buffer_deinit(&migration.begin);
    return is_done;
}
