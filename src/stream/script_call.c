/* Calls of the scripts: EVALSHA, and SCRIPT LOAD where Redis does not know one. */
#include "base/panic.h"
#include "stream/redis_reply.h"
#include "stream/scripts.h"

#include <stdio.h>
#include <string.h>

void script_call_begin(struct script_call *call, enum script_name script, const struct slice *keys,
                       size_t key_count, size_t argument_count)
{
    ASSERT(!call->is_sent);
    call->script = script;
    buffer_clear(&call->command);
    redis_format_head(&call->command, 3 + key_count + argument_count);
    redis_format_argument(&call->command, SLICE("EVALSHA"));
    redis_format_argument(&call->command, slice_from_string(script_get(script)->sha1));
    script_call_number(call, (int64_t)key_count);
    for (size_t i = 0; i < key_count; i++) {
        redis_format_argument(&call->command, keys[i]);
    }
}

void script_call_argument(struct script_call *call, struct slice argument)
{
    redis_format_argument(&call->command, argument);
}

void script_call_number(struct script_call *call, int64_t number)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%lld", (long long)number);
    redis_format_argument(&call->command, slice_of(text, (size_t)size));
}

void script_call_formatted(struct script_call *call, struct slice arguments)
{
    buffer_append_slice(&call->command, arguments);
}

static void on_loaded(void *owner, struct redisReply *reply)
{
    /* The call behind it in the queue tells whether it worked. */
    (void)owner;
    (void)reply;
}

static void on_script_reply(void *owner, struct redisReply *reply);

/* Redis restarted or SCRIPT FLUSH: both commands go out in order, nothing can come in between. */
static bool reload(struct script_call *call)
{
    call->is_reloaded = true;
    const struct slice load[] = {SLICE("SCRIPT"), SLICE("LOAD"), script_get(call->script)->text};
    return redis_send(call->redis, load, 3, on_loaded, NULL) &&
           redis_send_formatted(call->redis, buffer_slice(&call->command), on_script_reply, call);
}

static void on_script_reply(void *owner, struct redisReply *reply)
{
    struct script_call *call = owner;
    if (reply_has_error(reply, "NOSCRIPT") && !call->is_reloaded && reload(call)) {
        return;
    }
    call->is_sent = false;
    call->on_reply(call->owner, reply);
}

bool script_call_send(struct script_call *call, struct redis *redis, redis_reply_callback *on_reply,
                      void *owner)
{
    ASSERT(!call->is_sent);
    call->redis = redis;
    call->on_reply = on_reply;
    call->owner = owner;
    call->is_reloaded = false;
    call->is_sent =
        redis_send_formatted(redis, buffer_slice(&call->command), on_script_reply, call);
    return call->is_sent;
}

void script_call_deinit(struct script_call *call)
{
    ASSERT(!call->is_sent);
    buffer_deinit(&call->command);
}

char *stream_key_derive(const char *base, const char *suffix)
{
    size_t size = strlen(base) + strlen(suffix) + 1;
    char *key = memory_allocate(size);
    (void)snprintf(key, size, "%s%s", base, suffix);
    return key;
}
