/*
 * Reader entries: what XREADGROUP and XAUTOCLAIM answer, as struct entry, in place.
 *
 *   [[id, [name, value, ...]], [id, nil], nil] --> items and their ids; deleted ids; lost ones
 *
 * Ownership: items borrow from the reply; the arrays are kept for the next parse. Threading: one thread.
 */
#ifndef STREAM_READER_ENTRIES_H
#define STREAM_READER_ENTRIES_H

#include <stddef.h>

#include "atproto/entry.h"
#include "base/slice.h"

struct redisReply;

struct reader_entries {
    struct entry *items;
    struct slice *ids; /* of the items, as Redis wrote them */
    size_t count;
    struct slice *deleted; /* IDs in our pending list whose entry is gone */
    size_t deleted_count;
    size_t lost;  /* nil elements without an ID (XAUTOCLAIM of Redis 6.2) */
    size_t bytes; /* of all fields */
    size_t capacity;
};

/* `list` is the array of entries; anything else gives none. */
void reader_entries_parse(struct reader_entries *entries, const struct redisReply *list);
/* Takes the delivery counts out of an XPENDING range: how often each was delivered *before*. */
void reader_entries_note_deliveries(struct reader_entries *entries,
                                    const struct redisReply *pending);
void reader_entries_deinit(struct reader_entries *entries);

#endif
