#include "sink/typed_book.h"

#include <string.h>

#include "sink/sql_words.h"
#include "sink/typed_sql.h"

/* What a row should say. */
struct book_row {
    const char *name;
    const char *kind;
    const char *view; /* NULL: has none */
    struct buffer description;
    const char *columns[TABLE_COLUMNS_MAX + 1];
    size_t column_count;
    const char *const *indexes;
    size_t index_count;
};

static bool has_item(const struct typed_plan *plan, const char *name, const char *kind,
                     const char *wanted)
{
    const char *item = typed_book_item(plan->catalog, name, kind, 0);
    for (size_t i = 1; item != NULL && strcmp(item, wanted) != 0; i++) {
        item = typed_book_item(plan->catalog, name, kind, i);
    }
    return item != NULL;
}

/* In any order. */
static bool is_list_same(const struct typed_plan *plan, const struct book_row *row,
                         const char *kind, const char *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!has_item(plan, row->name, kind, items[i]) ||
            typed_book_item(plan->catalog, row->name, kind, i) == NULL) {
            return false;
        }
    }
    return typed_book_item(plan->catalog, row->name, kind, count) == NULL;
}

static bool is_remembered(const struct typed_plan *plan, const struct book_row *row)
{
    const char *description = typed_book_description(plan->catalog, row->name);
    const char *view = typed_book_view(plan->catalog, row->name);
    return description != NULL && strcmp(description, row->description.data) == 0 &&
           strcmp(view, row->view != NULL ? row->view : "") == 0 &&
           is_list_same(plan, row, "column", row->columns, row->column_count) &&
           is_list_same(plan, row, "index", row->indexes, row->index_count);
}

static void append_list(const char *const *items, size_t count, struct buffer *out)
{
    buffer_append_string(out, ", '{");
    for (size_t i = 0; i < count; i++) {
        buffer_append_format(out, i > 0 ? ",%s" : "%s", items[i]);
    }
    buffer_append_string(out, "}'");
}

/* What is as it was keeps what is known of it. */
static void append_row(const struct typed_plan *plan, const struct book_row *row,
                       struct buffer *out)
{
    const char *is_same = plan->is_emptied ? "false" : "t.description = excluded.description";
    buffer_append_string(out,
                         "INSERT INTO standpipe_tables AS t (name, kind, description, columns, "
                         "indexes, view_sql, filled)\n    VALUES (");
    sql_append_literal(out, row->name);
    buffer_append_string(out, ", ");
    sql_append_literal(out, row->kind);
    buffer_append_string(out, ", ");
    sql_append_literal(out, row->description.data);
    append_list(row->columns, row->column_count, out);
    append_list(row->indexes, row->index_count, out);
    buffer_append_string(out, ", ");
    if (row->view != NULL) {
        sql_append_literal(out, row->view);
    } else {
        buffer_append_string(out, "NULL");
    }
    buffer_append_format(
        out,
        ", NOT EXISTS (SELECT FROM standpipe_records))\n"
        "    ON CONFLICT (name) DO UPDATE SET kind = excluded.kind,\n"
        "    description = excluded.description, columns = excluded.columns,\n"
        "    indexes = excluded.indexes, view_sql = excluded.view_sql, updated_at = now(),\n"
        "    filled = excluded.filled OR (t.filled AND %s),\n"
        "    rebuild = CASE WHEN %s THEN t.rebuild END;\n",
        is_same, is_same);
}

/* Frees the row. */
static void remember(struct typed_plan *plan, struct book_row *row)
{
    buffer_append_byte(&row->description, '\0');
    if (plan->is_emptied || !is_remembered(plan, row)) {
        append_row(plan, row, &plan->sql);
        if (plan->words.size == 0) {
            buffer_append_format(&plan->words, "typed table %s: its description is remembered\n",
                                 row->name);
        }
    }
    buffer_deinit(&row->description);
}

void typed_book_remember_rows(struct typed_plan *plan, const struct table *table, const char *view)
{
    struct book_row row = {.name = table->name,
                           .kind = TYPED_BOOK_ROWS,
                           .view = view,
                           .column_count = typed_column_count(table),
                           .index_count = table->index_count};
    const char *indexes[TABLE_INDEXES_MAX];
    for (size_t i = 0; i < row.column_count; i++) {
        row.columns[i] = typed_column_name(table, i);
    }
    for (size_t i = 0; i < table->index_count; i++) {
        indexes[i] = table->indexes[i].name;
    }
    row.indexes = indexes;
    tables_describe(table, &row.description);
    remember(plan, &row);
}

/* None of its columns is ours. */
void typed_book_remember_existing(struct typed_plan *plan, const struct table *table)
{
    struct book_row row = {.name = table->name, .kind = TYPED_BOOK_EXISTING};
    tables_describe(table, &row.description);
    remember(plan, &row);
}

void typed_book_remember_counts(struct typed_plan *plan, const struct tables *tables,
                                const struct count_table *counts)
{
    struct book_row row = {
        .name = counts->name, .kind = TYPED_BOOK_COUNTS, .column_count = counts->column_count + 1};
    row.columns[0] = counts->key;
    for (size_t i = 0; i < counts->column_count; i++) {
        row.columns[i + 1] = counts->columns[i];
    }
    tables_describe_counts(tables, counts, &row.description);
    remember(plan, &row);
}
