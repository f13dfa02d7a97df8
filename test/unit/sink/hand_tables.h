/*
 * struct tables made by hand, for tests of what uses them: no file, no parser.
 *
 *   hand_table("posts", "app.bsky.feed.post"), hand_column(...), hand_count(...) --> hand_tables()
 *
 * Paths are written `embed/<app.bsky.embed.images>/images/[]/alt`, alternatives with `|` between.
 * Static memory; hand_begin() forgets what was described before.
 */
#ifndef UNIT_SINK_HAND_TABLES_H
#define UNIT_SINK_HAND_TABLES_H

#include "config/tables.h"

void hand_begin(void);
/* A copy, for a field of what is described. */
char *hand_text(const char *text);
/* A table of ours, with the columns that each has. */
struct table *hand_table(const char *name, const char *collection);
/* One of the user's own: `rows` is its name, no column yet. */
struct table *hand_users_table(const char *rows, const char *collection);
struct table_column *hand_column(struct table *table, const char *name, enum column_type type,
                                 const char *paths);
struct table_column *hand_source(struct table *table, const char *name, enum column_source source);
/* `counts_name`.`column` by our column `by`; `key` names the key of a table of counts that is new. */
void hand_count(struct table *table, const char *counts_name, const char *key, const char *column,
                const char *by);
/* Sorted as tables_parse() does it. */
const struct tables *hand_tables(void);
/* Appends CREATE TABLE for everything. */
void hand_sql(struct buffer *out);

#endif
