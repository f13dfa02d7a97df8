#include "runtime/worker_thread.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

#include "base/panic.h"

/* What the main thread asks of the other, as bits that an atomic carries across. */
enum {
    ASK_STOP = 1,
    ASK_LOG_STATE = 2
};

struct worker_thread {
    struct worker_options options;
    struct worker_thread_callbacks callbacks;
    void *owner;
    uv_thread_t thread;
    uv_loop_t loop;
    uv_async_t asked;  /* on `loop` */
    uv_async_t ended;  /* on the main loop */
    unsigned asks;     /* atomic */
    uint64_t drain_ms; /* written before ASK_STOP */
    struct worker *worker;
};

static void worker_on_closed(void *owner)
{
    struct worker_thread *thread = owner;
    thread->worker = NULL;
    uv_close((uv_handle_t *)&thread->asked, NULL); /* the loop has nothing left and ends */
}

static void thread_on_asked(uv_async_t *asked)
{
    struct worker_thread *thread = asked->data;
    unsigned asks = __atomic_exchange_n(&thread->asks, 0, __ATOMIC_ACQUIRE);
    if (thread->worker == NULL) {
        return;
    }
    if ((asks & ASK_LOG_STATE) != 0) {
        worker_log_state(thread->worker);
    }
    if ((asks & ASK_STOP) != 0) {
        worker_close(thread->worker, thread->drain_ms);
    }
}

static void thread_main(void *argument)
{
    struct worker_thread *thread = argument;
    char name[16]; /* what `top -H` shows */
    (void)snprintf(name, sizeof(name), "worker-%u", thread->options.number);
    (void)pthread_setname_np(pthread_self(), name);
    (void)uv_run(&thread->loop, UV_RUN_DEFAULT);
    (void)uv_async_send(&thread->ended);
}

static void ended_on_closed(uv_handle_t *handle)
{
    struct worker_thread *thread = handle->data;
    struct worker_thread_callbacks callbacks = thread->callbacks;
    void *owner = thread->owner;
    free(thread);
    callbacks.on_ended(owner);
}

static void thread_on_ended(uv_async_t *ended)
{
    struct worker_thread *thread = ended->data;
    (void)uv_thread_join(&thread->thread);
    ASSERT(uv_loop_close(&thread->loop) == 0);
    uv_close((uv_handle_t *)ended, ended_on_closed);
}

struct worker_thread *worker_thread_start(struct uv_loop_s *main_loop,
                                          const struct worker_options *options,
                                          const struct worker_thread_callbacks *callbacks,
                                          void *owner, struct error *error)
{
    static const struct worker_callbacks worker_callbacks = {.on_closed = worker_on_closed};
    struct worker_thread *thread = memory_allocate(sizeof(*thread));
    thread->options = *options;
    thread->callbacks = *callbacks;
    thread->owner = owner;
    if (uv_loop_init(&thread->loop) != 0) {
        error_set(error, ERROR_INTERNAL, "no event loop for worker %u", options->number);
        free(thread);
        return NULL;
    }
    ASSERT(uv_async_init(&thread->loop, &thread->asked, thread_on_asked) == 0);
    ASSERT(uv_async_init(main_loop, &thread->ended, thread_on_ended) == 0);
    thread->asked.data = thread;
    thread->ended.data = thread;
    /* The loop does not run yet, so the worker may be opened from here. */
    thread->worker = worker_open(&thread->loop, &thread->options, &worker_callbacks, thread);
    ASSERT(uv_thread_create(&thread->thread, thread_main, thread) == 0);
    return thread;
}

static void ask(struct worker_thread *thread, unsigned what)
{
    (void)__atomic_fetch_or(&thread->asks, what, __ATOMIC_RELEASE);
    (void)uv_async_send(&thread->asked);
}

void worker_thread_stop(struct worker_thread *thread, uint64_t drain_ms)
{
    thread->drain_ms = drain_ms;
    ask(thread, ASK_STOP);
}

void worker_thread_log_state(struct worker_thread *thread)
{
    ask(thread, ASK_LOG_STATE);
}
