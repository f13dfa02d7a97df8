#include "stream/batch_size.h"

enum {
    EXPECTED_ENTRY_BYTES = 2500,
    AVERAGE_WEIGHT = 8 /* of what was known of the entries' size, against one new batch */
};

struct batch_size batch_size_of(size_t most_entries, size_t most_bytes)
{
    return (struct batch_size){.most_entries = most_entries,
                               .most_bytes = most_bytes,
                               .average_bytes = EXPECTED_ENTRY_BYTES,
                               .stretch = 1};
}

/* Rises at once, falls slowly: one batch of big entries is enough to ask for fewer. */
void batch_size_note(struct batch_size *size, size_t bytes, size_t count)
{
    size_t batch_average = bytes / count;
    size_t smoothed = (size->average_bytes * (AVERAGE_WEIGHT - 1) + batch_average) / AVERAGE_WEIGHT;
    size->average_bytes = batch_average > smoothed ? batch_average : smoothed;
}

void batch_size_note_read(struct batch_size *size, size_t asked, size_t count)
{
    if (count < asked) {
        size->stretch = 1;
    } else if (size->stretch < BATCH_STRETCH_MAX) {
        size->stretch *= 2;
    }
}

static size_t ask(const struct batch_size *size, size_t most_entries)
{
    size_t fitting = size->most_bytes / (size->average_bytes + 1);
    size_t count = fitting < most_entries ? fitting : most_entries;
    return count > 0 ? count : 1;
}

size_t batch_size_ask(const struct batch_size *size)
{
    return ask(size, size->most_entries);
}

size_t batch_size_ask_new(const struct batch_size *size)
{
    size_t stretched = size->most_entries * size->stretch;
    return ask(size, stretched < BATCH_ENTRIES_MAX ? stretched : BATCH_ENTRIES_MAX);
}
