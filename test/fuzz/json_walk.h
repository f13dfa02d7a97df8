/*
 * JSON walk: is a text one JSON value and nothing more, by our own scanner? Every value of it is looked at.
 * Threading: pure.
 */
#ifndef TEST_FUZZ_JSON_WALK_H
#define TEST_FUZZ_JSON_WALK_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/slice.h"

bool json_is_one_value(struct slice text, struct arena *arena);

#endif
