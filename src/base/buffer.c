#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

enum {
    BUFFER_MINIMUM = 256,
    INT64_DIGITS = 20
};

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}

void buffer_shrink(struct buffer *buffer, size_t keep_bytes)
{
    buffer->size = 0;
    if (buffer->capacity <= keep_bytes) {
        return;
    }
    buffer_deinit(buffer);
}

void buffer_recycle(struct buffer *buffer, size_t keep_bytes)
{
    if (buffer->size < buffer->capacity / 4) {
        buffer_shrink(buffer, keep_bytes);
    }
    buffer->size = 0;
}

char *buffer_reserve(struct buffer *buffer, size_t size)
{
    size_t needed = buffer->size + size;
    ASSERT(needed >= size);
    if (needed > buffer->capacity) {
        size_t capacity = buffer->capacity > 0 ? buffer->capacity : BUFFER_MINIMUM;
        while (capacity < needed) {
            capacity += capacity / 2;
        }
        buffer->data = memory_resize(buffer->data, capacity);
        buffer->capacity = capacity;
    }
    return buffer->size > 0 ? buffer->data + buffer->size : buffer->data;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0) {
        return;
    }
    memcpy(buffer_reserve(buffer, size), data, size);
    buffer->size += size;
}

void buffer_append_slice(struct buffer *buffer, struct slice slice)
{
    buffer_append(buffer, slice.data, slice.size);
}

void buffer_append_byte(struct buffer *buffer, char byte)
{
    *buffer_reserve(buffer, 1) = byte;
    buffer->size++;
}

void buffer_append_string(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    ASSERT(size >= 0);
    (void)vsnprintf(buffer_reserve(buffer, (size_t)size + 1), (size_t)size + 1, format, again);
    va_end(again);
    buffer->size += (size_t)size;
}

void buffer_append_int64(struct buffer *buffer, int64_t number)
{
    char digits[INT64_DIGITS];
    size_t start = sizeof(digits);
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--start] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        digits[--start] = '-';
    }
    buffer_append(buffer, digits + start, sizeof(digits) - start);
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    ASSERT(size <= buffer->size);
    buffer->size -= size;
    if (buffer->size > 0 && size > 0) {
        memmove(buffer->data, buffer->data + size, buffer->size);
    }
}
