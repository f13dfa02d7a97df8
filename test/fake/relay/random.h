/*
 * Random: splitmix64, so that one seed gives one history on every machine.
 */
#ifndef RELAY_RANDOM_H
#define RELAY_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t mixed = random->state += 0x9e3779b97f4a7c15ULL;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return mixed ^ (mixed >> 31);
}

/* 0 .. bound-1; bound is at least 1. */
static inline uint32_t random_below(struct random *random, uint32_t bound)
{
    return (uint32_t)(((random_next(random) >> 32) * bound) >> 32);
}

static inline bool random_chance(struct random *random, uint32_t per_mille)
{
    return per_mille > 0 && random_below(random, 1000) < per_mille;
}

#endif
