/*
 * Writer batch: events, dead frames and counts that go to Redis in one script, as RESP from the start.
 *
 *   writer_batch_add_* --> [arguments] --writer_batch_format--> script_call
 *
 * Ownership: heap, in a list of the writer. Threading: the loop's thread only.
 */
#ifndef STREAM_WRITER_BATCH_H
#define STREAM_WRITER_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "base/buffer.h"
#include "base/list.h"
#include "stream/scripts.h"
#include "stream/stream_writer.h"

/* Small enough that the script does not hold Redis up (about 10 us an entry). */
enum {
    WRITER_BATCH_ENTRIES_MAX = 500,
    WRITER_BATCH_BYTES_MAX = 2 << 20,
    WRITER_BATCH_KEYS = 6, /* of the append script */
    WRITER_TOKEN_SIZE = 40
};
/* Hashes of dead frames that are remembered, the newest: more than one replay window can hold, because
 * 20 bad frames in a row reconnect. About 1 MB. */
enum {
    WRITER_DEAD_HASHES_KEPT = 10000
};

struct writer_batch {
    struct list node;
    struct buffer events, frames; /* RESP arguments */
    uint32_t event_count, frame_count;
    uint64_t counts[3];            /* by enum stream_count */
    int64_t queued;                /* all up to here is handled once this batch is stored */
    int64_t last_sequence;         /* of the last event */
    char token[WRITER_TOKEN_SIZE]; /* names this batch in the meta hash */
};

/* What Redis must say for the batch to be appended. */
struct writer_expected {
    struct slice last_id; /* last-generated-id */
    struct slice host;
    uint64_t epoch;
    int64_t queued;
};

struct writer_batch *writer_batch_create(int64_t queued);
/* Another one in the memory of a batch that is stored, or zeroed. */
void writer_batch_renew(struct writer_batch *batch, int64_t queued);
void writer_batch_destroy(struct writer_batch *batch);
bool writer_batch_is_full(const struct writer_batch *batch);
/* True where there is nothing to tell Redis. `queued`: the mark before this batch. */
bool writer_batch_is_empty(const struct writer_batch *batch, int64_t queued);
size_t writer_batch_bytes(const struct writer_batch *batch);
/* Of its memory. */
size_t writer_batch_capacity(const struct writer_batch *batch);
void writer_batch_add_event(struct writer_batch *batch, const struct stream_event *event);
/* `position` is that before the frame: its origId. */
void writer_batch_add_frame(struct writer_batch *batch, const struct stream_dead_frame *frame,
                            struct position position);
/* Formats the append script's call; `keys` are all that it names. */
void writer_batch_format(const struct writer_batch *batch, struct script_call *call,
                         const struct slice keys[static WRITER_BATCH_KEYS],
                         const struct writer_expected *expected);

#endif
