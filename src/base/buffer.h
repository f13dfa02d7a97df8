/*
 * Buffer: bytes that grow at the end. Owned by whoever embeds it; memory is kept on clear.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct buffer {
    char *data; /* NULL until the first byte */
    size_t size;
    size_t capacity;
};

void buffer_deinit(struct buffer *buffer);
/* Forgets the bytes and keeps the memory. */
void buffer_clear(struct buffer *buffer);
/* Forgets the bytes and gives memory over `keep_bytes` back. */
void buffer_shrink(struct buffer *buffer, size_t keep_bytes);
/* Forgets the bytes; memory over `keep_bytes` is given back where less than a quarter of it was used. For what is filled again
 * and again: one large batch is not paid for ever, and large ones that follow each other keep what they need. */
void buffer_recycle(struct buffer *buffer, size_t keep_bytes);
/* Makes room for `size` more bytes and returns where they go; `buffer->size` does not move. */
char *buffer_reserve(struct buffer *buffer, size_t size);
void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_append_slice(struct buffer *buffer, struct slice slice);
void buffer_append_byte(struct buffer *buffer, char byte);
void buffer_append_string(struct buffer *buffer, const char *text);
void buffer_append_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Decimal digits of `number`. */
void buffer_append_int64(struct buffer *buffer, int64_t number);
/* Drops the first `size` bytes; the rest moves to the front. */
void buffer_consume(struct buffer *buffer, size_t size);

/* All bytes, borrowed until the buffer changes. */
static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_of(buffer->data, buffer->size);
}

#endif
