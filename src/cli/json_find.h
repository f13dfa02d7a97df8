/*
 * JSON find: a member of an object that is text, for what our own pages answer.
 * Ownership: slices point into the text. Threading: pure functions.
 */
#ifndef CLI_JSON_FIND_H
#define CLI_JSON_FIND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

/* The member's text, untouched; false where `object` is no object or has none of that name. */
bool json_find(struct slice object, const char *name, struct slice *value);
/* 0 where it is none. */
uint64_t json_find_number(struct slice object, const char *name);
bool json_find_is_true(struct slice object, const char *name);
/* A string, unescaped into the arena where it has to be; empty where it is none. */
struct slice json_find_text(struct slice object, const char *name, struct arena *arena);

#endif
