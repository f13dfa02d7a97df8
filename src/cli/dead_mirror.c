#include "cli/dead_mirror.h"

#include "base/panic.h"
#include "stream/redis.h"
#include "stream/redis_reply.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    REPLY_TIMEOUT_MS = 15000
};

static void on_ready(void *owner)
{
    struct dead_mirror *mirror = owner;
    mirror->is_ready = true;
}

/* It would come back by itself; a command rather says so. */
static void on_lost(void *owner, const struct error *error)
{
    struct dead_mirror *mirror = owner;
    mirror->is_ready = false;
    mirror->is_failed = true;
    mirror->error = *error;
}

static void on_closed(void *owner)
{
    struct dead_mirror *mirror = owner;
    mirror->redis = NULL;
}

static void on_reply(void *owner, struct redisReply *reply)
{
    struct dead_mirror *mirror = owner;
    mirror->is_answered = true;
    if (reply == NULL) {
        mirror->is_failed = true;
        error_set(&mirror->error, ERROR_UNREACHABLE, "the connection was lost");
    } else if (reply_is_error(reply)) {
        mirror->is_failed = true;
        reply_error(reply, &mirror->error);
    }
}

void dead_mirror_init(struct dead_mirror *mirror, const char *url, const char *dead_letter_key)
{
    *mirror = (struct dead_mirror){.url = url, .key = dead_letter_key};
    ASSERT(uv_loop_init(&mirror->loop) == 0);
}

void dead_mirror_deinit(struct dead_mirror *mirror)
{
    if (mirror->redis != NULL) {
        redis_close(mirror->redis);
        (void)uv_run(&mirror->loop, UV_RUN_DEFAULT);
    }
    ASSERT(uv_loop_close(&mirror->loop) == 0);
    buffer_deinit(&mirror->ids);
}

void dead_mirror_add(struct dead_mirror *mirror, const char *entry_id)
{
    redis_format_argument(&mirror->ids, slice_from_string(entry_id));
    mirror->count++;
}

static void connect_to(struct dead_mirror *mirror)
{
    static const struct redis_callbacks callbacks = {
        .on_ready = on_ready, .on_lost = on_lost, .on_closed = on_closed};
    const struct redis_options options = {.url = mirror->url,
                                          .client_name = "standpipe-dead",
                                          .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                          .reply_timeout_ms = REPLY_TIMEOUT_MS};
    if (mirror->redis == NULL) {
        mirror->redis = redis_open(&mirror->loop, &options, &callbacks, mirror);
    }
    while (!mirror->is_ready && !mirror->is_failed) {
        (void)uv_run(&mirror->loop, UV_RUN_ONCE);
    }
}

static void delete_entries(struct dead_mirror *mirror)
{
    struct buffer command = {0};
    redis_format_head(&command, 2 + mirror->count);
    redis_format_argument(&command, SLICE("XDEL"));
    redis_format_argument(&command, slice_from_string(mirror->key));
    buffer_append_slice(&command, buffer_slice(&mirror->ids));
    mirror->is_answered =
        !redis_send_formatted(mirror->redis, buffer_slice(&command), on_reply, mirror);
    mirror->is_failed = mirror->is_answered;
    if (mirror->is_failed) {
        error_set(&mirror->error, ERROR_UNREACHABLE, "the connection was lost");
    }
    buffer_deinit(&command);
    while (!mirror->is_answered) {
        (void)uv_run(&mirror->loop, UV_RUN_ONCE);
    }
}

bool dead_mirror_remove(struct dead_mirror *mirror, struct error *error)
{
    if (mirror->count == 0) {
        return true;
    }
    mirror->is_failed = false;
    connect_to(mirror);
    if (!mirror->is_failed) {
        delete_entries(mirror);
    }
    buffer_clear(&mirror->ids);
    mirror->count = 0;
    if (mirror->is_failed) {
        error_set(error, mirror->error.kind, "redis: %.300s: check redis.url, then run it again",
                  mirror->error.text);
    }
    return !mirror->is_failed;
}
