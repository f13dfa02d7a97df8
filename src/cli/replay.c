/* Retained entries of the stream once more through the daemon's sink. Reads only; belongs to no group. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/replay_range.h"
#include "cli/sink_runner.h"
#include "stream/reader_entries.h"
#include "stream/redis.h"
#include "stream/redis_caller.h"
#include "stream/redis_reply.h"

enum {
    COUNT_FIRST = 50,
    COUNT_MAX = 500,
    CHUNK_BYTES = 8 << 20, /* of a reply; an entry may exceed it */
    PROGRESS_CHUNKS = 20
};

struct replay {
    const struct config *config;
    struct replay_range range;
    bool is_dry_run, is_json;
    struct redis_caller redis;
    struct sink_runner runner; /* not with --dry-run */
    struct reader_entries entries;
    struct buffer next;   /* where reading goes on, as XRANGE takes it */
    size_t count;         /* entries to ask for */
    struct position read; /* the last that was read */

    struct sink_batch batch;
    struct sink_outcome outcome;                /* of the chunk */
    uint64_t applied;                           /* entries; with --dry-run: that would be */
    struct position first, last;                /* of them */
    uint64_t written, unchanged, skipped, dead; /* ops */
    bool is_trimmed;                            /* entries went away before they were read */
};

/* ---- a chunk ---- */

static struct redisReply *ask_range(struct replay *replay, const char *count, struct slice from,
                                    struct error *error)
{
    const struct slice words[] = {SLICE("XRANGE"),
                                  slice_from_string(replay->config->stream.key),
                                  from,
                                  SLICE("+"),
                                  SLICE("COUNT"),
                                  slice_from_string(count)};
    return redis_caller_call(&replay->redis, words, sizeof(words) / sizeof(words[0]), error);
}

static void on_done(struct sink_batch *batch, const struct sink_outcome *outcome,
                    const struct error *error)
{
    struct replay *replay = LIST_ENTRY(batch, struct replay, batch);
    replay->outcome = error == NULL ? *outcome : (struct sink_outcome){0};
    sink_runner_note_done(&replay->runner);
}

/* Moves what is meant to the front; returns how many. */
static size_t choose(struct replay *replay, size_t *bytes)
{
    struct reader_entries *entries = &replay->entries;
    size_t chosen = 0;
    for (size_t i = 0; i < entries->count; i++) {
        struct entry *entry = &entries->items[i];
        replay->read = entry->id;
        if (!replay_range_takes(&replay->range, entry)) {
            continue;
        }
        *bytes += entry->data.size;
        entries->items[chosen++] = *entry;
    }
    return chosen;
}

static bool apply(struct replay *replay, size_t count, size_t bytes, struct error *error)
{
    replay->batch = (struct sink_batch){
        .entries = replay->entries.items, .count = count, .bytes = bytes, .on_done = on_done};
    sink_runner_submit(&replay->runner, &replay->batch);
    if (!sink_runner_wait(&replay->runner, error)) {
        return false;
    }
    replay->written += replay->outcome.written;
    replay->unchanged += replay->outcome.unchanged;
    replay->skipped += replay->outcome.skipped;
    replay->dead += replay->outcome.dead;
    return true;
}

static bool take(struct replay *replay, struct error *error)
{
    size_t bytes = 0;
    size_t count = choose(replay, &bytes);
    if (count == 0) {
        return true;
    }
    if (!replay->is_dry_run && !apply(replay, count, bytes, error)) {
        return false;
    }
    if (replay->applied == 0) {
        replay->first = replay->entries.items[0].id;
    }
    replay->last = replay->entries.items[count - 1].id;
    replay->applied += count;
    return true;
}

static void adapt(struct replay *replay)
{
    const struct reader_entries *entries = &replay->entries;
    size_t mean = entries->count > 0 ? entries->bytes / entries->count + 1 : CHUNK_BYTES;
    size_t wanted = CHUNK_BYTES / mean;
    replay->count = wanted < 1 ? 1 : wanted > COUNT_MAX ? COUNT_MAX : wanted;
}

/* ---- the whole ---- */

/* Where the stream's first entry lies after what was read last, trimming was faster. */
static bool look_at_first(struct replay *replay, struct position *first, struct error *error)
{
    struct redisReply *reply = ask_range(replay, "1", SLICE("-"), error);
    if (reply == NULL) {
        return false;
    }
    if (!position_parse(reply_text(reply_element(reply_element(reply, 0), 0)), first)) {
        *first = (struct position){0};
    }
    redis_free_reply(reply);
    return true;
}

static bool read_chunk(struct replay *replay, bool *is_end, struct error *error)
{
    char count[24];
    (void)snprintf(count, sizeof(count), "%zu", replay->count);
    struct redisReply *reply = ask_range(replay, count, buffer_slice(&replay->next), error);
    if (reply == NULL) {
        return false;
    }
    reader_entries_parse(&replay->entries, reply);
    *is_end = reply_count(reply) == 0;
    adapt(replay);
    bool is_taken = take(replay, error);
    redis_free_reply(reply);
    buffer_clear(&replay->next);
    buffer_append_byte(&replay->next, '(');
    position_append(&replay->next, replay->read);
    *is_end = *is_end || replay->range.is_over;
    return is_taken;
}

static void show_progress(const struct replay *replay, bool is_end)
{
    if (isatty(STDERR_FILENO) != 0) {
        (void)fprintf(stderr, "\r%" PRIu64 " entries, at %" PRIu64 "-%" PRId64 "%s",
                      replay->applied, replay->read.epoch, replay->read.sequence,
                      is_end ? "\n" : "");
    }
}

static bool run_chunks(struct replay *replay, struct error *error)
{
    bool is_end = false;
    struct position first;
    for (unsigned i = 0; !is_end; i++) {
        if (!read_chunk(replay, &is_end, error) || !look_at_first(replay, &first, error)) {
            return false;
        }
        replay->is_trimmed = replay->is_trimmed || (!is_end && replay->read.epoch > 0 &&
                                                    position_compare(first, replay->read) > 0);
        if (i % PROGRESS_CHUNKS == 0 || is_end) {
            show_progress(replay, is_end);
        }
    }
    return true;
}

/* IDs rise, so reading starts at one; the others need a look at every entry. */
static bool find_start(struct replay *replay, struct error *error)
{
    const struct replay_bound *from = &replay->range.from;
    struct position first;
    if (!look_at_first(replay, &first, error)) {
        return false;
    }
    if (from->kind != BOUND_ID || from->id.epoch == 0) {
        buffer_append_byte(&replay->next, '-');
        return true;
    }
    replay->range.is_reached = first.epoch > 0 && position_compare(first, from->id) <= 0;
    position_append(&replay->next, from->id);
    return true;
}

/* ---- what came out ---- */

static void print_json(const struct replay *replay)
{
    (void)printf("{\"%s\":%" PRIu64, replay->is_dry_run ? "would_replay" : "replayed",
                 replay->applied);
    if (replay->applied > 0) {
        (void)printf(",\"first\":\"%" PRIu64 "-%" PRId64 "\",\"last\":\"%" PRIu64 "-%" PRId64 "\"",
                     replay->first.epoch, replay->first.sequence, replay->last.epoch,
                     replay->last.sequence);
    }
    if (!replay->is_dry_run) {
        (void)printf(",\"written\":%" PRIu64 ",\"unchanged\":%" PRIu64 ",\"skipped\":%" PRIu64
                     ",\"dead\":%" PRIu64,
                     replay->written, replay->unchanged, replay->skipped, replay->dead);
    }
    (void)printf(",\"is_complete\":%s}\n",
                 replay->range.is_reached && !replay->is_trimmed ? "true" : "false");
}

static void print_text(const struct replay *replay)
{
    (void)printf("%" PRIu64 " entries%s", replay->applied,
                 replay->is_dry_run ? " would be replayed" : " replayed");
    if (replay->applied > 0) {
        (void)printf(", from %" PRIu64 "-%" PRId64 " to %" PRIu64 "-%" PRId64, replay->first.epoch,
                     replay->first.sequence, replay->last.epoch, replay->last.sequence);
    }
    if (!replay->is_dry_run) {
        (void)printf(": of their ops %" PRIu64 " written, %" PRIu64 " unchanged, %" PRIu64
                     " skipped, %" PRIu64 " dead letters",
                     replay->written, replay->unchanged, replay->skipped, replay->dead);
    }
    (void)printf("\n");
}

static bool check_complete(const struct replay *replay, struct error *error)
{
    if (!replay->range.is_reached) {
        error_set(error, ERROR_REFUSED,
                  "the stream does not reach back to %.100s: what lay before its first entry was "
                  "trimmed or never there: the relay may have it: `standpipe cursor set SEQ`",
                  replay->range.from.text);
        return false;
    }
    if (replay->is_trimmed) {
        error_set(error, ERROR_REFUSED,
                  "entries were trimmed before they were read: raise stream.max_length, or ask the "
                  "relay for them: `standpipe cursor set SEQ`");
        return false;
    }
    return true;
}

/* Also after a failure: how far it came is where the next run starts. */
static bool run(struct replay *replay, struct error *error)
{
    bool is_run = find_start(replay, error) && run_chunks(replay, error);
    if (replay->is_json) {
        print_json(replay);
    } else {
        print_text(replay);
    }
    return is_run && check_complete(replay, error);
}

static bool open_and_run(struct replay *replay, struct error *error)
{
    const struct config *config = replay->config;
    if (!redis_caller_open(&replay->redis, config->redis.url, "standpipe-replay", error)) {
        return false;
    }
    if (!replay->is_dry_run) {
        sink_runner_init(&replay->runner, config, "replay",
                         replay->range.to.text != NULL ? RUN_RANGE : RUN_TO_END);
    }
    bool is_done = run(replay, error);
    if (!replay->is_dry_run) {
        sink_runner_deinit(&replay->runner);
    }
    redis_caller_close(&replay->redis);
    return is_done;
}

int cli_replay(const struct cli_options *options)
{
    struct config config;
    struct error error;
    struct replay replay = {.is_dry_run = options->is_dry_run,
                            .is_json = options->is_json,
                            .count = COUNT_FIRST,
                            .config = &config};
    if (options->from == NULL) {
        error_set(&error, ERROR_USAGE, "--from: is missing: give an ID, a sequence or a time");
        return cli_fail("replay", &error);
    }
    if (!replay_range_parse(&replay.range, options->from, options->to, &error)) {
        return cli_fail("replay", &error);
    }
    if (!cli_load_config(options, &config)) {
        return EXIT_USAGE;
    }
    log_configure(LOG_LEVEL_ERROR, config.log.format); /* stderr is the command's own */
    (void)signal(SIGPIPE, SIG_IGN);
    int code = open_and_run(&replay, &error) ? EXIT_DONE : cli_fail("replay", &error);
    reader_entries_deinit(&replay.entries);
    buffer_deinit(&replay.next);
    config_deinit(&config);
    return cli_finish_output(code);
}
