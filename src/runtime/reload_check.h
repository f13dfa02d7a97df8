/*
 * Reload check: tries what a new configuration names before anything of the running one is given up.
 *
 *   reload_check_start --[a thread of libuv's pool: blocking calls]--> on_done, on the loop
 *
 * Ownership: embedded; borrows the configuration until on_done. Threading: the loop's thread.
 */
#ifndef RUNTIME_RELOAD_CHECK_H
#define RUNTIME_RELOAD_CHECK_H

#include <stdbool.h>

#include <uv.h>

#include "base/error.h"
#include "config/config.h"

struct reload_check {
    uv_work_t work;
    const struct config *config;
    unsigned what; /* enum reload_check_bit */
    bool is_running;
    bool is_good;       /* after on_done */
    struct error error; /* why it is not */
    void (*on_done)(void *owner);
    void *owner;
};

/* `config`, `what`, `on_done` and `owner` are set before. False: no thread; nothing follows. */
bool reload_check_start(struct reload_check *check, uv_loop_t *loop)
    __attribute__((warn_unused_result));

#endif
