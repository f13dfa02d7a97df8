/* The statement on a table of counts: what was sent, where the settings of the transaction say that it is so, and what else
 * they say, added up. */
#include "sink/table_sql.h"

#include <string.h>

#include "sink/sql_words.h"

/* A table whose rows are counted. */
struct writing {
    const struct tables *tables;
    const struct table *table;
    size_t index;
    struct buffer *out;
};

/* --- places --- */

/* Whether it is known of a row before it is written. */
static bool is_told(const struct table *table, const struct table_count *count)
{
    return table->columns[count->by].source != COLUMN_URI;
}

/* How many of the counts of a table, up to the `end`th, have a place in the table of counts. */
static unsigned count_places(const struct table *table, size_t end, const char *counts)
{
    unsigned places = 0;
    for (size_t i = 0; i < end; i++) {
        bool is_here = strcmp(table->counts[i].counts, counts) == 0;
        places += is_here && is_told(table, &table->counts[i]) ? 1 : 0;
    }
    return places;
}

static unsigned places_before(const struct tables *tables, size_t end, const char *counts)
{
    unsigned places = 0;
    for (size_t t = 0; t < end; t++) {
        places += count_places(&tables->items[t], tables->items[t].count_count, counts);
    }
    return places;
}

int table_sql_place(const struct tables *tables, size_t table, size_t count, size_t *count_table)
{
    const struct table *from = &tables->items[table];
    const char *counts = from->counts[count].counts;
    unsigned place = places_before(tables, table, counts) + count_places(from, count, counts);
    *count_table = 0;
    while (strcmp(tables->count_tables[*count_table].name, counts) != 0) {
        ++*count_table;
    }
    bool has_place = is_told(from, &from->counts[count]) && place < TABLE_PLACES_MAX;
    return has_place ? (int)place : TABLE_NO_PLACE;
}

unsigned table_sql_place_count(const struct tables *tables, size_t count_table)
{
    unsigned places = places_before(tables, tables->count, tables->count_tables[count_table].name);
    return places < TABLE_PLACES_MAX ? places : TABLE_PLACES_MAX;
}

/* A row that was written before its count was described may hold more than a key can. */
void table_sql_append_is_counted(struct buffer *out, const char *key)
{
    buffer_append_format(out, "octet_length(%s) <= %d", key, TABLE_KEY_BYTES_MAX);
}

/* --- what was sent with the rows --- */

/* `+ <the number in its place, if it was so>` of each count of the table that adds to the column. */
static void append_told(const struct writing *writing, const struct count_table *counts,
                        const char *column)
{
    struct buffer *out = writing->out;
    size_t ignored;
    for (size_t i = 0; i < writing->table->count_count; i++) {
        const struct table_count *count = &writing->table->counts[i];
        int place = table_sql_place(writing->tables, writing->index, i, &ignored);
        if (strcmp(count->counts, counts->name) != 0 || strcmp(count->column, column) != 0 ||
            place == TABLE_NO_PLACE) {
            continue;
        }
        buffer_append_string(out, " + CASE WHEN (SELECT current_setting(");
        table_sql_append_setting(out, writing->index, TABLE_LIVE, i);
        buffer_append_format(out, ", true) = '" TABLE_ALL_NEW "') THEN d.p%d::int ELSE 0 END",
                             place);
    }
}

static void append_all_told(const struct tables *tables, size_t index, struct buffer *out)
{
    const struct count_table *counts = &tables->count_tables[index];
    unsigned places = table_sql_place_count(tables, index);
    buffer_append_string(out, "SELECT d.k");
    for (size_t c = 0; c < counts->column_count; c++) {
        buffer_append_string(out, ", 0");
        for (size_t t = 0; t < tables->count; t++) {
            const struct writing writing = {
                .tables = tables, .table = &tables->items[t], .index = t, .out = out};
            append_told(&writing, counts, counts->columns[c]);
        }
        buffer_append_format(out, " AS n%zu", c);
    }
    buffer_append_string(out, " FROM unnest($1");
    for (unsigned place = 0; place < places; place++) {
        buffer_append_format(out, ", $%u", place + 2);
    }
    buffer_append_string(out, ") AS d (k");
    for (unsigned place = 0; place < places; place++) {
        buffer_append_format(out, ", p%u", place);
    }
    buffer_append_byte(out, ')');
}

/* --- what the settings say --- */

static size_t column_of(const struct count_table *counts, const char *name)
{
    size_t column = 0;
    while (strcmp(counts->columns[column], name) != 0) {
        column++;
    }
    return column;
}

/* `(<column>, '<setting>')` of each way in which the rows of a table change one of its counts. */
static void append_settings_of(const struct writing *writing, const struct count_table *counts,
                               const char **between)
{
    for (size_t i = 0; i < writing->table->count_count; i++) {
        const struct table_count *count = &writing->table->counts[i];
        if (strcmp(count->counts, counts->name) != 0) {
            continue;
        }
        for (int form = 0; form < TABLE_FORM_COUNT; form++) {
            buffer_append_format(writing->out, "%s(%zu, ", *between,
                                 column_of(counts, count->column));
            table_sql_append_setting(writing->out, writing->index, (enum table_form)form, i);
            buffer_append_byte(writing->out, ')');
            *between = ", ";
        }
    }
}

/* A row for each key that one of the settings has. They are read in one place: a place for each of them is a plan of a
 * dozen nodes more, set up anew with each transaction, and as a rule none of them says anything. */
static void append_all_moves(const struct tables *tables, const struct count_table *counts,
                             struct buffer *out)
{
    const char *between = "";
    buffer_append_string(out, " UNION ALL SELECT key");
    for (size_t c = 0; c < counts->column_count; c++) {
        buffer_append_format(out, ", CASE c WHEN %zu THEN value::int ELSE 0 END", c);
    }
    buffer_append_string(out, " FROM (SELECT c, nullif(nullif(current_setting(setting, true), ''),"
                              " '" TABLE_ALL_NEW "') AS said FROM (VALUES ");
    for (size_t t = 0; t < tables->count; t++) {
        const struct writing writing = {
            .tables = tables, .table = &tables->items[t], .index = t, .out = out};
        append_settings_of(&writing, counts, &between);
    }
    buffer_append_string(out, ") AS s (c, setting)) AS s CROSS JOIN LATERAL"
                              " json_each_text(said::json) WHERE said IS NOT NULL");
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
    append_all_told(tables, index, out);
    append_all_moves(tables, counts, out);
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
