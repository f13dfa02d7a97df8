#include "sink/typed_sql.h"

#include <string.h>

#include "sink/sql_words.h"

enum {
    STANDARD_COLUMNS = 7 /* config/tables.h */
};

static const char sort_definition[] = TABLE_SORT_COLUMN
    " timestamp with time zone GENERATED ALWAYS AS (least(created_at, indexed_at)) STORED";

size_t typed_column_count(const struct table *table)
{
    return table->column_count + 1;
}

/* NULL: sort_at. */
static const struct table_column *column_at(const struct table *table, size_t place)
{
    if (place == STANDARD_COLUMNS) {
        return NULL;
    }
    return &table->columns[place < STANDARD_COLUMNS ? place : place - 1];
}

const char *typed_column_name(const struct table *table, size_t place)
{
    const struct table_column *column = column_at(table, place);
    return column != NULL ? column->name : TABLE_SORT_COLUMN;
}

const char *typed_column_type(const struct table *table, size_t place)
{
    const struct table_column *column = column_at(table, place);
    return sql_type_name(column != NULL ? column->type : COLUMN_TIMESTAMPTZ);
}

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name);
    size_t end_size = strlen(end);
    return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

/* Identifiers are compared as bytes, what people write is not: lower() and ORDER BY of a name would know ASCII only. */
static bool is_compared_as_bytes(const struct table_column *column)
{
    static const char *const whole[] = {"uri", "did", "rkey", "cid", "rev", "nsid"};
    static const char *const ends[] = {"_uri",  "_did",  "_rkey",  "_cid",
                                       "_uris", "_dids", "_rkeys", "_cids"};
    if (column->type == COLUMN_CID) {
        return true;
    }
    bool is_text = column->type == COLUMN_TEXT || column->type == COLUMN_TEXT_ARRAY;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]) && is_text; i++) {
        if (strcmp(column->name, whole[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && is_text; i++) {
        if (ends_with(column->name, ends[i])) {
            return true;
        }
    }
    return false;
}

void typed_column_definition(const struct table *table, size_t place, struct buffer *out)
{
    const struct table_column *column = column_at(table, place);
    if (column == NULL) {
        buffer_append_string(out, sort_definition);
        return;
    }
    buffer_append_format(out, "%s %s%s", column->name, sql_type_name(column->type),
                         is_compared_as_bytes(column) ? " COLLATE \"C\"" : "");
    if (place < STANDARD_COLUMNS && column->source != COLUMN_PATH) {
        buffer_append_string(out, column->source == COLUMN_URI ? " PRIMARY KEY" : " NOT NULL");
    }
}

void typed_create_table(const struct table *table, struct buffer *out)
{
    buffer_append_format(out, "CREATE TABLE %s (\n", table->rows_name);
    for (size_t i = 0; i < typed_column_count(table); i++) {
        buffer_append_string(out, i > 0 ? ",\n    " : "    ");
        typed_column_definition(table, i, out);
    }
    buffer_append_string(out, "\n) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);\n");
}

void typed_create_index(const struct table *table, const struct table_index *index, const char *how,
                        const char *schema, struct buffer *out)
{
    buffer_append_format(out, "CREATE %sINDEX %s%s ON %s%s USING %s (",
                         index->is_unique ? "UNIQUE " : "", how, index->name, schema,
                         table->rows_name, index->method);
    for (size_t i = 0; i < index->column_count; i++) {
        buffer_append_format(out, i > 0 ? ", %s" : "%s", index->columns[i]);
    }
    buffer_append_byte(out, ')');
    if (index->where != NULL) {
        buffer_append_format(out, " WHERE %s", index->where);
    }
    buffer_append_string(out, ";\n");
}

void typed_drop_index(const char *name, const char *schema, struct buffer *out)
{
    buffer_append_format(out, "DROP INDEX CONCURRENTLY IF EXISTS %s%s;\n", schema, name);
}

/* A row without a rev (of the reference system) is old by its record's event time, as where records are cleared. */
static const char hidden[] =
    "    WHERE NOT EXISTS (SELECT FROM repos AS p WHERE p.did = r.did\n"
    "        AND (NOT p.active OR p.clearing)\n"
    "        AND (NOT p.active OR (r.rev < p.floor\n"
    "            AND (r.rev <> '' OR NOT EXISTS (SELECT FROM standpipe_records AS s\n"
    "                WHERE s.did = r.did AND s.collection = '%s' AND s.rkey = r.rkey\n"
    "                AND s.event_time >= p.floor_time)))));\n";

void typed_create_view(const struct table *table, const char *const *columns, size_t count,
                       struct buffer *out)
{
    buffer_append_format(out, "CREATE OR REPLACE VIEW %s AS\n    SELECT ", table->name);
    for (size_t i = 0; i < count; i++) {
        buffer_append_format(out, i > 0 ? ", %s" : "%s", columns[i]);
    }
    buffer_append_format(out, "\n    FROM %s AS r\n", table->rows_name);
    buffer_append_format(out, hidden, table->collection);
}

/* Every like updates a row: room for HOT, and no index but the key. */
void typed_create_counts(const struct count_table *counts, struct buffer *out)
{
    buffer_append_format(out, "CREATE TABLE %s (\n    %s text COLLATE \"C\" PRIMARY KEY",
                         counts->name, counts->key);
    for (size_t i = 0; i < counts->column_count; i++) {
        buffer_append_format(out, ",\n    %s bigint NOT NULL DEFAULT 0", counts->columns[i]);
    }
    buffer_append_string(out, "\n) WITH (fillfactor = 70);\n");
}
