#include "sink/typed_catalog.h"

#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

/* Where standpipe_tables is not there yet (--dry-run), it is empty. */
#define NO_BOOK                                                                                    \
    "WITH standpipe_tables (name, kind, description, columns, indexes, view_sql) AS (SELECT "      \
    "NULL::text, NULL::text, NULL::text, NULL::text[], NULL::text[], NULL::text WHERE false)"
#define NAMES                                                                                      \
    "(SELECT name, to_regclass(name) AS id FROM (SELECT unnest($1::text[]) AS name UNION "         \
    "SELECT name FROM standpipe_tables UNION SELECT 'standpipe_' || name FROM standpipe_tables) "  \
    "AS u) AS n"

static const char relations_sql[] =
    " SELECT n.name, c.relkind, CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) ELSE 0 END"
    " FROM " NAMES " JOIN pg_class AS c ON c.oid = n.id";
static const char columns_sql[] =
    " SELECT n.name, a.attname, format_type(a.atttypid, a.atttypmod) FROM " NAMES
    " JOIN pg_attribute AS a ON a.attrelid = n.id WHERE a.attnum > 0 AND NOT a.attisdropped"
    " ORDER BY n.name, a.attnum";
static const char indexes_sql[] =
    " SELECT n.name, i.relname, x.indisvalid, EXISTS (SELECT FROM pg_stat_progress_create_index"
    " AS p WHERE p.index_relid = x.indexrelid) FROM " NAMES
    " JOIN pg_index AS x ON x.indrelid = n.id JOIN pg_class AS i ON i.oid = x.indexrelid";
static const char book_sql[] =
    " SELECT name, kind, description, coalesce(view_sql, '') FROM standpipe_tables, "
    "(SELECT $1::text) AS unused ORDER BY name";
static const char items_sql[] =
    " SELECT name, 'column', unnest(columns) FROM standpipe_tables UNION ALL SELECT name, 'index',"
    " unnest(indexes) FROM standpipe_tables, (SELECT $1::text) AS unused";

static void append_names(const struct tables *tables, struct buffer *out)
{
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < tables->count; i++) {
        const struct table *table = &tables->items[i];
        buffer_append_format(out, i > 0 ? ",%s,%s" : "%s,%s", table->name, table->rows_name);
    }
    for (size_t i = 0; i < tables->count_table_count; i++) {
        buffer_append_format(out, ",%s", tables->count_tables[i].name);
    }
    buffer_append_string(out, "}");
    buffer_append_byte(out, '\0');
}

static bool has_book(struct migration_session *session, bool *is_there)
{
    struct buffer answer = {0};
    bool is_good = migration_session_ask(
        session, "SELECT to_regclass('standpipe_tables') IS NOT NULL", NULL, &answer);
    *is_there = is_good && strcmp(answer.data, "t") == 0;
    buffer_deinit(&answer);
    return is_good;
}

static PGresult *ask(struct migration_session *session, bool is_there, const char *sql,
                     const char *names)
{
    struct buffer whole = {0};
    buffer_append_format(&whole, "%s%s", is_there ? "" : NO_BOOK, sql);
    buffer_append_byte(&whole, '\0');
    PGresult *result = migration_session_query(session, whole.data, names);
    buffer_deinit(&whole);
    return result;
}

bool typed_catalog_read(struct typed_catalog *catalog, struct migration_session *session,
                        const struct tables *tables)
{
    struct buffer names = {0};
    bool is_there = false;
    *catalog = (struct typed_catalog){0};
    append_names(tables, &names);
    bool is_good =
        has_book(session, &is_there) &&
        (catalog->relations = ask(session, is_there, relations_sql, names.data)) != NULL &&
        (catalog->columns = ask(session, is_there, columns_sql, names.data)) != NULL &&
        (catalog->indexes = ask(session, is_there, indexes_sql, names.data)) != NULL &&
        (catalog->book = ask(session, is_there, book_sql, names.data)) != NULL &&
        (catalog->items = ask(session, is_there, items_sql, names.data)) != NULL;
    buffer_deinit(&names);
    return is_good;
}

void typed_catalog_deinit(struct typed_catalog *catalog)
{
    PQclear(catalog->relations); /* NULL is fine */
    PQclear(catalog->columns);
    PQclear(catalog->indexes);
    PQclear(catalog->book);
    PQclear(catalog->items);
    *catalog = (struct typed_catalog){0};
}

/* The row, from `from` on, whose first field, and second one where it is given, are these; -1: none. */
static int find_row(const PGresult *result, int from, const char *first, const char *second)
{
    for (int row = from; row < PQntuples(result); row++) {
        if (strcmp(PQgetvalue(result, row, 0), first) == 0 &&
            (second == NULL || strcmp(PQgetvalue(result, row, 1), second) == 0)) {
            return row;
        }
    }
    return -1;
}

/* The `place`th of such rows. */
static int find_row_at(const PGresult *result, const char *first, const char *second, size_t place)
{
    int row = find_row(result, 0, first, second);
    for (; row >= 0 && place > 0; place--) {
        row = find_row(result, row + 1, first, second);
    }
    return row;
}

static const char *field(const PGresult *result, int row, int column)
{
    return row < 0 ? NULL : PQgetvalue(result, row, column);
}

char typed_catalog_kind(const struct typed_catalog *catalog, const char *relation)
{
    const char *kind =
        field(catalog->relations, find_row(catalog->relations, 0, relation, NULL), 1);
    return (char)(kind != NULL ? kind[0] : '\0');
}

int64_t typed_catalog_bytes(const struct typed_catalog *catalog, const char *relation)
{
    const char *bytes =
        field(catalog->relations, find_row(catalog->relations, 0, relation, NULL), 2);
    return bytes != NULL ? strtoll(bytes, NULL, 10) : 0;
}

const char *typed_catalog_column(const struct typed_catalog *catalog, const char *relation,
                                 const char *column)
{
    return field(catalog->columns, find_row(catalog->columns, 0, relation, column), 2);
}

const char *typed_catalog_column_at(const struct typed_catalog *catalog, const char *relation,
                                    size_t place)
{
    return field(catalog->columns, find_row_at(catalog->columns, relation, NULL, place), 1);
}

enum typed_index_state typed_catalog_index(const struct typed_catalog *catalog,
                                           const char *relation, const char *index)
{
    int row = find_row(catalog->indexes, 0, relation, index);
    if (row < 0) {
        return TYPED_INDEX_ABSENT;
    }
    if (strcmp(PQgetvalue(catalog->indexes, row, 2), "t") == 0) {
        return TYPED_INDEX_VALID;
    }
    bool is_building = strcmp(PQgetvalue(catalog->indexes, row, 3), "t") == 0;
    return is_building ? TYPED_INDEX_BUILDING : TYPED_INDEX_INVALID;
}

static const char *book_field(const struct typed_catalog *catalog, const char *name, int column)
{
    return field(catalog->book, find_row(catalog->book, 0, name, NULL), column);
}

const char *typed_book_kind(const struct typed_catalog *catalog, const char *name)
{
    return book_field(catalog, name, 1);
}

const char *typed_book_description(const struct typed_catalog *catalog, const char *name)
{
    return book_field(catalog, name, 2);
}

const char *typed_book_view(const struct typed_catalog *catalog, const char *name)
{
    return book_field(catalog, name, 3);
}

const char *typed_book_item(const struct typed_catalog *catalog, const char *name, const char *kind,
                            size_t place)
{
    return field(catalog->items, find_row_at(catalog->items, name, kind, place), 2);
}

const char *typed_book_name(const struct typed_catalog *catalog, size_t place)
{
    bool is_there = place < (size_t)PQntuples(catalog->book);
    return is_there ? PQgetvalue(catalog->book, (int)place, 0) : NULL;
}
