/*
 * PostgreSQL targets: which hosts a conninfo names, and the start of one attempt at one of them.
 * libpq's own resolver blocks, so each attempt gets an address (`hostaddr`) that was found off the
 * loop; and libpq gives up on a server that is starting up, so the loop over hosts is ours.
 * target_session_attrs stays in the conninfo: libpq checks it, a host that does not fit fails and
 * the next is tried.
 * Ownership: embedded; deinit frees. Threading: none of its own.
 */
#ifndef SINK_PG_TARGET_H
#define SINK_PG_TARGET_H

#include <stdbool.h>

#include "base/error.h"

struct pg_conn;
struct pg_conninfo;

struct pg_target {
    char *host;         /* empty: libpq's default */
    char *port;         /* empty: libpq's default */
    bool needs_address; /* a name to resolve before PQconnectStartParams */
    bool has_address;   /* `host` is an address given as hostaddr */
};

enum {
    PG_TARGETS_MAX = 16
};

struct pg_targets {
    struct pg_conninfo *parsed;
    struct pg_target list[PG_TARGETS_MAX];
    unsigned count;
};

/* False where libpq cannot read the conninfo; `targets` needs no deinit then. */
bool pg_targets_init(struct pg_targets *targets, const char *conninfo, struct error *error)
    __attribute__((warn_unused_result));
void pg_targets_deinit(struct pg_targets *targets);
/* PQconnectStartParams for `target`; `address` is numeric, or NULL. Never blocks for names. NULL
 * where there is no memory. */
struct pg_conn *pg_target_start(const struct pg_targets *targets, const struct pg_target *target,
                                const char *address, const char *application_name);

#endif
