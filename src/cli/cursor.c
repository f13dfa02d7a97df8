/* Where ingestion goes on: shows it, and sets it. */
#include "cli/cursor.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/cli.h"
#include "config/text.h"
#include "stream/redis.h"
#include "stream/redis_reply.h"

#include <libpq-fe.h>

static const struct cursor_word {
    const char *name;
    bool (*run)(struct cursor_job *job, struct error *error);
    size_t arguments;
} words[] = {
    {.name = "show", .run = cursor_show},
    {.name = "set", .run = cursor_set, .arguments = 1},
    {.name = "import", .run = cursor_import},
};

static const struct cursor_word *find_word(const struct cli_options *options, struct error *error)
{
    const char *name = options->arguments[0];
    size_t given = options->argument_count - 1;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].name, name) != 0) {
            continue;
        }
        if (given == words[i].arguments) {
            return &words[i];
        }
        error_set(error, ERROR_USAGE, "%s: %s: see `standpipe cursor --help`", name,
                  given > words[i].arguments ? "one argument too many"
                                             : "give the sequence to go on after");
        return NULL;
    }
    error_set(error, ERROR_USAGE, "%.100s: no such word: give show, set or import", name);
    return NULL;
}

static bool read_sequence(const char *text, int64_t *sequence, struct error *error)
{
    uint64_t number = 0;
    if (!text_parse_number(slice_from_string(text), &number) || number > INT64_MAX) {
        error_set(error, ERROR_USAGE, "set %.100s: not a sequence: give a number of the relay's",
                  text);
        return false;
    }
    *sequence = (int64_t)number;
    return true;
}

/* ---- what is known ---- */

static uint64_t read_u64(const PGresult *rows, int row, int column)
{
    return strtoull(PQgetvalue(rows, row, column), NULL, 10);
}

static void note_rows(struct cursor_job *job)
{
    struct origin_facts *facts = &job->facts;
    for (int row = PQntuples(job->rows) - 1; row >= 0; row--) {
        uint64_t epoch = read_u64(job->rows, row, CURSOR_EPOCH);
        facts->highest_epoch = epoch > facts->highest_epoch ? epoch : facts->highest_epoch;
        if (strcmp(PQgetvalue(job->rows, row, CURSOR_HOST), job->host.data) == 0) {
            facts->has_saved = true; /* the newest is the last of this loop */
            facts->saved =
                (struct position){epoch, (int64_t)read_u64(job->rows, row, CURSOR_COMMITTED)};
        }
    }
}

/* As stream/stream_writer reads it. */
static void note_stream(struct cursor_job *job)
{
    struct origin_facts *facts = &job->facts;
    struct slice host = reply_text(reply_element(job->found, 1));
    if (!position_parse(reply_text(reply_element(job->found, 0)), &facts->last)) {
        facts->last = (struct position){0};
    }
    facts->queued.epoch = (uint64_t)reply_number(reply_element(job->found, 2));
    facts->queued.sequence = reply_number(reply_element(job->found, 3));
    facts->has_meta =
        host.size > 0 && facts->queued.epoch > 0 && !reply_is_nil(reply_element(job->found, 3));
    facts->is_meta_host = slice_equals(host, slice_from_string(job->host.data));
}

static bool ask_number(struct cursor_job *job, const char *command, const char *key,
                       int64_t *number, struct error *error)
{
    const struct slice asked[] = {slice_from_string(command), slice_from_string(key)};
    struct redisReply *reply = redis_caller_call(&job->redis, asked, 2, error);
    if (reply == NULL) {
        return false;
    }
    *number = reply_number(reply);
    redis_free_reply(reply);
    return true;
}

static bool look_at_redis(struct cursor_job *job, struct error *error)
{
    const char *key = job->config->stream.key;
    const struct slice keys[] = {slice_from_string(key), slice_from_string(job->meta_key)};
    const struct redis_words none = {0};
    int64_t length = 0;
    job->found =
        redis_caller_script(&job->redis, SCRIPT_FIND, (struct redis_words){keys, 2}, none, error);
    if (job->found == NULL || !ask_number(job, "XLEN", key, &length, error) ||
        !ask_number(job, "PTTL", job->lease_key, &job->lease_ms, error)) {
        return false;
    }
    const int64_t no_such_key = -2;
    job->length = (uint64_t)length;
    job->is_leased = job->lease_ms != no_such_key;
    return true;
}

bool cursor_look(struct cursor_job *job, struct error *error)
{
    static const char sql[] =
        "SELECT host, epoch, queued, committed, to_char(updated_at AT TIME ZONE 'UTC',"
        " 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM %s.standpipe_cursor ORDER BY epoch DESC, host";
    cursor_forget(job);
    job->facts = (struct origin_facts){
        .host = job->host.data,
        .start = job->config->relay.cursor,
        .start_sequence = job->config->relay.cursor_sequence,
        .now_ms = (uint64_t)clock_wall_ms(),
    };
    if (!look_at_redis(job, error)) {
        return false;
    }
    job->rows = sql_client_query(&job->postgres, sql, NULL, error);
    if (job->rows == NULL) {
        return false;
    }
    note_stream(job);
    note_rows(job);
    return true;
}

void cursor_forget(struct cursor_job *job)
{
    if (job->found != NULL) {
        redis_free_reply(job->found);
    }
    PQclear(job->rows);
    job->found = NULL;
    job->rows = NULL;
}

struct origin cursor_next(const struct cursor_job *job)
{
    return origin_decide(&job->facts);
}

/* ---- the job ---- */

static bool run_job(const struct cursor_word *word, struct cursor_job *job, struct error *error)
{
    if (!redis_caller_open(&job->redis, job->config->redis.url, "standpipe-cursor", error)) {
        return false;
    }
    bool is_done = sql_client_open(&job->postgres, job->config, error);
    if (is_done) {
        is_done = word->run(job, error);
        cursor_forget(job);
        sql_client_close(&job->postgres);
    }
    redis_caller_close(&job->redis);
    return is_done;
}

static int run_word(const struct cursor_word *word, const struct cli_options *options,
                    int64_t sequence)
{
    struct config config;
    struct error error;
    if (!cli_load_config(options, &config)) {
        return EXIT_USAGE;
    }
    struct cursor_job job = {
        .config = &config,
        .meta_key = stream_key_derive(config.stream.key, ":meta"),
        .ledger_key = stream_key_derive(config.stream.key, ":ledger"),
        .lease_key = stream_key_derive(config.stream.key, ":lease"),
        .is_json = options->is_json,
        .is_dry_run = options->is_dry_run,
        .sequence = sequence,
    };
    config_relay_host(&config, &job.host);
    buffer_append_byte(&job.host, '\0');
    log_configure(LOG_LEVEL_ERROR, config.log.format); /* stderr is the command's own */
    (void)signal(SIGPIPE, SIG_IGN);
    int code = run_job(word, &job, &error) ? EXIT_DONE : cli_fail("cursor", &error);
    free(job.meta_key);
    free(job.ledger_key);
    free(job.lease_key);
    buffer_deinit(&job.host);
    config_deinit(&config);
    return cli_finish_output(code);
}

int cli_cursor(const struct cli_options *options)
{
    struct error error;
    int64_t sequence = 0;
    const struct cursor_word *word = find_word(options, &error);
    if (word == NULL ||
        (word->arguments > 0 && !read_sequence(options->arguments[1], &sequence, &error))) {
        return cli_fail("cursor", &error);
    }
    return run_word(word, options, sequence);
}
