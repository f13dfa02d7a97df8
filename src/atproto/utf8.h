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

#include "base/slice.h"

enum {
    UTF8_SEQUENCE_MAX = 4
};

/* How many bytes the well-formed sequence at `at` has; 0 where there is none. `left` > 0. */
size_t utf8_sequence(const uint8_t *at, size_t left);

/* Whether all of `text` is well-formed. */
bool utf8_is_valid(struct slice text);

/* Writes `code_point` (not a surrogate, up to U+10FFFF) to `to` and returns its length. */
size_t utf8_encode(uint32_t code_point, char to[UTF8_SEQUENCE_MAX]);

#endif
