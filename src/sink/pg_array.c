#include "sink/pg_array.h"

#include <string.h>

#include "atproto/event_time.h"
#include "base/panic.h"

enum {
    ARRAY_HEADER = 20,
    ARRAY_KEEP = 128 * 1024,
    ARRAY_LIMIT = INT32_MAX
};

static void store_uint32(char *at, uint32_t number)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (char)(number >> (24 - 8 * i));
    }
}

static void append_uint32(struct buffer *buffer, uint32_t number)
{
    char bytes[4];
    store_uint32(bytes, number);
    buffer_append(buffer, bytes, sizeof(bytes));
}

void pg_array_deinit(struct pg_array *array)
{
    buffer_deinit(&array->bytes);
}

/* With typed tables there are hundreds of columns, and a small transaction fills a few. */
static bool is_begun(const struct pg_array *array, enum pg_element element)
{
    return array->count == 0 && array->element == element && array->bytes.size == ARRAY_HEADER &&
           array->bytes.capacity <= ARRAY_KEEP;
}

void pg_array_begin(struct pg_array *array, enum pg_element element)
{
    if (is_begun(array, element)) {
        return;
    }
    const uint32_t header[] = {1, 1, element, 0, 1};
    buffer_recycle(&array->bytes, ARRAY_KEEP);
    array->element = element;
    array->count = 0;
    for (size_t i = 0; i < sizeof(header) / sizeof(header[0]); i++) {
        append_uint32(&array->bytes, header[i]);
    }
}

void pg_array_append(struct pg_array *array, struct slice bytes)
{
    ASSERT(bytes.size < ARRAY_LIMIT);
    append_uint32(&array->bytes, (uint32_t)bytes.size);
    buffer_append_slice(&array->bytes, bytes);
    array->count++;
}

void pg_array_append_null(struct pg_array *array)
{
    append_uint32(&array->bytes, UINT32_MAX);
    array->count++;
}

void pg_array_append_or_null(struct pg_array *array, struct slice bytes)
{
    if (bytes.size == 0) {
        pg_array_append_null(array);
    } else {
        pg_array_append(array, bytes);
    }
}

void pg_array_append_int64(struct pg_array *array, int64_t number)
{
    char bytes[8];
    store_uint32(bytes, (uint32_t)((uint64_t)number >> 32));
    store_uint32(bytes + 4, (uint32_t)number);
    pg_array_append(array, slice_of(bytes, sizeof(bytes)));
}

void pg_array_append_bool(struct pg_array *array, bool value)
{
    char byte = value ? 1 : 0;
    pg_array_append(array, slice_of(&byte, 1));
}

void pg_array_append_time(struct pg_array *array, int64_t time_us)
{
    /* PostgreSQL counts from 2000-01-01. */
    const int64_t postgres_epoch_us = INT64_C(946684800) * 1000000;
    if (time_us == TIME_UNKNOWN) {
        pg_array_append_null(array);
    } else {
        pg_array_append_int64(array, time_us - postgres_epoch_us);
    }
}

struct slice pg_array_finish(struct pg_array *array)
{
    ASSERT(array->bytes.size >= ARRAY_HEADER && array->bytes.size < ARRAY_LIMIT);
    store_uint32(array->bytes.data + 12, array->count);
    return buffer_slice(&array->bytes);
}

uint32_t pg_array_type(enum pg_element element)
{
    switch (element) {
    case PG_BOOL:
        return 1000;
    case PG_BYTEA:
        return 1001;
    case PG_INT8:
        return 1016;
    case PG_TEXT:
        return 1009;
    case PG_TIMESTAMPTZ:
        return 1185;
    }
    PANIC("no such element");
}
