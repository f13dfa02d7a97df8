#include "sink/typed_migration.h"

#include <stdio.h>
#include <string.h>

#include "sink/sql_words.h"
#include "sink/table_plan.h"
#include "sink/typed_plan.h"
#include "sink/typed_sql.h"

enum {
    ROUNDS_PER_TABLE =
        2 + 2 * TABLE_INDEXES_MAX, /* a round changes one table, or builds one index */
    FIRST_REFUSAL_MAX = 640
};

struct typed_migration {
    struct migration_session *session;
    const struct tables *tables;
    struct buffer *report;
    struct typed_catalog catalog;
    struct typed_plan plan;
    struct buffer misfits;  /* refusals of tables that were there before us, out of one trial */
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

/* --- tables that a user made --- */

/* By itself: of a whole statement PostgreSQL may first name an operator that is missing, and no column. */
static bool try_column(struct typed_migration *migration, const struct table *table, size_t column,
                       bool *is_refused)
{
    struct buffer sql = {0};
    buffer_append_string(&sql, "INSERT INTO ");
    sql_append_name(&sql, table->rows_name);
    buffer_append_string(&sql, " (");
    sql_append_name(&sql, table->columns[column].name);
    buffer_append_format(&sql, ") SELECT NULL::%s", sql_type_name(table->columns[column].type));
    buffer_append_byte(&sql, '\0');
    bool is_done = migration_session_try(migration->session, sql.data, NULL, 0, is_refused);
    buffer_deinit(&sql);
    return is_done;
}

static bool try_table(struct typed_migration *migration, const struct table_plan *plan,
                      size_t index)
{
    const struct table *table = &plan->tables->items[index];
    bool is_refused = false;
    bool is_done = true;
    for (size_t i = 0; i < table->column_count && is_done && !is_refused; i++) {
        is_done = try_column(migration, table, i, &is_refused);
    }
    for (int form = 0; form < TABLE_FORM_COUNT && is_done && !is_refused; form++) {
        const struct pg_statement *statement =
            table_plan_statement(plan, index, (enum table_form)form);
        is_done = migration_session_try(migration->session, statement->sql, statement->types,
                                        statement->count, &is_refused);
    }
    if (is_done && is_refused) {
        buffer_append_format(&migration->misfits,
                             "%s cannot be written as it is described: %s: change the table, or "
                             "its section\n",
                             table->name, migration->session->said);
    }
    return is_done;
}

static bool has_users(const struct tables *tables)
{
    for (size_t i = 0; i < tables->count; i++) {
        if (tables->items[i].is_users) {
            return true;
        }
    }
    return false;
}

static bool try_all(struct typed_migration *migration, const struct table_plan *plan)
{
    for (size_t i = 0; i < plan->tables->count; i++) {
        typed_plan_clear(&migration->plan);
        typed_plan_table(&migration->plan, &plan->tables->items[i]);
        if (plan->tables->items[i].is_users && migration->plan.refusals.size == 0 &&
            !try_table(migration, plan, i)) {
            return false;
        }
    }
    return true;
}

/* Whether they take what we would write: their types may be any, and nobody but PostgreSQL knows what goes into them.
 * Those that lack a column are refused by the plan. */
static bool try_tables(struct typed_migration *migration)
{
    if (!has_users(migration->tables)) {
        return true;
    }
    struct buffer is_there = {0};
    bool is_done = migration_session_ask(
        migration->session, "SELECT to_regclass('standpipe_records') IS NOT NULL", NULL, &is_there);
    if (is_done && strcmp(is_there.data, "t") == 0) { /* else a dry run before all */
        struct table_plan *plan = table_plan_create(migration->tables);
        is_done = try_all(migration, plan);
        table_plan_destroy(plan);
    }
    buffer_deinit(&is_there);
    return is_done;
}

/* --- refusals --- */

static size_t collect_refusals(struct typed_migration *migration)
{
    size_t count = 0;
    buffer_clear(&migration->refusals);
    buffer_append_slice(&migration->refusals, buffer_slice(&migration->misfits));
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

/* --- what PostgreSQL refuses --- */

#define UNIQUE_VIOLATION "23505"
#define NO_RIGHT         "42501"
#define TOO_LONG         "54000"

static void append_duplicates(const struct typed_plan *plan, struct buffer *out)
{
    struct buffer columns = {0};
    for (size_t i = 0; i < plan->index->column_count; i++) {
        buffer_append_format(&columns, i > 0 ? ", %s" : "%s", plan->index->columns[i]);
    }
    buffer_append_byte(&columns, '\0');
    buffer_append_format(out,
                         "rows of one key are there already: take the line out, or delete all but "
                         "one of each key, migrate, and run `standpipe rebuild all`; SELECT %s, "
                         "count(*) FROM %s%s%s GROUP BY %s HAVING count(*) > 1 shows them",
                         columns.data, plan->index_table->rows_name,
                         plan->index->where != NULL ? " WHERE " : "",
                         plan->index->where != NULL ? plan->index->where : "", columns.data);
    buffer_deinit(&columns);
}

/* The description is at fault, or the rows are, and not the connection. */
static void explain_index(struct typed_migration *migration,
                          const struct migration_session *session)
{
    const struct typed_plan *plan = &migration->plan;
    struct buffer why = {0};
    if (strcmp(session->sqlstate, UNIQUE_VIOLATION) == 0) {
        append_duplicates(plan, &why);
    } else if (strcmp(session->sqlstate, TOO_LONG) == 0) {
        buffer_append_format(&why,
                             "rows hold more than fits into it (%s): run `standpipe rebuild %s` "
                             "with this description, which leaves that out, and migrate again",
                             session->said, plan->index_table->name);
    } else {
        buffer_append_format(&why, "%s: correct its line in the description", session->said);
    }
    error_set(session->error, ERROR_REFUSED, "typed table %s: index %s cannot be made: %.*s",
              plan->index_table->name, plan->index->name, SLICE_ARGS(buffer_slice(&why)));
    buffer_deinit(&why);
}

static void explain(struct typed_migration *migration, const struct migration_session *session)
{
    bool is_refused =
        session->error->kind == ERROR_REFUSED && strcmp(session->sqlstate, NO_RIGHT) != 0;
    if (is_refused && migration->plan.index != NULL && migration->plan.sql.size == 0) {
        explain_index(migration, session);
    } else if (is_refused) {
        error_set(session->error, ERROR_REFUSED,
                  "typed tables: %s: correct the description, or what else uses the table",
                  session->said);
    }
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

/* What a build that failed has left behind is no index, and yet a unique one of them refuses rows of whoever writes. */
static void drop_left_over(struct typed_migration *migration,
                           const struct migration_session *session)
{
    struct error ignored; /* the next migration drops it */
    struct migration_session quiet = *session;
    struct buffer sql = {0};
    struct buffer schema = {0};
    buffer_append_format(&schema, "%s.", migration->plan.schema);
    buffer_append_byte(&schema, '\0');
    typed_drop_index(migration->plan.index->name, schema.data, &sql);
    quiet.error = &ignored;
    (void)run_terminated(&quiet, "an index", &sql);
    buffer_deinit(&schema);
    buffer_deinit(&sql);
}

static bool run_concurrently(struct typed_migration *migration)
{
    struct migration_session *first = migration->session;
    struct migration_session second = {
        .conninfo = first->conninfo, .schema = first->schema, .error = first->error};
    /* Of the session, since there is no transaction that they could be of. */
    bool is_ready = let_go_of_snapshot(first) && migration_session_open(&second) &&
                    migration_session_run(&second, "an index", "SET statement_timeout = 0") &&
                    migration_session_run(&second, "an index", "SET lock_timeout = 0");
    bool is_done = is_ready && run_terminated(&second, "an index", &migration->plan.index_sql);
    if (is_ready && !is_done && migration->plan.index != NULL) {
        explain(migration, &second);
        drop_left_over(migration, &second);
    }
    migration_session_close(&second);
    return is_done;
}

static bool run_planned(struct typed_migration *migration)
{
    struct typed_plan *plan = &migration->plan;
    struct migration_session *session = migration->session;
    if (plan->sql.size == 0 && plan->is_concurrent) {
        return run_concurrently(migration);
    }
    bool is_done =
        run_terminated(session, "typed tables", plan->sql.size > 0 ? &plan->sql : &plan->index_sql);
    if (!is_done) {
        explain(migration, session);
    }
    return is_done;
}

static bool change(struct typed_migration *migration)
{
    const struct typed_plan *plan = &migration->plan;
    bool is_index = plan->sql.size == 0;
    if (!run_planned(migration) ||
        !migration_session_run(migration->session, "committing", "COMMIT")) {
        return false;
    }
    buffer_append_slice(migration->report,
                        buffer_slice(is_index ? &plan->index_words : &plan->words));
    return true;
}

/* In this order, for all tables: a build that is long, or that fails, must not keep the others waiting. */
enum phase {
    PHASE_TABLES,
    PHASE_SMALL_INDEXES,
    PHASE_INDEXES,
    PHASE_COUNT
};

static bool is_of_phase(const struct typed_plan *plan, enum phase phase)
{
    switch (phase) {
    case PHASE_TABLES:
        return plan->sql.size > 0;
    case PHASE_SMALL_INDEXES:
        return plan->index_sql.size > 0 && !plan->is_concurrent;
    case PHASE_INDEXES:
        return plan->index_sql.size > 0 || plan->is_waiting;
    case PHASE_COUNT:
        break;
    }
    return false;
}

static bool find_of_phase(struct typed_migration *migration, enum phase phase)
{
    for (size_t n = 0; plan_nth(migration, n); n++) {
        if (is_of_phase(&migration->plan, phase)) {
            return true;
        }
    }
    return false;
}

static bool find_change(struct typed_migration *migration)
{
    bool is_found = false;
    for (int phase = 0; phase < PHASE_COUNT && !is_found; phase++) {
        is_found = find_of_phase(migration, (enum phase)phase);
    }
    return is_found;
}

/* Locks, looks, changes one thing. */
static bool run_round(struct typed_migration *migration, bool is_first, bool *is_over)
{
    if (!migration_session_lock(migration->session) || !look(migration) ||
        (is_first && !try_tables(migration))) {
        return false;
    }
    size_t refusals = collect_refusals(migration);
    if (refusals > 0) {
        return refuse(migration, refusals);
    }
    *is_over = !find_change(migration);
    if (!*is_over && migration->plan.sql.size == 0 && migration->plan.index_sql.size == 0) {
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
        if (!run_round(migration, i == 0, &is_over)) {
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
    if (!look(migration) || !try_tables(migration)) {
        return false;
    }
    migration->plan.is_whole = true;
    append_comments(migration->report, buffer_slice(&migration->misfits));
    for (size_t n = 0; plan_nth(migration, n); n++) {
        buffer_append_slice(migration->report, buffer_slice(&migration->plan.sql));
        append_comments(migration->report, buffer_slice(&migration->plan.refusals));
    }
    for (size_t n = 0; plan_nth(migration, n); n++) {
        buffer_append_slice(migration->report, buffer_slice(&migration->plan.index_sql));
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
    buffer_deinit(&migration.misfits);
    buffer_deinit(&migration.refusals);
    return is_done;
}
