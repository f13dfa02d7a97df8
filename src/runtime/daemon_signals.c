/* What each signal asks of the daemon. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "runtime/daemon_private.h"

static const char *const state_names[] = {
    [DAEMON_STARTING] = "starting", [DAEMON_RUNNING] = "running", [DAEMON_DRAINING] = "draining",
    [DAEMON_SAVING] = "saving",     [DAEMON_CLOSING] = "closing",
};

static void on_stop_signal(uv_signal_t *handle, int signal_number)
{
    struct daemon *daemon = handle->data;
    const char *name = signal_number == SIGTERM ? "SIGTERM" : "SIGINT";
    if (daemon->state == DAEMON_STARTING || daemon->state == DAEMON_RUNNING) {
        daemon_start_draining(daemon, name);
        return;
    }
    log_warning("standpipe", "second signal, exiting at once", LOG_TEXT("signal", name));
    _exit(EXIT_FAILURE);
}

static void on_state_signal(uv_signal_t *handle, int signal_number)
{
    struct daemon *daemon = handle->data;
    (void)signal_number;
    log_info("standpipe", "state", LOG_TEXT("state", state_names[daemon->state]),
             LOG_INT("workers_open", daemon->workforce.open),
             LOG_INT("reloads", daemon->reload.report.number));
    if (daemon->ingester != NULL) {
        ingester_log_state(daemon->ingester);
    }
    workforce_log_state(&daemon->workforce);
    progress_log(&daemon->progress, daemon->stats, daemon_thread_count(daemon) + 1);
}

static void on_reload_signal(uv_signal_t *handle, int signal_number)
{
    (void)signal_number;
    daemon_reload(handle->data);
}

void daemon_open_signals(struct daemon *daemon)
{
    static const struct {
        int number;
        uv_signal_cb callback;
    } wanted[DAEMON_SIGNAL_COUNT] = {
        {SIGTERM, on_stop_signal},
        {SIGINT, on_stop_signal},
        {SIGUSR1, on_state_signal},
        {SIGHUP, on_reload_signal},
    };
    (void)signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < DAEMON_SIGNAL_COUNT; i++) {
        (void)uv_signal_init(&daemon->loop, &daemon->signals[i]);
        daemon->signals[i].data = daemon;
        (void)uv_signal_start(&daemon->signals[i], wanted[i].callback, wanted[i].number);
    }
}
