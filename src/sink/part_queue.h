/*
 * Part queues: parts of batches that wait for their lane and for a connection, and the group of them that goes in one
 * transaction.
 *
 * Ownership: embedded in the sink; the parts are their split's. Threading: the loop's thread only.
 */
#ifndef SINK_PART_QUEUE_H
#define SINK_PART_QUEUE_H

#include "base/list.h"
#include "sink/lanes.h"
#include "sink/split.h"

struct part_queue {
    struct list parts;
    size_t bytes, entries;
};

struct part_queues {
    struct part_queue lanes[LANE_COUNT];
    struct part_queue alone; /* in no lane, each a transaction */
};

struct part_group {
    struct list parts;
    size_t bytes, entries;
    uint32_t lanes; /* that it has */
};

void part_queues_init(struct part_queues *queues);
void part_queues_append(struct part_queues *queues, struct split_part *part);
bool part_queues_are_empty(const struct part_queues *queues);
/* Of all lanes. */
size_t part_queues_entries(const struct part_queues *queues);
size_t part_queues_bytes(const struct part_queues *queues);
/* The lane whose first part has waited longest, of those that are no bit of `but`; LANE_COUNT: none. */
unsigned part_queues_oldest(const struct part_queues *queues, uint32_t but);

/* NULL where it is empty. */
struct sink_batch *part_queue_first(const struct part_queue *queue);
struct sink_batch *part_queue_take(struct part_queue *queue);

void part_group_init(struct part_group *group);
/* Whether the first of the queue, which is not empty, fits; a group of none has room for any. */
bool part_group_has_room(const struct part_group *group, const struct part_queue *queue,
                         size_t bytes_limit, size_t entries_limit);
/* As many of the queue's parts as fit, at least one of all; says how many. */
unsigned part_group_take(struct part_group *group, struct part_queue *queue, size_t bytes_limit,
                         size_t entries_limit);

#endif
