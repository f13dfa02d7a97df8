/* A typed table out of `records`: first the rows go that no record would make where they are, then each record's row is made
 * anew. What the rows count for is not moved: rebuild_counts() follows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/rebuild.h"

#include "base/panic.h"
#include "sink/sql_words.h"
#include "sink/table_sql.h"

#include <libpq-fe.h>

enum {
    CHUNK_ROWS = 500,
    CHUNK_BYTES = 8 << 20, /* of records; the next chunk asks for fewer rows */
    CAREFUL_CHUNKS =
        500, /* after a refusal: one record each, as many as the chunk that was refused had */
    KEY_FIELDS = 5, /* did, rkey, rev, cid, seq, then the record */
};

struct filling {
    struct rebuild *rebuild;
    const struct table *table;
    size_t index;
    struct buffer did, rkey;     /* the last key that is done, terminated */
    struct buffer reset;         /* SQL; empty for a user's table, whose rows others may refer to */
    struct buffer sweep;         /* likewise */
    struct pg_array dids, rkeys; /* of the chunk, as it was found */
    struct pg_array uris;        /* of a chunk of rows */
    unsigned limit, careful;
    bool is_end;
};

/* --- statements with arrays --- */

static PGresult *ask_arrays(struct filling *filling, const char *sql, struct pg_array *arrays,
                            unsigned count, struct error *error)
{
    struct slice values[PG_PARAMETERS_MAX];
    uint32_t types[PG_PARAMETERS_MAX];
    for (unsigned i = 0; i < count; i++) {
        values[i] = pg_array_finish(&arrays[i]);
        types[i] = pg_array_type(arrays[i].element);
    }
    const struct sql_parameters parameters = {.values = values, .types = types, .count = count};
    return sql_client_run(&filling->rebuild->client, sql, &parameters, error);
}

static bool run_arrays(struct filling *filling, const char *sql, struct pg_array *arrays,
                       unsigned count, uint64_t *written, struct error *error)
{
    PGresult *result = ask_arrays(filling, sql, arrays, count, error);
    if (result == NULL) {
        return false;
    }
    bool says = PQntuples(result) == 1 && PQnfields(result) >= 1;
    uint64_t number = strtoull(says ? PQgetvalue(result, 0, 0) : PQcmdTuples(result), NULL, 10);
    if (written != NULL) {
        *written += number;
    }
    PQclear(result);
    return true;
}

/* Who writes a row of a repo holds the repo's own row, here as in the daemon, and in its order. */
static bool lock_repos(struct filling *filling, struct error *error)
{
    return run_arrays(filling,
                      "SELECT FROM repos WHERE did = ANY ($1) ORDER BY did COLLATE \"C\""
                      " FOR NO KEY UPDATE",
                      &filling->dids, 1, NULL, error);
}

/* --- a chunk --- */

static struct slice field(const PGresult *result, int row, int column)
{
    return slice_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

/* The first two columns of `found`, for the lock and for what is read under it. */
static void take_keys(struct filling *filling, const PGresult *found)
{
    pg_array_begin(&filling->dids, PG_TEXT);
    pg_array_begin(&filling->rkeys, PG_TEXT);
    for (int row = 0; row < PQntuples(found); row++) {
        pg_array_append(&filling->dids, field(found, row, 0));
        pg_array_append(&filling->rkeys, field(found, row, 1));
    }
}

static struct table_key key_of(const PGresult *found, int row)
{
    return (struct table_key){.did = field(found, row, 0),
                              .rkey = field(found, row, 1),
                              .rev = field(found, row, 2),
                              .cid = field(found, row, 3),
                              .seq = strtoll(PQgetvalue(found, row, 4), NULL, 10)};
}

/* The rows of the chunk; its bytes say how many to ask for next. */
static void put_chunk(struct filling *filling, const PGresult *found)
{
    struct rebuild *rebuild = filling->rebuild;
    size_t bytes = 0;
    table_rows_begin(rebuild->rows);
    arena_reset(&rebuild->arena);
    for (int row = 0; row < PQntuples(found); row++) {
        const struct table_key key = key_of(found, row);
        struct slice record = field(found, row, KEY_FIELDS);
        bytes += record.size;
        /* A bad value has a dead letter since it was written first; here it is only left out. */
        if (table_rows_put(rebuild->rows, filling->index, &key, record, &rebuild->arena) ==
            EXTRACTION_BAD) {
            rebuild->refused++;
        }
    }
    if (bytes > CHUNK_BYTES && filling->limit > 1) {
        filling->limit /= 2;
    } else if (filling->careful == 0 && bytes < CHUNK_BYTES / 4) {
        filling->limit = filling->limit * 2 < CHUNK_ROWS ? filling->limit * 2 : CHUNK_ROWS;
    }
}

static bool write_chunk(struct filling *filling, uint64_t *made, struct error *error)
{
    struct table_columns *columns = &filling->rebuild->rows->tables[filling->index];
    const char *live =
        table_plan_statement(filling->rebuild->plan, filling->index, TABLE_LIVE)->sql;
    struct pg_array keys[] = {filling->dids, filling->rkeys};
    if (filling->reset.size > 0 &&
        !run_arrays(filling, filling->reset.data, keys, 2, NULL, error)) {
        return false;
    }
    return columns->live_rows == 0 ||
           run_arrays(filling, live, columns->live, columns->live_columns, made, error);
}

static void note_key(struct filling *filling, const PGresult *found)
{
    int last = PQntuples(found) - 1;
    buffer_clear(&filling->did);
    buffer_append_slice(&filling->did, field(found, last, 0));
    buffer_append_byte(&filling->did, '\0');
    buffer_clear(&filling->rkey);
    buffer_append_slice(&filling->rkey, field(found, last, 1));
    buffer_append_byte(&filling->rkey, '\0');
}

/* The keys of the next chunk. */
static PGresult *read_chunk(struct filling *filling, struct error *error)
{
    char limit[24];
    (void)snprintf(limit, sizeof(limit), "%u", filling->careful > 0 ? 1 : filling->limit);
    const char *values[] = {filling->did.data, filling->table->collection, filling->rkey.data,
                            limit, NULL};
    return sql_client_query(&filling->rebuild->client,
                            "SELECT did, rkey FROM standpipe_records WHERE (did, collection, rkey) "
                            "> ($1, $2, $3) AND collection = $2"
                            " AND cid IS NOT NULL ORDER BY did, rkey LIMIT $4::bigint",
                            values, error);
}

/* The records of the chunk as they are now that nobody else can change them: read before the lock, one that is written
 * anew meanwhile would have its new row reset and none put in its place. */
static PGresult *read_records(struct filling *filling, struct error *error)
{
    struct buffer sql = {0};
    buffer_append_format(&sql,
                         "SELECT r.* FROM unnest($1, $2) AS k (did, rkey) CROSS JOIN LATERAL"
                         " (SELECT did, rkey, rev, cid, seq, record::text FROM standpipe_records"
                         " AS r WHERE r.did = k.did AND r.collection = '%s' AND r.rkey = k.rkey"
                         " AND r.cid IS NOT NULL OFFSET 0) AS r ORDER BY 1, 2",
                         filling->table->collection);
    buffer_append_byte(&sql, '\0');
    struct pg_array keys[] = {filling->dids, filling->rkeys};
    PGresult *found = ask_arrays(filling, sql.data, keys, 2, error);
    buffer_deinit(&sql);
    return found;
}

/* In its transaction, which the caller ends. */
static bool fill_chunk(struct filling *filling, const PGresult *keys, uint64_t *made,
                       struct error *error)
{
    take_keys(filling, keys);
    PGresult *found = lock_repos(filling, error) ? read_records(filling, error) : NULL;
    if (found == NULL) {
        return false;
    }
    put_chunk(filling, found);
    bool is_written = write_chunk(filling, made, error);
    PQclear(found);
    return is_written &&
           rebuild_save(filling->rebuild, filling->did.data, filling->rkey.data, error);
}

/* What PostgreSQL refused is looked for record by record, and then left out. */
static bool take_refusal(struct filling *filling, const PGresult *found, struct error *error)
{
    if (error->kind != ERROR_ROW) {
        return false;
    }
    if (filling->careful == 0) {
        filling->careful = CAREFUL_CHUNKS;
        return true;
    }
    filling->careful--;
    filling->rebuild->refused++;
    filling->rebuild->done++;
    note_key(filling, found);
    return true;
}

static bool step(struct filling *filling, const PGresult *found, struct error *error)
{
    struct rebuild *rebuild = filling->rebuild;
    struct buffer did = {0};
    struct buffer rkey = {0};
    uint64_t made = 0;
    uint64_t refused = rebuild->refused;
    buffer_append_slice(&did, buffer_slice(&filling->did));
    buffer_append_slice(&rkey, buffer_slice(&filling->rkey));
    note_key(filling, found);
    bool is_done = rebuild_do(rebuild, "BEGIN", NULL, error) &&
                   fill_chunk(filling, found, &made, error) &&
                   rebuild_do(rebuild, "COMMIT", NULL, error);
    if (is_done) {
        rebuild->made += made;
        rebuild->done += (uint64_t)PQntuples(found);
        filling->careful -= filling->careful > 0 ? 1 : 0;
        buffer_deinit(&did);
        buffer_deinit(&rkey);
        return true;
    }
    struct error second;
    buffer_deinit(&filling->did);
    buffer_deinit(&filling->rkey);
    filling->did = did;
    filling->rkey = rkey;
    rebuild->refused = refused;
    return rebuild_do(rebuild, "ROLLBACK", NULL, &second) && take_refusal(filling, found, error);
}

static bool fill(struct filling *filling, struct error *error)
{
    while (!filling->is_end) {
        rebuild_begin_chunk(filling->rebuild);
        PGresult *found = read_chunk(filling, error);
        if (found == NULL) {
            return false;
        }
        filling->is_end = PQntuples(found) == 0;
        bool is_done = filling->is_end || step(filling, found, error);
        PQclear(found);
        if (!is_done) {
            return false;
        }
        rebuild_end_chunk(filling->rebuild);
    }
    return true;
}

/* --- rows without a record --- */

/* Of ours only: a user's table does not say what a row was made of. The empty text may be a URI, if by hand only. */
static PGresult *read_rows(struct filling *filling, const char *after, bool is_first,
                           struct error *error)
{
    struct buffer sql = {0};
    buffer_append_string(&sql, "SELECT uri, did FROM ");
    sql_append_name(&sql, filling->table->rows_name);
    buffer_append_format(&sql, " WHERE uri %s $1 ORDER BY uri LIMIT %d", is_first ? ">=" : ">",
                         CHUNK_ROWS);
    buffer_append_byte(&sql, '\0');
    const char *values[] = {after, NULL};
    PGresult *found = sql_client_query(&filling->rebuild->client, sql.data, values, error);
    buffer_deinit(&sql);
    return found;
}

/* at://<whose>/...; all of it where it is no such URI. */
static struct slice repo_of(struct slice uri)
{
    static const struct slice scheme = SLICE("at://");
    struct slice rest = slice_starts_with(uri, scheme) ? slice_skip(uri, scheme.size) : uri;
    const char *end = memchr(rest.data, '/', rest.size);
    return end != NULL ? slice_of(rest.data, (size_t)(end - rest.data)) : rest;
}

/* A row may say that it is of one repo, and stand where another one's would: both are held. */
static void take_rows(struct filling *filling, const PGresult *found)
{
    pg_array_begin(&filling->uris, PG_TEXT);
    pg_array_begin(&filling->dids, PG_TEXT);
    for (int row = 0; row < PQntuples(found); row++) {
        struct slice uri = field(found, row, 0);
        pg_array_append(&filling->uris, uri);
        pg_array_append(&filling->dids, repo_of(uri));
        pg_array_append(&filling->dids, field(found, row, 1));
    }
}

static bool sweep_chunk(struct filling *filling, const PGresult *found, struct error *error)
{
    struct rebuild *rebuild = filling->rebuild;
    take_rows(filling, found);
    return rebuild_do(rebuild, "BEGIN", NULL, error) && lock_repos(filling, error) &&
           run_arrays(filling, filling->sweep.data, &filling->uris, 1, &rebuild->gone, error) &&
           rebuild_do(rebuild, "COMMIT", NULL, error);
}

static bool sweep(struct filling *filling, struct error *error)
{
    struct buffer after = {0};
    bool is_done = true;
    bool is_first = true;
    buffer_append_byte(&after, '\0');
    for (bool is_end = false; is_done && !is_end; is_first = false) {
        rebuild_begin_chunk(filling->rebuild);
        PGresult *found = read_rows(filling, after.data, is_first, error);
        is_end = found == NULL || PQntuples(found) == 0;
        is_done = found != NULL && (is_end || sweep_chunk(filling, found, error));
        if (is_done && !is_end) {
            buffer_clear(&after);
            buffer_append_slice(&after, field(found, PQntuples(found) - 1, 0));
            buffer_append_byte(&after, '\0');
            rebuild_end_chunk(filling->rebuild);
        }
        PQclear(found);
    }
    buffer_deinit(&after);
    return is_done;
}

static bool count_records(struct filling *filling, struct error *error)
{
    struct rebuild *rebuild = filling->rebuild;
    const char *values[] = {filling->table->collection, filling->did.data, filling->rkey.data,
                            NULL};
    return rebuild_ask_number(rebuild,
                              "SELECT count(*) FROM standpipe_records WHERE collection = $1"
                              " AND cid IS NOT NULL",
                              (const char *[]){filling->table->collection, NULL}, &rebuild->total,
                              error) &&
           rebuild_ask_number(rebuild,
                              "SELECT count(*) FROM standpipe_records WHERE collection = $1"
                              " AND cid IS NOT NULL AND (did, rkey) <= ($2, $3)",
                              values, &rebuild->resumed_from, error);
}

/* What counts these rows is relied on again when it has been recounted from its beginning: where rows were lost or changed
 * by hand, nobody knows which of them it had counted. */
static bool doubt_counts(struct filling *filling, struct error *error)
{
    const struct table_plan *plan = filling->rebuild->plan;
    bool is_done = true;
    for (size_t i = 0; is_done && i < plan->tables->count_table_count; i++) {
        is_done = !table_plan_feeds(plan, filling->index, i) ||
                  rebuild_doubt(filling->rebuild, plan->tables->count_tables[i].name, error);
    }
    return is_done;
}

bool rebuild_rows(struct rebuild *rebuild, size_t table, struct error *error)
{
    struct filling filling = {.rebuild = rebuild,
                              .table = &rebuild->plan->tables->items[table],
                              .index = table,
                              .limit = CHUNK_ROWS};
    if (!filling.table->is_users) {
        table_sql_append_reset(rebuild->plan->tables, table, &filling.reset);
        buffer_append_byte(&filling.reset, '\0');
        table_sql_append_sweep(rebuild->plan->tables, table, &filling.sweep);
        buffer_append_byte(&filling.sweep, '\0');
    }
    rebuild->name = filling.table->name;
    bool is_done =
        rebuild_load(rebuild, &filling.did, &filling.rkey, error) && count_records(&filling, error);
    rebuild->done = rebuild->resumed_from;
    is_done = is_done && doubt_counts(&filling, error) &&
              (filling.table->is_users || sweep(&filling, error)) && fill(&filling, error) &&
              rebuild_finish(rebuild, error);
    pg_array_deinit(&filling.dids);
    pg_array_deinit(&filling.rkeys);
    pg_array_deinit(&filling.uris);
    buffer_deinit(&filling.did);
    buffer_deinit(&filling.rkey);
    buffer_deinit(&filling.reset);
    buffer_deinit(&filling.sweep);
    return is_done;
}
