#include "stream/writer_batch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/encoding.h"
#include "base/panic.h"
#include "stream/redis_reply.h"
#include <openssl/evp.h>

enum {
    APPEND_FIXED = 13,
    EVENT_FIELDS = 5,
    FRAME_FIELDS = 7,
    NUMBER_SIZE = 24,
    BYTES_KEPT = 64 * 1024
};

struct writer_batch *writer_batch_create(int64_t queued)
{
    struct writer_batch *batch = memory_allocate(sizeof(*batch));
    writer_batch_renew(batch, queued);
    return batch;
}

void writer_batch_renew(struct writer_batch *batch, int64_t queued)
{
    buffer_recycle(&batch->events, BYTES_KEPT);
    buffer_recycle(&batch->frames, BYTES_KEPT);
    *batch =
        (struct writer_batch){.events = batch->events, .frames = batch->frames, .queued = queued};
    list_init(&batch->node);
    (void)snprintf(batch->token, sizeof(batch->token), "%016llx%016llx",
                   (unsigned long long)random_bits(), (unsigned long long)random_bits());
}

void writer_batch_destroy(struct writer_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    buffer_deinit(&batch->events);
    buffer_deinit(&batch->frames);
    free(batch);
}

size_t writer_batch_bytes(const struct writer_batch *batch)
{
    return batch->events.size + batch->frames.size;
}

size_t writer_batch_capacity(const struct writer_batch *batch)
{
    return batch->events.capacity + batch->frames.capacity;
}

bool writer_batch_is_full(const struct writer_batch *batch)
{
    return batch->event_count + batch->frame_count >= WRITER_BATCH_ENTRIES_MAX ||
           writer_batch_bytes(batch) >= WRITER_BATCH_BYTES_MAX;
}

bool writer_batch_is_empty(const struct writer_batch *batch, int64_t queued)
{
    return batch->event_count == 0 && batch->frame_count == 0 && batch->queued <= queued &&
           batch->counts[STREAM_COUNT_DUPLICATE] == 0 &&
           batch->counts[STREAM_COUNT_FILTERED] == 0 && batch->counts[STREAM_COUNT_IGNORED] == 0;
}

static struct slice format_number(char *text, int64_t number)
{
    int size = snprintf(text, NUMBER_SIZE, "%lld", (long long)number);
    return slice_of(text, (size_t)size);
}

void writer_batch_add_event(struct writer_batch *batch, const struct stream_event *event)
{
    char number[NUMBER_SIZE];
    redis_format_argument(&batch->events, event->type);
    redis_format_argument(&batch->events, event->data);
    redis_format_argument(&batch->events, format_number(number, event->sequence));
    redis_format_argument(&batch->events, event->time);
    redis_format_argument(&batch->events, event->rev);
    batch->event_count++;
    batch->last_sequence = event->sequence;
    batch->queued = event->sequence;
}

static void append_hash(struct buffer *out, struct slice frame)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ASSERT(EVP_Digest(frame.data, frame.size, digest, &size, EVP_sha256(), NULL) == 1);
    struct buffer text = {0};
    base64_append(&text, slice_of(digest, size));
    redis_format_argument(out, buffer_slice(&text));
    buffer_deinit(&text);
}

void writer_batch_add_frame(struct writer_batch *batch, const struct stream_dead_frame *frame,
                            struct position position)
{
    char number[NUMBER_SIZE];
    char now[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall_us(), now);
    struct buffer text = {0};
    append_hash(&batch->frames, frame->frame);
    redis_format_argument(&batch->frames,
                          frame->sequence > 0 ? format_number(number, frame->sequence) : SLICE(""));
    position_append(&text, position);
    redis_format_argument(&batch->frames, buffer_slice(&text));
    redis_format_argument(&batch->frames, slice_from_string(frame->reason));
    redis_format_argument(&batch->frames, slice_from_string(frame->text));
    buffer_clear(&text);
    base64_append(&text, frame->frame);
    redis_format_argument(&batch->frames, buffer_slice(&text));
    redis_format_argument(&batch->frames, slice_from_string(now));
    buffer_deinit(&text);
    batch->frame_count++;
}

void writer_batch_format(const struct writer_batch *batch, struct script_call *call,
                         const struct slice keys[static WRITER_BATCH_KEYS],
                         const struct writer_expected *expected)
{
    size_t count = APPEND_FIXED + (size_t)EVENT_FIELDS * batch->event_count +
                   (size_t)FRAME_FIELDS * batch->frame_count;
    script_call_begin(call, SCRIPT_APPEND, keys, WRITER_BATCH_KEYS, count);
    script_call_argument(call, slice_from_string(batch->token));
    script_call_argument(call, expected->last_id);
    script_call_argument(call, expected->host);
    script_call_number(call, (int64_t)expected->epoch);
    script_call_number(call, expected->queued);
    script_call_number(call, batch->queued);
    script_call_number(call, (int64_t)batch->counts[STREAM_COUNT_DUPLICATE]);
    script_call_number(call, (int64_t)batch->counts[STREAM_COUNT_FILTERED]);
    script_call_number(call, (int64_t)batch->counts[STREAM_COUNT_IGNORED]);
    script_call_number(call, batch->event_count);
    script_call_number(call, batch->frame_count);
    script_call_number(call, clock_wall_ms());
    script_call_number(call, WRITER_DEAD_HASHES_KEPT);
    script_call_formatted(call, buffer_slice(&batch->events));
    script_call_formatted(call, buffer_slice(&batch->frames));
}
