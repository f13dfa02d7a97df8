/*
 * What the parts of the parser of tables.conf share.
 *
 *   ini_text --section, name, value--> tables_parse.c --> tables_column.c (a column), tables_late.c (index, unique, count),
 *                                                         tables_limits.c (how long a text may be)
 *
 * Ownership: what stays is in the parser's arena. Threading: one parser, one thread.
 */
#ifndef CONFIG_TABLES_PRIVATE_H
#define CONFIG_TABLES_PRIVATE_H

#include "base/arena.h"
#include "config/ini_text.h"
#include "config/tables.h"

enum {
    TABLE_COUNTS_MAX = 16,
    COLUMN_PATHS_MAX = 8,
    COUNT_TABLES_MAX = 16,
    COUNT_COLUMNS_MAX = 16,
    IDENTIFIER_MAX = 63 /* PostgreSQL cuts what is longer */
};

#define ROWS_PREFIX "standpipe_"

/* A line that speaks of columns: read once all columns are known. */
struct late_line {
    const char *key; /* index, unique, count; static */
    struct slice value;
    unsigned line;
};

/* The section that is being read. */
struct table_builder {
    struct table table;
    unsigned line;
    unsigned column_count;
    struct table_column columns[TABLE_COLUMNS_MAX];
    unsigned column_lines[TABLE_COLUMNS_MAX];
    bool says_bad[TABLE_COLUMNS_MAX];
    bool says_existing, says_bad_value;
    enum column_bad_value bad_value; /* of columns that do not say */
    struct late_line late[TABLE_INDEXES_MAX + TABLE_COUNTS_MAX];
    size_t late_count;
    struct table_index indexes[TABLE_INDEXES_MAX];
    struct table_count counts[TABLE_COUNTS_MAX];
};

struct tables_parser {
    struct ini_text ini;
    struct arena arena;
    struct error *error;
    unsigned line; /* that a fault is told of */
    bool has_section;
    struct table_builder now;
    struct table tables[TABLES_MAX];
    size_t count;
    struct count_table count_tables[COUNT_TABLES_MAX];
    unsigned count_table_lines[COUNT_TABLES_MAX]; /* where each is first named */
    size_t count_table_count;
};

/* "origin:line: [table] what: why: what to do"; returns false. */
bool tables_fail(struct tables_parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *tables_copy(struct tables_parser *parser, struct slice text);
/* A copy of `count` items of `size` bytes; NULL where there are none. */
void *tables_copy_items(struct tables_parser *parser, const void *items, size_t count, size_t size);

/* The next word: up to a blank, but whole in quotes and brackets; `|` is a word. False at the end. A quote that does
 * not end takes the rest. */
bool tables_next_word(struct slice *rest, struct slice *word);
/* NULL, or what is wrong with it as the unquoted name of something in PostgreSQL. */
const char *tables_name_fault(struct slice name);
/* One column out of "type source [| path]... [options]". */
bool tables_read_column(struct tables_parser *parser, const char *name, struct slice value);
/* `text` is a path; false after tables_fail(). */
bool tables_read_path(struct tables_parser *parser, const char *column, struct slice text,
                      struct column_path *path);
/* NULL, or what is wrong with `text` as a constant of the type. */
const char *tables_constant_fault(enum column_type type, struct slice text);
const char *tables_type_name(enum column_type type);
/* A column that the section describes, or NULL; faults are then told of its line. */
const struct table_column *tables_find_described(struct tables_parser *parser, const char *name);
/* Gives the texts of the section's table their `bytes_max`, and refuses constants that are beyond it. */
bool tables_limit_values(struct tables_parser *parser);
/* Checks the section that is being read, if any, and keeps it. */
bool tables_end_section(struct tables_parser *parser);
/* As tables_name_fault(), of what stands beside our own tables. */
const char *tables_own_name_fault(const char *name);
/* The late lines of the section that ends. */
bool tables_read_late(struct tables_parser *parser);
/* Whether all that is made has a name of its own. */
bool tables_check_names(struct tables_parser *parser);
/* The built-in description, terminated. */
extern const char tables_built_in[];

#endif
