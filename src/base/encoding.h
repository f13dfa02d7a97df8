/*
 * Encoding: base64 (RFC 4648 part 4) and base32 lower case (part 6, as multibase `b` uses it).
 */
#ifndef BASE_ENCODING_H
#define BASE_ENCODING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/slice.h"

/* Appends base64 of `bytes`, without padding. */
void base64_append(struct buffer *out, struct slice bytes);
/* Appends the bytes of `text`; padding may be there or not. False, with nothing appended, where a
 * character is none of the alphabet or the length is impossible. */
bool base64_decode(struct buffer *out, struct slice text) __attribute__((warn_unused_result));
/* Appends base32 of `bytes` in lower case, without padding. */
void base32_append(struct buffer *out, struct slice bytes);
/* The bytes of lower-case `text`, which base32_append() would write again just so: `*size` of them, `capacity` at most.
 * False where there is no such text. */
bool base32_decode(struct slice text, char *bytes, size_t capacity, size_t *size)
    __attribute__((warn_unused_result));

#endif
