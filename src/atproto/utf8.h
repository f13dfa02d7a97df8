/*
 * UTF-8: well-formedness after RFC 3629 part 4 (no overlong forms, no surrogates, none past U+10FFFF).
 *
 * Threading: pure functions.
 */
#ifndef ATPROTO_UTF8_H
#define ATPROTO_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

enum {
    UTF8_SEQUENCE_MAX = 4
};

/* How many bytes the well-formed sequence at `at` has; 0 where there is none. `left` > 0. */
static inline size_t utf8_sequence(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (left < size)
        return 0;
    uint8_t lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < lowest || at[1] > highest)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

/* Whether all of `text` is well-formed. */
bool utf8_is_valid(struct slice text);

/* Writes `code_point` (not a surrogate, up to U+10FFFF) to `to` and returns its length. */
size_t utf8_encode(uint32_t code_point, char to[UTF8_SEQUENCE_MAX]);

#endif
