#include "stream/redis_reply.h"

#include <string.h>

#include "stream/redis.h"
#include <hiredis/hiredis.h>

enum {
    DECIMAL = 10,
    HEAD_SIZE = 32
};

struct slice reply_text(const struct redisReply *reply)
{
    bool has_text =
        reply != NULL && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ||
                          reply->type == REDIS_REPLY_ERROR);
    return has_text ? slice_of(reply->str, reply->len) : slice_of(NULL, 0);
}

static bool parse_digits(struct slice text, uint64_t limit, uint64_t *number)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (value > (limit - digit) / DECIMAL) {
            return false;
        }
        value = value * DECIMAL + digit;
    }
    *number = value;
    return text.size > 0;
}

int64_t reply_number(const struct redisReply *reply)
{
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
        return reply->integer;
    }
    struct slice text = reply_text(reply);
    bool is_negative = slice_starts_with(text, SLICE("-"));
    uint64_t number = 0;
    if (!parse_digits(is_negative ? slice_skip(text, 1) : text, INT64_MAX, &number)) {
        return 0;
    }
    return is_negative ? -(int64_t)number : (int64_t)number;
}

bool reply_is_nil(const struct redisReply *reply)
{
    return reply == NULL || reply->type == REDIS_REPLY_NIL;
}

bool reply_is_array(const struct redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY;
}

size_t reply_count(const struct redisReply *reply)
{
    return reply_is_array(reply) ? reply->elements : 0;
}

struct redisReply *reply_element(const struct redisReply *reply, size_t index)
{
    return index < reply_count(reply) ? reply->element[index] : NULL;
}

bool reply_is_error(const struct redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ERROR;
}

bool reply_has_error(const struct redisReply *reply, const char *code)
{
    if (!reply_is_error(reply)) {
        return false;
    }
    size_t size = strlen(code);
    const char *found = memmem(reply->str, reply->len, code, size);
    if (found == NULL) {
        return false;
    }
    if (found == reply->str) {
        return true;
    }
    /* In the middle only as a whole word, as a script passes it on. */
    const char *after = found + size;
    bool ends = after == reply->str + reply->len || *after == ' ';
    return ends && (found[-1] == ' ' || found[-1] == '-');
}

static const struct {
    const char *code;
    const char *advice;
} passing_errors[] = {
    {"OOM", "Redis is over maxmemory: raise it or let the workers drain the stream"},
    {"LOADING", "Redis is loading its data: wait"},
    {"READONLY", "this Redis is a replica: point redis.url to the master"},
    {"MISCONF", "Redis cannot save to its disk: look at its log"},
    {"NOREPLICAS", "too few replicas are connected (min-replicas-to-write)"},
    {"MASTERDOWN", "this replica has no master: wait for the failover"},
    {"BUSY", "Redis is busy with a script: wait or SCRIPT KILL"},
    {"TRYAGAIN", "Redis asks to try again"},
    {"UNBLOCKED", "Redis ended the blocking read"},
};

void reply_error(const struct redisReply *reply, struct error *error)
{
    for (size_t i = 0; i < sizeof(passing_errors) / sizeof(passing_errors[0]); i++) {
        if (reply_has_error(reply, passing_errors[i].code)) {
            error_set(error, ERROR_UNREACHABLE, "%.*s: %s", SLICE_ARGS(reply_text(reply)),
                      passing_errors[i].advice);
            return;
        }
    }
    if (reply_is_error(reply)) {
        error_set(error, ERROR_REFUSED, "Redis refuses: %.*s", SLICE_ARGS(reply_text(reply)));
    } else {
        error_set(error, ERROR_PROTOCOL, "Redis answered in an unexpected form");
    }
}

bool position_parse(struct slice text, struct position *position)
{
    const char *dash = text.size == 0 ? NULL : memchr(text.data, '-', text.size);
    if (dash == NULL) {
        return false;
    }
    struct slice epoch = slice_of(text.data, (size_t)(dash - text.data));
    struct slice sequence = slice_skip(text, epoch.size + 1);
    uint64_t number;
    if (!parse_digits(epoch, UINT64_MAX, &position->epoch) ||
        !parse_digits(sequence, UINT64_MAX, &number)) {
        return false;
    }
    /* Redis goes to 2^64-1, which is no sequence of a relay: kept as far beyond all as it is. */
    position->sequence = number < INT64_MAX ? (int64_t)number : INT64_MAX;
    return true;
}

void position_append(struct buffer *out, struct position position)
{
    buffer_append_format(out, "%llu-%lld", (unsigned long long)position.epoch,
                         (long long)position.sequence);
}

struct position position_before(struct position position)
{
    if (position.sequence > 0) {
        return (struct position){.epoch = position.epoch, .sequence = position.sequence - 1};
    }
    if (position.epoch > 0) {
        return (struct position){.epoch = position.epoch - 1, .sequence = INT64_MAX};
    }
    return position;
}

void redis_format_head(struct buffer *out, size_t count)
{
    buffer_append_byte(out, '*');
    buffer_append_int64(out, (int64_t)count);
    buffer_append(out, "\r\n", 2);
}

void redis_format_argument(struct buffer *out, struct slice argument)
{
    /* One reservation an argument: this is the hot path of appending. */
    (void)buffer_reserve(out, argument.size + HEAD_SIZE);
    buffer_append_byte(out, '$');
    buffer_append_int64(out, (int64_t)argument.size);
    buffer_append(out, "\r\n", 2);
    buffer_append_slice(out, argument);
    buffer_append(out, "\r\n", 2);
}

void redis_format(struct buffer *out, const struct slice *arguments, size_t count)
{
    redis_format_head(out, count);
    for (size_t i = 0; i < count; i++) {
        redis_format_argument(out, arguments[i]);
    }
    /* hiredis looks at the byte behind a command's first argument, also where that is its last. */
    *buffer_reserve(out, 1) = '\0';
}
