#include "stream/reader_claim.h"

#include "base/panic.h"
#include "stream/redis_reply.h"

void reader_claim_init(struct reader_claim *claim, struct uv_loop_s *loop, uint64_t min_idle_ms,
                       void (*on_due)(void *owner), void *owner)
{
    *claim = (struct reader_claim){
        .min_idle_ms = min_idle_ms, .looks = CLAIM_LOOKS - 1, .on_due = on_due, .owner = owner};
    ASSERT(uv_timer_init(loop, &claim->timer) == 0);
    claim->timer.data = claim;
}

static void on_timer(uv_timer_t *timer)
{
    struct reader_claim *claim = timer->data;
    claim->is_due = true;
    claim->on_due(claim->owner);
}

void reader_claim_start(struct reader_claim *claim, uint64_t interval_ms)
{
    ASSERT(uv_timer_start(&claim->timer, on_timer, interval_ms, interval_ms) == 0);
}

bool reader_claim_is_look(const struct reader_claim *claim)
{
    return !claim->is_sweeping;
}

void reader_claim_format(const struct reader_claim *claim, struct buffer *out,
                         const struct reader_names *names, size_t count)
{
    if (!reader_claim_is_look(claim)) {
        reader_format_claim(out, names, claim->min_idle_ms, buffer_slice(&claim->cursor), count);
    } else {
        reader_format_consumers(out, names);
    }
}

/* Something is pending on it, and it has asked for nothing since. A field that a strange server leaves out is none of a
 * living consumer. */
static bool is_silent(const struct reader_claim *claim, const struct redisReply *consumer)
{
    int64_t pending = 1;
    int64_t idle_ms = INT64_MAX;
    for (size_t i = 0; i + 1 < reply_count(consumer); i += 2) {
        struct slice name = reply_text(reply_element(consumer, i));
        int64_t value = reply_number(reply_element(consumer, i + 1));
        if (slice_equals(name, SLICE("pending"))) {
            pending = value;
        } else if (slice_equals(name, SLICE("idle"))) {
            idle_ms = value;
        }
    }
    return pending > 0 && idle_ms >= (int64_t)claim->min_idle_ms;
}

static void take_look(struct reader_claim *claim, const struct redisReply *consumers)
{
    claim->is_sweeping = ++claim->looks >= CLAIM_LOOKS || reply_is_error(consumers);
    claim->looks = claim->looks >= CLAIM_LOOKS ? 0 : claim->looks;
    for (size_t i = 0; i < reply_count(consumers) && !claim->is_sweeping; i++) {
        claim->is_sweeping = is_silent(claim, reply_element(consumers, i));
    }
    claim->is_due = claim->is_sweeping;
}

const struct redisReply *reader_claim_take(struct reader_claim *claim,
                                           const struct redisReply *reply, size_t *deleted)
{
    *deleted = 0;
    if (reader_claim_is_look(claim)) {
        take_look(claim, reply);
        return NULL;
    }
    struct slice cursor = reply_text(reply_element(reply, 0));
    buffer_clear(&claim->cursor);
    buffer_append_slice(&claim->cursor, cursor);
    claim->is_due = cursor.size > 0 && !slice_equals(cursor, SLICE("0-0"));
    claim->is_sweeping = claim->is_due;
    *deleted = reply_count(reply_element(reply, 2)); /* Redis 7: already off the list */
    const struct redisReply *list = reply_element(reply, 1);
    return reply_count(list) > 0 ? list : NULL;
}

void reader_claim_close(struct reader_claim *claim, uv_close_cb on_closed, void *owner)
{
    claim->timer.data = owner;
    uv_close((uv_handle_t *)&claim->timer, on_closed);
}

void reader_claim_deinit(struct reader_claim *claim)
{
    buffer_deinit(&claim->cursor);
}
