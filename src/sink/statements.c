#include "sink/statements.h"

#include "base/panic.h"
#include "sink/dead_letter.h"

/* Types of parameters: arrays of text, int8, timestamptz, bool, bytea. */
enum {
    TEXTS = 1009,
    INTS = 1016,
    TIMES = 1185,
    BOOLS = 1000,
    BYTES = 1001
};

#define LETTERS_LIMIT "100"
_Static_assert(DEAD_LETTERS_PER_REPO_HOUR == 100, "LETTERS_LIMIT says the same");

/* Of two commits with one rev the higher CID is kept, whichever comes first. */
#define IS_HIGHER                                                                                  \
    "(excluded.rev >= coalesce(r.floor, '') AND (excluded.rev > coalesce(r.rev, '')"               \
    " OR (excluded.rev = r.rev AND excluded.commit_cid > coalesce(r.commit_cid, ''))))"

/* NULL where none came whole. */
#define LOWEST_NEW "excluded.recent_revs[cardinality(excluded.recent_revs)]"

/* A repo's rev rises only; recent_revs keeps the highest four that came whole, so whether the rev that
 * is owed was met does not depend on what came first. The first branch of recent_revs is the usual
 * case (all commits are new), the function the rest. */
static const char repos_sql[] =
    "INSERT INTO repos AS r (did, rev, commit_cid, recent_revs)"
    " SELECT did, rev, commit_cid, coalesce(string_to_array(revs, ','), '{}')"
    " FROM unnest($1, $2, $3, $4) AS x (did, rev, commit_cid, revs) ORDER BY did COLLATE \"C\""
    " ON CONFLICT (did) DO UPDATE SET"
    " rev = CASE WHEN " IS_HIGHER " THEN excluded.rev ELSE r.rev END,"
    " commit_cid = CASE WHEN " IS_HIGHER " THEN excluded.commit_cid ELSE r.commit_cid END,"
    " recent_revs = CASE WHEN " LOWEST_NEW " >= coalesce(r.floor, '')"
    " AND " LOWEST_NEW " > coalesce(r.recent_revs[1], '')"
    " THEN (excluded.recent_revs || r.recent_revs)[1:4]"
    " ELSE standpipe_merge_revs(r.recent_revs, excluded.recent_revs, r.floor) END,"
    " desynchronized = r.desynchronized"
    " AND NOT coalesce(r.sync_rev = ANY (excluded.recent_revs), false),"
    " updated_at = now()"
    " WHERE " IS_HIGHER " OR (r.desynchronized AND r.sync_rev = ANY (excluded.recent_revs))"
    " OR CASE WHEN excluded.recent_revs <@ r.recent_revs THEN false"
    " ELSE standpipe_merge_revs(r.recent_revs, excluded.recent_revs, r.floor)"
    " IS DISTINCT FROM r.recent_revs END";

/* Within an epoch the sequence decides. Across epochs an event that is not after what is stored is a
 * replay; one whose time says nothing (null) counts only where it changes something. */
#define IS_NEWER(state, differs)                                                                   \
    " (r." state "_epoch IS NULL"                                                                  \
    " OR (r." state "_epoch = x.epoch AND x.seq > r." state "_seq)"                                \
    " OR (r." state "_epoch <> x.epoch"                                                            \
    " AND CASE WHEN x.at IS NULL THEN " differs " ELSE x.at > r." state "_time END))"

static const char identities_sql[] =
    "UPDATE repos AS r SET identity_epoch = x.epoch, identity_seq = x.seq,"
    " identity_time = coalesce(x.at, now()), handle = x.handle, updated_at = now()"
    " FROM unnest($1, $2, $3, $4, $5) AS x (did, epoch, seq, at, handle)"
    " WHERE r.did = x.did AND" IS_NEWER("identity", "x.handle IS DISTINCT FROM r.handle");

/* A repo with more rows than this is cleared by the purger. */
#define IS_LARGE                                                                                   \
    "(SELECT count(*) > 5000 FROM (SELECT FROM standpipe_records AS q WHERE q.did = r.did"         \
    " LIMIT 5001) AS first)"

static const char accounts_sql[] =
    "UPDATE repos AS r SET account_epoch = x.epoch, account_seq = x.seq,"
    " account_time = coalesce(x.at, now()), active = x.active, status = x.status,"
    " floor = CASE WHEN x.floor > coalesce(r.floor, '') THEN x.floor ELSE r.floor END,"
    " floor_time = CASE WHEN x.floor > coalesce(r.floor, '') THEN x.floor_time"
    " ELSE r.floor_time END,"
    " clearing = r.clearing OR (coalesce(x.floor, '') > coalesce(r.floor, '') AND " IS_LARGE "),"
    " updated_at = now()"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)"
    " AS x (did, epoch, seq, at, active, status, floor, floor_time)"
    " WHERE r.did = x.did AND" IS_NEWER(
        "account", "(x.active, x.status) IS DISTINCT FROM (r.active, r.status)");

/* Whatever the position of the account's state: a deletion that comes late has still happened. */
static const char floors_sql[] = "UPDATE repos AS r SET floor = x.floor, floor_time = x.floor_time,"
                                 " clearing = r.clearing OR " IS_LARGE ", updated_at = now()"
                                 " FROM unnest($1, $2, $3) AS x (did, floor, floor_time)"
                                 " WHERE r.did = x.did AND x.floor > coalesce(r.floor, '')";

static const char clear_repos_sql[] =
    "UPDATE repos SET rev = CASE WHEN rev >= floor THEN rev END,"
    " commit_cid = CASE WHEN rev >= floor THEN commit_cid END,"
    " recent_revs = standpipe_merge_revs(recent_revs, '{}', floor),"
    " sync_rev = CASE WHEN sync_rev >= floor THEN sync_rev END,"
    " desynchronized = desynchronized AND coalesce(sync_rev >= floor, false),"
    " updated_at = now()"
    " WHERE did = ANY ($1) AND (rev < floor OR sync_rev < floor"
    " OR EXISTS (SELECT FROM unnest(recent_revs) AS u (v) WHERE v < floor))";

/* Tombstones below the floor go too: the floor does their work. */
static const char clear_records_sql[] =
    "DELETE FROM standpipe_records AS r USING repos AS p"
    " WHERE p.did = ANY ($1) AND NOT p.clearing AND r.did = p.did AND " STATEMENT_BELOW_FLOOR;

/* The fifth highest and below are forgotten: what is below four that came whole was met, or is so
 * late that nobody can tell. */
static const char owed_sql[] =
    "UPDATE repos AS r SET sync_rev = x.rev, desynchronized = NOT (x.rev = ANY (r.recent_revs)"
    " OR (cardinality(r.recent_revs) >= 4 AND x.rev < r.recent_revs[4])), updated_at = now()"
    " FROM unnest($1, $2) AS x (did, rev)"
    " WHERE r.did = x.did AND x.rev > coalesce(r.sync_rev, '') AND x.rev >= coalesce(r.floor, '')";

/* What comes from at or below the horizon and has no row was deleted since, and its tombstone is gone (tombstones.h).
 * Entries of the reference system have no epoch, and what they delete keeps its tombstone. */
#define IS_ABOVE_HORIZON                                                                           \
    "((x.epoch, x.seq) <= (SELECT h.epoch, h.seq FROM standpipe_horizon AS h)) IS NOT TRUE"

/* A subquery that yields a value is looked up row by row, whatever the planner believes of a table's size, and leaves
 * the rows in the order in which they were sent: by key, in which they are locked. */
#define IS_ADMITTED                                                                                \
    "(SELECT true FROM repos AS p WHERE p.did = x.did AND p.floor > x.floor_rev) IS NULL"          \
    " AND (" IS_ABOVE_HORIZON " OR (SELECT true FROM standpipe_records AS q"                       \
    " WHERE q.did = x.did AND q.collection = x.collection AND q.rkey = x.rkey))"

/* Of two commits with one rev the same wins as in batch.c, whichever comes first: 'c' puts every CID, an empty one
 * too, above a tombstone. */
#define IS_LATER                                                                                   \
    "(excluded.rev > r.rev OR (excluded.rev = r.rev AND CASE WHEN r.rev = ''"                      \
    " THEN excluded.seq > r.seq"                                                                   \
    " ELSE coalesce('c' || excluded.cid, '') > coalesce('c' || r.cid, '') END))"

#define RECORDS(is_later)                                                                          \
    "INSERT INTO standpipe_records AS r (did, collection, rkey, cid, rev, record, record_cbor,"    \
    " invalid, seq, event_time, indexed_at, epoch)"                                                \
    " SELECT did, collection, rkey, cid, rev, record::jsonb, cbor, invalid, seq, at, now(),"       \
    " CASE WHEN cid IS NULL THEN epoch END"                                                        \
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"                              \
    " AS x (did, collection, rkey, cid, rev, record, cbor, invalid, seq, at, floor_rev, epoch)"    \
    " WHERE " IS_ADMITTED                                                                          \
    " ON CONFLICT (did, collection, rkey) DO UPDATE SET cid = excluded.cid, rev = excluded.rev,"   \
    " record = excluded.record, record_cbor = excluded.record_cbor, invalid = excluded.invalid,"   \
    " seq = excluded.seq, event_time = excluded.event_time, indexed_at = excluded.indexed_at,"     \
    " epoch = excluded.epoch WHERE " is_later

static const char records_sql[] = RECORDS(IS_LATER);

/* Those that a guard, a floor or the horizon has refused are not written. Where a live record replaces what was there, a
 * tombstone too, its collection is noted as that is done: new rows, as nearly all are, pay nothing for it. */
#define REPLACED "coalesce(current_setting('standpipe.replaced', true), '')"
#define NOTE_REPLACED                                                                              \
    "excluded.cid IS NULL OR octet_length(" REPLACED ") > " STATEMENT_REPLACED_MAX                 \
    " OR strpos(" REPLACED ", ' ' || excluded.collection || ' ') > 0"                              \
    " OR set_config('standpipe.replaced', " REPLACED " || ' ' || excluded.collection || ' ',"      \
    " true) IS NOT NULL"
static const char records_told_sql[] = "WITH w AS (" RECORDS(
    "CASE WHEN " IS_LATER " THEN " NOTE_REPLACED
    " ELSE false END") " RETURNING 1) SELECT count(*), set_config('standpipe.all_written',"
                       " (count(*) = cardinality($1))::text, true),"
                       " set_config('standpipe.replaced', " REPLACED ", true) FROM w";

/*
 * An epoch belongs to one host, which standpipe_cursor knows; entries of the reference system have none.
 * Of one repo and hour so many letters are kept (DEAD_LETTERS_PER_REPO_HOUR), the others are counted in a
 * summary, which remembers between which sequences they lie: what comes again is in there already. What comes
 * late out of order is then not counted, so that a replay moves no counter; a summary says "at least".
 * A relay that is asked again sends the same event under a new epoch: with the same bytes it is the same letter. Of a relay
 * that counts anew the same sequence is another event.
 */
static const char dead_letters_sql[] =
    "WITH given AS (SELECT coalesce((SELECT min(c.host) FROM standpipe_cursor AS c"
    " WHERE c.epoch = x.epoch), '') AS host, x.*"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) AS x (epoch, seq, "
    "op,"
    " reason, sqlstate, detail, did, collection, rkey, type, data, frame, deliveries, cut_from)),"
    " fresh AS (SELECT g.*, row_number() OVER (PARTITION BY g.did ORDER BY epoch, seq, op, reason)"
    " AS place FROM given AS g"
    " WHERE NOT EXISTS (SELECT FROM standpipe_dead_letters AS d WHERE d.host = g.host"
    " AND d.epoch = g.epoch AND d.seq = g.seq AND d.op = g.op AND d.reason = g.reason)"
    " AND NOT EXISTS (SELECT FROM standpipe_cursor AS c JOIN standpipe_dead_letters AS d"
    " ON d.host = c.host AND d.epoch = c.epoch AND d.seq = g.seq AND d.op = g.op"
    " AND d.reason = g.reason WHERE c.host = g.host AND d.data IS NOT DISTINCT FROM g.data"
    " AND d.frame IS NOT DISTINCT FROM g.frame)"
    " AND NOT EXISTS (SELECT FROM standpipe_dead_letters AS s WHERE s.did = g.did"
    " AND s.type = 'summary' AND s.host = g.host AND s.epoch = g.epoch"
    " AND g.seq BETWEEN s.seq AND s.last_seq)),"
    " stored AS (SELECT did, count(*) AS letters FROM standpipe_dead_letters"
    " WHERE did IN (SELECT did FROM fresh) AND created_at >= date_trunc('hour', now())"
    " GROUP BY did),"
    " placed AS (SELECT f.*, f.did IS NOT NULL AND f.place + coalesce(s.letters, 0)"
    " > " LETTERS_LIMIT " AS is_over FROM fresh AS f LEFT JOIN stored AS s ON s.did = f.did),"
    " kept AS (INSERT INTO standpipe_dead_letters (host, epoch, seq, op, reason, sqlstate, detail,"
    " did, collection, rkey, type, data, frame, deliveries, cut_from)"
    " SELECT host, epoch, seq, op, reason, sqlstate, detail, did, collection, rkey, type, data,"
    " frame, deliveries, cut_from FROM placed WHERE NOT is_over"
    " ORDER BY epoch, seq, op, reason ON CONFLICT DO NOTHING),"
    " over AS (SELECT host, epoch, did, min(seq) AS first, max(seq) AS last, count(*) AS letters"
    " FROM placed WHERE is_over GROUP BY host, epoch, did),"
    " grown AS (UPDATE standpipe_dead_letters AS s SET letters = s.letters + o.letters,"
    " seq = least(s.seq, o.first), last_seq = greatest(s.last_seq, o.last) FROM over AS o"
    " WHERE s.did = o.did AND s.type = 'summary' AND s.host = o.host AND s.epoch = o.epoch"
    " AND s.created_at >= date_trunc('hour', now()) RETURNING s.did, s.host, s.epoch)"
    " INSERT INTO standpipe_dead_letters (host, epoch, seq, op, reason, did, type, letters,"
    " last_seq) SELECT host, epoch, first, -1, 'too many letters of one repo', did, 'summary',"
    " letters, last FROM over WHERE (did, host, epoch) NOT IN (SELECT did, host, epoch FROM grown)"
    " ORDER BY epoch, first ON CONFLICT DO NOTHING";

static const uint32_t repos_types[] = {TEXTS, TEXTS, TEXTS, TEXTS};
static const uint32_t identities_types[] = {TEXTS, INTS, INTS, TIMES, TEXTS};
static const uint32_t accounts_types[] = {TEXTS, INTS, INTS, TIMES, BOOLS, TEXTS, TEXTS, TIMES};
static const uint32_t floors_types[] = {TEXTS, TEXTS, TIMES};
static const uint32_t cleared_types[] = {TEXTS};
static const uint32_t owed_types[] = {TEXTS, TEXTS};
static const uint32_t records_types[] = {TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS,
                                         BYTES, TEXTS, INTS,  TIMES, TEXTS, INTS};
static const uint32_t dead_letters_types[] = {INTS,  INTS,  INTS,  TEXTS, TEXTS, TEXTS, TEXTS,
                                              TEXTS, TEXTS, TEXTS, TEXTS, BYTES, INTS,  INTS};

#define STATEMENT(prepared_name, text, parameters)                                                 \
    {                                                                                              \
        .name = "standpipe_" prepared_name, .sql = (text), .types = (parameters),                  \
        .count = sizeof(parameters) / sizeof((parameters)[0])                                      \
    }

const struct pg_statement statements[STATEMENT_COUNT] = {
    [STATEMENT_REPOS] = STATEMENT("repos", repos_sql, repos_types),
    [STATEMENT_IDENTITIES] = STATEMENT("identities", identities_sql, identities_types),
    [STATEMENT_ACCOUNTS] = STATEMENT("accounts", accounts_sql, accounts_types),
    [STATEMENT_FLOORS] = STATEMENT("floors", floors_sql, floors_types),
    [STATEMENT_CLEAR_REPOS] = STATEMENT("clear_repos", clear_repos_sql, cleared_types),
    [STATEMENT_CLEAR_RECORDS] = STATEMENT("clear_records", clear_records_sql, cleared_types),
    [STATEMENT_OWED] = STATEMENT("owed", owed_sql, owed_types),
    [STATEMENT_RECORDS] = STATEMENT("records", records_sql, records_types),
    [STATEMENT_RECORDS_TOLD] = STATEMENT("records_told", records_told_sql, records_types),
    [STATEMENT_DEAD_LETTERS] = STATEMENT("dead_letters", dead_letters_sql, dead_letters_types),
};

static enum batch_table table_of(enum statement statement)
{
    switch (statement) {
    case STATEMENT_REPOS:
        return BATCH_REPOS;
    case STATEMENT_IDENTITIES:
        return BATCH_IDENTITIES;
    case STATEMENT_ACCOUNTS:
        return BATCH_ACCOUNTS;
    case STATEMENT_FLOORS:
        return BATCH_FLOORS;
    case STATEMENT_CLEAR_REPOS:
    case STATEMENT_CLEAR_RECORDS:
        return BATCH_CLEARED;
    case STATEMENT_OWED:
        return BATCH_OWED;
    case STATEMENT_RECORDS:
    case STATEMENT_RECORDS_TOLD:
        return BATCH_RECORDS;
    case STATEMENT_DEAD_LETTERS:
        return BATCH_DEAD_LETTERS;
    case STATEMENT_COUNT:
    case STATEMENT_CLEAR_ROWS:
    case STATEMENT_GONE_ROWS:
    case STATEMENT_LIVE_ROWS:
    case STATEMENT_TABLE_COUNTS:
    case STATEMENT_COMMIT:
        break;
    }
    PANIC("no such statement");
}

static void note_sent(struct statements_sent *sent, enum statement statement, size_t table)
{
    ASSERT(sent->count < sizeof(sent->order) / sizeof(sent->order[0]));
    sent->order[sent->count++] = (struct statement_sent){.statement = statement, .table = table};
}

static void send_arrays(struct pg_connection *connection, const struct pg_statement *statement,
                        struct pg_array *columns)
{
    struct slice values[PG_PARAMETERS_MAX];
    for (unsigned i = 0; i < statement->count; i++) {
        values[i] = pg_array_finish(&columns[i]);
    }
    pg_connection_query(connection, statement, values);
}

static void send_statement(struct pg_connection *connection, struct batch *batch,
                           enum statement statement, struct statements_sent *sent)
{
    struct batch_columns *table = &batch->tables[table_of(statement)];
    if (table->rows == 0) {
        return;
    }
    ASSERT(table->column_count == statements[statement].count);
    send_arrays(connection, &statements[statement], table->columns);
    note_sent(sent, statement == STATEMENT_RECORDS_TOLD ? STATEMENT_RECORDS : statement, 0);
}

/* --- typed tables --- */

/* While the records are still there: they say which rows go. */
static void send_clearing(struct pg_connection *connection, struct batch *batch,
                          struct statements_sent *sent)
{
    const struct table_rows *rows = batch->rows_of_tables;
    struct batch_columns *cleared = &batch->tables[BATCH_CLEARED];
    for (size_t i = rows->plan->tables->count; i > 0 && cleared->rows > 0;) {
        size_t table = rows->plan->order[--i];
        if (rows->tables[table].is_cleared) {
            send_arrays(connection, table_plan_statement(rows->plan, table, TABLE_CLEAR),
                        cleared->columns);
            note_sent(sent, STATEMENT_CLEAR_ROWS, table);
        }
    }
}

/* What goes, goes first: what comes may have its unique key. */
static void send_rows(struct pg_connection *connection, struct batch *batch,
                      struct statements_sent *sent)
{
    const struct table_rows *rows = batch->rows_of_tables;
    for (size_t i = rows->plan->tables->count; i > 0;) {
        size_t table = rows->plan->order[--i];
        if (rows->tables[table].gone_rows > 0) {
            send_arrays(connection, table_plan_statement(rows->plan, table, TABLE_GONE),
                        rows->tables[table].gone);
            note_sent(sent, STATEMENT_GONE_ROWS, table);
        }
    }
    for (size_t i = 0; i < rows->plan->tables->count; i++) {
        size_t table = rows->plan->order[i];
        if (rows->tables[table].live_rows > 0) {
            send_arrays(connection, table_plan_statement(rows->plan, table, TABLE_LIVE),
                        rows->tables[table].live);
            note_sent(sent, STATEMENT_LIVE_ROWS, table);
        }
    }
}

static void send_counts(struct pg_connection *connection, struct batch *batch,
                        struct statements_sent *sent)
{
    struct table_rows *rows = batch->rows_of_tables;
    bool is_clearing = batch->tables[BATCH_CLEARED].rows > 0;
    for (size_t i = 0; i < rows->plan->tables->count_table_count; i++) {
        if (table_rows_feed(rows, i, is_clearing)) {
            send_arrays(connection, table_plan_counts(rows->plan, i),
                        table_moves_columns(&rows->moves, i));
            note_sent(sent, STATEMENT_TABLE_COUNTS, i);
        }
    }
}

void statements_send(struct pg_connection *connection, struct batch *batch,
                     struct statements_sent *sent)
{
    bool has_tables = batch->rows_of_tables != NULL;
    bool is_told = has_tables && batch->is_whole; /* what was refused once is looked at with care */
    sent->count = 0;
    for (unsigned i = 0; i < STATEMENT_COUNT; i++) {
        if (has_tables && i == STATEMENT_CLEAR_RECORDS) {
            send_clearing(connection, batch, sent);
        }
        if (has_tables && i == STATEMENT_DEAD_LETTERS) {
            send_rows(connection, batch, sent);
            send_counts(connection, batch, sent);
        }
        if (i != (is_told ? STATEMENT_RECORDS : STATEMENT_RECORDS_TOLD)) {
            send_statement(connection, batch, (enum statement)i, sent);
        }
    }
}
