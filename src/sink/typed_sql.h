/*
 * Typed SQL: the statements that make what a description says. Unqualified names; search_path says where.
 *
 *   struct table --> CREATE TABLE standpipe_<name>, CREATE VIEW <name>, CREATE INDEX ...
 *
 * Ownership: appends to the caller's buffers, unterminated, each statement with `;` and a newline. Threading: pure.
 */
#ifndef SINK_TYPED_SQL_H
#define SINK_TYPED_SQL_H

#include "base/buffer.h"
#include "config/tables.h"

/* Columns of one of our tables in the order in which they are made: sort_at stands behind those that every table has. */
size_t typed_column_count(const struct table *table);
const char *typed_column_name(const struct table *table, size_t place);
/* As format_type() writes it. */
const char *typed_column_type(const struct table *table, size_t place);
/* `name type ...`, as in CREATE TABLE and ADD COLUMN. */
void typed_column_definition(const struct table *table, size_t place, struct buffer *out);

void typed_create_table(const struct table *table, struct buffer *out);
/* `schema` (quoted, with its dot) stands before the table; "" where search_path is ours. */
void typed_create_index(const struct table *table, const struct table_index *index, const char *how,
                        const char *schema, struct buffer *out);
/* Outside of any transaction, and only where it is there. */
void typed_drop_index(const char *name, const char *schema, struct buffer *out);
/* With these columns; hides what `records` hides. */
void typed_create_view(const struct table *table, const char *const *columns, size_t count,
                       struct buffer *out);
void typed_create_counts(const struct count_table *counts, struct buffer *out);

#endif
