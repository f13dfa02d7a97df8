/* tables.conf becomes struct tables: its sections and their keys. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/panic.h"
#include "config/tables_private.h"
#include "config/text.h"

enum {
    COLLECTION_BYTES_MAX = 317 /* of an NSID */
};

/* Parts of an allocation tree: freed by the address of its first. */
struct tables_tree {
    struct tables tables;
    struct arena arena;
};

bool tables_fail(struct tables_parser *parser, const char *format, ...)
{
    struct buffer what = {0};
    char text[sizeof(parser->error->text)];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    buffer_append_string(&what, text);
    for (size_t i = 0; i < what.size; i++) {
        if ((unsigned char)what.data[i] < ' ' || what.data[i] == 0x7f) {
            what.data[i] = '?';
        }
    }
    error_set(parser->error, ERROR_USAGE, "%s:%u: %.*s", parser->ini.path, parser->line,
              SLICE_ARGS(buffer_slice(&what)));
    buffer_deinit(&what);
    return false;
}

char *tables_copy(struct tables_parser *parser, struct slice text)
{
    return (char *)(uintptr_t)arena_copy(&parser->arena, text).data;
}

void *tables_copy_items(struct tables_parser *parser, const void *items, size_t count, size_t size)
{
    if (count == 0) {
        return NULL;
    }
    void *copy = arena_allocate(&parser->arena, count * size);
    memcpy(copy, items, count * size);
    return copy;
}

/* --- keys --- */

static bool begin_section(struct tables_parser *parser, const char *name)
{
    parser->line = parser->ini.head_line;
    if (name[0] == '\0') {
        parser->line = parser->ini.line;
        return tables_fail(parser, "no [table] stands before the line: begin with one");
    }
    for (size_t i = 0; i < parser->count; i++) {
        if (strcmp(parser->tables[i].name, name) == 0) {
            return tables_fail(parser, "[%s]: it stands twice: line %u has it too: keep one", name,
                               parser->tables[i].line);
        }
    }
    if (parser->count == TABLES_MAX) {
        return tables_fail(parser, "[%s]: there are too many tables: allowed are %d", name,
                           TABLES_MAX);
    }
    parser->now = (struct table_builder){.line = parser->line};
    parser->now.table.name = tables_copy(parser, slice_from_string(name));
    parser->now.table.line = parser->line;
    parser->has_section = true;
    return true;
}

static bool is_segment(struct slice segment)
{
    for (size_t i = 0; i < segment.size; i++) {
        if (!isalnum((unsigned char)segment.data[i]) && segment.data[i] != '-') {
            return false;
        }
    }
    return segment.size > 0;
}

/* As wide as what repos hold: letters of both cases, two segments and more. */
static bool is_collection(struct slice text)
{
    size_t segments = 0;
    bool is_good = text.size <= COLLECTION_BYTES_MAX;
    while (is_good && text.size > 0) {
        size_t dot = text_find(text, '.');
        is_good = is_segment(slice_of(text.data, dot)) && dot + 1 != text.size;
        text = slice_skip(text, dot < text.size ? dot + 1 : dot);
        segments++;
    }
    return is_good && segments >= 2;
}

static bool take_collection(struct tables_parser *parser, struct slice value)
{
    struct table *table = &parser->now.table;
    if (table->collection != NULL) {
        return tables_fail(parser, "%s.collection: it stands twice: keep one", table->name);
    }
    if (!is_collection(value)) {
        return tables_fail(parser, "%s.collection: %.*s is no collection: write com.example.thing",
                           table->name, SLICE_ARGS(value));
    }
    table->collection = tables_copy(parser, value);
    return true;
}

static bool take_existing(struct tables_parser *parser, struct slice value)
{
    bool is_true = slice_equals(value, SLICE("true"));
    if (parser->now.says_existing) {
        return tables_fail(parser, "%s.existing: it stands twice: keep one",
                           parser->now.table.name);
    }
    parser->now.says_existing = true;
    parser->now.table.is_users = is_true;
    return is_true || slice_equals(value, SLICE("false")) ||
           tables_fail(parser, "%s.existing: %.*s: write true (the table is yours) or false",
                       parser->now.table.name, SLICE_ARGS(value));
}

static bool take_bad(struct tables_parser *parser, struct slice value)
{
    bool is_dead_letter = slice_equals(value, SLICE("dead_letter"));
    if (parser->now.says_bad_value) {
        return tables_fail(parser, "%s.bad: it stands twice: keep one", parser->now.table.name);
    }
    parser->now.says_bad_value = true;
    parser->now.bad_value = is_dead_letter ? BAD_VALUE_DEAD_LETTER : BAD_VALUE_NULL;
    return is_dead_letter || slice_equals(value, SLICE("null")) ||
           tables_fail(parser, "%s.bad: %.*s: write null or dead_letter", parser->now.table.name,
                       SLICE_ARGS(value));
}

static bool take_late(struct tables_parser *parser, const char *key, struct slice value)
{
    struct table_builder *now = &parser->now;
    if (now->late_count == sizeof(now->late) / sizeof(now->late[0])) {
        return tables_fail(parser, "%s.%s: there are too many such lines: allowed are %zu",
                           now->table.name, key, now->late_count);
    }
    now->late[now->late_count++] =
        (struct late_line){.key = key,
                           .value = arena_copy(&parser->arena, value), /* inih reuses its line */
                           .line = parser->line};
    return true;
}

static bool take_key(struct tables_parser *parser, const char *name, struct slice value)
{
    static const char *const late[] = {"index", "unique", "count"};
    if (strcmp(name, "collection") == 0) {
        return take_collection(parser, value);
    }
    if (strcmp(name, "existing") == 0) {
        return take_existing(parser, value);
    }
    if (strcmp(name, "bad") == 0) {
        return take_bad(parser, value);
    }
    for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
        if (strcmp(name, late[i]) == 0) {
            return take_late(parser, late[i], value);
        }
    }
    return tables_read_column(parser, name, value);
}

static bool on_value(void *owner, const char *section, const char *name, const char *value)
{
    struct tables_parser *parser = owner;
    bool is_new = !parser->has_section || parser->now.line != parser->ini.head_line;
    if (is_new && (!tables_end_section(parser) || !begin_section(parser, section))) {
        return false;
    }
    parser->line = parser->ini.line;
    return take_key(parser, name, text_trim(slice_from_string(value)));
}

/* --- the whole --- */

static int compare_tables(const void *left, const void *right)
{
    const struct table *a = left;
    const struct table *b = right;
    int order = strcmp(a->collection, b->collection);
    return order != 0 ? order : strcmp(a->name, b->name);
}

static int compare_count_tables(const void *left, const void *right)
{
    const struct count_table *a = left;
    const struct count_table *b = right;
    return strcmp(a->name, b->name);
}

static bool check_counts(struct tables_parser *parser, size_t index)
{
    const struct count_table *counts = &parser->count_tables[index];
    const char *fault = tables_own_name_fault(counts->name);
    parser->line = parser->count_table_lines[index];
    for (size_t i = 0; i < parser->count; i++) {
        if (strcmp(parser->tables[i].name, counts->name) == 0) {
            fault = "a table has that name: use another";
        }
    }
    return fault == NULL || tables_fail(parser, "count: %s: %s", counts->name, fault);
}

static struct tables *finish(struct tables_parser *parser)
{
    struct tables_tree *tree = memory_allocate(sizeof(*tree));
    qsort(parser->tables, parser->count, sizeof(parser->tables[0]), compare_tables);
    qsort(parser->count_tables, parser->count_table_count, sizeof(parser->count_tables[0]),
          compare_count_tables);
    tree->tables.items =
        tables_copy_items(parser, parser->tables, parser->count, sizeof(parser->tables[0]));
    tree->tables.count = parser->count;
    tree->tables.count_tables = tables_copy_items(
        parser, parser->count_tables, parser->count_table_count, sizeof(parser->count_tables[0]));
    tree->tables.count_table_count = parser->count_table_count;
    tree->arena = parser->arena;
    return &tree->tables;
}

struct tables *tables_parse(struct slice text, const char *origin, struct error *error)
{
    struct tables_parser *parser = memory_allocate(sizeof(*parser));
    struct tables *tables = NULL;
    parser->error = error;
    parser->ini = (struct ini_text){.path = origin,
                                    .rest = text,
                                    .wants_keys = true,
                                    .refuses_comments = true,
                                    .error = error,
                                    .on_value = on_value,
                                    .owner = parser};
    bool is_good = text.size <= TABLES_FILE_BYTES_MAX && ini_text_parse(&parser->ini);
    if (text.size > TABLES_FILE_BYTES_MAX) {
        error_set(error, ERROR_USAGE, "%s: is too large: allowed are %d bytes", origin,
                  TABLES_FILE_BYTES_MAX);
    }
    is_good = is_good && tables_end_section(parser);
    for (size_t i = 0; i < parser->count_table_count && is_good; i++) {
        is_good = check_counts(parser, i);
    }
    is_good = is_good && tables_check_names(parser);
    if (is_good) {
        tables = finish(parser);
    } else {
        arena_deinit(&parser->arena);
    }
    free(parser);
    return tables;
}

void tables_free(struct tables *tables)
{
    struct tables_tree *tree = (struct tables_tree *)tables;
    if (tree != NULL) {
        arena_deinit(&tree->arena);
        free(tree);
    }
}
