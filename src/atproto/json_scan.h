/*
 * JSON in: a strict scanner that finds values and leaves them as they stand in the text.
 *
 *   text --json_scan_object_next--> key, then json_scan_value / _string / _boolean ... per member
 *
 * Nests without limit and without recursion. UTF-8 is not checked here: check the whole text once.
 * Ownership: slices point into the text, or into the arena where a string had to be unescaped.
 * Threading: one scanner, one thread. Source: RFC 8259.
 */
#ifndef ATPROTO_JSON_SCAN_H
#define ATPROTO_JSON_SCAN_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/slice.h"

struct json_scan {
    const char *next;
    const char *end;
    struct arena *arena;
    const char *problem; /* static text; set where a call returned false for bad JSON */
};

struct json_scan json_scan_over(struct slice text, struct arena *arena);
/* Whether nothing but white space is left. */
bool json_scan_is_at_end(struct json_scan *scan);
/* Skips white space and returns the first byte of the value; '\0' at the end. */
char json_scan_peek(struct json_scan *scan);

/* Takes `{` or `[`. */
bool json_scan_open(struct json_scan *scan, char bracket) __attribute__((warn_unused_result));
/* Goes to the next member of an object and takes its key, unescaped; to the next item of an array.
 * `*is_first` is true before the first call. False with `problem` NULL: the container is closed. */
bool json_scan_object_next(struct json_scan *scan, bool *is_first, struct slice *key)
    __attribute__((warn_unused_result));
bool json_scan_array_next(struct json_scan *scan, bool *is_first)
    __attribute__((warn_unused_result));

/* Takes any value; `*value` is its text, untouched. */
bool json_scan_value(struct json_scan *scan, struct slice *value)
    __attribute__((warn_unused_result));
/* Takes a string, unescaped. */
bool json_scan_string(struct json_scan *scan, struct slice *text)
    __attribute__((warn_unused_result));
/* The same, or null: then `*text` is empty with `data` NULL. */
bool json_scan_string_or_null(struct json_scan *scan, struct slice *text)
    __attribute__((warn_unused_result));
bool json_scan_boolean(struct json_scan *scan, bool *value) __attribute__((warn_unused_result));

#endif
