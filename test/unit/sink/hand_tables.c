#include "unit/sink/hand_tables.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/panic.h"

static struct table items[TABLES_MAX];
static struct count_table counts[TABLES_MAX];
static struct tables tables;
static struct arena arena;

static void *zeroed(size_t size)
{
    void *memory = arena_allocate(&arena, size);
    memset(memory, 0, size);
    return memory;
}

char *hand_text(const char *text)
{
    /* The arena ends it with a zero byte, and the memory is ours to write. */
    return (char *)(uintptr_t)arena_copy(&arena, slice_from_string(text)).data;
}

void hand_begin(void)
{
    arena_reset(&arena);
    memset(items, 0, sizeof(items));
    memset(counts, 0, sizeof(counts));
    tables = (struct tables){.items = items, .count_tables = counts};
}

static struct table_column *add_column(struct table *table, const char *name, enum column_type type,
                                       enum column_source source)
{
    ASSERT(table->column_count < TABLE_COLUMNS_MAX);
    if (table->columns == NULL) {
        table->columns = zeroed(TABLE_COLUMNS_MAX * sizeof(*table->columns));
    }
    struct table_column *column = &table->columns[table->column_count++];
    *column = (struct table_column){.name = hand_text(name), .type = type, .source = source};
    return column;
}

struct table_column *hand_source(struct table *table, const char *name, enum column_source source)
{
    static const enum column_type types[] = {
        [COLUMN_URI] = COLUMN_TEXT,     [COLUMN_DID] = COLUMN_TEXT,
        [COLUMN_RKEY] = COLUMN_TEXT,    [COLUMN_RECORD_CID] = COLUMN_TEXT,
        [COLUMN_REV] = COLUMN_TEXT,     [COLUMN_INDEXED_AT] = COLUMN_TIMESTAMPTZ,
        [COLUMN_SEQ] = COLUMN_INTEGER,  [COLUMN_EVENT_TIME] = COLUMN_TIMESTAMPTZ,
        [COLUMN_RECORD] = COLUMN_JSONB,
    };
    if (source == COLUMN_URI) {
        table->key = table->column_count;
    }
    return add_column(table, name, types[source], source);
}

static void add_step(struct column_path *path, const char *text, size_t size)
{
    struct path_step *step = &path->steps[path->step_count++];
    char *name = zeroed(size + 1);
    memcpy(name, text, size);
    step->kind = PATH_KEY;
    if (strcmp(name, "[]") == 0) {
        step->kind = PATH_EACH;
    } else if (name[0] == '<') {
        step->kind = PATH_TYPE;
        memmove(name, name + 1, size);
        name[strlen(name) - 1] = '\0';
    }
    step->name = step->kind == PATH_EACH ? NULL : name;
}

static void add_path(struct table_column *column, const char *text, size_t size)
{
    struct column_path *path = &column->paths[column->path_count++];
    path->steps = zeroed(TABLES_STEPS_MAX * sizeof(*path->steps));
    for (const char *end = text + size; text < end;) {
        size_t length = strcspn(text, "/|");
        add_step(path, text, length);
        text += length + 1;
    }
}

struct table_column *hand_column(struct table *table, const char *name, enum column_type type,
                                 const char *paths)
{
    struct table_column *column = add_column(table, name, type, COLUMN_PATH);
    column->paths = zeroed(8 * sizeof(*column->paths));
    while (*paths != '\0') {
        size_t size = strcspn(paths, "|");
        add_path(column, paths, size);
        paths += size + (paths[size] == '|' ? 1 : 0);
    }
    return column;
}

static struct table *add_table(const char *name, const char *rows, const char *collection)
{
    ASSERT(tables.count < TABLES_MAX);
    struct table *table = &items[tables.count++];
    table->name = hand_text(name);
    table->rows_name = hand_text(rows);
    table->collection = hand_text(collection);
    return table;
}

struct table *hand_table(const char *name, const char *collection)
{
    char rows[128] = "standpipe_";
    strncat(rows, name, sizeof(rows) - strlen(rows) - 1);
    struct table *table = add_table(name, rows, collection);
    (void)hand_source(table, "uri", COLUMN_URI);
    (void)hand_source(table, "did", COLUMN_DID);
    (void)hand_source(table, "rkey", COLUMN_RKEY);
    (void)hand_source(table, "cid", COLUMN_RECORD_CID);
    (void)hand_source(table, "rev", COLUMN_REV);
    (void)hand_column(table, "created_at", COLUMN_TIMESTAMPTZ, "createdAt");
    (void)hand_source(table, "indexed_at", COLUMN_INDEXED_AT);
    return table;
}

struct table *hand_users_table(const char *rows, const char *collection)
{
    struct table *table = add_table(rows, rows, collection);
    table->is_users = true;
    return table;
}

static struct count_table *find_counts(const char *name, const char *key)
{
    for (size_t i = 0; i < tables.count_table_count; i++) {
        if (strcmp(counts[i].name, name) == 0) {
            return &counts[i];
        }
    }
    struct count_table *added = &counts[tables.count_table_count++];
    added->name = hand_text(name);
    added->key = hand_text(key);
    added->columns = zeroed(16 * sizeof(*added->columns));
    return added;
}

void hand_count(struct table *table, const char *counts_name, const char *key, const char *column,
                const char *by)
{
    struct count_table *target = find_counts(counts_name, key);
    target->columns[target->column_count++] = hand_text(column);
    if (table->counts == NULL) {
        table->counts = zeroed(8 * sizeof(*table->counts));
    }
    struct table_count *count = &table->counts[table->count_count++];
    *count = (struct table_count){.counts = hand_text(counts_name), .column = hand_text(column)};
    while (strcmp(table->columns[count->by].name, by) != 0) {
        count->by++;
        ASSERT(count->by < table->column_count);
    }
}

static int compare_tables(const void *left, const void *right)
{
    const struct table *a = left;
    const struct table *b = right;
    int order = strcmp(a->collection, b->collection);
    return order != 0 ? order : strcmp(a->name, b->name);
}

static int compare_counts(const void *left, const void *right)
{
    const struct count_table *a = left;
    const struct count_table *b = right;
    return strcmp(a->name, b->name);
}

const struct tables *hand_tables(void)
{
    qsort(items, tables.count, sizeof(*items), compare_tables);
    qsort(counts, tables.count_table_count, sizeof(*counts), compare_counts);
    return &tables;
}

static void append_column(struct buffer *out, const struct table *table, size_t index)
{
    static const char *const types[] = {
        [COLUMN_TEXT] = "text COLLATE \"C\"",
        [COLUMN_INTEGER] = "bigint",
        [COLUMN_BOOLEAN] = "boolean",
        [COLUMN_TIMESTAMPTZ] = "timestamptz",
        [COLUMN_JSONB] = "jsonb",
        [COLUMN_TEXT_ARRAY] = "text[]",
        [COLUMN_CID] = "text COLLATE \"C\"",
    };
    const struct table_column *column = &table->columns[index];
    buffer_append_format(out, "%s\"%s\" %s%s", index > 0 ? ", " : "", column->name,
                         types[column->type], index == table->key ? " PRIMARY KEY" : "");
}

void hand_sql(struct buffer *out)
{
    for (size_t t = 0; t < tables.count; t++) {
        buffer_append_format(out, "CREATE TABLE %s (", items[t].rows_name);
        for (size_t c = 0; c < items[t].column_count; c++) {
            append_column(out, &items[t], c);
        }
        buffer_append_string(out, ");");
    }
    for (size_t t = 0; t < tables.count_table_count; t++) {
        buffer_append_format(out, "CREATE TABLE %s (%s text COLLATE \"C\" PRIMARY KEY",
                             counts[t].name, counts[t].key);
        for (size_t c = 0; c < counts[t].column_count; c++) {
            buffer_append_format(out, ", %s bigint NOT NULL DEFAULT 0", counts[t].columns[c]);
        }
        buffer_append_string(out, ");");
    }
}
