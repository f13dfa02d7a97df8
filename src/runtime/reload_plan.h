/*
 * Reload plan: what a new configuration asks for, from what has changed. Pure but for the log.
 *
 *   running, next --> parts to close and open again, servers to ask first, changes for people
 *
 * Ownership: reload_plan_deinit(). Threading: one thread.
 */
#ifndef RUNTIME_RELOAD_PLAN_H
#define RUNTIME_RELOAD_PLAN_H

#include <stdbool.h>

#include "base/buffer.h"
#include "runtime/generation.h"

/* What the daemon closes and opens again; the bits are in the order of opening. */
enum daemon_part {
    PART_SCHEMA = 1 << 0, /* while starting: the migrations */
    PART_STORE = 1 << 1,
    PART_WORKERS = 1 << 2,
    PART_MONITOR = 1 << 3,
    PART_COURIER = 1 << 4,
    PART_INGESTER = 1 << 5,
    PART_CONSOLE = 1 << 6,
};
enum {
    PART_COUNT = 7
};

/* What is tried before anything is changed. */
enum reload_check_bit {
    CHECK_AUTHORITIES = 1 << 0,
    CHECK_RELAY = 1 << 1,
    CHECK_REDIS = 1 << 2,
    CHECK_POSTGRES = 1 << 3,
    CHECK_SCHEMA = 1 << 4, /* runs the migrations that are missing */
};

struct reload_plan {
    unsigned parts;
    unsigned checks;
    unsigned counts[CONFIG_APPLY_RESTART + 1]; /* changed keys, by enum config_apply */
    struct buffer
        changes; /* [{"key":...,"applies":...,"before":...,"after":...}...], secrets masked */
};

/* `next` is as it was read: keys that need a restart are told, not yet held back. */
void reload_plan_make(struct reload_plan *plan, const struct generation *running,
                      const struct generation *next);
void reload_plan_deinit(struct reload_plan *plan);
/* The parts that a change of this key opens again; 0: none. */
unsigned reload_plan_parts(const char *section, const char *key);
/* A line in the log for each change. */
void reload_plan_log(const struct generation *running, const struct generation *next);

#endif
