/* Dead letters as pages show them: XREVRANGE on the monitor's connection. */
#include <stdio.h>
#include <stdlib.h>

#include "base/panic.h"
#include "stream/monitor_private.h"
#include "stream/redis_reply.h"
#include "stream/stream_monitor.h"

enum {
    NUMBER_SIZE = 16
};

struct letters {
    struct stream_letters_callbacks callbacks;
    void *owner;
};

static struct slice *slot_of(struct stream_letter *letter, struct slice field)
{
    const struct {
        struct slice name;
        struct slice *slot;
    } slots[] = {
        {SLICE("type"), &letter->type},
        {SLICE("data"), &letter->data},
        {SLICE("seq"), &letter->sequence},
        {SLICE("origId"), &letter->origin},
        {SLICE("deliveries"), &letter->deliveries},
        {SLICE("reason"), &letter->reason},
    };
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        if (slice_equals(slots[i].name, field)) {
            return slots[i].slot;
        }
    }
    return NULL;
}

static void pass_letter(const struct letters *letters, const struct redisReply *entry)
{
    struct stream_letter letter = {.id = reply_text(reply_element(entry, 0))};
    const struct redisReply *fields = reply_element(entry, 1);
    for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
        struct slice *slot = slot_of(&letter, reply_text(reply_element(fields, i)));
        if (slot != NULL) {
            *slot = reply_text(reply_element(fields, i + 1));
        }
    }
    letters->callbacks.on_letter(letters->owner, &letter);
}

static void on_reply(void *owner, struct redisReply *reply)
{
    struct letters letters = *(struct letters *)owner;
    free(owner);
    if (!reply_is_array(reply)) {
        struct error error;
        reply_error(reply, &error);
        letters.callbacks.on_end(letters.owner, &error);
        return;
    }
    for (size_t i = 0; i < reply_count(reply); i++) {
        pass_letter(&letters, reply_element(reply, i));
    }
    letters.callbacks.on_end(letters.owner, NULL);
}

void stream_monitor_letters(struct stream_monitor *monitor, unsigned limit,
                            const struct stream_letters_callbacks *callbacks, void *owner)
{
    char count[NUMBER_SIZE];
    (void)snprintf(count, sizeof(count), "%u", limit);
    const struct slice command[] = {SLICE("XREVRANGE"), stream_monitor_dead_letter_key(monitor),
                                    SLICE("+"),         SLICE("-"),
                                    SLICE("COUNT"),     slice_from_string(count)};
    struct letters *letters = memory_allocate(sizeof(*letters));
    *letters = (struct letters){.callbacks = *callbacks, .owner = owner};
    struct redis *redis = stream_monitor_redis(monitor);
    if (redis != NULL &&
        redis_send(redis, command, sizeof(command) / sizeof(command[0]), on_reply, letters)) {
        return;
    }
    free(letters);
    struct error error;
    error_set(&error, ERROR_UNREACHABLE, "Redis is not connected");
    callbacks->on_end(owner, &error);
}
