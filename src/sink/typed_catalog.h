/*
 * Typed catalogue: what of the described tables is in the database, and what standpipe_tables remembers of them.
 *
 *   pg_class, pg_attribute, pg_index, standpipe_tables --> typed_catalog --> typed_plan
 *
 * Ownership: strings live until deinit. Threading: as its session.
 */
#ifndef SINK_TYPED_CATALOG_H
#define SINK_TYPED_CATALOG_H

#include <stdint.h>

#include "config/tables.h"
#include "sink/migration_session.h"

struct typed_catalog {
    struct pg_result *relations; /* name, kind, bytes */
    struct pg_result *columns;   /* relation, name, type; in the table's order */
    struct pg_result *indexes;   /* relation, name, is valid, is being built */
    struct pg_result *book;      /* name, kind, description, view_sql */
    struct pg_result *items;     /* name, column or index, item */
};

/* False after an error; deinit is fine either way. In a transaction of the session's. */
bool typed_catalog_read(struct typed_catalog *catalog, struct migration_session *session,
                        const struct tables *tables) __attribute__((warn_unused_result));
void typed_catalog_deinit(struct typed_catalog *catalog);

/* pg_class.relkind, or 0 where there is no such relation. */
char typed_catalog_kind(const struct typed_catalog *catalog, const char *relation);
int64_t typed_catalog_bytes(const struct typed_catalog *catalog, const char *relation);
/* The type of the column, or NULL where there is none. */
const char *typed_catalog_column(const struct typed_catalog *catalog, const char *relation,
                                 const char *column);
/* The relation's columns, one after the other, from 0; NULL at the end. */
const char *typed_catalog_column_at(const struct typed_catalog *catalog, const char *relation,
                                    size_t place);
enum typed_index_state {
    TYPED_INDEX_ABSENT,
    TYPED_INDEX_VALID,
    TYPED_INDEX_INVALID, /* left over from a build that did not end */
    TYPED_INDEX_BUILDING
};
enum typed_index_state typed_catalog_index(const struct typed_catalog *catalog,
                                           const char *relation, const char *index);

/* What is remembered; NULL: nothing. */
const char *typed_book_kind(const struct typed_catalog *catalog, const char *name);
const char *typed_book_description(const struct typed_catalog *catalog, const char *name);
const char *typed_book_view(const struct typed_catalog *catalog, const char *name);
/* Columns or indexes that we made, from 0; `kind` is "column" or "index"; NULL at the end. */
const char *typed_book_item(const struct typed_catalog *catalog, const char *name, const char *kind,
                            size_t place);
/* All names, from 0; NULL at the end. */
const char *typed_book_name(const struct typed_catalog *catalog, size_t place);

#endif
