/*
 * Schema set-up: runs the migrations off the loop before anything else starts, and tries again for as
 * long as PostgreSQL is away or refuses.
 *
 * Ownership: embedded; `on_ready` or `on_closed` is the last call. Threading: the loop's thread; libpq
 * blocks on a thread of libuv's pool.
 */
#ifndef RUNTIME_SCHEMA_SETUP_H
#define RUNTIME_SCHEMA_SETUP_H

#include <stdbool.h>

#include <uv.h>

#include "base/backoff.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "config/config.h"

struct schema_setup {
    uv_work_t work;
    uv_timer_t retry_timer;
    const char *conninfo;        /* borrowed */
    const char *schema;          /* borrowed */
    const struct tables *tables; /* borrowed */
    struct backoff backoff;
    struct log_limit limit;
    struct buffer report;
    struct error error; /* of the running try: the pool's thread writes it */
    char why[sizeof(((struct error *)NULL)->text)]; /* of the last try that failed */
    bool has_failed;
    bool is_refused; /* by what is set up, not because PostgreSQL is away */
    bool is_done;
    bool is_working;
    bool is_closing;
    void (*on_ready)(void *owner);
    void (*on_closed)(void *owner);
    void *owner;
};

/* `config` lives until the last call. */
void schema_setup_start(struct schema_setup *setup, uv_loop_t *loop, const struct config *config);
/* Ends a running try (its answer is dropped) and calls `on_closed`. Not after `on_ready`. */
void schema_setup_close(struct schema_setup *setup);

#endif
