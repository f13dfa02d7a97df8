/*
 * Slice: borrowed bytes. Whoever hands out a slice says how long the bytes behind it live.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data; /* not terminated; may be NULL only when size is 0 */
    size_t size;      /* bytes */
};

/* A slice over a string literal. */
#define SLICE(literal) ((struct slice){.data = "" literal, .size = sizeof(literal) - 1})
/* For printf's "%.*s". */
#define SLICE_ARGS(slice) (int)(slice).size, ((slice).data != NULL ? (slice).data : "")

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){.data = data, .size = size};
}

static inline struct slice slice_from_string(const char *text)
{
    return slice_of(text, text != NULL ? strlen(text) : 0);
}

static inline bool slice_equals(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Byte order, the shorter first where one is a prefix of the other: PostgreSQL's COLLATE "C". */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) {
        return order;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

static inline bool slice_starts_with(struct slice text, struct slice prefix)
{
    return text.size >= prefix.size &&
           (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

/* What is left after the first `count` bytes; `count` is at most `slice.size`. */
static inline struct slice slice_skip(struct slice slice, size_t count)
{
    /* NULL + 0 is undefined in C, if harmless. */
    return slice_of(count > 0 ? slice.data + count : slice.data, slice.size - count);
}

#endif
