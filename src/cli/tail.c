/* Entries of the stream to JSON lines; reads only, belongs to no group. */
#include <stdio.h>

#include "atproto/entry.h"
#include "atproto/json.h"
#include "cli/cli.h"
#include "stream/redis_reply.h"
#include "stream/stream_tail.h"

struct tail {
    struct collection_filter filter;
    const char *collection; /* NULL: all */
    bool is_flushed;        /* after each line: somebody watches */
    struct arena arena;
    struct buffer line;
};

static bool is_wanted(const struct tail *tail, bool is_event, const struct event *event)
{
    if (tail->collection == NULL) {
        return true;
    }
    for (size_t i = 0; is_event && i < event->op_count; i++) {
        if (event->ops[i].collection.size > 0 &&
            collection_filter_matches(&tail->filter, event->ops[i].collection)) {
            return true;
        }
    }
    return false;
}

static void append_field(struct buffer *line, const char *name, struct slice text)
{
    buffer_append_format(line, "\"%s\":", name);
    /* What JSON cannot hold is replaced: an entry that is none of ours may hold anything. */
    (void)json_append_text(line, text);
    buffer_append_byte(line, ',');
}

static bool on_entry(void *owner, struct slice id, const struct entry *entry)
{
    struct tail *tail = owner;
    struct event event;
    char reason[ENTRY_REASON_SIZE];
    arena_reset(&tail->arena);
    bool is_event = entry_parse(entry, &tail->arena, &event, reason) == PARSE_DONE;
    if (!is_wanted(tail, is_event, &event)) {
        return true;
    }
    buffer_clear(&tail->line);
    buffer_append_byte(&tail->line, '{');
    append_field(&tail->line, "id", id);
    append_field(&tail->line, "type", entry->type);
    append_field(&tail->line, "seq", entry->sequence);
    append_field(&tail->line, "time", entry->time);
    append_field(&tail->line, "rev", entry->rev);
    buffer_append_string(&tail->line, "\"data\":");
    if (is_event) {
        buffer_append_slice(&tail->line, entry->data); /* as it stands: parsed, so it is JSON */
    } else {
        (void)json_append_text(&tail->line, entry->data);
    }
    buffer_append_string(&tail->line, "}\n");
    bool is_written = fwrite(tail->line.data, 1, tail->line.size, stdout) == tail->line.size;
    return is_written && (!tail->is_flushed || fflush(stdout) == 0);
}

static bool is_id(const char *text)
{
    struct position position;
    return position_parse(slice_from_string(text), &position);
}

int cli_tail(const struct cli_options *options)
{
    struct error error;
    struct config config;
    if (options->from != NULL && !is_id(options->from)) {
        error_set(&error, ERROR_USAGE, "--from %s: not an entry ID: give <epoch>-<sequence>",
                  options->from);
        return cli_fail("tail", &error);
    }
    if (!cli_load_config(options, &config)) {
        return EXIT_USAGE;
    }
    struct tail tail = {
        .filter = {.patterns = &options->collection, .count = 1},
        .collection = options->collection,
        .is_flushed = options->should_follow,
    };
    struct stream_tail_options stream = {
        .url = config.redis.url,
        .key = config.stream.key,
        .from = options->from,
        .should_follow = options->should_follow,
    };
    bool is_done = stream_tail(&stream, on_entry, &tail, &error);
    int code = is_done ? EXIT_DONE : cli_fail("tail", &error);
    arena_deinit(&tail.arena);
    buffer_deinit(&tail.line);
    config_deinit(&config);
    return cli_finish_output(code);
}
