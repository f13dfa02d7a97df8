/*
 * PostgreSQL array: one column of a batch in the binary format of a one-dimensional array.
 *
 *   int32 dimensions=1, int32 has_null, int32 element type, int32 count, int32 lower bound=1,
 *   then each element: int32 size (-1: null), bytes          (array_recv in PostgreSQL's arrayfuncs.c)
 *
 * Ownership: embedded; its memory is kept from one batch to the next up to a bound.
 */
#ifndef SINK_PG_ARRAY_H
#define SINK_PG_ARRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

enum pg_element {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_TEXT = 25,
    PG_TIMESTAMPTZ = 1184
};

struct pg_array {
    struct buffer bytes;
    enum pg_element element;
    uint32_t count;
};

void pg_array_deinit(struct pg_array *array);
/* Forgets the elements. */
void pg_array_begin(struct pg_array *array, enum pg_element element);
void pg_array_append(struct pg_array *array, struct slice bytes);
void pg_array_append_null(struct pg_array *array);
/* Null where the slice is empty. */
void pg_array_append_or_null(struct pg_array *array, struct slice bytes);
void pg_array_append_int64(struct pg_array *array, int64_t number);
void pg_array_append_bool(struct pg_array *array, bool value);
/* Microseconds since 1970; TIME_UNKNOWN is null. */
void pg_array_append_time(struct pg_array *array, int64_t time_us);
/* The whole value, borrowed until the array changes. */
struct slice pg_array_finish(struct pg_array *array);
/* The type of an array of these. */
uint32_t pg_array_type(enum pg_element element);

#endif
