/*
 * Store: the frames that the relay offers, by index from 0 on. Either a file of
 * `[u32 little-endian length][frame]...`, mapped and finite, or an endless history of which only a
 * window of the newest frames is kept.
 *
 * Ownership: heap object; an endless store owns its history. A frame is borrowed until the next
 * store_extend(). Threading: one thread.
 */
#ifndef RELAY_STORE_H
#define RELAY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "history.h"

struct store;

/* Maps `path`. Frames without a sequence count as having that of the frame before them. */
struct store *store_open_file(const char *path, struct error *error)
    __attribute__((warn_unused_result));
/* Takes over `history`; keeps `window` frames. */
struct store *store_open_endless(struct history *history, int64_t first_sequence, uint32_t window);
void store_close(struct store *store);

bool store_is_endless(const struct store *store);
/* Endless: makes frames until there are `end` of them. A file has all it will ever have. */
void store_extend(struct store *store, int64_t end);
/* Endless: frames made from now on carry times from `time_us` on. */
void store_move_time(struct store *store, int64_t time_us);
/* Index of the oldest frame, and one past the newest. */
int64_t store_begin(const struct store *store);
int64_t store_end(const struct store *store);
/* begin <= index < end */
struct slice store_frame(const struct store *store, int64_t index);
int64_t store_sequence(const struct store *store, int64_t index);
/* The first index whose sequence is above `sequence`; store_end() where there is none. */
int64_t store_find_after(const struct store *store, int64_t sequence);

/* Makes `count` frames into `path` (replaced); false with the reason in `error`. */
bool store_write_file(struct history *history, int64_t count, const char *path, struct error *error)
    __attribute__((warn_unused_result));

#endif
