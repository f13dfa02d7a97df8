/* The statement on a table of counts: what the settings of the transaction say, added up. */
#include "sink/table_sql.h"

#include <string.h>

#include "sink/sql_words.h"

/* A table whose rows are counted. */
struct writing {
    const struct table *table;
    size_t index;
    struct buffer *out;
};

static void append_moved(const struct writing *writing, const struct count_table *counts,
                         size_t count, enum table_form form)
{
    struct buffer *out = writing->out;
    buffer_append_string(out, "SELECT key AS k");
    for (size_t c = 0; c < counts->column_count; c++) {
        bool is_this = strcmp(counts->columns[c], writing->table->counts[count].column) == 0;
        buffer_append_format(out, ", %s AS n%zu", is_this ? "value::bigint" : "0", c);
    }
    buffer_append_string(out, " FROM json_each_text(nullif(current_setting(");
    table_sql_append_setting(out, writing->index, form, count);
    buffer_append_string(out, ", true), '')::json)");
}

/* All ways in which the rows of a table change one of its counts. */
static void append_moves(const struct writing *writing, const struct count_table *counts,
                         size_t count, const char **between)
{
    for (int form = 0; form < TABLE_FORM_COUNT; form++) {
        buffer_append_string(writing->out, *between);
        append_moved(writing, counts, count, (enum table_form)form);
        *between = " UNION ALL ";
    }
}

static void append_all_moves(const struct writing *writing, const struct count_table *counts,
                             const char **between)
{
    for (size_t i = 0; i < writing->table->count_count; i++) {
        if (strcmp(writing->table->counts[i].counts, counts->name) == 0) {
            append_moves(writing, counts, i, between);
        }
    }
}

/* For each column `<before><its name or number><after>`. */
static void append_each(const struct count_table *counts, struct buffer *out, const char *before,
                        const char *after)
{
    for (size_t c = 0; c < counts->column_count; c++) {
        buffer_append_string(out, before);
        buffer_append_format(out, "%zu", c);
        buffer_append_string(out, after);
    }
}

/* Locked in the order of the keys, as everywhere. */
void table_sql_append_counts(const struct tables *tables, size_t index, struct buffer *out)
{
    const struct count_table *counts = &tables->count_tables[index];
    const char *between = "";
    buffer_append_string(out, "INSERT INTO ");
    sql_append_name(out, counts->name);
    buffer_append_string(out, " AS t (");
    sql_append_name(out, counts->key);
    for (size_t c = 0; c < counts->column_count; c++) {
        buffer_append_string(out, ", ");
        sql_append_name(out, counts->columns[c]);
    }
    buffer_append_string(out, ") SELECT k");
    append_each(counts, out, ", sum(n", ")");
    buffer_append_string(out, " FROM (");
    for (size_t t = 0; t < tables->count; t++) {
        const struct writing writing = {.table = &tables->items[t], .index = t, .out = out};
        append_all_moves(&writing, counts, &between);
    }
    buffer_append_string(out, ") AS moved GROUP BY k HAVING false");
    append_each(counts, out, " OR sum(n", ") <> 0");
    buffer_append_string(out, " ORDER BY k COLLATE \"C\" ON CONFLICT (");
    sql_append_name(out, counts->key);
    buffer_append_string(out, ") DO UPDATE SET ");
    for (size_t c = 0; c < counts->column_count; c++) {
        buffer_append_string(out, c > 0 ? ", " : "");
        sql_append_name(out, counts->columns[c]);
        buffer_append_string(out, " = t.");
        sql_append_name(out, counts->columns[c]);
        buffer_append_string(out, " + excluded.");
        sql_append_name(out, counts->columns[c]);
    }
}
