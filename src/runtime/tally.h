/*
 * Tally: how often each name was seen, with a bound on the names. The rare ones share `other`.
 *
 *   name --tally_add--> its count     (false: it has no place; tally_learn() gives it one, the rarest goes)
 *
 * The places stand in the order of their counts, so a common name is found at once. A name that loses its
 * place leaves its count to `other`: the sum of all is always what was added.
 * Ownership: embedded, about 20 KB. Threading: one thread.
 */
#ifndef RUNTIME_TALLY_H
#define RUNTIME_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    TALLY_PLACES = 64,
    TALLY_NAME_MAX = 317 /* an NSID */
};

struct tally_place {
    uint64_t count;
    uint16_t size;
    char name[TALLY_NAME_MAX + 1]; /* zero-terminated */
};

struct tally {
    struct tally_place places[TALLY_PLACES];
    unsigned used;
    uint64_t other;
};

/* Counts a name that has a place. */
bool tally_add(struct tally *tally, struct slice name) __attribute__((warn_unused_result));
/* Counts a name that has none, and gives it the place of the rarest; an empty or too long one is `other`. */
void tally_learn(struct tally *tally, struct slice name);

#endif
