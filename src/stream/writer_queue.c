#include "stream/writer_queue.h"

enum {
    SPARE_BYTES_MAX = 1 << 20 /* twice what a batch of common events has */
};

static struct writer_batch *batch_of(struct list *node)
{
    return LIST_ENTRY(node, struct writer_batch, node);
}

void writer_queue_init(struct writer_queue *queue, size_t max_entries, size_t max_bytes)
{
    *queue = (struct writer_queue){.max_entries = max_entries, .max_bytes = max_bytes};
    list_init(&queue->batches);
}

void writer_queue_clear(struct writer_queue *queue)
{
    struct list *node;
    while ((node = list_take_first(&queue->batches)) != NULL) {
        writer_batch_destroy(batch_of(node));
    }
    writer_batch_destroy(queue->sending);
    writer_batch_destroy(queue->spare);
    writer_queue_init(queue, queue->max_entries, queue->max_bytes);
}

bool writer_queue_is_empty(const struct writer_queue *queue)
{
    return queue->sending == NULL && list_is_empty(&queue->batches);
}

bool writer_queue_is_full(const struct writer_queue *queue)
{
    return queue->entries >= queue->max_entries || queue->bytes >= queue->max_bytes;
}

bool writer_queue_take_room(struct writer_queue *queue)
{
    bool has_room =
        queue->entries <= queue->max_entries / 2 && queue->bytes <= queue->max_bytes / 2;
    if (!queue->is_room_due || !has_room) {
        return false;
    }
    queue->is_room_due = false;
    return true;
}

/* A batch of hundreds of kilobytes grows in a dozen steps, and the system's hand is in each. */
static struct writer_batch *make_batch(struct writer_queue *queue, int64_t taken)
{
    struct writer_batch *batch = queue->spare;
    if (batch == NULL) {
        return writer_batch_create(taken);
    }
    queue->spare = NULL;
    writer_batch_renew(batch, taken);
    return batch;
}

struct writer_batch *writer_queue_open_batch(struct writer_queue *queue, int64_t taken)
{
    if (list_is_empty(&queue->batches) || writer_batch_is_full(batch_of(queue->batches.previous))) {
        list_append(&queue->batches, &make_batch(queue, taken)->node);
    }
    return batch_of(queue->batches.previous);
}

void writer_queue_note(struct writer_queue *queue, size_t bytes)
{
    queue->entries++;
    queue->bytes += bytes;
}

void writer_queue_note_frame(struct writer_queue *queue, size_t bytes)
{
    writer_queue_note(queue, bytes);
    queue->frames++;
}

bool writer_queue_has_only_counts(const struct writer_queue *queue)
{
    if (queue->sending != NULL || list_is_empty(&queue->batches)) {
        return false;
    }
    const struct writer_batch *first = batch_of(queue->batches.next);
    return first->event_count == 0 && first->frame_count == 0;
}

struct writer_batch *writer_queue_send(struct writer_queue *queue)
{
    if (queue->sending == NULL) {
        queue->sending = batch_of(list_take_first(&queue->batches));
    }
    return queue->sending;
}

void writer_queue_done(struct writer_queue *queue)
{
    queue->entries -= (size_t)queue->sending->event_count + queue->sending->frame_count;
    queue->frames -= queue->sending->frame_count;
    queue->bytes -= writer_batch_bytes(queue->sending);
    if (queue->spare == NULL && writer_batch_capacity(queue->sending) <= SPARE_BYTES_MAX) {
        queue->spare = queue->sending;
    } else {
        writer_batch_destroy(queue->sending);
    }
    queue->sending = NULL;
}
