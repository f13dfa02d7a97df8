/*
 * Worker thread: a worker on a thread and a loop of its own.
 *
 *   [main loop] --stop (uv_async)--> [own loop: worker] --ended (uv_async)--> on_ended on the main loop
 *
 * Ownership: heap; freed right after `on_ended`, the thread joined. Threading: the main loop's thread.
 */
#ifndef RUNTIME_WORKER_THREAD_H
#define RUNTIME_WORKER_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "runtime/worker.h"

struct worker_thread;

struct worker_thread_callbacks {
    /* On the main loop, once, last. */
    void (*on_ended)(void *owner);
};

/* NULL and `error` where the loop or the thread could not be made. */
struct worker_thread *worker_thread_start(struct uv_loop_s *main_loop,
                                          const struct worker_options *options,
                                          const struct worker_thread_callbacks *callbacks,
                                          void *owner, struct error *error);
/* Drains for at most `drain_ms`; `on_ended` follows. */
void worker_thread_stop(struct worker_thread *thread, uint64_t drain_ms);
/* Each pipeline's state goes to the log, from the thread itself. */
void worker_thread_log_state(struct worker_thread *thread);

#endif
