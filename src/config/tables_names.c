/* Whether all that a description makes has a name of its own: tables, views and indexes of a schema share their names. */
#include <stdlib.h>

#include "base/panic.h"
#include "config/tables_private.h"

enum {
    NAMES_PER_TABLE = 3 + TABLE_INDEXES_MAX
};

struct relation {
    const char *name;
    unsigned line;
};

struct relations {
    struct relation *items;
    size_t count;
};

static void add(struct relations *relations, const char *name, unsigned line)
{
    relations->items[relations->count++] = (struct relation){.name = name, .line = line};
}

/* As PostgreSQL calls it: what is too long is cut before the end. */
static const char *key_name(struct tables_parser *parser, const char *table)
{
    static const char end[] = "_pkey";
    struct buffer name = {0};
    size_t size = strlen(table);
    size_t room = IDENTIFIER_MAX - (sizeof(end) - 1);
    buffer_append(&name, table, size < room ? size : room);
    buffer_append_string(&name, end);
    const char *copy = tables_copy(parser, buffer_slice(&name));
    buffer_deinit(&name);
    return copy;
}

static void add_table(struct tables_parser *parser, struct relations *relations,
                      const struct table *table)
{
    if (table->is_users) {
        return;
    }
    add(relations, table->name, table->line);
    add(relations, table->rows_name, table->line);
    add(relations, key_name(parser, table->rows_name), table->line);
    for (size_t i = 0; i < table->index_count; i++) {
        add(relations, table->indexes[i].name, table->indexes[i].line);
    }
}

/* The earlier line first: the later one is told of. */
static int compare_relations(const void *left, const void *right)
{
    const struct relation *a = left;
    const struct relation *b = right;
    int order = strcmp(a->name, b->name);
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static bool check_sorted(struct tables_parser *parser, const struct relations *relations)
{
    for (size_t i = 1; i < relations->count; i++) {
        const struct relation *before = &relations->items[i - 1];
        const struct relation *now = &relations->items[i];
        if (strcmp(before->name, now->name) == 0) {
            parser->line = now->line;
            return tables_fail(parser,
                               "%s would be made twice: line %u makes it too: rename a table or a "
                               "column",
                               now->name, before->line);
        }
    }
    return true;
}

bool tables_check_names(struct tables_parser *parser)
{
    size_t most = parser->count * NAMES_PER_TABLE + 2 * parser->count_table_count;
    struct relations relations = {.items = memory_allocate((most + 1) * sizeof(struct relation))};
    for (size_t i = 0; i < parser->count; i++) {
        add_table(parser, &relations, &parser->tables[i]);
    }
    for (size_t i = 0; i < parser->count_table_count; i++) {
        const char *name = parser->count_tables[i].name;
        add(&relations, name, parser->count_table_lines[i]);
        add(&relations, key_name(parser, name), parser->count_table_lines[i]);
    }
    qsort(relations.items, relations.count, sizeof(relations.items[0]), compare_relations);
    bool is_good = check_sorted(parser, &relations);
    free(relations.items);
    return is_good;
}
