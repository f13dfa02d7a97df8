#include "sink/migrations.h"

#include <stdlib.h>
#include <string.h>

#include "sink/migration_session.h"
#include "sink/schema_steps.h"
#include "sink/typed_migration.h"

enum {
    VERSION_NONE = -1,
    VERSION_FAILED = -2
};

struct migration {
    const struct migrations_options *options;
    struct buffer *report;
    struct error *error;
    struct migration_session session;
};

static bool run(struct migration *migration, const char *what, const char *sql)
{
    return migration_session_run(&migration->session, what, sql);
}

static bool query_text(struct migration *migration, const char *sql, const char *parameter,
                       struct buffer *text)
{
    return migration_session_ask(&migration->session, sql, parameter, text);
}

static bool create_schema(struct migration *migration)
{
    struct buffer sql = {0};
    buffer_append_format(&sql, "CREATE SCHEMA IF NOT EXISTS %s",
                         migration->session.quoted_schema.data);
    buffer_append_byte(&sql, '\0');
    buffer_append_format(migration->report, "%s;\n", sql.data);
    bool is_done =
        migration->options->dry_run ||
        (migration_session_lock(&migration->session) &&
         run(migration, "creating the schema", sql.data) && run(migration, "committing", "COMMIT"));
    buffer_deinit(&sql);
    return is_done;
}

static bool enter_schema(struct migration *migration)
{
    struct buffer answer = {0};
    bool is_done = query_text(migration, "SELECT count(*) FROM pg_namespace WHERE nspname = $1",
                              migration->options->schema, &answer);
    if (is_done && strcmp(answer.data, "0") == 0) {
        is_done = create_schema(migration);
    }
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
    if (!migration_session_begin(&migration->session)) {
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
    if (!migration_session_lock(&migration->session)) {
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
    struct migration migration = {
        .options = options,
        .report = report,
        .error = error,
        .session = {.conninfo = options->conninfo, .schema = options->schema, .error = error}};
    bool is_done = migration_session_open(&migration.session) && enter_schema(&migration);
    if (is_done && options->dry_run) {
        is_done = dry_run(&migration);
    } else {
        for (bool is_over = false; is_done && !is_over;) {
            is_done = step_once(&migration, &is_over);
        }
    }
    if (is_done && options->tables != NULL) {
        is_done =
            typed_migration_run(&migration.session, options->tables, options->dry_run, report);
    }
    migration_session_close(&migration.session); /* ends what a failure has left open */
    return is_done;
}
