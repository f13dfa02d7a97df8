#include "runtime/daemon.h"

#include <stdio.h>
#include <stdlib.h>

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

static void open_timers(struct daemon *daemon)
{
    uv_timer_t *timers[] = {&daemon->look_timer, &daemon->progress_timer, &daemon->deadline_timer};
    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        (void)uv_timer_init(&daemon->loop, timers[i]);
        timers[i]->data = daemon;
    }
}

static bool take_slot(struct daemon *daemon, struct error *error)
{
    const struct config *config = daemon->config;
    struct buffer scope = {0};
    buffer_append_format(&scope, "%s|%s|%s|%s", config->redis.url, config->stream.key,
                         config->stream.group, config->workers.consumer_id);
    buffer_append_byte(&scope, '\0');
    bool is_taken = consumer_slot_take(&daemon->slot, scope.data, error);
    buffer_deinit(&scope);
    (void)snprintf(daemon->process_name, sizeof(daemon->process_name), "%s-%u",
                   config->workers.consumer_id, daemon->slot.number);
    return is_taken;
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
    free(daemon->stats);
    free(daemon);
}

bool daemon_run(const struct config *config, struct error *error)
{
    struct daemon *daemon = memory_allocate(sizeof(*daemon));
    daemon->config = config;
    daemon->slot.descriptor = -1;
    ASSERT(config->workers.threads > 0);
    daemon->stats = allocate_stats(daemon_thread_count(daemon) + 1);
    if (!take_slot(daemon, error) || uv_loop_init(&daemon->loop) != 0) {
        daemon_deinit(daemon);
        return false;
    }
    config_relay_host(config, &daemon->host);
    buffer_append_byte(&daemon->host, '\0');
    daemon_open_signals(daemon);
    open_timers(daemon);
    daemon_start(daemon);
    (void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
    ASSERT(uv_loop_close(&daemon->loop) == 0);
    log_info("standpipe", "stopped", LOG_INT("queued", daemon->marks.queued.sequence),
             LOG_INT("committed", daemon->marks.saved));
    daemon_deinit(daemon);
    return true;
}
