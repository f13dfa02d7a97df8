#include "sink/typed_plan.h"

#include <string.h>

#include "sink/sql_words.h"
#include "sink/typed_book.h"
#include "sink/typed_sql.h"

enum {
    COLUMNS_MAX = TABLE_COLUMNS_MAX + 1
};

#define KIND_TABLE        'r'
#define KIND_PARTITIONED  'p'
#define KIND_VIEW         'v'
#define SAY(plan, ...)    buffer_append_format(&(plan)->words, "typed table " __VA_ARGS__)
#define REFUSE(plan, ...) buffer_append_format(&(plan)->refusals, __VA_ARGS__)

void typed_plan_clear(struct typed_plan *plan)
{
    buffer_clear(&plan->sql);
    buffer_clear(&plan->index_sql);
    buffer_clear(&plan->words);
    buffer_clear(&plan->index_words);
    buffer_clear(&plan->refusals);
    plan->is_waiting = false;
    plan->is_emptied = false;
    plan->is_concurrent = false;
    plan->index_table = NULL;
    plan->index = NULL;
}

void typed_plan_deinit(struct typed_plan *plan)
{
    buffer_deinit(&plan->sql);
    buffer_deinit(&plan->index_sql);
    buffer_deinit(&plan->words);
    buffer_deinit(&plan->index_words);
    buffer_deinit(&plan->refusals);
}

static bool is_table(char kind)
{
    return kind == KIND_TABLE || kind == KIND_PARTITIONED;
}

static bool is_text(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

/* --- names --- */

/* What stands where ours should, and was not made by us. */
static bool refuse_foreign(struct typed_plan *plan, const char *relation)
{
    REFUSE(plan,
           "%s is there already and standpipe did not make it: rename the section, or rename "
           "or drop the relation\n",
           relation);
    return false;
}

/* False where something else has the name. */
static bool check_relations(struct typed_plan *plan, const struct table *table)
{
    char rows = typed_catalog_kind(plan->catalog, table->rows_name);
    char view = typed_catalog_kind(plan->catalog, table->name);
    const char *kind = typed_book_kind(plan->catalog, table->name);
    bool is_ours = is_text(kind, TYPED_BOOK_ROWS);
    if (kind != NULL && !is_ours) {
        REFUSE(plan,
               "%s was of another kind (%s): choose another name, or forget it: DELETE FROM "
               "standpipe_tables WHERE name = '%s'\n",
               table->name, kind, table->name);
        return false;
    }
    if (rows != '\0' && (!is_ours || !is_table(rows))) {
        return refuse_foreign(plan, table->rows_name);
    }
    if (view != '\0' && (!is_ours || view != KIND_VIEW)) {
        return refuse_foreign(plan, table->name);
    }
    return true;
}

/* --- columns --- */

static bool is_wanted_column(const struct table *table, const char *name)
{
    for (size_t i = 0; i < typed_column_count(table); i++) {
        if (strcmp(typed_column_name(table, i), name) == 0) {
            return true;
        }
    }
    return false;
}

static void refuse_column(struct typed_plan *plan, const struct table *table, const char *column,
                          const char *why)
{
    REFUSE(plan,
           "%s.%s %s: standpipe drops no data; to lose it, run: DROP VIEW %s; ALTER TABLE %s DROP "
           "COLUMN %s; and migrate again\n",
           table->name, column, why, table->name, table->rows_name, column);
}

static void plan_columns(struct typed_plan *plan, const struct table *table)
{
    for (size_t i = 0; i < typed_column_count(table); i++) {
        const char *name = typed_column_name(table, i);
        const char *type = typed_catalog_column(plan->catalog, table->rows_name, name);
        if (type == NULL) {
            buffer_append_format(&plan->sql, "ALTER TABLE %s ADD COLUMN ", table->rows_name);
            typed_column_definition(table, i, &plan->sql);
            buffer_append_string(&plan->sql, ";\n");
            plan->is_emptied = true;
            SAY(plan, "%s: column %s added\n", table->name, name);
        } else if (strcmp(type, typed_column_type(table, i)) != 0) {
            refuse_column(plan, table, name, "has another type than is described");
        }
    }
    for (size_t i = 0;; i++) {
        const char *name = typed_book_item(plan->catalog, table->name, "column", i);
        if (name == NULL) {
            break;
        }
        if (!is_wanted_column(table, name) &&
            typed_catalog_column(plan->catalog, table->rows_name, name) != NULL) {
            refuse_column(plan, table, name, "is no longer described");
        }
    }
}

/* --- indexes --- */

static bool is_wanted_index(const struct table *table, const char *name)
{
    for (size_t i = 0; i < table->index_count; i++) {
        if (strcmp(table->indexes[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

#define SAY_INDEX(plan, ...) buffer_append_format(&(plan)->index_words, "typed table " __VA_ARGS__)

static void make_index(struct typed_plan *plan, const struct table *table,
                       const struct table_index *index, enum typed_index_state state)
{
    if (state == TYPED_INDEX_INVALID) {
        buffer_append_format(&plan->index_sql, "DROP INDEX %s;\n", index->name);
    }
    typed_create_index(table, index, "", "", &plan->index_sql);
    SAY_INDEX(plan, "%s: index %s created\n", table->name, index->name);
    plan->index = index;
}

/* One statement a time: none of them can be in a transaction. */
static void make_index_concurrently(struct typed_plan *plan, const struct table *table,
                                    const struct table_index *index, enum typed_index_state state)
{
    struct buffer schema = {0};
    bool is_left_over = state == TYPED_INDEX_INVALID;
    buffer_append_format(&schema, "%s.", plan->schema);
    buffer_append_byte(&schema, '\0');
    plan->is_concurrent = true;
    if (is_left_over) {
        typed_drop_index(index->name, schema.data, &plan->index_sql);
        SAY_INDEX(plan, "%s: index %s dropped, as its build did not end\n", table->name,
                  index->name);
    }
    if (!is_left_over || plan->is_whole) {
        typed_create_index(table, index, "CONCURRENTLY ", schema.data, &plan->index_sql);
        SAY_INDEX(plan, "%s: index %s created\n", table->name, index->name);
        plan->index = index;
    }
    buffer_deinit(&schema);
}

/* The rows that are there may not fit. So each index is made by itself, and after all else: what else is new stays, and
 * a rebuild can make the rows fit. */
static void plan_late_index(struct typed_plan *plan, const struct table *table,
                            const struct table_index *index, enum typed_index_state state)
{
    bool is_small = typed_catalog_bytes(plan->catalog, table->rows_name) < TYPED_SMALL_BYTES;
    if (plan->index_sql.size > 0 && !plan->is_whole) {
        return;
    }
    plan->index_table = table;
    (is_small ? make_index : make_index_concurrently)(plan, table, index, state);
}

static void plan_index(struct typed_plan *plan, const struct table *table,
                       const struct table_index *index)
{
    enum typed_index_state state =
        typed_catalog_index(plan->catalog, table->rows_name, index->name);
    switch (state) {
    case TYPED_INDEX_VALID:
        return;
    case TYPED_INDEX_BUILDING:
        plan->is_waiting = true;
        return;
    case TYPED_INDEX_ABSENT:
    case TYPED_INDEX_INVALID:
        break;
    }
    if (typed_catalog_kind(plan->catalog, table->rows_name) != '\0') {
        plan_late_index(plan, table, index, state);
        return;
    }
    typed_create_index(table, index, "", "", &plan->sql);
    SAY(plan, "%s: index %s created\n", table->name, index->name);
}

static void drop_unwanted_indexes(struct typed_plan *plan, const struct table *table)
{
    for (size_t i = 0;; i++) {
        const char *name = typed_book_item(plan->catalog, table->name, "index", i);
        if (name == NULL) {
            return;
        }
        if (!is_wanted_index(table, name) &&
            typed_catalog_index(plan->catalog, table->rows_name, name) != TYPED_INDEX_ABSENT) {
            buffer_append_format(&plan->sql, "DROP INDEX %s;\n", name);
            SAY(plan, "%s: index %s dropped, as it is no longer described\n", table->name, name);
        }
    }
}

/* --- the view --- */

/* In the table's order, what is new behind it: a view can only be replaced by one that begins as it does. */
static size_t view_columns(const struct typed_plan *plan, const struct table *table,
                           const char **columns)
{
    size_t count = 0;
    for (size_t i = 0;; i++) {
        const char *name = typed_catalog_column_at(plan->catalog, table->rows_name, i);
        if (name == NULL) {
            break;
        }
        if (is_wanted_column(table, name)) {
            columns[count++] = name;
        }
    }
    for (size_t i = 0; i < typed_column_count(table); i++) {
        const char *name = typed_column_name(table, i);
        if (typed_catalog_column(plan->catalog, table->rows_name, name) == NULL) {
            columns[count++] = name;
        }
    }
    return count;
}

/* `out` gets the SQL that makes it as it should be, terminated. */
static void plan_view(struct typed_plan *plan, const struct table *table, struct buffer *out)
{
    const char *columns[COLUMNS_MAX];
    size_t count = view_columns(plan, table, columns);
    typed_create_view(table, columns, count, out);
    buffer_append_byte(out, '\0');
    if (typed_catalog_kind(plan->catalog, table->name) == KIND_VIEW &&
        is_text(typed_book_view(plan->catalog, table->name), out->data)) {
        return;
    }
    buffer_append_string(&plan->sql, out->data);
    SAY(plan, "%s: view made\n", table->name);
}

/* --- a table of ours --- */

static void plan_rows(struct typed_plan *plan, const struct table *table)
{
    struct buffer view = {0};
    if (!check_relations(plan, table)) {
        return;
    }
    if (typed_catalog_kind(plan->catalog, table->rows_name) == '\0') {
        typed_create_table(table, &plan->sql);
        plan->is_emptied = true;
        SAY(plan, "%s: %s created\n", table->name, table->rows_name);
    } else {
        plan_columns(plan, table);
    }
    drop_unwanted_indexes(plan, table);
    for (size_t i = 0; i < table->index_count; i++) {
        plan_index(plan, table, &table->indexes[i]);
    }
    plan_view(plan, table, &view);
    typed_book_remember_rows(plan, table, view.data);
    buffer_deinit(&view);
}

/* --- a table of the user's --- */

static void plan_existing(struct typed_plan *plan, const struct table *table)
{
    const char *kind = typed_book_kind(plan->catalog, table->name);
    if (kind != NULL && !is_text(kind, TYPED_BOOK_EXISTING)) {
        REFUSE(plan, "%s is a table that standpipe made: call the section otherwise\n",
               table->name);
        return;
    }
    if (typed_catalog_kind(plan->catalog, table->name) == '\0') {
        REFUSE(plan, "%s does not exist and is described as existing: create it\n", table->name);
        return;
    }
    for (size_t i = 0; i < table->column_count; i++) {
        const char *column = table->columns[i].name;
        if (typed_catalog_column(plan->catalog, table->name, column) == NULL) {
            REFUSE(plan, "%s has no column %s: add it, or take it out of the section\n",
                   table->name, column);
        }
    }
    typed_book_remember_existing(plan, table);
}

void typed_plan_table(struct typed_plan *plan, const struct table *table)
{
    (table->is_users ? plan_existing : plan_rows)(plan, table);
}

/* --- a table of counts --- */

static bool is_count_column(const struct count_table *counts, const char *name)
{
    for (size_t i = 0; i < counts->column_count; i++) {
        if (strcmp(counts->columns[i], name) == 0) {
            return true;
        }
    }
    return strcmp(counts->key, name) == 0;
}

static void plan_count_column(struct typed_plan *plan, const struct count_table *counts,
                              const char *column, const char *wanted)
{
    const char *type = typed_catalog_column(plan->catalog, counts->name, column);
    if (type != NULL && strcmp(type, wanted) == 0) {
        return;
    }
    if (type != NULL || strcmp(column, counts->key) == 0) {
        REFUSE(plan,
               "%s.%s is not the %s that is described: to count anew, run: DROP TABLE %s; and "
               "migrate again\n",
               counts->name, column, wanted, counts->name);
        return;
    }
    buffer_append_format(&plan->sql, "ALTER TABLE %s ADD COLUMN %s bigint NOT NULL DEFAULT 0;\n",
                         counts->name, column);
    plan->is_emptied = true;
    SAY(plan, "%s: column %s added\n", counts->name, column);
}

static void refuse_lost_counts(struct typed_plan *plan, const struct count_table *counts)
{
    for (size_t i = 0;; i++) {
        const char *name = typed_book_item(plan->catalog, counts->name, "column", i);
        if (name == NULL) {
            return;
        }
        if (!is_count_column(counts, name) &&
            typed_catalog_column(plan->catalog, counts->name, name) != NULL) {
            REFUSE(plan,
                   "%s.%s is no longer described: standpipe drops no data; to lose it, run: ALTER "
                   "TABLE %s DROP COLUMN %s; and migrate again\n",
                   counts->name, name, counts->name, name);
        }
    }
}

void typed_plan_counts(struct typed_plan *plan, const struct tables *tables,
                       const struct count_table *counts)
{
    char kind = typed_catalog_kind(plan->catalog, counts->name);
    const char *remembered = typed_book_kind(plan->catalog, counts->name);
    bool is_ours = is_text(remembered, TYPED_BOOK_COUNTS);
    if ((remembered != NULL && !is_ours) || (kind != '\0' && (!is_ours || !is_table(kind)))) {
        (void)refuse_foreign(plan, counts->name); /* says false */
        return;
    }
    if (kind == '\0') {
        typed_create_counts(counts, &plan->sql);
        plan->is_emptied = true;
        SAY(plan, "%s: created\n", counts->name);
    } else {
        plan_count_column(plan, counts, counts->key, "text");
        for (size_t i = 0; i < counts->column_count; i++) {
            plan_count_column(plan, counts, counts->columns[i], "bigint");
        }
        refuse_lost_counts(plan, counts);
    }
    typed_book_remember_counts(plan, tables, counts);
}

/* --- what is no longer described --- */

static bool is_described(const struct tables *tables, const char *name)
{
    for (size_t i = 0; i < tables->count; i++) {
        if (strcmp(tables->items[i].name, name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < tables->count_table_count; i++) {
        if (strcmp(tables->count_tables[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void refuse_gone(struct typed_plan *plan, const char *name, bool has_view)
{
    REFUSE(plan,
           "%s is no longer described: standpipe drops no data; to lose it, run: %s%s%sDROP TABLE "
           "%s%s; to keep it as it is, run: DELETE FROM standpipe_tables WHERE name = '%s'; and "
           "migrate again\n",
           name, has_view ? "DROP VIEW " : "", has_view ? name : "", has_view ? "; " : "",
           has_view ? "standpipe_" : "", name, name);
}

void typed_plan_remembered(struct typed_plan *plan, const struct tables *tables, const char *name)
{
    const char *kind = typed_book_kind(plan->catalog, name);
    bool is_rows = is_text(kind, TYPED_BOOK_ROWS);
    bool is_counts = is_text(kind, TYPED_BOOK_COUNTS);
    struct buffer relation = {0};
    if (is_described(tables, name)) {
        return;
    }
    buffer_append_format(&relation, "%s%s", is_rows ? "standpipe_" : "", name);
    buffer_append_byte(&relation, '\0');
    if ((is_rows || is_counts) && typed_catalog_kind(plan->catalog, relation.data) != '\0') {
        refuse_gone(plan, name, is_rows);
    } else {
        buffer_append_string(&plan->sql, "DELETE FROM standpipe_tables WHERE name = ");
        sql_append_literal(&plan->sql, name);
        buffer_append_string(&plan->sql, ";\n");
        SAY(plan, "%s: forgotten\n", name);
    }
    buffer_deinit(&relation);
}
