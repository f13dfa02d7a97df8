/*
 * Batch size: how many entries to ask Redis for, so that a reply stays near a number of bytes, and a reader that is behind
 * is not kept there by small transactions.
 *
 *   read --is full--> ask for twice as many, up to BATCH_STRETCH_MAX times ; --has room--> as configured
 *
 * A transaction has a fixed price, statement by statement, and with typed tables there are dozens (docs/performance.md has
 * what it comes to). Who keeps up pays it for the sake of latency; who is behind need not.
 *
 * Ownership: a value. Threading: pure functions.
 */
#ifndef STREAM_BATCH_SIZE_H
#define STREAM_BATCH_SIZE_H

#include <stddef.h>

enum {
    BATCH_STRETCH_MAX = 4,
    BATCH_ENTRIES_MAX = 10000 /* what a heartbeat looks at, and the most that is configured */
};

struct batch_size {
    size_t most_entries, most_bytes;
    size_t average_bytes; /* of an entry; private */
    size_t stretch;       /* private */
};

struct batch_size batch_size_of(size_t most_entries, size_t most_bytes);
/* A batch of `count` entries, at least one, had `bytes`. */
void batch_size_note(struct batch_size *size, size_t bytes, size_t count);
/* A read of what is new asked for `asked` and brought `count`. */
void batch_size_note_read(struct batch_size *size, size_t asked, size_t count);
/* At least one: an entry may be larger than all that is asked for. */
size_t batch_size_ask(const struct batch_size *size);
/* The same for what is new. */
size_t batch_size_ask_new(const struct batch_size *size);

#endif
