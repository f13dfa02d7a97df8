/*
 * Batch size: how many entries to ask Redis for, so that a reply stays near a number of bytes.
 *
 * Ownership: a value. Threading: pure functions.
 */
#ifndef STREAM_BATCH_SIZE_H
#define STREAM_BATCH_SIZE_H

#include <stddef.h>

struct batch_size {
    size_t most_entries, most_bytes;
    size_t average_bytes; /* of an entry; private */
};

struct batch_size batch_size_of(size_t most_entries, size_t most_bytes);
/* A batch of `count` entries, at least one, had `bytes`. */
void batch_size_note(struct batch_size *size, size_t bytes, size_t count);
/* At least one: an entry may be larger than all that is asked for. */
size_t batch_size_ask(const struct batch_size *size);

#endif
