/*
 * Column value: what a value of a record is worth to a column of a typed table.
 *
 *   JSON of one value --column_value_take--> text, number or items, or "bad"
 *
 * It depends on what the JSON says and not on how it is spelled (1e2 is 100, \u0041 is A, keys in any order), so that a
 * record as it came and the same record out of jsonb give the same. null is no value.
 *
 * Ownership: borrows from the JSON, or from the arena. Threading: pure functions.
 */
#ifndef SINK_COLUMN_VALUE_H
#define SINK_COLUMN_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/slice.h"
#include "config/tables.h"

/* Starts zeroed. */
struct column_value {
    bool has_value;      /* of a text[]: its array is there, even if nothing in it counts */
    bool is_bad;         /* something was met before it that the column cannot hold */
    int64_t number;      /* integer; timestamptz: microseconds since 1970; boolean: 0 or 1 */
    struct slice text;   /* text, CID: as it is to be stored; jsonb: JSON */
    struct slice *items; /* text[] */
    size_t item_count, item_capacity;
};

/* What a column takes. */
struct column_kind {
    enum column_type type;
    uint32_t bytes_max; /* of a text or an item; 0: no limit */
};

/* Offers one more value. The first good one is kept; text[] gathers all of them, and takes an array's items too.
 * `json` is one valid value without any escaped U+0000 (jsonb_text.h). False where it holds half a surrogate pair,
 * which jsonb refuses as well: then the record has no row anywhere. */
bool column_value_take(struct column_value *value, struct column_kind kind, struct slice json,
                       struct arena *arena) __attribute__((warn_unused_result));

/* A JSON number that is whole, as an int64. False for fractions and for what is beyond bigint. */
bool json_number_to_int64(struct slice json, int64_t *number) __attribute__((warn_unused_result));
/* Appends the items as the text input of text[]: {"a","b"}. */
void column_value_append_array(const struct column_value *value, struct buffer *out);

#endif
