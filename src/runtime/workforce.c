#include "runtime/workforce.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/panic.h"
#include "runtime/worker.h"
#include "runtime/worker_thread.h"
#include "sink/lanes.h"

static unsigned thread_count(const struct workforce *workforce)
{
    return (unsigned)workforce->config->workers.threads;
}

static void worker_on_closed(void *owner)
{
    struct workforce *workforce = owner;
    workforce->worker = NULL;
    workforce->open--;
    workforce->on_one_closed(workforce->owner);
}

/* One thread at a time ends here; which one it was does not matter once all are asked to stop. */
static void thread_on_ended(void *owner)
{
    struct workforce *workforce = owner;
    workforce->open--;
    workforce->on_one_closed(workforce->owner);
}

/* Connections are dealt out evenly; each worker has at least one. */
static unsigned connections_of(const struct workforce *workforce, unsigned number)
{
    unsigned total = (unsigned)workforce->config->postgres.connections;
    unsigned threads = thread_count(workforce);
    unsigned share = total / threads + (number < total % threads ? 1 : 0);
    return share > 0 ? share : 1;
}

static void open_one(struct workforce *workforce, unsigned number)
{
    static const struct worker_callbacks worker_callbacks = {.on_closed = worker_on_closed};
    static const struct worker_thread_callbacks thread_callbacks = {.on_ended = thread_on_ended};
    struct worker_options options = {
        .config = workforce->config,
        .number = number,
        .slot = workforce->slot,
        .connections = connections_of(workforce, number),
        .consumer_id = workforce->config->workers.consumer_id,
        .lanes = workforce->lanes,
        .stats = &workforce->stats[number],
    };
    workforce->open++;
    if (number == 0) {
        workforce->worker = worker_open(workforce->loop, &options, &worker_callbacks, workforce);
        return;
    }
    struct error error;
    workforce->threads[number] =
        worker_thread_start(workforce->loop, &options, &thread_callbacks, workforce, &error);
    if (workforce->threads[number] != NULL) {
        return;
    }
    workforce->open--;
    log_error("standpipe", "worker not started", LOG_TEXT("why", error.text),
              LOG_INT("worker", number));
}

void workforce_open(struct workforce *workforce)
{
    workforce->lanes = lanes_create();
    workforce->threads = memory_allocate(thread_count(workforce) * sizeof(struct worker_thread *));
    for (unsigned number = 0; number < thread_count(workforce); number++) {
        open_one(workforce, number);
    }
}

void workforce_close(struct workforce *workforce, uint64_t drain_ms)
{
    if (workforce->worker != NULL) {
        worker_close(workforce->worker, drain_ms);
    }
    for (unsigned number = 1; workforce->threads != NULL && number < thread_count(workforce);
         number++) {
        if (workforce->threads[number] != NULL) {
            worker_thread_stop(workforce->threads[number], drain_ms);
            workforce->threads[number] = NULL; /* it frees itself */
        }
    }
}

void workforce_log_state(const struct workforce *workforce)
{
    if (workforce->worker != NULL) {
        worker_log_state(workforce->worker);
    }
    for (unsigned number = 1; workforce->threads != NULL && number < thread_count(workforce);
         number++) {
        if (workforce->threads[number] != NULL) {
            worker_thread_log_state(workforce->threads[number]);
        }
    }
}

void workforce_deinit(struct workforce *workforce)
{
    free((void *)workforce->threads);
    workforce->threads = NULL;
    lanes_destroy(workforce->lanes);
    workforce->lanes = NULL;
}
