#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encoding.h"
#include "cli/dead.h"
#include "cli/dead_mirror.h"
#include "cli/dead_sink.h"

#include <libpq-fe.h>

enum {
    CHUNK = 64, /* letters of one transaction */
    TOLD_MAX = 20
};

#define CHUNK_TEXT  "64"
#define CHUNK_BYTES "8388608"

struct progress {
    const char *verb;
    uint64_t total, done;
};

/* Where somebody watches. */
static void show_progress(const struct progress *progress, bool is_end)
{
    if (progress->total > CHUNK && isatty(STDERR_FILENO) != 0) {
        (void)fprintf(stderr, "\r%s %" PRIu64 " of %" PRIu64 "%s", progress->verb, progress->done,
                      progress->total, is_end ? "\n" : "");
    }
}

/* IDs that were given and are not there: said, and the exit code is 1. */
static void say_missing(struct dead_job *job, uint64_t found)
{
    if (job->id_count > found) {
        (void)fprintf(stderr,
                      "standpipe: dead: %" PRIu64 " of %zu IDs: no such letter, or another reason, "
                      "collection or time: `standpipe dead list` shows them\n",
                      (uint64_t)job->id_count - found, job->id_count);
        job->is_failed = true;
    }
}

/* ---- drop ---- */

static void print_dropped(const struct dead_job *job, uint64_t count)
{
    if (job->is_json) {
        (void)printf("{\"%s\":%" PRIu64 "}\n", job->is_dry_run ? "would_drop" : "dropped", count);
    } else {
        (void)printf("%" PRIu64 " letters %s\n", count,
                     job->is_dry_run ? "would be dropped" : "dropped");
    }
}

static bool drop_all(struct dead_job *job, struct progress *progress, struct error *error)
{
    struct dead_mirror mirror;
    bool is_done = true;
    uint64_t removed = CHUNK;
    dead_mirror_init(&mirror, job->config->redis.url, job->config->stream.dead_letter_key);
    while (is_done && removed > 0 && progress->done < progress->total) {
        is_done = dead_store_remove(&job->store, &mirror, &job->filter, CHUNK, &removed, error);
        progress->done += is_done ? removed : 0;
        show_progress(progress, false);
    }
    show_progress(progress, true);
    dead_mirror_deinit(&mirror);
    return is_done;
}

bool dead_drop(struct dead_job *job, struct error *error)
{
    struct progress progress = {.verb = "dropped"};
    if (!dead_store_count(&job->store, &job->filter, &progress.total, error)) {
        return false;
    }
    bool is_done = job->is_dry_run || drop_all(job, &progress, error);
    print_dropped(job, job->is_dry_run ? progress.total : progress.done);
    if (is_done) {
        say_missing(job, progress.total);
    }
    return is_done;
}

/* ---- retry ---- */

struct retry {
    struct dead_job *job;
    struct dead_mirror mirror;
    struct dead_sink sink;
    struct progress progress;
    uint64_t applied, failed;
    int64_t last_id; /* of the chunk before */
    struct dead_try tries[CHUNK];
    struct buffer frames[CHUNK];
    struct buffer ids; /* `{1,2}` of what was applied */
};

enum letter_column {
    COLUMN_ID,
    COLUMN_EPOCH,
    COLUMN_SEQ,
    COLUMN_IS_REFERENCE,
    COLUMN_IS_WHOLE,
    COLUMN_TYPE,
    COLUMN_DATA,
    COLUMN_SEQUENCE,
    COLUMN_TIME,
    COLUMN_REASON,
    COLUMN_FRAME
};

/* An op's letter of the reference system tells its sequence in the data that we wrote. */
static const char retry_sql[] =
    "SELECT id, epoch, seq, host = '', cut_from IS NULL AND type IS DISTINCT FROM 'summary',"
    " coalesce(type, ''), coalesce(data, ''),"
    " CASE WHEN host <> '' THEN seq::text ELSE coalesce(substring(data FROM '\"seq\":(\\d+)}$'), "
    "'')"
    " END, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), reason,"
    " coalesce(translate(encode(frame, 'base64'), E'=\\n', ''), '') FROM (SELECT few.*,"
    " row_number() OVER (ORDER BY id) AS place, sum(coalesce(octet_length(data), 0)"
    " + coalesce(octet_length(frame), 0)) OVER (ORDER BY id) AS upto FROM (SELECT * FROM %s"
    " WHERE " DEAD_FILTER_SQL " AND id > $5::bigint ORDER BY id LIMIT " CHUNK_TEXT ") AS few) AS x"
    " WHERE place = 1 OR upto <= " CHUNK_BYTES " ORDER BY id";
_Static_assert(CHUNK == 64, "CHUNK_TEXT says the same");

static bool is_true(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column)[0] == 't';
}

static void read_try(const PGresult *result, int row, struct dead_try *letter, struct buffer *frame)
{
    const char *text[COLUMN_FRAME + 1];
    for (int column = 0; column <= COLUMN_FRAME; column++) {
        text[column] = PQgetvalue(result, row, column);
    }
    buffer_clear(frame);
    bool is_base64 = base64_decode(frame, slice_from_string(text[COLUMN_FRAME]));
    *letter = (struct dead_try){
        .id = strtoll(text[COLUMN_ID], NULL, 10),
        .position = {.epoch = strtoull(text[COLUMN_EPOCH], NULL, 10),
                     .sequence = strtoll(text[COLUMN_SEQ], NULL, 10)},
        .is_reference = is_true(result, row, COLUMN_IS_REFERENCE),
        .is_whole = is_base64 && is_true(result, row, COLUMN_IS_WHOLE),
        .type = slice_from_string(text[COLUMN_TYPE]),
        .data = slice_from_string(text[COLUMN_DATA]),
        .sequence = slice_from_string(text[COLUMN_SEQUENCE]),
        .time = slice_from_string(text[COLUMN_TIME]),
        .reason = slice_from_string(text[COLUMN_REASON]),
        .frame = buffer_slice(frame),
    };
}

static void say_failed(struct retry *retry, const struct dead_try *letter)
{
    if (retry->failed++ < TOLD_MAX) {
        (void)fprintf(stderr,
                      "standpipe: dead: %" PRId64
                      ": %s: it stays, see `standpipe dead show %" PRId64 "`\n",
                      letter->id, letter->why, letter->id);
    }
}

/* Notes what was applied, says of the others why not. */
static void sort_out(struct retry *retry, size_t count)
{
    buffer_clear(&retry->ids);
    for (size_t i = 0; i < count; i++) {
        const struct dead_try *letter = &retry->tries[i];
        if (letter->is_applied) {
            buffer_append_format(&retry->ids, "%s%" PRId64, retry->ids.size == 0 ? "{" : ",",
                                 letter->id);
        } else {
            say_failed(retry, letter);
        }
    }
    if (retry->ids.size > 0) {
        buffer_append_string(&retry->ids, "}");
        buffer_append_byte(&retry->ids, '\0');
    }
}

/* What was committed goes, also where the rest of the chunk could not be tried. */
static bool run_chunk(struct retry *retry, size_t count, struct error *error)
{
    struct error why;
    uint64_t removed = 0;
    bool is_run = dead_sink_run(&retry->sink, retry->tries, count, error);
    sort_out(retry, count);
    const struct dead_filter applied = {.ids = retry->ids.data};
    bool is_removed = retry->ids.size == 0 || dead_store_remove(&retry->job->store, &retry->mirror,
                                                                &applied, CHUNK, &removed, &why);
    if (is_run && !is_removed) {
        *error = why;
    }
    retry->applied += removed;
    return is_run && is_removed;
}

/* Loads the next letters and runs them; `*is_over` where there are none left. */
static bool next_chunk(struct retry *retry, bool *is_over, struct error *error)
{
    char last_id[24];
    (void)snprintf(last_id, sizeof(last_id), "%" PRId64, retry->last_id);
    const char *const extra[] = {last_id, NULL};
    PGresult *result =
        dead_store_query(&retry->job->store, retry_sql, &retry->job->filter, extra, error);
    if (result == NULL) {
        return false;
    }
    int count = PQntuples(result);
    *is_over = count == 0;
    for (int row = 0; row < count; row++) {
        read_try(result, row, &retry->tries[row], &retry->frames[row]);
        retry->last_id = retry->tries[row].id;
    }
    bool is_done = count == 0 || run_chunk(retry, (size_t)count, error);
    retry->progress.done += (uint64_t)count;
    show_progress(&retry->progress, *is_over);
    PQclear(result);
    return is_done;
}

static void print_retried(const struct retry *retry)
{
    if (retry->job->is_dry_run) {
        (void)printf(retry->job->is_json ? "{\"would_retry\":%" PRIu64 "}\n"
                                         : "%" PRIu64 " letters would be retried\n",
                     retry->progress.total);
        return;
    }
    (void)printf(retry->job->is_json ? "{\"applied\":%" PRIu64 ",\"failed\":%" PRIu64 "}\n"
                                     : "%" PRIu64 " letters applied and removed, %" PRIu64
                                       " failed again and stay\n",
                 retry->applied, retry->failed);
}

static bool retry_all(struct retry *retry, struct error *error)
{
    bool is_done = true;
    bool is_over = false;
    dead_mirror_init(&retry->mirror, retry->job->config->redis.url,
                     retry->job->config->stream.dead_letter_key);
    dead_sink_init(&retry->sink, retry->job->config);
    while (is_done && !is_over) {
        is_done = next_chunk(retry, &is_over, error);
    }
    dead_sink_deinit(&retry->sink);
    dead_mirror_deinit(&retry->mirror);
    for (size_t i = 0; i < CHUNK; i++) {
        buffer_deinit(&retry->frames[i]);
    }
    buffer_deinit(&retry->ids);
    return is_done;
}

bool dead_retry(struct dead_job *job, struct error *error)
{
    struct retry retry = {.job = job, .progress = {.verb = "retried"}};
    if (!dead_store_count(&job->store, &job->filter, &retry.progress.total, error)) {
        return false;
    }
    bool is_done = job->is_dry_run || retry_all(&retry, error);
    print_retried(&retry);
    if (is_done) {
        say_missing(job, retry.progress.total);
    }
    job->is_failed = job->is_failed || retry.failed > 0;
    return is_done;
}
