#include "sink/table_sql.h"

#include "base/panic.h"
#include "sink/sql_words.h"
#include "sink/statements.h"

static const char *const form_names[] = {
    [TABLE_CLEAR] = "clear", [TABLE_GONE] = "gone", [TABLE_LIVE] = "live"};

/* A table on its way to SQL. */
struct writing {
    const struct tables *tables;
    const struct table *table;
    size_t index;
    struct buffer *out;
    bool is_new; /* what is written was never there, and was not looked for */
};

/* --- words --- */

static void append_uri(const struct writing *writing, const char *key)
{
    buffer_append_format(writing->out, "'at://' || %s.did || '/%s/' || %s.rkey", key,
                         writing->table->collection, key);
}

static void append_fallback(struct buffer *out, const struct table_column *column)
{
    if (column->fallback == NULL) {
        buffer_append_string(out, "NULL");
    } else {
        sql_append_literal(out, column->fallback);
    }
    buffer_append_format(out, "::%s", sql_type_name(column->type));
}

/* Of a column with a path: jsonb and text[] are sent as text. */
static void append_parameter(struct buffer *out, const struct table_column *column, size_t index)
{
    bool is_cast = column->type == COLUMN_JSONB || column->type == COLUMN_TEXT_ARRAY;
    if (column->fallback != NULL) {
        buffer_append_string(out, "coalesce(");
    }
    buffer_append_format(out, "d.c%zu%s%s", index, is_cast ? "::" : "",
                         is_cast ? sql_type_name(column->type) : "");
    if (column->fallback != NULL) {
        buffer_append_string(out, ", ");
        append_fallback(out, column);
        buffer_append_byte(out, ')');
    }
}

/* What stands in the column, out of the sent row `d` and its record `r`. */
static void append_expression(const struct writing *writing, size_t index)
{
    struct buffer *out = writing->out;
    const struct table_column *column = &writing->table->columns[index];
    switch (column->source) {
    case COLUMN_PATH:
        append_parameter(out, column, index);
        return;
    case COLUMN_LITERAL:
        append_fallback(out, column);
        return;
    case COLUMN_URI:
        append_uri(writing, "d");
        return;
    case COLUMN_DID:
        buffer_append_string(out, "d.did");
        return;
    case COLUMN_RKEY:
        buffer_append_string(out, "d.rkey");
        return;
    case COLUMN_RECORD_CID:
        buffer_append_string(out, "d.cid");
        return;
    case COLUMN_REV:
        buffer_append_string(out, "d.rev");
        return;
    case COLUMN_INDEXED_AT:
        buffer_append_string(out, writing->is_new ? "now()" : "coalesce(r.indexed_at, now())");
        return;
    case COLUMN_SEQ:
        buffer_append_string(out, writing->is_new ? "d.seq" : "coalesce(r.seq, d.seq)");
        return;
    case COLUMN_EVENT_TIME:
        buffer_append_string(out, "r.event_time");
        return;
    case COLUMN_RECORD:
        buffer_append_string(out, "r.record");
        return;
    }
    PANIC("no such source");
}

/* Whether a column stands in the record's row alone, and not in what was sent. */
static bool needs_record(const struct table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        enum column_source source = table->columns[i].source;
        if (source == COLUMN_EVENT_TIME || source == COLUMN_RECORD) {
            return true;
        }
    }
    return false;
}

static const char *name_of(const struct table *table, enum column_source source)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].source == source) {
            return table->columns[i].name;
        }
    }
    PANIC("each table of ours has uri, cid, rev and indexed_at");
}

static const char *key_name(const struct table *table)
{
    return table->columns[table->key].name;
}

/* `<prefix>"a", <prefix>"b"`; without the key where only values are meant. */
static void append_columns(const struct writing *writing, const char *prefix, bool has_key)
{
    const struct table *table = writing->table;
    const char *between = "";
    for (size_t i = 0; i < table->column_count; i++) {
        if (i == table->key && !has_key) {
            continue;
        }
        buffer_append_format(writing->out, "%s%s", between, prefix);
        sql_append_name(writing->out, table->columns[i].name);
        between = ", ";
    }
}

/* `"a" = <prefix>"a", ...` of all but the key. */
static void append_assignments(const struct writing *writing, const char *prefix)
{
    const struct table *table = writing->table;
    const char *between = "";
    for (size_t i = 0; i < table->column_count; i++) {
        if (i == table->key) {
            continue;
        }
        buffer_append_string(writing->out, between);
        sql_append_name(writing->out, table->columns[i].name);
        buffer_append_format(writing->out, " = %s", prefix);
        sql_append_name(writing->out, table->columns[i].name);
        between = ", ";
    }
}

/* What tells a row that is right already: of an entry of the reference system, which has no rev, only the time. */
static void append_guard(const struct writing *writing)
{
    const struct table *table = writing->table;
    static const enum column_source sources[] = {COLUMN_REV, COLUMN_RECORD_CID, COLUMN_INDEXED_AT};
    for (int side = 0; side < 2; side++) {
        buffer_append_string(writing->out, side == 0 ? "(" : " IS DISTINCT FROM (");
        for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
            buffer_append_format(writing->out, "%s%s.", i > 0 ? ", " : "",
                                 side == 0 ? "t" : "excluded");
            sql_append_name(writing->out, name_of(table, sources[i]));
        }
        buffer_append_byte(writing->out, ')');
    }
}

/* --- counting --- */

void table_sql_append_setting(struct buffer *out, size_t table, enum table_form form, size_t count)
{
    buffer_append_format(out, "'standpipe.%s_%zu_%zu'", form_names[form], table, count);
}

/* RETURNING what the rows `t` count for. */
static void append_returning(const struct writing *writing)
{
    const struct table *table = writing->table;
    for (size_t i = 0; i < table->count_count; i++) {
        buffer_append_string(writing->out, i == 0 ? " RETURNING t." : ", t.");
        sql_append_name(writing->out, table->columns[table->counts[i].by].name);
        buffer_append_format(writing->out, " AS \"=%zu\"", i);
    }
    if (table->count_count == 0) {
        buffer_append_string(writing->out, " RETURNING 1");
    }
}

/* The keys that one count moves, by rows of `w` and, where they are live, of `n`. */
static void append_moved(const struct writing *writing, enum table_form form, size_t count,
                         bool has_new)
{
    struct buffer *out = writing->out;
    buffer_append_format(out,
                         "coalesce((SELECT json_object_agg(k, n)::text FROM (SELECT k, sum(n)"
                         " AS n FROM (SELECT \"=%zu\" AS k, %d AS n FROM w",
                         count, form == TABLE_LIVE ? 1 : -1);
    if (form == TABLE_LIVE) {
        buffer_append_format(out, " UNION ALL SELECT \"-%zu\", -1 FROM w WHERE \"=\"", count);
    }
    if (has_new) {
        buffer_append_format(out, " UNION ALL SELECT \"=%zu\", 1 FROM n", count);
    }
    buffer_append_string(out, ") AS moved WHERE ");
    table_sql_append_is_counted(out, "k");
    buffer_append_string(out, " GROUP BY k HAVING sum(n) <> 0) AS summed), '')");
}

/* The end of a statement that counts: the written rows, and for each count the keys that they move. */
static void append_tally(const struct writing *writing, enum table_form form, bool has_new)
{
    struct buffer *out = writing->out;
    size_t ignored;
    buffer_append_string(out, ") SELECT (SELECT count(*) FROM w)");
    buffer_append_string(out, has_new ? " + (SELECT count(*) FROM n)" : "");
    for (size_t i = 0; i < writing->table->count_count; i++) {
        bool is_told = has_new && table_sql_place(writing->tables, writing->index, i, &ignored) !=
                                      TABLE_NO_PLACE;
        buffer_append_string(out, ", set_config(");
        table_sql_append_setting(out, writing->index, form, i);
        buffer_append_string(out, is_told ? ", CASE WHEN (SELECT count(*) FROM n) = cardinality($1)"
                                            " THEN '" TABLE_ALL_NEW "' ELSE "
                                          : ", ");
        append_moved(writing, form, i, has_new);
        buffer_append_string(out, is_told ? " END, true)" : ", true)");
    }
}

/* --- rows that go --- */

/* Rows that go are named by their key in an array, and every look into another table is a subquery of its own
 * (OFFSET 0): so each is met by its index, whatever the planner believes of tables that nobody has analyzed. */
static void append_delete(const struct writing *writing)
{
    buffer_append_string(writing->out, "DELETE FROM ");
    sql_append_name(writing->out, writing->table->rows_name);
    buffer_append_string(writing->out, " AS t WHERE t.");
    sql_append_name(writing->out, key_name(writing->table));
    buffer_append_string(writing->out, " = ANY (ARRAY(SELECT ");
}

/* $1: DIDs. Along the records, which go next. A user's `uri` has the collation that its index has, so the other side
 * must have none of its own. */
static void append_clear(const struct writing *writing)
{
    struct buffer *out = writing->out;
    bool is_users = writing->table->is_users;
    append_delete(writing);
    buffer_append_string(out, is_users ? "convert_from(convert_to(" : "");
    append_uri(writing, "r");
    buffer_append_string(out, is_users ? ", 'UTF8'), 'UTF8')" : "");
    buffer_append_format(out,
                         " FROM repos AS p CROSS JOIN LATERAL (SELECT did, rkey"
                         " FROM standpipe_records AS r WHERE r.did = p.did AND r.collection = '%s'"
                         " AND " STATEMENT_BELOW_FLOOR " OFFSET 0) AS r"
                         " WHERE p.did = ANY ($1) AND NOT p.clearing))",
                         writing->table->collection);
}

/* Of a row `t` of ours: its record is not the one it was made of. */
static void append_has_no_record(const struct writing *writing)
{
    const struct table *table = writing->table;
    buffer_append_format(writing->out,
                         "NOT EXISTS (SELECT FROM standpipe_records AS r WHERE r.did = t.\"%s\""
                         " AND r.collection = '%s' AND r.rkey = t.\"%s\" AND r.rev = t.\"%s\""
                         " AND r.cid = t.\"%s\" OFFSET 0)",
                         name_of(table, COLUMN_DID), table->collection, name_of(table, COLUMN_RKEY),
                         name_of(table, COLUMN_REV), name_of(table, COLUMN_RECORD_CID));
}

/* Of ours: whose record is not the one it was made of. */
static void append_gone(const struct writing *writing)
{
    struct buffer *out = writing->out;
    append_delete(writing);
    append_uri(writing, "d");
    buffer_append_string(out, " FROM unnest($1, $2, $3, $4) AS d (did, rkey, rev, cid))) AND ");
    append_has_no_record(writing);
}

/* Of a user's, whose rows do not say what they were made of: but for a record that is live by another op. */
static void append_gone_users(const struct writing *writing)
{
    append_delete(writing);
    append_uri(writing, "d");
    buffer_append_format(writing->out,
                         " FROM unnest($1, $2, $3, $4) AS d (did, rkey, rev, cid)"
                         " WHERE NOT EXISTS (SELECT FROM standpipe_records AS r WHERE r.did = d.did"
                         " AND r.collection = '%s' AND r.rkey = d.rkey AND r.cid IS NOT NULL"
                         " AND (r.rev, r.cid) IS DISTINCT FROM (d.rev, d.cid) OFFSET 0)))",
                         writing->table->collection);
}

static void append_removal(const struct writing *writing, enum table_form form)
{
    bool is_counted = writing->table->count_count > 0;
    buffer_append_string(writing->out, is_counted ? "WITH w AS (" : "");
    if (form == TABLE_CLEAR) {
        append_clear(writing);
    } else if (writing->table->is_users) {
        append_gone_users(writing);
    } else {
        append_gone(writing);
    }
    if (is_counted) {
        append_returning(writing);
        append_tally(writing, form, false);
    }
}

/* Rows are named by the URI that they have: one of another collection, which the section had before, or one that was changed
 * by hand, stands where nobody who knows a record would look. */
void table_sql_append_sweep(const struct tables *tables, size_t index, struct buffer *out)
{
    const struct writing writing = {
        .tables = tables, .table = &tables->items[index], .index = index, .out = out};
    ASSERT(!writing.table->is_users);
    buffer_append_string(out, "DELETE FROM ");
    sql_append_name(out, writing.table->rows_name);
    buffer_append_string(out, " AS t WHERE t.uri = ANY ($1) AND (t.uri <> ");
    append_uri(&writing, "t");
    buffer_append_string(out, " OR ");
    append_has_no_record(&writing);
    buffer_append_byte(out, ')');
}

void table_sql_append_reset(const struct tables *tables, size_t index, struct buffer *out)
{
    const struct writing writing = {
        .tables = tables, .table = &tables->items[index], .index = index, .out = out};
    ASSERT(!writing.table->is_users);
    append_delete(&writing);
    append_uri(&writing, "d");
    buffer_append_string(out, " FROM unnest($1, $2) AS d (did, rkey)))");
}

/* --- rows that are --- */

#define ALL_WRITTEN "(SELECT current_setting('standpipe.all_written', true))"

/* Whether all records of the collection are new, and so are their rows. */
static void append_are_new(const struct writing *writing)
{
    buffer_append_format(writing->out,
                         "(SELECT current_setting('standpipe.all_written', true) = 'true' AND"
                         " octet_length(current_setting('standpipe.replaced', true))"
                         " <= " STATEMENT_REPLACED_MAX
                         " AND strpos(current_setting('standpipe.replaced', true), ' %s ') = 0)",
                         writing->table->collection);
}

/* The record `r` behind each sent row `d`. Where the transaction has just written all the records that it sent, they
 * are what was sent, and are not looked for: a third of the statement's time. */
static void append_records(const struct writing *writing)
{
    const struct table *table = writing->table;
    bool is_needed = needs_record(table);
    buffer_append_format(
        writing->out,
        " %s JOIN LATERAL (SELECT r.indexed_at, r.seq%s FROM standpipe_records AS r WHERE %s"
        " r.did = d.did AND r.collection = '%s' AND r.rkey = d.rkey AND r.rev = d.rev"
        " AND r.cid = d.cid AND (d.rev <> '' OR r.seq = d.seq) OFFSET 0) AS r",
        is_needed ? "CROSS" : "LEFT", is_needed ? ", r.event_time, r.record" : "",
        is_needed ? "" : ALL_WRITTEN " IS DISTINCT FROM 'true' AND", table->collection);
    if (!is_needed) {
        buffer_append_string(writing->out, " ON true WHERE (" ALL_WRITTEN
                                           " = 'true' OR r.indexed_at IS NOT NULL)");
    }
}

/* The sent rows, in the order in which they were sent: by key. */
static void append_sent(const struct writing *writing)
{
    struct buffer *out = writing->out;
    const struct table *table = writing->table;
    unsigned parameter = 0;
    buffer_append_string(out, " FROM unnest(");
    while (parameter < TABLE_KEY_PARAMETERS) {
        parameter++;
        buffer_append_format(out, "%s$%u", parameter > 1 ? ", " : "", parameter);
    }
    for (size_t i = 0; i < table->column_count; i++) {
        if (table_column_is_sent(&table->columns[i])) {
            buffer_append_format(out, ", $%u", ++parameter);
        }
    }
    buffer_append_string(out, ") AS d (did, rkey, rev, cid, seq");
    for (size_t i = 0; i < table->column_count; i++) {
        if (table_column_is_sent(&table->columns[i])) {
            buffer_append_format(out, ", c%zu", i);
        }
    }
    buffer_append_byte(out, ')');
}

/* Those whose record is the one that was sent. */
static void append_from(const struct writing *writing)
{
    append_sent(writing);
    append_records(writing);
}

static void append_select(const struct writing *writing)
{
    for (size_t i = 0; i < writing->table->column_count; i++) {
        buffer_append_string(writing->out, i > 0 ? ", " : "SELECT ");
        append_expression(writing, i);
        buffer_append_string(writing->out, " AS ");
        sql_append_name(writing->out, writing->table->columns[i].name);
    }
}

static void append_insert(const struct writing *writing)
{
    buffer_append_string(writing->out, "INSERT INTO ");
    sql_append_name(writing->out, writing->table->rows_name);
    buffer_append_string(writing->out, " AS t (");
    append_columns(writing, "", true);
    buffer_append_string(writing->out, ") ");
}

static void append_upsert(const struct writing *writing)
{
    buffer_append_string(writing->out, " ON CONFLICT (");
    sql_append_name(writing->out, key_name(writing->table));
    buffer_append_string(writing->out, ") DO UPDATE SET ");
    append_assignments(writing, "excluded.");
    buffer_append_string(writing->out, " WHERE ");
    append_guard(writing);
}

/* What a row counted for before it was changed: the statement's snapshot still has it so. A row that was inserted has
 * xmax 0 and is not looked for; one that was changed has been locked by us first, which xmax says. */
static void append_returning_old(const struct writing *writing)
{
    struct buffer *out = writing->out;
    const struct table *table = writing->table;
    for (size_t i = 0; i < table->count_count; i++) {
        buffer_append_string(out, ", CASE WHEN t.xmax <> 0 THEN (SELECT o.");
        sql_append_name(out, table->columns[table->counts[i].by].name);
        buffer_append_string(out, " FROM ");
        sql_append_name(out, table->rows_name);
        buffer_append_format(out, " AS o WHERE o.\"%s\" = t.\"%s\" OFFSET 0) END AS \"-%zu\"",
                             key_name(table), key_name(table), i);
    }
    buffer_append_string(out, ", t.xmax <> 0 AS \"=\"");
}

/* `n`: rows that were never there. An index of the key finds one that is there nevertheless, and what was refused is
 * tried again row by row, by `w`. */
static void append_new(const struct writing *writing)
{
    struct writing new = *writing;
    new.is_new = true;
    append_insert(&new);
    append_select(&new);
    append_sent(&new);
    buffer_append_string(new.out, " WHERE ");
    append_are_new(&new);
    append_returning(&new);
}

/* `w`: rows that may be there. */
static void append_live(const struct writing *writing, bool has_new)
{
    append_insert(writing);
    append_select(writing);
    append_from(writing);
    if (has_new) {
        buffer_append_string(writing->out, " AND ");
        append_are_new(writing);
        buffer_append_string(writing->out, " IS NOT TRUE");
    }
    append_upsert(writing);
    append_returning(writing);
    if (writing->table->count_count > 0) {
        append_returning_old(writing);
    }
}

static void append_live_ours(const struct writing *writing)
{
    bool has_new = !needs_record(writing->table);
    buffer_append_string(writing->out, "WITH ");
    if (has_new) {
        buffer_append_string(writing->out, "n AS (");
        append_new(writing);
        buffer_append_string(writing->out, "), ");
    }
    buffer_append_string(writing->out, "w AS (");
    append_live(writing, has_new);
    append_tally(writing, TABLE_LIVE, has_new);
}

#define SENT    "standpipe_sent"
#define CHANGED "standpipe_changed"
#define MADE    "standpipe_made"

/* The user's table has no column that says which record a row is of: the values are compared. A row that is there is
 * changed in place, because others may refer to it. The subqueries have names that no table of theirs can have
 * (config refuses them): a table called `x` would else be read from, and not written to, by its own name. */
static void append_live_users(const struct writing *writing)
{
    struct buffer *out = writing->out;
    const struct table *table = writing->table;
    buffer_append_string(out, "WITH " SENT " AS MATERIALIZED (");
    append_select(writing);
    append_from(writing);
    buffer_append_string(out, "), ");
    if (table->column_count > 1) {
        buffer_append_string(out, CHANGED " AS (UPDATE ");
        sql_append_name(out, table->rows_name);
        buffer_append_string(out, " AS t SET ");
        append_assignments(writing, "x.");
        buffer_append_string(out, " FROM " SENT " AS x WHERE t.");
        sql_append_name(out, key_name(table));
        buffer_append_string(out, " = x.");
        sql_append_name(out, key_name(table));
        buffer_append_string(out, " AND t.");
        sql_append_name(out, key_name(table));
        buffer_append_string(out, " = ANY (ARRAY(SELECT ");
        sql_append_name(out, key_name(table));
        buffer_append_string(out, " FROM " SENT ")) AND (");
        append_columns(writing, "t.", false);
        buffer_append_string(out, ") IS DISTINCT FROM (");
        append_columns(writing, "x.", false);
        buffer_append_string(out, ") RETURNING 1), ");
    }
    buffer_append_string(out, MADE " AS (");
    append_insert(writing);
    buffer_append_string(out, "SELECT ");
    append_columns(writing, "x.", true);
    buffer_append_string(out, " FROM " SENT " AS x WHERE NOT EXISTS (SELECT FROM ");
    sql_append_name(out, table->rows_name);
    buffer_append_string(out, " AS o WHERE o.");
    sql_append_name(out, key_name(table));
    buffer_append_string(out, " = x.");
    sql_append_name(out, key_name(table));
    buffer_append_string(out, " OFFSET 0) RETURNING 1) SELECT (SELECT count(*) FROM " MADE ")");
    buffer_append_string(out,
                         table->column_count > 1 ? " + (SELECT count(*) FROM " CHANGED ")" : "");
}

void table_sql_append(const struct tables *tables, size_t index, enum table_form form,
                      struct buffer *out)
{
    const struct writing writing = {
        .tables = tables, .table = &tables->items[index], .index = index, .out = out};
    ASSERT(writing.table->count_count == 0 || !writing.table->is_users);
    if (form != TABLE_LIVE) {
        append_removal(&writing, form);
    } else if (writing.table->is_users) {
        append_live_users(&writing);
    } else {
        append_live_ours(&writing);
    }
}
