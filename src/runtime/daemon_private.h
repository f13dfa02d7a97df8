/*
 * Between the files of the daemon: daemon.c (its whole life), daemon_stages.c (wiring), daemon_stop.c and
 * daemon_signals.c only.
 */
#ifndef RUNTIME_DAEMON_PRIVATE_H
#define RUNTIME_DAEMON_PRIVATE_H

#include <uv.h>

#include "base/buffer.h"
#include "runtime/console.h"
#include "runtime/consumer_slot.h"
#include "runtime/daemon.h"
#include "runtime/dead_letter_courier.h"
#include "runtime/depth_alert.h"
#include "runtime/ingester.h"
#include "runtime/marks.h"
#include "runtime/progress.h"
#include "runtime/schema_setup.h"
#include "runtime/stream_watch.h"
#include "runtime/workforce.h"
#include "sink/cursor_store.h"
#include "stream/stream_monitor.h"

enum {
    DAEMON_SIGNAL_COUNT = 4,
    DAEMON_NAME_SIZE = 600, /* workers.consumer_id has up to 512 bytes */
};

enum daemon_state {
    DAEMON_STARTING,
    DAEMON_RUNNING,
    DAEMON_DRAINING,
    DAEMON_SAVING,
    DAEMON_CLOSING
};

struct daemon {
    const struct config *config;
    uv_loop_t loop;
    uv_signal_t signals[DAEMON_SIGNAL_COUNT];
    uv_timer_t look_timer;
    uv_timer_t progress_timer;
    uv_timer_t deadline_timer;
    enum daemon_state state;
    uint64_t drain_until_ms;

    struct consumer_slot slot;
    char process_name[DAEMON_NAME_SIZE];
    struct buffer host; /* zero-terminated */
    struct schema_setup schema;
    bool is_schema_open;
    struct cursor_store *cursor_store;
    struct marks marks;
    struct workforce workforce;
    struct stream_monitor *monitor;
    struct dead_letter_courier *courier; /* NULL: not open */
    struct ingester *ingester;
    struct depth_alert depth_alert;
    struct stream_watch stream_watch;
    struct progress progress;
    struct worker_stats *stats; /* one a worker, then the ingester's */
    struct console *console;    /* NULL: not open */
    struct console_sources console_sources;
    unsigned looks;
};

unsigned daemon_thread_count(const struct daemon *daemon);
struct counters *daemon_ingest_counters(struct daemon *daemon);
void daemon_open_signals(struct daemon *daemon);
/* Opens the console and, once the schema is there, every stage. */
void daemon_start(struct daemon *daemon);
void daemon_start_draining(struct daemon *daemon, const char *signal_name);
/* The one function that moves the state; every stage that has closed calls it. */
void daemon_proceed(struct daemon *daemon);

#endif
