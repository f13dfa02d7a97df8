#include "stream/redis_caller.h"

#include "base/panic.h"
#include "stream/redis.h"
#include "stream/redis_reply.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    REPLY_TIMEOUT_MS = 15000
};

static void on_ready(void *owner)
{
    struct redis_caller *caller = owner;
    caller->is_ready = true;
}

/* It would come back by itself; a command rather says so. */
static void on_lost(void *owner, const struct error *error)
{
    struct redis_caller *caller = owner;
    caller->is_ready = false;
    if (!caller->is_failed) {
        caller->is_failed = true;
        caller->error = *error;
    }
}

static void on_closed(void *owner)
{
    struct redis_caller *caller = owner;
    caller->redis = NULL;
}

static void on_reply(void *owner, struct redisReply *reply)
{
    struct redis_caller *caller = owner;
    caller->is_answered = true;
    caller->reply = reply != NULL ? redis_keep_reply(reply) : NULL;
}

static bool explain(const struct error *why, struct error *error)
{
    error_set(error, why->kind, "redis: %.300s: check redis.url, then run it again", why->text);
    return false;
}

bool redis_caller_open(struct redis_caller *caller, const char *url, const char *client_name,
                       struct error *error)
{
    static const struct redis_callbacks callbacks = {
        .on_ready = on_ready, .on_lost = on_lost, .on_closed = on_closed};
    const struct redis_options options = {.url = url,
                                          .client_name = client_name,
                                          .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                          .reply_timeout_ms = REPLY_TIMEOUT_MS};
    *caller = (struct redis_caller){0};
    ASSERT(uv_loop_init(&caller->loop) == 0);
    caller->redis = redis_open(&caller->loop, &options, &callbacks, caller);
    while (!caller->is_ready && !caller->is_failed) {
        (void)uv_run(&caller->loop, UV_RUN_ONCE);
    }
    if (!caller->is_failed) {
        return true;
    }
    redis_caller_close(caller);
    return explain(&caller->error, error);
}

void redis_caller_close(struct redis_caller *caller)
{
    redis_close(caller->redis);
    (void)uv_run(&caller->loop, UV_RUN_DEFAULT);
    ASSERT(caller->redis == NULL && uv_loop_close(&caller->loop) == 0);
    script_call_deinit(&caller->script);
}

static struct redisReply *wait_for_reply(struct redis_caller *caller, bool is_sent,
                                         struct error *error)
{
    while (is_sent && !caller->is_answered) {
        (void)uv_run(&caller->loop, UV_RUN_ONCE);
    }
    struct redisReply *reply = caller->reply;
    caller->reply = NULL;
    if (reply == NULL) {
        error_set(error, ERROR_UNREACHABLE,
                  "redis: the connection was lost: check that Redis runs, then run it again");
        return NULL;
    }
    if (reply_is_error(reply)) {
        struct error why;
        reply_error(reply, &why);
        (void)explain(&why, error);
        redis_free_reply(reply);
        return NULL;
    }
    return reply;
}

struct redisReply *redis_caller_call(struct redis_caller *caller, const struct slice *words,
                                     size_t count, struct error *error)
{
    caller->is_answered = false;
    bool is_sent = redis_send(caller->redis, words, count, on_reply, caller);
    return wait_for_reply(caller, is_sent, error);
}

struct redisReply *redis_caller_script(struct redis_caller *caller, enum script_name name,
                                       struct redis_words keys, struct redis_words arguments,
                                       struct error *error)
{
    caller->is_answered = false;
    script_call_begin(&caller->script, name, keys.items, keys.count, arguments.count);
    for (size_t i = 0; i < arguments.count; i++) {
        script_call_argument(&caller->script, arguments.items[i]);
    }
    bool is_sent = script_call_send(&caller->script, caller->redis, on_reply, caller);
    return wait_for_reply(caller, is_sent, error);
}
