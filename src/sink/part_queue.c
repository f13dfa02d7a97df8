#include "sink/part_queue.h"

#include "base/panic.h"

void part_queues_init(struct part_queues *queues)
{
    *queues = (struct part_queues){0};
    list_init(&queues->alone.parts);
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        list_init(&queues->lanes[i].parts);
    }
}

void part_queues_append(struct part_queues *queues, struct split_part *part)
{
    ASSERT(part->lane < LANE_COUNT);
    struct part_queue *queue = part->batch.is_alone ? &queues->alone : &queues->lanes[part->lane];
    list_append(&queue->parts, &part->batch.node);
    queue->bytes += part->batch.bytes;
    queue->entries += part->batch.count;
}

size_t part_queues_entries(const struct part_queues *queues)
{
    size_t entries = 0;
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        entries += queues->lanes[i].entries;
    }
    return entries;
}

size_t part_queues_bytes(const struct part_queues *queues)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        bytes += queues->lanes[i].bytes;
    }
    return bytes;
}

unsigned part_queues_oldest(const struct part_queues *queues, uint32_t but)
{
    unsigned oldest = LANE_COUNT;
    uint64_t since_us = UINT64_MAX;
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        const struct sink_batch *first = part_queue_first(&queues->lanes[i]);
        bool is_meant = first != NULL && (but & UINT32_C(1) << i) == 0;
        if (is_meant && first->submitted_us < since_us) {
            oldest = i;
            since_us = first->submitted_us;
        }
    }
    return oldest;
}

bool part_queues_are_empty(const struct part_queues *queues)
{
    return list_is_empty(&queues->alone.parts) && part_queues_oldest(queues, 0) == LANE_COUNT;
}

struct sink_batch *part_queue_first(const struct part_queue *queue)
{
    return list_is_empty(&queue->parts)
               ? NULL
               : LIST_ENTRY(list_first(&queue->parts), struct sink_batch, node);
}

struct sink_batch *part_queue_take(struct part_queue *queue)
{
    struct sink_batch *batch = part_queue_first(queue);
    if (batch != NULL) {
        list_remove(&batch->node);
        queue->bytes -= batch->bytes;
        queue->entries -= batch->count;
    }
    return batch;
}

void part_group_init(struct part_group *group)
{
    *group = (struct part_group){0};
    list_init(&group->parts);
}

bool part_group_has_room(const struct part_group *group, const struct part_queue *queue,
                         size_t bytes_limit, size_t entries_limit)
{
    const struct sink_batch *first = part_queue_first(queue);
    return list_is_empty(&group->parts) || (group->bytes + first->bytes <= bytes_limit &&
                                            group->entries + first->count <= entries_limit);
}

unsigned part_group_take(struct part_group *group, struct part_queue *queue, size_t bytes_limit,
                         size_t entries_limit)
{
    unsigned count = 0;
    while (!list_is_empty(&queue->parts) &&
           part_group_has_room(group, queue, bytes_limit, entries_limit)) {
        struct sink_batch *taken = part_queue_take(queue);
        group->bytes += taken->bytes;
        group->entries += taken->count;
        list_append(&group->parts, &taken->node);
        count++;
    }
    return count;
}
