/* PostgreSQL went back in time: the group is set back, on the monitor's connection. */
#include "base/log.h"
#include "stream/dead_letter_mirror.h"
#include "stream/monitor_private.h"
#include "stream/redis_reply.h"

enum {
    RECOUNT_LIMIT = 5000, /* entries a call: some 40 ms of Redis' time */
    REWIND_ARGUMENTS = 6
};

static void log_refused(const struct redisReply *reply)
{
    struct error error;
    reply_error(reply, &error);
    log_warning("stream_monitor", "the group could not be set back, trying again",
                LOG_TEXT("error", error.text));
}

static void on_rewound(void *owner, struct redisReply *reply)
{
    struct monitor_parts parts = stream_monitor_parts(owner);
    struct stream_rewound rewound = {0};
    parts.rewind->is_out = false;
    if (parts.redis == NULL || reply == NULL || parts.callbacks->on_rewound == NULL) {
        return;
    }
    if (!reply_is_array(reply)) {
        log_refused(reply);
    }
    rewound.is_done = reply_number(reply_element(reply, 0)) == 1;
    rewound.is_short = reply_number(reply_element(reply, 1)) == 1;
    if (!position_parse(reply_text(reply_element(reply, 2)), &rewound.delivered)) {
        rewound.delivered = (struct position){0};
    }
    parts.callbacks->on_rewound(parts.owner, &rewound);
}

static void add_position(struct script_call *call, struct position position)
{
    struct buffer text = {0};
    position_append(&text, position);
    script_call_argument(call, buffer_slice(&text));
    buffer_deinit(&text);
}

void stream_monitor_rewind(struct stream_monitor *monitor, const struct stream_rewind *rewind)
{
    struct monitor_parts parts = stream_monitor_parts(monitor);
    if (parts.redis == NULL || parts.rewind->is_out) {
        return;
    }
    struct script_call *call = &parts.rewind->call;
    const struct slice keys[] = {slice_from_string(parts.keys.key), parts.meta_key,
                                 slice_from_string(parts.keys.dead_letter_key)};
    script_call_begin(call, SCRIPT_REWIND, keys, sizeof(keys) / sizeof(keys[0]), REWIND_ARGUMENTS);
    script_call_argument(call, slice_from_string(parts.keys.group));
    script_call_number(call, (int64_t)rewind->rewinds);
    add_position(call, rewind->target);
    script_call_number(call, rewind->may_refetch ? 1 : 0);
    script_call_argument(call, SLICE(DEAD_LETTER_GROUP));
    script_call_number(call, rewind->postgres_started_us);
    parts.rewind->is_out = script_call_send(call, parts.redis, on_rewound, monitor);
}

bool monitor_send_recount(struct stream_monitor *monitor, struct script_call *call,
                          redis_reply_callback *on_reply)
{
    struct monitor_parts parts = stream_monitor_parts(monitor);
    const struct slice keys[] = {slice_from_string(parts.keys.key), parts.meta_key,
                                 parts.ledger_key};
    script_call_begin(call, SCRIPT_RECOUNT, keys, sizeof(keys) / sizeof(keys[0]), 1);
    script_call_number(call, RECOUNT_LIMIT);
    return script_call_send(call, parts.redis, on_reply, monitor);
}
