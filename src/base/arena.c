#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

enum {
    ARENA_CHUNK = 64 * 1024,
    ARENA_KEEP = 1024 * 1024,
    ARENA_KEEP_UNUSED = 128 * 1024,
    ARENA_ALIGN = 16
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t used;
    size_t capacity;
    _Alignas(ARENA_ALIGN) char data[];
};

static void chunk_free_all(struct arena_chunk *chunk)
{
    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void arena_deinit(struct arena *arena)
{
    chunk_free_all(arena->chunks);
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *first = arena->chunks;
    if (first == NULL) {
        return;
    }
    bool is_wasted = first->next == NULL && first->capacity > ARENA_KEEP_UNUSED &&
                     first->used < first->capacity / 4;
    if (first->capacity > ARENA_KEEP || is_wasted) {
        arena_deinit(arena);
        return;
    }
    chunk_free_all(first->next);
    first->next = NULL;
    first->used = 0;
    arena->allocated = first->capacity;
}

void *arena_allocate(struct arena *arena, size_t size)
{
    ASSERT(size <= SIZE_MAX / 2);
    size_t rounded = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    struct arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->capacity - chunk->used < rounded) {
        size_t capacity = chunk == NULL ? ARENA_CHUNK : chunk->capacity * 2;
        if (capacity > ARENA_KEEP) {
            capacity = ARENA_KEEP;
        }
        if (capacity < rounded) {
            capacity = rounded;
        }
        chunk = memory_resize(NULL, sizeof(*chunk) + capacity);
        *chunk = (struct arena_chunk){.next = arena->chunks, .capacity = capacity};
        arena->chunks = chunk;
        arena->allocated += capacity;
    }
    void *memory = chunk->data + chunk->used;
    chunk->used += rounded;
    return memory;
}

struct slice arena_copy(struct arena *arena, struct slice slice)
{
    char *copy = arena_allocate(arena, slice.size + 1);
    if (slice.size > 0) {
        memcpy(copy, slice.data, slice.size);
    }
    copy[slice.size] = '\0';
    return slice_of(copy, slice.size);
}
