/*
 * Arena: memory for one batch, freed or reset whole. Pointers live until the reset.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/slice.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t allocated;           /* bytes in all chunks */
};

void arena_deinit(struct arena *arena);
/* Forgets everything; keeps at most one chunk, up to 1 MiB, and over 128 KiB only where a quarter of it was used. */
void arena_reset(struct arena *arena);
/* `size` bytes aligned to 16, not zeroed, never NULL. */
void *arena_allocate(struct arena *arena, size_t size) __attribute__((warn_unused_result));
/* A copy of `slice` in the arena, followed by a zero byte. */
struct slice arena_copy(struct arena *arena, struct slice slice);

#endif
