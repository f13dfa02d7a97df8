/*
 * Workforce: all workers of the process. Number 0 lives on the main loop, each other on a thread.
 *
 * Ownership: embedded in the daemon; borrows configuration and statistics. Threading: the main loop's.
 */
#ifndef RUNTIME_WORKFORCE_H
#define RUNTIME_WORKFORCE_H

#include <stdint.h>

#include "config/config.h"
#include "runtime/worker_stats.h"

struct lanes;
struct uv_loop_s;
struct worker;
struct worker_thread;

struct workforce {
    struct uv_loop_s *loop;
    const struct config *config;
    struct worker_stats *stats;     /* one a worker */
    unsigned slot;                  /* of this process on its host */
    unsigned open;                  /* workers that are not closed yet */
    struct worker *worker;          /* number 0; NULL once closed */
    struct worker_thread **threads; /* by number; [0] is unused */
    struct lanes *lanes;            /* of all workers */
    /* Each time that a worker is gone. */
    void (*on_one_closed)(void *owner);
    void *owner;
};

/* The fields without a comment on their end are the caller's to fill before. */
void workforce_open(struct workforce *workforce);
void workforce_close(struct workforce *workforce, uint64_t drain_ms);
/* Each pipeline's state goes to the log. */
void workforce_log_state(const struct workforce *workforce);
/* After the last on_one_closed. */
void workforce_deinit(struct workforce *workforce);

#endif
