#include "sink/typed_migration.h"

#include <stdio.h>
#include <string.h>

#include "sink/typed_plan.h"

enum {
    ROUNDS_PER_TABLE =
        2 + 2 * TABLE_INDEXES_MAX, /* a round changes one table, or builds one index */
    FIRST_REFUSAL_MAX = 250
};

struct typed_migration {
    struct migration_session *session;
    const struct tables *tables;
    struct buffer *report;
    struct typed_catalog catalog;
    struct typed_plan plan;
    struct buffer refusals; /* of all tables */
};

/* The nth thing to plan: tables, then counts, then what is remembered. False at the end. */
static bool plan_nth(struct typed_migration *migration, size_t n)
{
    const struct tables *tables = migration->tables;
    typed_plan_clear(&migration->plan);
    if (n < tables->count) {
        typed_plan_table(&migration->plan, &tables->items[n]);
        return true;
    }
    n -= tables->count;
    if (n < tables->count_table_count) {
        typed_plan_counts(&migration->plan, tables, &tables->count_tables[n]);
        return true;
    }
    const char *name = typed_book_name(&migration->catalog, n - tables->count_table_count);
    if (name != NULL) {
        typed_plan_remembered(&migration->plan, tables, name);
    }
    return name != NULL;
}

static bool look(struct typed_migration *migration)
{
    typed_catalog_deinit(&migration->catalog);
    return typed_catalog_read(&migration->catalog, migration->session, migration->tables);
}

/* --- refusals --- */

static size_t collect_refusals(struct typed_migration *migration)
{
    size_t count = 0;
    buffer_clear(&migration->refusals);
    for (size_t n = 0; plan_nth(migration, n); n++) {
        buffer_append_slice(&migration->refusals, buffer_slice(&migration->plan.refusals));
    }
    for (size_t i = 0; i < migration->refusals.size; i++) {
        count += migration->refusals.data[i] == '\n';
    }
    return count;
}

static bool refuse(struct typed_migration *migration, size_t count)
{
    struct slice all = buffer_slice(&migration->refusals);
    const char *end = memchr(all.data, '\n', all.size);
    size_t size = (size_t)(end - all.data);
    char more[64] = "";
    if (count > 1) {
        (void)snprintf(more, sizeof(more), " (and %zu more: see migrate --dry-run)", count - 1);
    }
    error_set(migration->session->error, ERROR_REFUSED, "typed tables: %.*s%s",
              (int)(size < FIRST_REFUSAL_MAX ? size : FIRST_REFUSAL_MAX), all.data, more);
    return false;
}

/* --- changes --- */

static bool run_terminated(struct migration_session *session, const char *what, struct buffer *sql)
{
    buffer_append_byte(sql, '\0');
    return migration_session_run(session, what, sql->data);
}

/* The build waits for every snapshot that is older than it. The portal of our last question holds one until the next
 * simple query; between two of those a transaction of READ COMMITTED has none. */
static bool let_go_of_snapshot(struct migration_session *session)
{
    return migration_session_run(session, "letting go of a snapshot", "SELECT");
}

static bool run_concurrently(struct typed_migration *migration)
{
    struct migration_session *first = migration->session;
    struct migration_session second = {
        .conninfo = first->conninfo, .schema = first->schema, .error = first->error};
    /* Of the session, since there is no transaction that they could be of. */
    bool is_done = let_go_of_snapshot(first) && migration_session_open(&second) &&
                   migration_session_run(&second, "an index", "SET statement_timeout = 0") &&
                   migration_session_run(&second, "an index", "SET lock_timeout = 0") &&
                   run_terminated(&second, "an index", &migration->plan.concurrent);
    migration_session_close(&second);
    return is_done;
}

static bool change(struct typed_migration *migration)
{
    struct typed_plan *plan = &migration->plan;
    bool is_concurrent = plan->sql.size == 0;
    if (!(is_concurrent ? run_concurrently(migration)
                        : run_terminated(migration->session, "typed tables", &plan->sql)) ||
        !migration_session_run(migration->session, "committing", "COMMIT")) {
        return false;
    }
    buffer_append_slice(migration->report,
                        buffer_slice(is_concurrent ? &plan->concurrent_words : &plan->words));
    return true;
}

/* First what a transaction can do, for all tables: a long build must not keep the others waiting. */
static bool find_change(struct typed_migration *migration, bool is_concurrent)
{
    for (size_t n = 0; plan_nth(migration, n); n++) {
        const struct typed_plan *plan = &migration->plan;
        if (is_concurrent ? plan->concurrent.size > 0 || plan->is_waiting : plan->sql.size > 0) {
            return true;
        }
    }
    return false;
}

/* Locks, looks, changes one thing. */
static bool run_round(struct typed_migration *migration, bool *is_over)
{
    if (!migration_session_lock(migration->session) || !look(migration)) {
        return false;
    }
    size_t refusals = collect_refusals(migration);
    if (refusals > 0) {
        return refuse(migration, refusals);
    }
    *is_over = !find_change(migration, false) && !find_change(migration, true);
    if (!*is_over && migration->plan.sql.size == 0 && migration->plan.concurrent.size == 0) {
        error_set(migration->session->error, ERROR_UNREACHABLE,
                  "typed tables: another session builds an index: wait for it, or end it");
        return false;
    }
    return *is_over ? migration_session_run(migration->session, "committing", "COMMIT")
                    : change(migration);
}

static bool run_all(struct typed_migration *migration)
{
    size_t things = migration->tables->count + migration->tables->count_table_count + TABLES_MAX;
    bool is_over = false;
    for (size_t i = 0; i < things * ROUNDS_PER_TABLE && !is_over; i++) {
        if (!run_round(migration, &is_over)) {
            return false;
        }
    }
    if (!is_over) {
        error_set(migration->session->error, ERROR_INTERNAL,
                  "typed tables: what is made does not last: is something changing them?");
    }
    return is_over;
}

/* --- dry run --- */

static void append_comments(struct buffer *out, struct slice lines)
{
    while (lines.size > 0) {
        const char *end = memchr(lines.data, '\n', lines.size);
        size_t size = (size_t)(end - lines.data) + 1;
        buffer_append_format(out, "-- refused: %.*s", (int)size, lines.data);
        lines = slice_skip(lines, size);
    }
}

static bool print_all(struct typed_migration *migration)
{
    if (!look(migration)) {
        return false;
    }
    for (size_t n = 0; plan_nth(migration, n); n++) {
        buffer_append_slice(migration->report, buffer_slice(&migration->plan.sql));
        buffer_append_slice(migration->report, buffer_slice(&migration->plan.concurrent));
        append_comments(migration->report, buffer_slice(&migration->plan.refusals));
    }
    size_t refusals = collect_refusals(migration);
    return refusals == 0 || refuse(migration, refusals);
}

bool typed_migration_run(struct migration_session *session, const struct tables *tables,
                         bool dry_run, struct buffer *report)
{
    struct typed_migration migration = {.session = session, .tables = tables, .report = report};
    migration.plan.catalog = &migration.catalog;
    migration.plan.schema = session->quoted_schema.data;
    bool is_done = dry_run ? print_all(&migration) : run_all(&migration);
    typed_plan_deinit(&migration.plan);
    typed_catalog_deinit(&migration.catalog);
    buffer_deinit(&migration.refusals);
    return is_done;
}
