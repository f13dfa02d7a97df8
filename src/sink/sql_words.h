/*
 * SQL words: names, constants and types of columns, as PostgreSQL reads them.
 *
 * Ownership: appends to the caller's buffers, unterminated. Threading: pure.
 */
#ifndef SINK_SQL_WORDS_H
#define SINK_SQL_WORDS_H

#include "base/buffer.h"
#include "config/tables.h"

/* Quoted; each part of schema.name. */
void sql_append_name(struct buffer *out, const char *name);
/* 'it''s': the same whatever standard_conforming_strings says. */
void sql_append_literal(struct buffer *out, const char *text);
/* As format_type() writes it, so that it can be compared with the catalog's. */
const char *sql_type_name(enum column_type type);

#endif
