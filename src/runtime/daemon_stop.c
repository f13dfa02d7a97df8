/* Stopping: ingester, workers, the last mark, then everything else. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "runtime/daemon_private.h"

enum {
    LAST_LOOK_MS = 1000,
    STORE_DRAIN_MS = 2000, /* of the shutdown time, kept for the last mark */
};

static uint64_t drain_left_ms(const struct daemon *daemon)
{
    uint64_t now = clock_monotonic_ms();
    return daemon->drain_until_ms > now ? daemon->drain_until_ms - now : 0;
}

static void close_workers(struct daemon *daemon)
{
    uint64_t left = drain_left_ms(daemon);
    workforce_close(&daemon->workforce, left > STORE_DRAIN_MS ? left - STORE_DRAIN_MS : 0);
}

static void close_handles(struct daemon *daemon)
{
    for (int i = 0; i < DAEMON_SIGNAL_COUNT; i++) {
        uv_close((uv_handle_t *)&daemon->signals[i], NULL);
    }
    uv_close((uv_handle_t *)&daemon->look_timer, NULL);
    uv_close((uv_handle_t *)&daemon->watch_timer, NULL);
    uv_close((uv_handle_t *)&daemon->progress_timer, NULL);
    uv_close((uv_handle_t *)&daemon->deadline_timer, NULL);
    uv_close((uv_handle_t *)&daemon->supervise_timer, NULL);
}

/* Redis does not answer: the mark in PostgreSQL stays a little behind, which only costs duplicates. */
static void saving_on_timeout(uv_timer_t *timer)
{
    daemon_proceed(timer->data);
}

/* One more look, so that the mark of what was just acknowledged is saved. */
static void start_saving(struct daemon *daemon)
{
    daemon->state = DAEMON_SAVING;
    if (daemon->monitor == NULL) {
        daemon_proceed(daemon);
        return;
    }
    (void)uv_timer_start(&daemon->look_timer, saving_on_timeout, LAST_LOOK_MS, 0);
    stream_monitor_look(daemon->monitor);
}

static void start_closing(struct daemon *daemon)
{
    daemon->state = DAEMON_CLOSING;
    (void)uv_timer_stop(&daemon->look_timer);
    if (daemon->monitor != NULL) {
        stream_monitor_close(daemon->monitor);
    }
    if (daemon->courier != NULL) {
        dead_letter_courier_close(daemon->courier, drain_left_ms(daemon) / 2);
    }
    if (daemon->console != NULL) {
        console_close(daemon->console);
    }
    if (daemon->cursor_store != NULL) {
        cursor_store_close(daemon->cursor_store, drain_left_ms(daemon));
    }
    daemon_proceed(daemon);
}

/* A server that a reload was trying may keep its thread for seconds, and nobody waits for what it says. */
static void finish(struct daemon *daemon)
{
    if (daemon->reload.check.is_running) {
        daemon_log_stopped(daemon);
        _exit(EXIT_SUCCESS);
    }
    if (!uv_is_closing((uv_handle_t *)&daemon->signals[0])) {
        close_handles(daemon);
    }
}

void daemon_proceed(struct daemon *daemon)
{
    switch (daemon->state) {
    case DAEMON_STARTING:
    case DAEMON_RUNNING:
        daemon_reload_proceed(daemon);
        return;
    case DAEMON_DRAINING:
        if (!daemon->is_schema_open && daemon->ingester == NULL && daemon->workforce.open == 0) {
            start_saving(daemon);
        }
        return;
    case DAEMON_SAVING:
        start_closing(daemon);
        return;
    case DAEMON_CLOSING:
        if (daemon->monitor == NULL && daemon->cursor_store == NULL && daemon->courier == NULL &&
            daemon->console == NULL) {
            finish(daemon);
        }
        return;
    }
}

/* Whatever is still open had its time: it is given up in the order of the stop, without waiting. */
static void deadline_on_time(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    log_error("standpipe", "not drained in time, exiting with work undone",
              LOG_INT("timeout_ms", daemon->config->shutdown.timeout_ms),
              LOG_INT("workers_open", daemon->workforce.open));
    _exit(EXIT_FAILURE); /* what is not acknowledged stays pending for the next run */
}

void daemon_start_draining(struct daemon *daemon, const char *signal_name)
{
    bool was_starting = daemon->state == DAEMON_STARTING;
    log_info("standpipe", "stopping", LOG_TEXT("signal", signal_name),
             LOG_INT("timeout_ms", daemon->config->shutdown.timeout_ms));
    daemon->state = DAEMON_DRAINING;
    daemon->console_sources.is_draining = true;
    daemon->drain_until_ms = clock_monotonic_ms() + daemon->config->shutdown.timeout_ms;
    (void)uv_timer_start(&daemon->deadline_timer, deadline_on_time,
                         daemon->config->shutdown.timeout_ms, 0);
    daemon_supervise_stopping(daemon);
    if (was_starting && daemon->is_schema_open) {
        schema_setup_close(&daemon->schema);
        return;
    }
    if (daemon->ingester != NULL) {
        ingester_close(daemon->ingester, drain_left_ms(daemon) / 2);
    }
    close_workers(daemon);
    daemon_proceed(daemon);
}
