/*
 * Generation: one configuration as it was read, for as long as somebody uses it.
 *
 *   config_load --generation_create--> the daemon holds the newest; a part holds the one that it was opened with
 *
 * Parts borrow texts of their configuration, so a reload never changes one: it makes the next generation, and the last
 * that lets go of the old one frees it. At most one more than there are parts are alive.
 * Ownership: counted. Threading: holding and letting go on thread 0; what is read of it never changes.
 */
#ifndef RUNTIME_GENERATION_H
#define RUNTIME_GENERATION_H

#include <stdbool.h>

#include "atproto/sha256.h"
#include "config/config.h"

struct generation {
    struct config config;
    unsigned holders;
    uint8_t ca_digest[SHA256_SIZE]; /* of relay.ca_file's content; zeros: none, or unreadable */
};

/* Takes `config` over; held once. */
struct generation *generation_create(struct config *config);
struct generation *generation_hold(struct generation *generation);
/* NULL is fine. */
void generation_release(struct generation *generation);

#endif
