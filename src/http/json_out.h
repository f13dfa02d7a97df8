/*
 * JSON out: the few forms that the pages share. Names are constant text that needs no escaping.
 * Ownership: the caller's buffer. Threading: pure functions.
 */
#ifndef HTTP_JSON_OUT_H
#define HTTP_JSON_OUT_H

#include <inttypes.h>
#include <stdbool.h>

#include "base/buffer.h"

/* `before` is what stands in front: `{"name":`, `,"name":`. */
void json_out_text(struct buffer *out, const char *before, const char *text);
void json_out_number(struct buffer *out, const char *before, uint64_t number);
/* null where it is not known. */
void json_out_known(struct buffer *out, const char *before, bool is_known, uint64_t number);
void json_out_bool(struct buffer *out, const char *before, bool value);
/* RFC 3339, null for 0. */
void json_out_time(struct buffer *out, const char *before, int64_t wall_us);
/* Seconds with three decimals at most. */
void json_out_seconds(struct buffer *out, const char *before, uint64_t microseconds);
/* null where it is not known. */
void json_out_known_seconds(struct buffer *out, const char *before, bool is_known,
                            uint64_t microseconds);

#endif
