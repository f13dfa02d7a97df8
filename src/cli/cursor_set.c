/*
 * Sets where the next start goes on: a new epoch with the sequence as its first mark.
 *
 * A new one whatever was there, because IDs only rise: in the epoch that is there, a lower sequence would stand below
 * the stream's last ID. What the stream holds stays and is worked off; what comes again changes nothing by its revision.
 * Redis goes first, in the script that a daemon begins with: where the second step fails, a start finds an epoch without
 * a row, goes on at the meta hash and saves the row itself. The other way round, a mark that was never begun would
 * count once Redis is lost.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cursor.h"
#include "config/text.h"
#include "stream/redis.h"
#include "stream/redis_reply.h"

#include <libpq-fe.h>

enum {
    LEASE_MS = 30000,
    TOKEN_SIZE = 64
};
#define LEASE_MS_TEXT "30000"
_Static_assert(LEASE_MS == 30000, "LEASE_MS_TEXT says the same");

struct setting {
    struct cursor_job *job;
    char token[TOKEN_SIZE]; /* of the lease, and of the begin */
    struct origin before, wanted;
};

/* ---- lease ---- */

static bool refuse_leased(const struct cursor_job *job, int64_t left_ms, struct error *error)
{
    error_set(error, ERROR_REFUSED,
              "a process ingests: it holds the lease %s (%.1f s left, unless it renews it): stop "
              "every standpipe on this stream, or wait until the lease of one that was killed has "
              "run out; then run it again",
              job->lease_key, (double)(left_ms > 0 ? left_ms : 0) / 1000);
    return false;
}

static bool take_lease(struct setting *setting, struct error *error)
{
    struct cursor_job *job = setting->job;
    const struct slice key = slice_from_string(job->lease_key);
    const struct slice arguments[] = {slice_from_string(setting->token), SLICE(LEASE_MS_TEXT)};
    struct redisReply *reply =
        redis_caller_script(&job->redis, SCRIPT_LEASE, (struct redis_words){&key, 1},
                            (struct redis_words){arguments, 2}, error);
    if (reply == NULL) {
        return false;
    }
    bool is_ours = reply_number(reply_element(reply, 0)) == 1;
    int64_t left_ms = reply_number(reply_element(reply, 1));
    redis_free_reply(reply);
    return is_ours || refuse_leased(job, left_ms, error);
}

/* It runs out by itself where this fails. */
static void release_lease(struct setting *setting)
{
    struct error ignored;
    struct cursor_job *job = setting->job;
    const struct slice key = slice_from_string(job->lease_key);
    const struct slice token = slice_from_string(setting->token);
    struct redisReply *reply =
        redis_caller_script(&job->redis, SCRIPT_RELEASE, (struct redis_words){&key, 1},
                            (struct redis_words){&token, 1}, &ignored);
    if (reply != NULL) {
        redis_free_reply(reply);
    }
}

/* ---- the two steps ---- */

static bool read_begun(const struct redisReply *reply, struct error *error)
{
    int64_t outcome = reply_number(reply_element(reply, 0));
    if (outcome < 0) {
        error_set(error, ERROR_REFUSED, "redis: %.*s: nothing was changed",
                  SLICE_ARGS(reply_text(reply_element(reply, 1))));
    } else if (outcome == 0) {
        error_set(error, ERROR_REFUSED,
                  "redis: the stream was written to meanwhile: nothing was changed: stop who "
                  "writes to it, then run it again");
    }
    return outcome > 0;
}

static bool begin_in_redis(struct setting *setting, struct error *error)
{
    struct cursor_job *job = setting->job;
    char epoch[24];
    char queued[24];
    (void)snprintf(epoch, sizeof(epoch), "%" PRIu64, setting->wanted.queued.epoch);
    (void)snprintf(queued, sizeof(queued), "%" PRId64, setting->wanted.queued.sequence);
    const struct slice keys[] = {slice_from_string(job->config->stream.key),
                                 slice_from_string(job->meta_key),
                                 slice_from_string(job->ledger_key)};
    const struct slice arguments[] = {
        slice_from_string(setting->token),
        reply_text(reply_element(job->found, 0)),
        reply_text(reply_element(job->found, 1)),
        reply_text(reply_element(job->found, 2)),
        reply_text(reply_element(job->found, 3)),
        slice_from_string(job->host.data),
        slice_from_string(epoch),
        slice_from_string(queued),
        slice_from_string(job->config->stream.group),
        SLICE(""), /* a daemon says of which PostgreSQL its mark is */
    };
    const struct redis_words words = {arguments, sizeof(arguments) / sizeof(arguments[0])};
    struct redisReply *reply = redis_caller_script(
        &job->redis, SCRIPT_BEGIN, (struct redis_words){keys, sizeof(keys) / sizeof(keys[0])},
        words, error);
    if (reply == NULL) {
        return false;
    }
    bool is_begun = read_begun(reply, error);
    redis_free_reply(reply);
    return is_begun;
}

static bool save_in_postgres(struct setting *setting, struct error *error)
{
    static const char sql[] =
        "INSERT INTO %s.standpipe_cursor (host, epoch, queued, committed)"
        " VALUES ($1, $2::bigint, $3::bigint, $3::bigint) ON CONFLICT (host, epoch) DO NOTHING";
    struct cursor_job *job = setting->job;
    struct error why;
    char epoch[24];
    char queued[24];
    (void)snprintf(epoch, sizeof(epoch), "%" PRIu64, setting->wanted.queued.epoch);
    (void)snprintf(queued, sizeof(queued), "%" PRId64, setting->wanted.queued.sequence);
    const char *const values[] = {job->host.data, epoch, queued, NULL};
    PGresult *result = sql_client_query(&job->postgres, sql, values, &why);
    if (result == NULL) {
        error_set(error, why.kind,
                  "%.250s (the stream has the new mark already, and the next start saves it)",
                  why.text);
        return false;
    }
    PQclear(result);
    return true;
}

/* ---- what is wanted ---- */

static bool check(const struct setting *setting, struct error *error)
{
    const struct cursor_job *job = setting->job;
    if (job->config->relay.cursor != CURSOR_SAVED) {
        error_set(error, ERROR_USAGE,
                  "relay.cursor is not saved: a start would obey it and not the mark: set it to "
                  "saved, then run it again");
        return false;
    }
    if (setting->wanted.is_impossible) {
        error_set(error, ERROR_REFUSED, "%s", setting->wanted.why);
        return false;
    }
    return true;
}

/* Every time from what is there now. */
static bool decide(struct setting *setting, struct error *error)
{
    struct cursor_job *job = setting->job;
    if (!cursor_look(job, error)) {
        return false;
    }
    struct origin_facts facts = job->facts;
    facts.is_reset = true;
    facts.reset_sequence = job->sequence;
    setting->before = cursor_next(job);
    setting->wanted = origin_decide(&facts);
    return check(setting, error);
}

static bool is_there(const struct setting *setting)
{
    const struct origin *next = &setting->before;
    return next->cursor == setting->job->sequence && !next->is_new_epoch && !next->is_impossible;
}

static bool change(struct setting *setting, struct error *error)
{
    if (!decide(setting, error)) {
        return false;
    }
    return is_there(setting) ||
           (begin_in_redis(setting, error) && save_in_postgres(setting, error));
}

/* Looks again: says what a start will do, not what was meant. */
static bool confirm(struct setting *setting, struct error *error)
{
    struct cursor_job *job = setting->job;
    if (!cursor_look(job, error)) {
        return false;
    }
    struct origin next = cursor_next(job);
    if (next.cursor == job->sequence && !next.is_new_epoch) {
        setting->wanted = next;
        return true;
    }
    error_set(error, ERROR_REFUSED,
              "the next start would go on after %" PRId64 " and not after %" PRId64
              " (%s): somebody else has written: run it again",
              next.cursor, job->sequence, next.why);
    return false;
}

/* ---- words ---- */

static void print_json(const struct setting *setting)
{
    const struct cursor_job *job = setting->job;
    (void)printf("{\"%s\":%" PRId64 ",\"epoch\":%" PRIu64 ",\"before\":",
                 job->is_dry_run ? "would_go_on_after" : "goes_on_after", job->sequence,
                 setting->wanted.queued.epoch);
    if (setting->before.cursor == ORIGIN_LIVE) {
        (void)printf("null}\n");
    } else {
        (void)printf("%" PRId64 "}\n", setting->before.cursor);
    }
}

static void print_outcome(const struct setting *setting)
{
    const struct cursor_job *job = setting->job;
    if (job->is_json) {
        print_json(setting);
        return;
    }
    (void)printf("the next start %s after %" PRId64 " of %s, %s %" PRIu64 " (before: ",
                 job->is_dry_run ? "would go on" : "goes on", job->sequence, job->host.data,
                 job->is_dry_run && !is_there(setting) ? "in a new epoch, like" : "epoch",
                 is_there(setting) ? setting->before.queued.epoch : setting->wanted.queued.epoch);
    if (setting->before.cursor == ORIGIN_LIVE) {
        (void)printf("live)\n");
    } else {
        (void)printf("after %" PRId64 ")\n", setting->before.cursor);
    }
}

static bool set_really(struct setting *setting, struct error *error)
{
    if (!take_lease(setting, error)) {
        return false;
    }
    bool is_done = change(setting, error) && confirm(setting, error);
    release_lease(setting);
    return is_done;
}

bool cursor_set(struct cursor_job *job, struct error *error)
{
    struct setting setting = {.job = job};
    (void)snprintf(setting.token, sizeof(setting.token), "cursor-%" PRId64 "-%ld", clock_wall_us(),
                   (long)getpid());
    if (!decide(&setting, error)) {
        return false;
    }
    if (job->is_leased) {
        return refuse_leased(job, job->lease_ms, error);
    }
    if (!job->is_dry_run && !set_really(&setting, error)) {
        return false;
    }
    print_outcome(&setting);
    return true;
}

/* ---- import ---- */

static bool has_table(struct cursor_job *job, bool *is_there, struct error *error)
{
    PGresult *result = sql_client_query(
        &job->postgres, "SELECT to_regclass('firehose_cursor') IS NOT NULL", NULL, error);
    if (result == NULL) {
        return false;
    }
    *is_there = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return true;
}

static bool read_cursor(const PGresult *result, int64_t *sequence, struct error *error)
{
    uint64_t number = 0;
    if (PQntuples(result) == 0 || PQgetisnull(result, 0, 0) != 0) {
        error_set(error, ERROR_REFUSED,
                  "import: firehose_cursor has no cursor of the service firehose: name the "
                  "sequence: `standpipe cursor set SEQ`");
        return false;
    }
    const char *text = PQgetvalue(result, 0, 0);
    if (!text_parse_number(text_trim(slice_from_string(text)), &number) || number > INT64_MAX) {
        error_set(error, ERROR_REFUSED,
                  "import: the cursor in firehose_cursor is no sequence: %.100s: name it: "
                  "`standpipe cursor set SEQ`",
                  text);
        return false;
    }
    *sequence = (int64_t)number;
    return true;
}

/* Once: later our own mark is the truth, and the other system's cursor is old, or ahead of what we have. */
static bool check_first(struct cursor_job *job, struct error *error)
{
    if (!cursor_look(job, error)) {
        return false;
    }
    if (!job->facts.has_saved || cursor_next(job).cursor == job->sequence) {
        return true;
    }
    error_set(error, ERROR_REFUSED,
              "import: standpipe has a mark of its own for %s already (`standpipe cursor show`): "
              "to go on after %" PRId64 " all the same: `standpipe cursor set %" PRId64 "`",
              job->host.data, job->sequence, job->sequence);
    return false;
}

bool cursor_import(struct cursor_job *job, struct error *error)
{
    bool is_there = false;
    if (!has_table(job, &is_there, error)) {
        return false;
    }
    if (!is_there) {
        error_set(error, ERROR_REFUSED,
                  "import: no table firehose_cursor: check postgres.url: it has to name the "
                  "database of the system that standpipe takes over from");
        return false;
    }
    PGresult *result = sql_client_query(
        &job->postgres, "SELECT cursor::text FROM firehose_cursor WHERE service = 'firehose'", NULL,
        error);
    if (result == NULL) {
        return false;
    }
    bool is_read = read_cursor(result, &job->sequence, error);
    PQclear(result);
    return is_read && check_first(job, error) && cursor_set(job, error);
}
