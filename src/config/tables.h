/*
 * Tables: the description of typed tables (conf/tables.conf) as data: which collection fills which table, and where in a
 * record each column's value stands.
 *
 *   tables.conf --tables_parse--> struct tables --> sink: SQL that makes them, columns that fill them
 *
 * Every table that we make has these columns first, in this order: uri (its key), did, rkey, cid, rev, created_at (the
 * record's createdAt), indexed_at (of its row in `records`). They stand in `columns` like the described ones, so
 * whoever writes a table knows nothing of them. Behind them PostgreSQL keeps sort_at, the earlier of created_at and
 * indexed_at, by itself: it is no item of `columns`. A table of the user's own (`is_users`) has only the columns that its
 * section names; one of them has the source COLUMN_URI.
 *
 * Ownership: tables_parse() makes one allocation tree, tables_free() ends it; all strings are its own and terminated.
 * Threading: immutable once parsed.
 */
#ifndef CONFIG_TABLES_H
#define CONFIG_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Of each table that we make. */
#define TABLE_SORT_COLUMN "sort_at"

enum column_type {
    COLUMN_TEXT,
    COLUMN_INTEGER, /* bigint */
    COLUMN_BOOLEAN,
    COLUMN_TIMESTAMPTZ,
    COLUMN_JSONB,
    COLUMN_TEXT_ARRAY,
    COLUMN_CID, /* text: of {"$link"}, of a blob (its ref, or a legacy blob's cid), or a CID as a string; version 1 in base32 */
};

enum column_source {
    COLUMN_PATH,    /* the first of `paths` that leads to a value, else `fallback` */
    COLUMN_LITERAL, /* `fallback` */
    COLUMN_URI,     /* at://<did>/<collection>/<rkey> */
    COLUMN_DID,
    COLUMN_RKEY,
    COLUMN_RECORD_CID,
    COLUMN_REV,
    COLUMN_INDEXED_AT, /* records.indexed_at */
    COLUMN_SEQ,
    COLUMN_EVENT_TIME,
    COLUMN_RECORD, /* the whole record, jsonb */
};

enum path_step_kind {
    PATH_KEY, /* .name: the member of an object */
    PATH_EACH, /* []: every item of an array; for text[] all of them, for one value the first that leads on */
    PATH_TYPE, /* <nsid> or <nsid#name>: goes on only where the object's $type is that (a #main suffix says the same) */
};

struct path_step {
    enum path_step_kind kind;
    char *name; /* of PATH_KEY, PATH_TYPE; else NULL */
};

struct column_path {
    struct path_step *steps;
    size_t step_count; /* 1 to TABLES_STEPS_MAX; 0 is the record itself */
};

/* What becomes of a value that its column cannot hold: wrong type, no date, beyond bigint, too long for its index. */
enum column_bad_value {
    BAD_VALUE_NULL,        /* as if it were absent */
    BAD_VALUE_DEAD_LETTER, /* the row is left out of this table and is a dead letter; `records` keeps it */
};

struct table_column {
    char *name; /* as in PostgreSQL, unquoted; [a-z_][a-z0-9_]*, 63 bytes at most */
    enum column_type type;
    enum column_source source;
    struct column_path *paths; /* alternatives, tried in order */
    size_t path_count;
    char *
        fallback; /* literal or default, as PostgreSQL's text input of the type takes it; NULL: null */
    bool
        is_required; /* absent or bad: the record has no row in this table; never a dead letter by itself */
    enum column_bad_value bad_value;
    uint32_t
        bytes_max; /* of a text, or an item of text[], from a record: an index has it; 0: no limit */
};

struct table_index {
    char *name;     /* in PostgreSQL; says what it is: another definition has another name */
    char **columns; /* names of columns, or TABLE_SORT_COLUMN */
    size_t column_count;
    bool is_unique;
    char *method;  /* btree, gin, ... */
    char *where;   /* SQL, or NULL */
    unsigned line; /* of its section's file, for messages */
};

/* A number per key that rows of this table add up to: table `counts`, column `column`, by the value of our column `by`.
 * A row whose `by` is null counts nowhere. */
struct table_count {
    char *counts;
    char *column;
    size_t by;
};

struct table {
    char *
        name; /* the view's, which users read; of a user's own table the table's itself, maybe schema.name */
    char *rows_name;  /* the table's: standpipe_<name>; of a user's own table `name` */
    char *collection; /* NSID */
    struct table_column *columns;
    size_t column_count;
    size_t key; /* the column with source COLUMN_URI */
    struct table_index *indexes;
    size_t index_count;
    struct table_count *counts;
    size_t count_count;
    uint32_t
        own_max;   /* how often an index has the record's DID or rkey beside texts with a limit */
    unsigned line; /* of its section, for messages */
    bool is_users; /* made by the user: never created, altered or dropped, and has no view */
};

/* A table of counts, gathered from all `count` lines that name it: `key` text primary key, then bigint columns. */
struct count_table {
    char *name;
    char *key; /* name of its key column: uri or did */
    char **columns;
    size_t column_count;
};

struct tables {
    struct table
        *items; /* sorted by `collection`, then name; one collection may fill several tables */
    size_t count;
    struct count_table *count_tables; /* sorted by name: the order in which they are locked */
    size_t count_table_count;
};

enum {
    TABLES_MAX = 64,
    TABLE_COLUMNS_MAX = 48,
    TABLE_INDEXES_MAX = 16,
    TABLES_STEPS_MAX = 16,
    TABLE_KEY_BYTES_MAX = 2048, /* that records may put into one index entry, or a key of counts */
    TABLE_OWN_BYTES =
        256, /* of DID and rkey: what is beyond is taken from each `bytes_max`, `own_max` times */
    TABLES_FILE_BYTES_MAX = 1024 * 1024
};

/* `origin` is the file's name, for messages: "conf/tables.conf:12: <what>: <why>: <what to do>". NULL with ERROR_USAGE
 * where the text is wrong. */
struct tables *tables_parse(struct slice text, const char *origin, struct error *error)
    __attribute__((warn_unused_result));
void tables_free(struct tables *tables); /* NULL is fine */
/* The first table of `collection`; `*count` says how many follow each other. NULL: none. */
const struct table *tables_find(const struct tables *tables, struct slice collection,
                                size_t *count);
/* What decides the rows of a table, or the numbers of a table of counts, always in the same words: it changed where
 * these differ, and not by a comment or an index. */
void tables_describe(const struct table *table, struct buffer *out);
void tables_describe_counts(const struct tables *tables, const struct count_table *counts,
                            struct buffer *out);

#endif
