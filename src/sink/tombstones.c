#include "sink/tombstones.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/panic.h"

enum {
    INT8 = 20,
    TEXTS = 1009,
    SWEEP_MS = 3600 * 1000, /* between two sweeps where the horizon stands still */
};

enum find_query {
    QUERY_RAISE,
    QUERY_NOTE,
    QUERY_FIND
};

enum find_column { /* after the key */
    COLUMN_EPOCH = TOMBSTONES_COLUMNS,
    COLUMN_SEQ,
    COLUMN_HELD
};

static const uint32_t age_types[] = {INT8};
static const uint32_t after_types[] = {INT8, INT8};
static const uint32_t keys_types[] = {TEXTS, TEXTS, TEXTS};

#define IS_TIME "next_at < now() - $1 * interval '1 millisecond'"

/* To the mark that was noted, or to right below the first broken frame. */
static const struct pg_statement raise_horizon = {
    .sql = "UPDATE standpipe_horizon AS h SET epoch = p.epoch, seq = p.seq FROM ("
           "SELECT n.next_epoch AS epoch, n.next_seq AS seq FROM standpipe_horizon AS n"
           " UNION ALL (SELECT epoch, seq - 1 FROM standpipe_dead_letters"
           " WHERE EXISTS (SELECT FROM standpipe_horizon WHERE " IS_TIME ")"
           " AND type = 'frame' AND epoch > 0 ORDER BY epoch, seq LIMIT 1)"
           " ORDER BY epoch, seq LIMIT 1) AS p"
           " WHERE h." IS_TIME " AND (p.epoch, p.seq) > (h.epoch, h.seq)"
           " AND (p.epoch, p.seq) <= (h.next_epoch, h.next_seq)"
           " AND EXISTS (SELECT FROM standpipe_cursor AS c"
           " WHERE c.epoch = h.next_epoch AND c.committed > h.next_seq)",
    .types = age_types,
    .count = 1};

static const struct pg_statement note_next = {
    .sql = "UPDATE standpipe_horizon AS h SET next_epoch = c.epoch, next_seq = c.committed,"
           " next_at = now() FROM (SELECT epoch, committed FROM standpipe_cursor"
           " ORDER BY epoch DESC, committed DESC LIMIT 1) AS c"
           " WHERE h.next_at IS NULL OR h." IS_TIME,
    .types = age_types,
    .count = 1};

#define IS_BELOW "(r.epoch, r.seq) <= (SELECT h.epoch, h.seq FROM standpipe_horizon AS h)"

#define IS_HELD                                                                                    \
    "EXISTS (SELECT FROM standpipe_dead_letters AS d WHERE d.did = r.did"                          \
    " AND d.type IS DISTINCT FROM 'summary')"

static const struct pg_statement find_piece = {
    .sql = "SELECT r.did, r.collection, r.rkey, r.epoch, r.seq, " IS_HELD
           " FROM standpipe_records AS r WHERE r.epoch IS NOT NULL AND (r.epoch, r.seq) > ($1, $2)"
           " AND " IS_BELOW " ORDER BY r.epoch, r.seq FETCH FIRST 200 ROWS WITH TIES",
    .types = after_types,
    .count = 2};
_Static_assert(TOMBSTONES_PIECE == 200, "find_piece says the same");

/* As every writer of these repos does first, in the same order. */
static const struct pg_statement lock_repos = {
    .sql = "SELECT FROM repos WHERE did = ANY ($1) ORDER BY did FOR UPDATE",
    .types = keys_types,
    .count = 1};
static const struct pg_statement delete_piece = {
    .sql =
        "DELETE FROM standpipe_records AS r USING unnest($1, $2, $3) AS x (did, collection, rkey)"
        " WHERE r.did = x.did AND r.collection = x.collection AND r.rkey = x.rkey"
        " AND r.epoch IS NOT NULL AND " IS_BELOW,
    .types = keys_types,
    .count = TOMBSTONES_COLUMNS};

static void begin_keys(struct tombstones *tombstones)
{
    for (unsigned i = 0; i < TOMBSTONES_COLUMNS; i++) {
        pg_array_begin(&tombstones->keys[i], PG_TEXT);
    }
    tombstones->count = 0;
}

void tombstones_init(struct tombstones *tombstones, uint64_t age_ms)
{
    *tombstones = (struct tombstones){.age_ms = (int64_t)age_ms};
    begin_keys(tombstones);
}

void tombstones_deinit(struct tombstones *tombstones)
{
    for (unsigned i = 0; i < TOMBSTONES_COLUMNS; i++) {
        pg_array_deinit(&tombstones->keys[i]);
    }
}

static bool is_sweep_due(const struct tombstones *tombstones)
{
    bool is_under_way = tombstones->after.epoch != 0;
    return is_under_way || tombstones->has_risen || tombstones->swept_ms == 0 ||
           clock_monotonic_ms() - tombstones->swept_ms >= SWEEP_MS;
}

void tombstones_send_find(struct tombstones *tombstones, struct pg_connection *connection)
{
    char bytes[2][PG_INT8_SIZE];
    const struct slice age = pg_int8(tombstones->age_ms, bytes[0]);
    begin_keys(tombstones);
    tombstones->is_found = false;
    pg_connection_query(connection, &raise_horizon, &age);
    pg_connection_query(connection, &note_next, &age);
    if (is_sweep_due(tombstones)) {
        const struct slice after[] = {pg_int8((int64_t)tombstones->after.epoch, bytes[0]),
                                      pg_int8(tombstones->after.sequence, bytes[1])};
        tombstones->has_risen = tombstones->has_risen && tombstones->after.epoch != 0;
        pg_connection_query(connection, &find_piece, after);
    }
}

static void take_row(struct tombstones *tombstones, const struct pg_answer *answer, unsigned row)
{
    tombstones->after.epoch = strtoull(pg_answer_text(answer, row, COLUMN_EPOCH), NULL, 10);
    tombstones->after.sequence = strtoll(pg_answer_text(answer, row, COLUMN_SEQ), NULL, 10);
    if (pg_answer_text(answer, row, COLUMN_HELD)[0] == 't') {
        return;
    }
    for (unsigned i = 0; i < TOMBSTONES_COLUMNS; i++) {
        pg_array_append(&tombstones->keys[i], slice_from_string(pg_answer_text(answer, row, i)));
    }
    tombstones->count++;
}

void tombstones_take(struct tombstones *tombstones, unsigned query, const struct pg_answer *answer)
{
    if (query == QUERY_RAISE) {
        tombstones->has_risen = tombstones->has_risen || answer->affected > 0;
    }
    if (query != QUERY_FIND) {
        return;
    }
    for (unsigned row = 0; row < answer->rows; row++) {
        take_row(tombstones, answer, row);
    }
    tombstones->is_found = answer->rows > 0;
    if (answer->rows == 0) {
        tombstones->after = (struct position){0};
        tombstones->swept_ms = clock_monotonic_ms();
    }
}

void tombstones_begin_anew(struct tombstones *tombstones)
{
    tombstones->after = (struct position){0};
    tombstones->has_risen = true;
}

void tombstones_send_delete(struct tombstones *tombstones, struct pg_connection *connection)
{
    struct slice values[TOMBSTONES_COLUMNS];
    ASSERT(tombstones->count > 0);
    for (unsigned i = 0; i < TOMBSTONES_COLUMNS; i++) {
        values[i] = pg_array_finish(&tombstones->keys[i]);
    }
    pg_connection_query(connection, &lock_repos, values);
    pg_connection_query(connection, &delete_piece, values);
}
