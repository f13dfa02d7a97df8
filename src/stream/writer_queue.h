/*
 * Writer queue: the batches that wait for Redis, and how full they are.
 *
 *   writer_queue_open_batch --> [oldest ... newest] --writer_queue_send--> sending --writer_queue_done-->
 *
 * Ownership: embedded; owns its batches. Threading: the loop's thread only.
 */
#ifndef STREAM_WRITER_QUEUE_H
#define STREAM_WRITER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "stream/writer_batch.h"

struct writer_queue {
    struct list batches;          /* oldest first; new events go to the last */
    struct writer_batch *sending; /* in flight or to be sent again; not in the list */
    struct writer_batch *spare;   /* stored: the next one has its memory; NULL: none */
    size_t entries, bytes;        /* of batches and sending */
    size_t frames;                /* of the entries: those for the dead letters */
    size_t max_entries, max_bytes;
    bool is_room_due; /* somebody was told that it is full */
};

void writer_queue_init(struct writer_queue *queue, size_t max_entries, size_t max_bytes);
/* Drops everything. */
void writer_queue_clear(struct writer_queue *queue);
bool writer_queue_is_empty(const struct writer_queue *queue);
bool writer_queue_is_full(const struct writer_queue *queue);
/* True once after it was full, when it has fallen to half. */
bool writer_queue_take_room(struct writer_queue *queue);
/* Where new events go; `taken` is the mark before it. */
struct writer_batch *writer_queue_open_batch(struct writer_queue *queue, int64_t taken);
/* An event of `bytes` was put into the open batch. */
void writer_queue_note(struct writer_queue *queue, size_t bytes);
/* The same of a frame. */
void writer_queue_note_frame(struct writer_queue *queue, size_t bytes);
/* True where the next to send has only counts, which can wait for company. */
bool writer_queue_has_only_counts(const struct writer_queue *queue);
/* The batch to send, the same until writer_queue_done(). Not while empty. */
struct writer_batch *writer_queue_send(struct writer_queue *queue);
/* `sending` is stored: forgets it. */
void writer_queue_done(struct writer_queue *queue);

#endif
