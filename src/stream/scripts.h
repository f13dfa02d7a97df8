/*
 * Scripts: the Lua that runs inside Redis (6.2 to 8), where several steps must be one (docs/delivery.md).
 * Each declares all its keys. scripts.c draws KEYS, ARGV and result over each text.
 *
 *   script_call_begin, script_call_argument... --> RESP in call.command --script_call_send--> on_reply
 *
 * EVALSHA first; where Redis does not know the script: SCRIPT LOAD and the same command once more.
 * Ownership: a call is embedded; its command stays until the next begin, so an unknown outcome can be
 * sent again as it was. Threading: the loop's thread only; script_get() from any.
 */
#ifndef STREAM_SCRIPTS_H
#define STREAM_SCRIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "stream/redis.h"

enum script_name {
    SCRIPT_FIND,
    SCRIPT_BEGIN,
    SCRIPT_APPEND,
    SCRIPT_GROUP,
    SCRIPT_ACKNOWLEDGE,
    SCRIPT_HEARTBEAT,
    SCRIPT_LEAVE,
    SCRIPT_DEPTH,
    SCRIPT_SWEEP,
    SCRIPT_TRIM,
    SCRIPT_REWIND,
    SCRIPT_RECOUNT,
    SCRIPT_LEASE,
    SCRIPT_RELEASE,
    SCRIPT_COUNT
};

/* Hash of counters for programs beside us; the public contract names it. */
#define STREAM_METRICS_KEY "cluster:metrics"

enum {
    SCRIPT_SHA1_TEXT_SIZE = 41
};

struct script {
    struct slice text;
    char sha1[SCRIPT_SHA1_TEXT_SIZE]; /* lower-case hex, as Redis names it */
};

const struct script *script_get(enum script_name name);

struct script_call {
    struct buffer command;
    enum script_name script;
    struct redis *redis;
    redis_reply_callback *on_reply;
    void *owner;
    bool is_sent;     /* a reply is due */
    bool is_reloaded; /* NOSCRIPT was answered by SCRIPT LOAD once */
};

/* Starts the command anew: `keys`, then exactly `argument_count` script_call_argument()s. */
void script_call_begin(struct script_call *call, enum script_name script, const struct slice *keys,
                       size_t key_count, size_t argument_count);
void script_call_argument(struct script_call *call, struct slice argument);
void script_call_number(struct script_call *call, int64_t number);
/* Arguments that are RESP already. */
void script_call_formatted(struct script_call *call, struct slice arguments);
/* Sends the command, again too. False, and on_reply is never called, where the connection is not ready:
 * whoever sends again at on_ready need not look. Not while is_sent. */
bool script_call_send(struct script_call *call, struct redis *redis, redis_reply_callback *on_reply,
                      void *owner);
void script_call_deinit(struct script_call *call);

/* `<base><suffix>` as an owned string; for <key>:meta and the like. */
char *stream_key_derive(const char *base, const char *suffix) __attribute__((warn_unused_result));

#endif
