/*
 * Consumer slot: the lowest number that no other process of this host uses with the same group, so that
 * consumer names are unique and come back after a restart or a kill -9.
 *
 * The lock is an abstract unix socket: the kernel frees it when the process ends, and it needs no file
 * (unix(7)). Processes in other network namespaces have other host names.
 */
#ifndef RUNTIME_CONSUMER_SLOT_H
#define RUNTIME_CONSUMER_SLOT_H

#include <stdbool.h>

#include "base/error.h"

struct consumer_slot {
    int descriptor;
    unsigned number;
};

/* `scope` names Redis, stream, group and consumer_id; any length. `wanted` is tried first, then the lowest. */
bool consumer_slot_take(struct consumer_slot *slot, const char *scope, unsigned wanted,
                        struct error *error) __attribute__((warn_unused_result));
void consumer_slot_release(struct consumer_slot *slot);

#endif
