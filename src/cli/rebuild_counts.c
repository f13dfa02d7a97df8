/* A table of counts out of the typed tables. A count is exact because its row is locked before the rows are counted, in a
 * statement of its own: who has counted already has committed by then, who has not counts on top. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/rebuild.h"

#include "base/panic.h"
#include "sink/sql_words.h"
#include "sink/table_sql.h"

#include <libpq-fe.h>

enum {
    CHUNK_KEYS = 2000
};

struct counting {
    struct rebuild *rebuild;
    const struct count_table *counts;
    struct buffer last; /* the last key that is done, terminated */
};

typedef void append_count(const struct counting *counting, struct buffer *sql,
                          const struct table *table, const struct table_count *count);

static void for_each_of(const struct counting *counting, struct buffer *sql,
                        const struct table *table, append_count *append)
{
    for (size_t i = 0; i < table->count_count; i++) {
        if (strcmp(table->counts[i].counts, counting->counts->name) == 0) {
            append(counting, sql, table, &table->counts[i]);
        }
    }
}

/* Calls `append` for each `count` line that feeds our table. */
static void for_each_count(const struct counting *counting, struct buffer *sql,
                           append_count *append)
{
    const struct tables *tables = counting->rebuild->plan->tables;
    for (size_t t = 0; t < tables->count; t++) {
        for_each_of(counting, sql, &tables->items[t], append);
    }
}

static void append_by(struct buffer *sql, const struct table *table,
                      const struct table_count *count)
{
    sql_append_name(sql, table->columns[count->by].name);
}

/* --- the keys, once --- */

static void append_keys(const struct counting *counting, struct buffer *sql,
                        const struct table *table, const struct table_count *count)
{
    (void)counting;
    buffer_append_string(sql, "SELECT ");
    append_by(sql, table, count);
    buffer_append_string(sql, " COLLATE \"C\" AS k FROM ");
    sql_append_name(sql, table->rows_name);
    buffer_append_string(sql, " UNION ");
}

/* Only those behind the last one that an earlier run has done. The empty text is a key as any other: it comes first. */
static void append_rest(const struct counting *counting, struct buffer *sql)
{
    buffer_append_string(sql, " WHERE ");
    table_sql_append_is_counted(sql, "k"); /* null is not */
    if (!counting->rebuild->is_resumed) {
        return;
    }
    char *last = PQescapeLiteral(counting->rebuild->client.native, counting->last.data,
                                 strlen(counting->last.data));
    if (last == NULL) {
        PANIC("out of memory");
    }
    buffer_append_format(sql, " AND k > %s", last);
    PQfreemem(last);
}

/* Keys that come later are counted from nothing by whoever adds them. */
static bool list_keys(struct counting *counting, struct error *error)
{
    struct buffer sql = {0};
    buffer_append_string(&sql, "CREATE TEMPORARY TABLE standpipe_keys AS SELECT k,"
                               " row_number() OVER (ORDER BY k) AS n FROM (");
    for_each_count(counting, &sql, append_keys);
    buffer_append_string(&sql, "SELECT ");
    sql_append_name(&sql, counting->counts->key);
    buffer_append_string(&sql, " COLLATE \"C\" FROM ");
    sql_append_name(&sql, counting->counts->name);
    buffer_append_string(&sql, ") AS keys");
    append_rest(counting, &sql);
    buffer_append_byte(&sql, '\0');
    bool is_done =
        rebuild_do(counting->rebuild, "DROP TABLE IF EXISTS pg_temp.standpipe_keys", NULL, error) &&
        rebuild_do(counting->rebuild, sql.data, NULL, error) &&
        rebuild_do(counting->rebuild, "CREATE UNIQUE INDEX ON pg_temp.standpipe_keys (n)", NULL,
                   error) &&
        rebuild_do(counting->rebuild, "ANALYZE pg_temp.standpipe_keys", NULL, error);
    buffer_deinit(&sql);
    return is_done;
}

/* --- a chunk of them --- */

#define CHUNK "(SELECT k FROM pg_temp.standpipe_keys WHERE n BETWEEN $1::bigint AND $2::bigint)"

/* Every row of the chunk is locked, and made where there is none, in one pass by key as the daemon goes: two passes would hold
 * a key that was made while they wait for a lower one. A false guard still locks. */
static void append_lock(const struct counting *counting, struct buffer *sql)
{
    const char *key = counting->counts->key;
    const char *column = counting->counts->columns[0];
    buffer_append_string(sql, "INSERT INTO ");
    sql_append_name(sql, counting->counts->name);
    buffer_append_string(sql, " AS t (");
    sql_append_name(sql, key);
    buffer_append_string(sql,
                         ") SELECT k FROM " CHUNK " AS c ORDER BY k COLLATE \"C\" ON CONFLICT (");
    sql_append_name(sql, key);
    buffer_append_string(sql, ") DO UPDATE SET ");
    sql_append_name(sql, column);
    buffer_append_string(sql, " = t.");
    sql_append_name(sql, column);
    buffer_append_string(sql, " WHERE false");
}

/* The numbers of one count, by key. */
static void append_numbers(const struct counting *counting, struct buffer *sql,
                           const struct table *table, const struct table_count *count)
{
    buffer_append_string(sql, " UNION ALL SELECT ");
    append_by(sql, table, count);
    for (size_t c = 0; c < counting->counts->column_count; c++) {
        bool is_this = strcmp(counting->counts->columns[c], count->column) == 0;
        buffer_append_string(sql, is_this ? ", count(*)" : ", 0");
    }
    buffer_append_string(sql, " FROM ");
    sql_append_name(sql, table->rows_name);
    buffer_append_string(sql, " WHERE ");
    append_by(sql, table, count);
    buffer_append_string(sql, " = ANY (ARRAY" CHUNK ") GROUP BY 1");
}

static void append_each(const struct counting *counting, struct buffer *sql, const char *before,
                        const char *between)
{
    for (size_t c = 0; c < counting->counts->column_count; c++) {
        buffer_append_string(sql, c > 0 ? between : "");
        buffer_append_string(sql, before);
        sql_append_name(sql, counting->counts->columns[c]);
    }
}

static void append_update(const struct counting *counting, struct buffer *sql)
{
    buffer_append_string(sql, "UPDATE ");
    sql_append_name(sql, counting->counts->name);
    buffer_append_string(sql, " AS t SET ");
    for (size_t c = 0; c < counting->counts->column_count; c++) {
        buffer_append_string(sql, c > 0 ? ", " : "");
        sql_append_name(sql, counting->counts->columns[c]);
        buffer_append_format(sql, " = s.n%zu", c);
    }
    buffer_append_string(sql, " FROM (SELECT k");
    for (size_t c = 0; c < counting->counts->column_count; c++) {
        buffer_append_format(sql, ", sum(n%zu)::bigint AS n%zu", c, c);
    }
    buffer_append_string(sql, " FROM (SELECT k");
    for (size_t c = 0; c < counting->counts->column_count; c++) {
        buffer_append_format(sql, ", 0::bigint AS n%zu", c);
    }
    buffer_append_string(sql, " FROM " CHUNK " AS c");
    for_each_count(counting, sql, append_numbers);
    buffer_append_string(sql, ") AS numbers GROUP BY k) AS s WHERE t.");
    sql_append_name(sql, counting->counts->key);
    buffer_append_string(sql, " = s.k AND (");
    append_each(counting, sql, "t.", ", ");
    buffer_append_string(sql, ") IS DISTINCT FROM (");
    for (size_t c = 0; c < counting->counts->column_count; c++) {
        buffer_append_format(sql, c > 0 ? ", s.n%zu" : "s.n%zu", c);
    }
    buffer_append_byte(sql, ')');
}

static bool run_made(struct counting *counting,
                     void (*append)(const struct counting *counting, struct buffer *sql),
                     const char *const *values, uint64_t *changed, struct error *error)
{
    struct buffer sql = {0};
    append(counting, &sql);
    buffer_append_byte(&sql, '\0');
    PGresult *result = sql_client_query(&counting->rebuild->client, sql.data, values, error);
    buffer_deinit(&sql);
    if (result == NULL) {
        return false;
    }
    if (changed != NULL) {
        *changed = strtoull(PQcmdTuples(result), NULL, 10);
    }
    PQclear(result);
    return true;
}

static bool note_last(struct counting *counting, const char *const *values, struct error *error)
{
    PGresult *result = sql_client_query(&counting->rebuild->client,
                                        "SELECT max(k) FROM " CHUNK " AS c", values, error);
    if (result == NULL) {
        return false;
    }
    buffer_clear(&counting->last);
    buffer_append_string(&counting->last, PQgetvalue(result, 0, 0));
    buffer_append_byte(&counting->last, '\0');
    PQclear(result);
    return rebuild_save(counting->rebuild, counting->last.data, "", error);
}

static bool count_chunk(struct counting *counting, uint64_t first, struct error *error)
{
    char from[24];
    char to[24];
    uint64_t changed = 0;
    (void)snprintf(from, sizeof(from), "%" PRIu64, first);
    (void)snprintf(to, sizeof(to), "%" PRIu64, first + CHUNK_KEYS - 1);
    const char *values[] = {from, to, NULL};
    struct rebuild *rebuild = counting->rebuild;
    rebuild_begin_chunk(rebuild);
    if (!rebuild_do(rebuild, "BEGIN", NULL, error) ||
        !run_made(counting, append_lock, values, NULL, error) ||
        !run_made(counting, append_update, values, &changed, error) ||
        !note_last(counting, values, error) || !rebuild_do(rebuild, "COMMIT", NULL, error)) {
        return false;
    }
    uint64_t left = rebuild->total - rebuild->done;
    rebuild->made += changed;
    rebuild->done += left < CHUNK_KEYS ? left : CHUNK_KEYS;
    rebuild_end_chunk(rebuild);
    return true;
}

bool rebuild_counts(struct rebuild *rebuild, size_t count_table, struct error *error)
{
    struct counting counting = {.rebuild = rebuild,
                                .counts = &rebuild->plan->tables->count_tables[count_table]};
    struct buffer nothing = {0};
    rebuild->name = counting.counts->name;
    bool is_done = rebuild_load(rebuild, &counting.last, &nothing, error) &&
                   list_keys(&counting, error) &&
                   rebuild_ask_number(rebuild, "SELECT count(*) FROM pg_temp.standpipe_keys", NULL,
                                      &rebuild->total, error);
    for (uint64_t first = 1; is_done && first <= rebuild->total; first += CHUNK_KEYS) {
        is_done = count_chunk(&counting, first, error);
    }
    is_done = is_done && rebuild_finish(rebuild, error);
    buffer_deinit(&counting.last);
    buffer_deinit(&nothing);
    return is_done;
}
