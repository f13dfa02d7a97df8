#include "stream/batch_size.h"

enum {
    EXPECTED_ENTRY_BYTES = 2500,
    AVERAGE_WEIGHT = 8 /* of what was known of the entries' size, against one new batch */
};

struct batch_size batch_size_of(size_t most_entries, size_t most_bytes)
{
    return (struct batch_size){.most_entries = most_entries,
                               .most_bytes = most_bytes,
                               .average_bytes = EXPECTED_ENTRY_BYTES};
}

/* Rises at once, falls slowly: one batch of big entries is enough to ask for fewer. */
void batch_size_note(struct batch_size *size, size_t bytes, size_t count)
{
    size_t batch_average = bytes / count;
    size_t smoothed = (size->average_bytes * (AVERAGE_WEIGHT - 1) + batch_average) / AVERAGE_WEIGHT;
    size->average_bytes = batch_average > smoothed ? batch_average : smoothed;
}

size_t batch_size_ask(const struct batch_size *size)
{
    size_t fitting = size->most_bytes / (size->average_bytes + 1);
    size_t count = fitting < size->most_entries ? fitting : size->most_entries;
    return count > 0 ? count : 1;
}
