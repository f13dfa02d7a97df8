#include "runtime/daemon.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "runtime/daemon_private.h"

unsigned daemon_thread_count(const struct daemon *daemon)
{
    return (unsigned)daemon->config->workers.threads;
}

struct counters *daemon_ingest_counters(struct daemon *daemon)
{
    return &daemon->stats[daemon_thread_count(daemon)].counters;
}

void daemon_log_stopped(const struct daemon *daemon)
{
    log_info("standpipe", "stopped", LOG_INT("queued", daemon->marks.queued.sequence),
             LOG_INT("committed", daemon->marks.saved));
}

static void open_timers(struct daemon *daemon)
{
    uv_timer_t *timers[] = {&daemon->look_timer, &daemon->watch_timer, &daemon->progress_timer,
                            &daemon->deadline_timer, &daemon->supervise_timer};
    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        (void)uv_timer_init(&daemon->loop, timers[i]);
        timers[i]->data = daemon;
    }
}

bool daemon_take_slot(struct daemon *daemon, struct error *error)
{
    const struct config *config = daemon->config;
    struct consumer_slot slot;
    struct buffer scope = {0};
    buffer_append_format(&scope, "%s|%s|%s|%s", config->redis.url, config->stream.key,
                         config->stream.group, config->workers.consumer_id);
    buffer_append_byte(&scope, '\0');
    bool is_taken = consumer_slot_take(&slot, scope.data, daemon->slot.number, error);
    buffer_deinit(&scope);
    if (!is_taken) {
        return false;
    }
    consumer_slot_release(&daemon->slot);
    daemon->slot = slot;
    (void)snprintf(daemon->process_name, sizeof(daemon->process_name), "%s-%u",
                   config->workers.consumer_id, slot.number);
    return true;
}

/* Names the sequence space that the marks are of. */
void daemon_take_host(struct daemon *daemon)
{
    struct buffer host = {0};
    config_relay_host(daemon->config, &host);
    buffer_append_byte(&host, '\0');
    if (slice_equals(buffer_slice(&host), buffer_slice(&daemon->host))) {
        buffer_deinit(&host);
        return;
    }
    buffer_deinit(&daemon->host);
    daemon->host = host;
    marks_init(&daemon->marks, daemon->cursor_store, daemon->host.data);
}

static struct worker_stats *allocate_stats(unsigned count)
{
    struct worker_stats *stats =
        aligned_alloc(_Alignof(struct worker_stats), sizeof(*stats) * count);
    if (stats == NULL) {
        PANIC("out of memory");
    }
    for (unsigned i = 0; i < count; i++) {
        worker_stats_init(&stats[i]);
    }
    return stats;
}

static void daemon_deinit(struct daemon *daemon)
{
    consumer_slot_release(&daemon->slot);
    buffer_deinit(&daemon->host);
    workforce_deinit(&daemon->workforce);
    daemon_reload_deinit(daemon);
    for (unsigned i = 0; i < PART_COUNT; i++) {
        generation_release(daemon->held[i]);
    }
    generation_release(daemon->generation);
    supervisor_deinit(&daemon->supervisor);
    free(daemon->stats);
    free(daemon);
}

static struct daemon *daemon_create(struct config *config, const struct config_arguments *arguments)
{
    struct daemon *daemon = memory_allocate(sizeof(*daemon));
    daemon->generation = generation_create(config);
    daemon->config = &daemon->generation->config;
    daemon->arguments = arguments;
    daemon->slot.descriptor = -1;
    daemon->supervisor.descriptor = -1;
    ASSERT(daemon->config->workers.threads > 0);
    daemon->stats = allocate_stats(daemon_thread_count(daemon) + 1);
    daemon->reload.report.success_us = clock_wall_us();
    progress_begin(&daemon->progress);
    return daemon;
}

/* What grows with a batch is mapped by itself and goes back when it is freed. Left alone, the C library raises this limit to
 * the largest block that it has seen freed, and then the heap keeps the holes that those leave (docs/performance.md). */
static void keep_memory_small(void)
{
    enum {
        LARGE_BYTES = 128 * 1024
    };
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES); /* 0 only where it is no number that it takes */
}

bool daemon_run(struct config *config, const struct config_arguments *arguments,
                struct error *error)
{
    keep_memory_small();
    struct daemon *daemon = daemon_create(config, arguments);
    if (!daemon_take_slot(daemon, error) || uv_loop_init(&daemon->loop) != 0) {
        daemon_deinit(daemon);
        return false;
    }
    daemon_take_host(daemon);
    daemon_open_signals(daemon);
    open_timers(daemon);
    daemon_start(daemon);
    daemon_supervise_open(daemon);
    (void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
    ASSERT(uv_loop_close(&daemon->loop) == 0);
    daemon_log_stopped(daemon);
    daemon_deinit(daemon);
    return true;
}
