#include "sink/dead_letter_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atproto/sha256.h"
#include "atproto/utf8.h"
#include "base/buffer.h"
#include "base/encoding.h"
#include "base/panic.h"
#include "sink/pg_array.h"
#include "sink/pg_connection.h"

enum {
    STATEMENT_TIMEOUT_MS = 30000,
    KEEP_COLUMNS = 7,
    INTS = 1016,
    TEXTS = 1009,
    BYTES = 1001,
    INT = 20
};

enum store_request {
    REQUEST_NONE,
    REQUEST_KEEP,
    REQUEST_LOAD,
    REQUEST_NOTE,
    REQUEST_COUNT
};

enum keep_column {
    KEEP_EPOCH,
    KEEP_SEQUENCE,
    KEEP_REASON,
    KEEP_ERROR,
    KEEP_FRAME,
    KEEP_HASH,
    KEEP_MIRROR_ID
};

struct dead_letter_store {
    struct dead_letter_store_callbacks callbacks;
    void *owner;
    struct pg_connection *connection;
    struct pg_request request;
    enum store_request running;
    bool is_closing;
    struct pg_array columns[KEEP_COLUMNS];
    struct buffer scratch;
    struct buffer texts; /* of the loaded rows; they outlive the answer until on_done */
    struct dead_letter_row rows[DEAD_LETTER_LOAD_MAX];
    int64_t gone[DEAD_LETTER_LOAD_MAX];
    size_t count; /* of rows or gone */
    struct dead_letter_count counted;
};

/* A copy that came back after Redis had forgotten the hash is told where it stands now. */
static const char keep_sql[] =
    "INSERT INTO standpipe_dead_letters AS d (host, epoch, seq, op, reason, detail, type, frame,"
    " frame_hash, mirror_id)"
    " SELECT DISTINCT ON (x.host, x.hash) x.* FROM (SELECT coalesce((SELECT min(c.host)"
    " FROM standpipe_cursor AS c WHERE c.epoch = x.epoch), '') AS host, epoch, seq, -1, reason,"
    " nullif(error, ''), 'frame', frame, hash, mirror_id FROM unnest($1, $2, $3, $4, $5, $6, $7)"
    " AS x (epoch, seq, reason, error, frame, hash, mirror_id)) AS x ORDER BY x.host, x.hash"
    " ON CONFLICT (host, frame_hash) WHERE frame_hash <> '' DO UPDATE"
    " SET mirror_id = excluded.mirror_id WHERE d.mirror_id IS DISTINCT FROM excluded.mirror_id";

/* A summary still grows within its hour. The lengths of toasted values are known without reading them. */
static const char load_sql[] =
    "SELECT id, coalesce(type, ''), CASE WHEN type = 'summary'"
    " THEN json_build_object('did', did, 'letters', letters, 'lastSeq', last_seq)::text"
    " ELSE coalesce(data, '{}') END, seq, epoch || '-' || seq, deliveries, reason,"
    " concat_ws(': ', sqlstate, detail),"
    " coalesce(translate(encode(frame, 'base64'), E'=\\n', ''), ''),"
    " to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    " FROM (SELECT few.*, row_number() OVER (ORDER BY id) AS place, "
    "sum(coalesce(octet_length(data),"
    " 0) + coalesce(octet_length(frame), 0)) OVER (ORDER BY id) AS upto"
    " FROM (SELECT * FROM standpipe_dead_letters WHERE mirror_id IS NULL"
    " AND (type IS DISTINCT FROM 'summary' OR created_at < date_trunc('hour', now()))"
    " ORDER BY id LIMIT 64) AS few) AS x WHERE place = 1 OR upto <= $1 ORDER BY id";
_Static_assert(DEAD_LETTER_LOAD_MAX == 64, "load_sql says the same");

static const char note_sql[] = "UPDATE standpipe_dead_letters AS d SET mirror_id = x.mirror_id"
                               " FROM unnest($1, $2) AS x (id, mirror_id)"
                               " WHERE d.id = x.id AND d.mirror_id IS DISTINCT FROM x.mirror_id";
static const char gone_sql[] = "SELECT id FROM unnest($1) AS x (id) WHERE NOT EXISTS (SELECT FROM"
                               " standpipe_dead_letters AS d WHERE d.id = x.id)";
/* The sums are over all reasons, also those that LIMIT leaves out. */
static const char count_sql[] =
    "SELECT sum(k.letters) OVER (), sum(k.bytes) OVER (), k.letters, left(k.reason, 60), d.id, "
    "d.seq,"
    " to_char(d.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
    " left(d.type, 15), coalesce(d.collection, ''),"
    " left(concat_ws(': ', d.sqlstate, d.detail), 120), left(coalesce(d.data, ''), 240)"
    " FROM (SELECT reason, count(*) AS letters, max(id) AS newest, "
    "sum(coalesce(octet_length(data), 0)"
    " + coalesce(octet_length(frame), 0)) AS bytes FROM standpipe_dead_letters GROUP BY reason) AS "
    "k"
    " JOIN standpipe_dead_letters AS d ON d.id = k.newest ORDER BY k.letters DESC, k.reason LIMIT "
    "12";
_Static_assert(DEAD_LETTER_KINDS_MAX == 12, "count_sql says the same");

static const uint32_t keep_types[] = {INTS, INTS, TEXTS, TEXTS, BYTES, TEXTS, TEXTS};
static const uint32_t load_types[] = {INT};
static const uint32_t note_types[] = {INTS, TEXTS};

static const struct pg_statement letter_statements[] = {
    {.name = "standpipe_letters_keep", .sql = keep_sql, .types = keep_types, .count = KEEP_COLUMNS},
    {.name = "standpipe_letters_load", .sql = load_sql, .types = load_types, .count = 1},
    {.name = "standpipe_letters_note", .sql = note_sql, .types = note_types, .count = 2},
    {.name = "standpipe_letters_gone", .sql = gone_sql, .types = note_types, .count = 1},
    {.name = "standpipe_letters_count", .sql = count_sql},
};
enum {
    KEEP,
    LOAD,
    NOTE,
    GONE,
    COUNT,
    STATEMENTS
};
_Static_assert(sizeof(letter_statements) / sizeof(letter_statements[0]) == STATEMENTS, "one each");

/* ---- answers ---- */

enum {
    ROW_ID,
    ROW_TYPE,
    ROW_DATA,
    ROW_SEQUENCE,
    ROW_ORIGIN,
    ROW_DELIVERIES,
    ROW_REASON,
    ROW_ERROR,
    ROW_FRAME,
    ROW_TIME,
    ROW_FIELDS
};

/* Copies the texts in one go, so that the slices stay where they are. */
static void read_rows(struct dead_letter_store *store, const struct pg_answer *answer)
{
    struct slice texts[ROW_FIELDS];
    size_t total = 0;
    store->count = answer->rows < DEAD_LETTER_LOAD_MAX ? answer->rows : DEAD_LETTER_LOAD_MAX;
    for (unsigned i = 0; i < store->count; i++) {
        for (unsigned field = 0; field < ROW_FIELDS; field++) {
            total += strlen(pg_answer_text(answer, i, field));
        }
    }
    buffer_clear(&store->texts);
    (void)buffer_reserve(&store->texts, total);
    for (unsigned i = 0; i < store->count; i++) {
        for (unsigned field = 0; field < ROW_FIELDS; field++) {
            struct slice text = slice_from_string(pg_answer_text(answer, i, field));
            buffer_append_slice(&store->texts, text);
            texts[field] = slice_of(store->texts.data + store->texts.size - text.size, text.size);
        }
        store->rows[i] = (struct dead_letter_row){
            .id = strtoll(pg_answer_text(answer, i, ROW_ID), NULL, 10),
            .type = texts[ROW_TYPE],
            .data = texts[ROW_DATA],
            .sequence = texts[ROW_SEQUENCE],
            .origin = texts[ROW_ORIGIN],
            .deliveries = texts[ROW_DELIVERIES],
            .reason = texts[ROW_REASON],
            .error = texts[ROW_ERROR],
            .frame = texts[ROW_FRAME],
            .time = texts[ROW_TIME],
        };
    }
}

static void read_gone(struct dead_letter_store *store, const struct pg_answer *answer)
{
    store->count = answer->rows < DEAD_LETTER_LOAD_MAX ? answer->rows : DEAD_LETTER_LOAD_MAX;
    for (unsigned i = 0; i < store->count; i++) {
        store->gone[i] = strtoll(pg_answer_text(answer, i, 0), NULL, 10);
    }
}

enum {
    COUNT_ALL_LETTERS,
    COUNT_ALL_BYTES,
    COUNT_LETTERS,
    COUNT_REASON,
    COUNT_ID,
    COUNT_SEQUENCE,
    COUNT_TIME,
    COUNT_TYPE,
    COUNT_COLLECTION,
    COUNT_ERROR,
    COUNT_DATA
};

static uint64_t number_of(const struct pg_answer *answer, unsigned row, unsigned field)
{
    return strtoull(pg_answer_text(answer, row, field), NULL, 10);
}

#define COPY_TEXT(to, field)                                                                       \
    (void)snprintf((to), sizeof(to), "%s", pg_answer_text(answer, row, field))

static void read_kind(struct dead_letter_kind *kind, const struct pg_answer *answer, unsigned row)
{
    kind->letters = number_of(answer, row, COUNT_LETTERS);
    COPY_TEXT(kind->reason, COUNT_REASON);
    COPY_TEXT(kind->id, COUNT_ID);
    COPY_TEXT(kind->seq, COUNT_SEQUENCE);
    COPY_TEXT(kind->time, COUNT_TIME);
    COPY_TEXT(kind->type, COUNT_TYPE);
    COPY_TEXT(kind->collection, COUNT_COLLECTION);
    COPY_TEXT(kind->error, COUNT_ERROR);
    COPY_TEXT(kind->data, COUNT_DATA);
}

/* No row: no letter. */
static void read_count(struct dead_letter_count *count, const struct pg_answer *answer)
{
    *count = (struct dead_letter_count){0};
    for (unsigned i = 0; i < answer->rows && i < DEAD_LETTER_KINDS_MAX; i++) {
        count->letters = number_of(answer, i, COUNT_ALL_LETTERS);
        count->bytes = number_of(answer, i, COUNT_ALL_BYTES);
        read_kind(&count->kinds[count->kind_count++], answer, i);
    }
}

static void on_result(struct pg_request *request, unsigned query, const struct pg_answer *answer)
{
    struct dead_letter_store *store = LIST_ENTRY(request, struct dead_letter_store, request);
    switch (store->running) {
    case REQUEST_NONE:
    case REQUEST_KEEP:
        return;
    case REQUEST_LOAD:
        read_rows(store, answer);
        return;
    case REQUEST_NOTE:
        if (query == 1) {
            read_gone(store, answer);
        }
        return;
    case REQUEST_COUNT:
        read_count(&store->counted, answer);
        return;
    }
}

static void tell(struct dead_letter_store *store, enum store_request request)
{
    const struct dead_letter_store_callbacks *callbacks = &store->callbacks;
    switch (request) {
    case REQUEST_NONE:
        return;
    case REQUEST_KEEP:
        callbacks->on_kept(store->owner);
        return;
    case REQUEST_LOAD:
        callbacks->on_loaded(store->owner, store->rows, store->count);
        return;
    case REQUEST_NOTE:
        callbacks->on_noted(store->owner, store->gone, store->count);
        return;
    case REQUEST_COUNT:
        callbacks->on_counted(store->owner, &store->counted);
        return;
    }
}

/* A lost connection comes back by itself. One that is read only since a failover, or has lost its statements,
 * stays so. */
static bool is_useless(const struct pg_failure *failure)
{
    return !failure->is_lost &&
           (failure->class == SQLSTATE_STALE_PLAN || strcmp(failure->sqlstate, "25006") == 0);
}

static void on_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct dead_letter_store *store = LIST_ENTRY(request, struct dead_letter_store, request);
    enum store_request ended = store->running;
    store->running = REQUEST_NONE;
    if (store->is_closing) {
        return;
    }
    if (failure == NULL) {
        tell(store, ended);
        return;
    }
    if (is_useless(failure)) {
        pg_connection_restart(store->connection, "the session is of no use");
    }
    store->callbacks.on_failed(store->owner, failure);
}

/* ---- requests ---- */

static bool begin(struct dead_letter_store *store, enum store_request request)
{
    ASSERT(store->running == REQUEST_NONE);
    if (store->is_closing || !pg_connection_is_ready(store->connection)) {
        return false;
    }
    store->running = request;
    store->count = 0;
    store->request = (struct pg_request){.on_result = on_result, .on_done = on_done};
    pg_connection_begin(store->connection, &store->request);
    return true;
}

/* Others may write to the dead-letter stream as well: PostgreSQL must not refuse a text of theirs for ever. */
static struct slice text_or_nothing(struct slice text)
{
    bool is_text =
        text.size == 0 || (memchr(text.data, '\0', text.size) == NULL && utf8_is_valid(text));
    return is_text ? text : SLICE("");
}

/* The frame's bytes; what is no base64 is kept as it is. */
static struct slice frame_bytes(struct dead_letter_store *store, struct slice frame)
{
    buffer_clear(&store->scratch);
    if (!base64_decode(&store->scratch, frame)) {
        return frame;
    }
    return buffer_slice(&store->scratch);
}

static void append_frame(struct dead_letter_store *store, const struct dead_letter_frame *frame)
{
    uint8_t digest[SHA256_SIZE];
    struct buffer hash = {0};
    struct pg_array *columns = store->columns;
    struct slice bytes = frame_bytes(store, frame->frame);
    sha256_digest(bytes, digest);
    base64_append(&hash, slice_of(digest, sizeof(digest)));
    pg_array_append_int64(&columns[KEEP_EPOCH], (int64_t)(frame->position.epoch & INT64_MAX));
    pg_array_append_int64(&columns[KEEP_SEQUENCE], frame->sequence);
    pg_array_append(&columns[KEEP_REASON], text_or_nothing(frame->reason));
    pg_array_append(&columns[KEEP_ERROR], text_or_nothing(frame->error));
    pg_array_append(&columns[KEEP_FRAME], bytes);
    pg_array_append(&columns[KEEP_HASH], buffer_slice(&hash));
    pg_array_append(&columns[KEEP_MIRROR_ID], frame->mirror_id);
    buffer_deinit(&hash);
}

static void begin_columns(struct dead_letter_store *store)
{
    static const enum pg_element elements[KEEP_COLUMNS] = {
        [KEEP_EPOCH] = PG_INT8,    [KEEP_SEQUENCE] = PG_INT8, [KEEP_REASON] = PG_TEXT,
        [KEEP_ERROR] = PG_TEXT,    [KEEP_FRAME] = PG_BYTEA,   [KEEP_HASH] = PG_TEXT,
        [KEEP_MIRROR_ID] = PG_TEXT};
    for (unsigned i = 0; i < KEEP_COLUMNS; i++) {
        pg_array_begin(&store->columns[i], elements[i]);
    }
}

bool dead_letter_store_keep(struct dead_letter_store *store, const struct dead_letter_frame *frames,
                            size_t count)
{
    struct slice values[KEEP_COLUMNS];
    if (!begin(store, REQUEST_KEEP)) {
        return false;
    }
    begin_columns(store);
    for (size_t i = 0; i < count; i++) {
        append_frame(store, &frames[i]);
    }
    for (unsigned i = 0; i < KEEP_COLUMNS; i++) {
        values[i] = pg_array_finish(&store->columns[i]);
    }
    pg_connection_query(store->connection, &letter_statements[KEEP], values);
    pg_connection_end(store->connection);
    return true;
}

bool dead_letter_store_load(struct dead_letter_store *store, uint64_t max_bytes)
{
    char bytes[8];
    if (!begin(store, REQUEST_LOAD)) {
        return false;
    }
    for (int i = 0; i < 8; i++) {
        bytes[i] = (char)(max_bytes >> (56 - 8 * i));
    }
    const struct slice value = slice_of(bytes, sizeof(bytes));
    pg_connection_query(store->connection, &letter_statements[LOAD], &value);
    pg_connection_end(store->connection);
    return true;
}

bool dead_letter_store_note(struct dead_letter_store *store, const int64_t *ids,
                            const struct slice *mirror_ids, size_t count)
{
    ASSERT(count <= DEAD_LETTER_LOAD_MAX);
    if (!begin(store, REQUEST_NOTE)) {
        return false;
    }
    pg_array_begin(&store->columns[0], PG_INT8);
    pg_array_begin(&store->columns[1], PG_TEXT);
    for (size_t i = 0; i < count; i++) {
        pg_array_append_int64(&store->columns[0], ids[i]);
        pg_array_append(&store->columns[1], mirror_ids[i]);
    }
    const struct slice values[] = {pg_array_finish(&store->columns[0]),
                                   pg_array_finish(&store->columns[1])};
    pg_connection_query(store->connection, &letter_statements[NOTE], values);
    pg_connection_query(store->connection, &letter_statements[GONE], values);
    pg_connection_end(store->connection);
    return true;
}

bool dead_letter_store_count(struct dead_letter_store *store)
{
    if (!begin(store, REQUEST_COUNT)) {
        return false;
    }
    pg_connection_query(store->connection, &letter_statements[COUNT], NULL);
    pg_connection_end(store->connection);
    return true;
}

/* ---- life ---- */

static void on_ready(void *owner)
{
    struct dead_letter_store *store = owner;
    if (!store->is_closing) {
        store->callbacks.on_ready(store->owner);
    }
}

static void on_lost(void *owner, const struct pg_failure *failure)
{
    (void)owner;
    (void)failure; /* a request that was out has told; the sinks say it in the log */
}

static void on_connection_closed(void *owner)
{
    struct dead_letter_store *store = owner;
    struct dead_letter_store_callbacks callbacks = store->callbacks;
    void *its_owner = store->owner;
    for (unsigned i = 0; i < KEEP_COLUMNS; i++) {
        pg_array_deinit(&store->columns[i]);
    }
    buffer_deinit(&store->scratch);
    buffer_deinit(&store->texts);
    free(store);
    callbacks.on_closed(its_owner);
}

void dead_letter_store_close(struct dead_letter_store *store)
{
    if (store->is_closing) {
        return;
    }
    store->is_closing = true;
    pg_connection_close(store->connection);
}

struct dead_letter_store *dead_letter_store_open(
    struct uv_loop_s *loop, const struct dead_letter_store_options *options,
    const struct dead_letter_store_callbacks *callbacks, void *owner)
{
    static const struct pg_connection_callbacks connection_callbacks = {
        .on_ready = on_ready, .on_lost = on_lost, .on_closed = on_connection_closed};
    struct dead_letter_store *store = memory_allocate(sizeof(*store));
    store->callbacks = *callbacks;
    store->owner = owner;
    const struct pg_connection_options connection_options = {
        .conninfo = options->conninfo,
        .schema = options->schema,
        .name = "letters",
        .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
        .prepared = options->prepared,
        .statements = letter_statements,
        .statement_count = STATEMENTS,
    };
    store->connection = pg_connection_open(loop, &connection_options, &connection_callbacks, store);
    return store;
}
