#include "sink/split.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/panic.h"

enum {
    HEAD_BYTES = 64, /* of an entry's data: its first value is the DID */
    ENTRY_BYTES = 64 /* beside the data */
};

struct split {
    struct sink_batch *batch;
    struct sink_outcome outcome;
    struct error error;
    bool is_given_up;
    unsigned count, out;
    struct split_part parts[LANE_COUNT];
    struct entry entries[]; /* by lane; none where the only part has those of the batch */
};

/* {"repo":"did:...  or  {"did":"did:... , as every entry of ours and of the reference system begins. Where another is
 * meant its transaction may wait for another, no more. */
static struct slice find_did(struct slice data)
{
    size_t end = data.size < HEAD_BYTES ? data.size : HEAD_BYTES;
    size_t begin = 0;
    while (begin + 2 < end && (data.data[begin] != ':' || data.data[begin + 1] != '"')) {
        begin++;
    }
    struct slice rest = slice_skip(data, begin + 2 < end ? begin + 2 : data.size);
    size_t size = 0;
    while (size < rest.size && rest.data[size] != '"') {
        size++;
    }
    return slice_of(rest.data, size);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static void add_outcome(struct sink_outcome *sum, const struct sink_outcome *part)
{
    sum->written += part->written;
    sum->unchanged += part->unchanged;
    sum->skipped += part->skipped;
    sum->dead += part->dead;
    sum->dead_entries += part->dead_entries;
    sum->refused_rows += part->refused_rows;
    sum->commits += part->commits;
    sum->identities += part->identities;
    sum->accounts += part->accounts;
    sum->syncs += part->syncs;
    sum->oldest_event_us = earlier(sum->oldest_event_us, part->oldest_event_us);
    if (part->newest_event_us > sum->newest_event_us) {
        sum->newest_event_us = part->newest_event_us;
    }
    if (part->transaction_us > sum->transaction_us) {
        sum->transaction_us = part->transaction_us;
    }
}

static void on_part_done(struct sink_batch *batch, const struct sink_outcome *outcome,
                         const struct error *error)
{
    static const struct sink_outcome nothing = {0};
    struct split *split = LIST_ENTRY(batch, struct split_part, batch)->split;
    add_outcome(&split->outcome, outcome);
    if (error != NULL) {
        split->is_given_up = true;
        split->error = *error;
    }
    ASSERT(split->out > 0);
    if (--split->out > 0) {
        return;
    }
    struct sink_batch *whole = split->batch;
    struct sink_outcome sum = split->is_given_up ? nothing : split->outcome;
    struct error why = split->error;
    bool is_given_up = split->is_given_up;
    free(split);
    whole->on_done(whole, &sum, is_given_up ? &why : NULL);
}

static struct split_part *add_part(struct split *split, unsigned lane, const struct entry *entries)
{
    struct split_part *part = &split->parts[split->count++];
    part->split = split;
    part->lane = lane;
    part->batch.submitted_us = split->batch->submitted_us;
    part->batch.entries = entries;
    part->batch.on_done = on_part_done;
    split->out++;
    return part;
}

static struct split *create_whole(struct sink_batch *batch)
{
    struct split *split = memory_allocate(sizeof(*split));
    split->batch = batch;
    struct split_part *part = add_part(split, 0, batch->entries);
    part->batch.count = batch->count;
    part->batch.bytes = batch->bytes;
    part->batch.is_alone = batch->is_alone;
    return split;
}

struct split *split_create(struct sink_batch *batch)
{
    size_t counts[LANE_COUNT] = {0};
    size_t begins[LANE_COUNT];
    if (batch->count <= 1 || batch->is_alone) {
        struct split *whole = create_whole(batch);
        if (batch->count == 1) {
            whole->parts[0].lane = lanes_of(find_did(batch->entries[0].data));
        }
        return whole;
    }
    uint8_t *lane_of = memory_allocate(batch->count);
    struct split *split = memory_allocate(sizeof(*split) + batch->count * sizeof(struct entry));
    split->batch = batch;
    for (size_t i = 0; i < batch->count; i++) {
        lane_of[i] = (uint8_t)lanes_of(find_did(batch->entries[i].data));
        counts[lane_of[i]]++;
    }
    size_t begin = 0;
    struct split_part *parts[LANE_COUNT] = {NULL};
    for (unsigned lane = 0; lane < LANE_COUNT; lane++) {
        begins[lane] = begin;
        begin += counts[lane];
        parts[lane] =
            counts[lane] > 0 ? add_part(split, lane, &split->entries[begins[lane]]) : NULL;
    }
    for (size_t i = 0; i < batch->count; i++) {
        struct split_part *part = parts[lane_of[i]];
        split->entries[begins[lane_of[i]] + part->batch.count] = batch->entries[i];
        part->batch.count++;
        part->batch.bytes += batch->entries[i].data.size + ENTRY_BYTES;
    }
    free(lane_of);
    return split;
}

unsigned split_part_count(const struct split *split)
{
    return split->count;
}

struct split_part *split_part(struct split *split, unsigned index)
{
    ASSERT(index < split->count);
    return &split->parts[index];
}
